//! The geometry of the four modes; pixels are held against torchvision by the golden tests.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn spec(mode: ResizeMode, size: (u32, u32)) -> Fit {
    Fit {
        size,
        mode,
        resize_to: None,
        interpolation: Interpolation::Bilinear,
        color: Color::Rgb,
        letterbox_fill: Fit::LETTERBOX_FILL,
        decoding: Decoding::Exact,
    }
}

fn flat(width: u32, height: u32, color: [u8; 3]) -> Picture {
    Picture::new(width, height, color.repeat(width as usize * height as usize)).expect("a picture")
}

#[test]
fn the_longer_side_is_truncated() {
    // torchvision: int(256 * 334 / 500) and so on.
    assert_eq!(shorter_side_to(256, 500, 334), (383, 256));
    assert_eq!(shorter_side_to(256, 334, 500), (256, 383));
    assert_eq!(shorter_side_to(7, 3, 3), (7, 7));
}

#[test]
fn crops_are_rounded_as_python_rounds() {
    // int(round((length - kept) / 2.0)): 0.5 → 0, 1.5 → 2, 2.5 → 2, 3.5 → 4.
    for (spare, corner) in [(0, 0), (1, 0), (2, 1), (3, 2), (5, 2), (7, 4)] {
        assert_eq!(centre_crop(100 + spare, 100), corner, "{spare} to spare");
    }
    // Padding: (kept - length) // 2 before the picture.
    assert_eq!(centre_crop(97, 100), -1);
}

#[test]
fn a_letterbox_keeps_the_proportions() {
    assert_eq!(letterboxed((1280, 720), (640, 640)), (640, 360));
    assert_eq!(letterboxed((10, 10), (640, 320)), (320, 320));
    // 3 * 640 / 30,000 rounds to nothing; a row must remain.
    assert_eq!(letterboxed((30_000, 3), (640, 640)), (640, 1));
}

#[test]
fn the_border_is_filled() {
    let black = flat(8, 2, [0; 3]);
    let model_input = fit(&black, &spec(ResizeMode::Letterbox, (8, 8))).expect("a model input");
    let rows: Vec<bool> = model_input
        .pixels()
        .chunks(24)
        .map(|row| row.iter().all(|v| *v == 114))
        .collect();
    assert_eq!(rows, [true, true, true, false, false, true, true, true]);
    assert_eq!(model_input.placement.visible().y_max, 2.0);
    assert_eq!(model_input.placement.to_input(0.0, 0.0), (0.0, 3.0));
}

#[test]
fn colours_are_ordered_as_asked() {
    let picture = flat(4, 4, [200, 100, 50]);
    let with = |color| {
        fit(
            &picture,
            &Fit {
                color,
                ..spec(ResizeMode::Stretch, (1, 1))
            },
        )
        .expect("a model input")
    };
    assert_eq!(with(Color::Rgb).pixels(), [200, 100, 50]);
    assert_eq!(with(Color::Bgr).pixels(), [50, 100, 200]);
    // (200 * 19595 + 100 * 38470 + 50 * 7471 + 32768) >> 16
    assert_eq!(with(Color::Gray).pixels(), [124]);
    assert_eq!(with(Color::Gray).channels, 1);
}

#[test]
fn without_resizing_only_the_exact_size_is_taken() {
    let exact = spec(ResizeMode::None, (3, 5));
    assert!(fit(&flat(5, 3, [1; 3]), &exact).is_ok());
    let Err(Error::InvalidImage(message)) = fit(&flat(3, 5, [1; 3]), &exact) else {
        panic!("a picture on its side was taken");
    };
    assert!(message.contains("3×5") && message.contains("5×3"), "{message}");
}

#[test]
fn extreme_shapes_cost_no_more_than_the_input() {
    // Resized whole, this would be 256 × 7,680,000 pixels.
    for (width, height) in [(1, 30_000), (30_000, 1)] {
        for mode in [
            ResizeMode::ShorterSide,
            ResizeMode::Letterbox,
            ResizeMode::Stretch,
        ] {
            for interpolation in [
                Interpolation::Nearest,
                Interpolation::Bilinear,
                Interpolation::Bicubic,
            ] {
                let fit = Fit {
                    interpolation,
                    ..spec(mode, (224, 256))
                };
                let model_input = super::fit(&flat(width, height, [9; 3]), &fit).expect("a model input");
                assert_eq!(model_input.pixels().len(), 224 * 256 * 3);
                assert!(
                    model_input.pixels().contains(&9),
                    "{width}×{height} {mode:?} {interpolation:?}"
                );
            }
        }
    }
}

#[test]
fn an_input_without_pixels_is_refused() {
    for mode in [
        ResizeMode::ShorterSide,
        ResizeMode::Stretch,
        ResizeMode::Letterbox,
    ] {
        assert!(fit(&flat(4, 4, [0; 3]), &spec(mode, (0, 8))).is_err());
    }
}

#[test]
fn names_are_those_of_the_manifest() {
    let mode: ResizeMode = serde_json::from_str("\"shorter_side\"").expect("a mode");
    assert_eq!(mode, ResizeMode::ShorterSide);
    let interpolation: Interpolation = serde_json::from_str("\"bicubic\"").expect("an interpolation");
    assert_eq!(interpolation, Interpolation::Bicubic);
    let color: Color = serde_json::from_str("\"bgr\"").expect("a colour");
    assert_eq!(color, Color::Bgr);
    let decoding: Decoding = serde_json::from_str("\"scaled\"").expect("a way of decoding");
    assert_eq!(
        (decoding, Decoding::default()),
        (Decoding::Scaled, Decoding::Exact)
    );
}

#[test]
fn a_picture_is_reduced_no_further_than_it_is_resized() {
    let scaled = Fit {
        decoding: Decoding::Scaled,
        resize_to: Some(256),
        ..spec(ResizeMode::ShorterSide, (224, 224))
    };
    for (original, by) in [
        ((1023, 1200), 1),
        ((1024, 1200), 2),
        ((2047, 2560), 2),
        ((2560, 2048), 4),
        ((4096, 4096), 8),
        ((9000, 9000), 8),
    ] {
        assert_eq!(reduction(original, &scaled), by, "{original:?}");
    }
    let original = (4096, 4096);
    let whole = [
        Fit {
            decoding: Decoding::Exact,
            ..scaled.clone()
        },
        Fit {
            interpolation: Interpolation::Nearest,
            ..scaled.clone()
        },
        Fit {
            mode: ResizeMode::None,
            ..scaled
        },
    ];
    for fit in whole {
        assert_eq!(reduction(original, &fit), 1, "{fit:?}");
    }
}

#[test]
fn a_reduced_picture_is_placed_as_its_original() {
    let fit = spec(ResizeMode::Letterbox, (64, 64));
    let original = (1001, 501);
    let whole = super::fit(&flat(1001, 501, [7; 3]), &fit).expect("a model input");
    let reduced = flat(251, 126, [7; 3]);
    let reduced = stored(&reduced, Orientation::Upright);
    let reduced = fit_stored(&reduced, original, &fit).expect("a model input");
    assert_eq!(whole, reduced);
}

fn stored(pixels: &Picture, orientation: Orientation) -> Stored<'_> {
    let part = Part::whole((pixels.width(), pixels.height()));
    Stored {
        pixels,
        part,
        orientation,
    }
}

fn cut(picture: &Picture, part: &Part) -> Picture {
    let of = |length: u32| length as usize * CHANNELS;
    let rows = picture.data().chunks_exact(of(picture.width()));
    let rows = rows.skip(part.top as usize).take(part.height as usize);
    let data = rows.flat_map(|row| &row[of(part.left)..of(part.left + part.width)]);
    Picture::new(part.width, part.height, data.copied().collect()).expect("a picture")
}

/// A picture of which no two parts are alike.
fn uneven(width: u32, height: u32) -> Picture {
    let mut state = 0x9E37_79B9_u32;
    let next = |_| {
        // xorshift32 (Marsaglia, 2003)
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    Picture::new(width, height, (0..width * height * 3).map(next).collect()).expect("a picture")
}

prop_compose! {
    fn any_fit()(
        size in (1_u32..48, 1_u32..48),
        mode in select(&[ResizeMode::ShorterSide, ResizeMode::Stretch, ResizeMode::Letterbox]),
        resize_to in proptest::option::of(1_u32..64),
        interpolation in select(&[Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic]),
        color in select(&[Color::Rgb, Color::Bgr, Color::Gray]),
    ) -> Fit {
        Fit { resize_to, interpolation, color, ..spec(mode, size) }
    }
}

proptest! {
    #[test]
    fn a_picture_on_its_side_gives_the_upright_picture_s_input(
        (width, height) in (1_u32..200, 1_u32..200),
        exif_value in 1_u32..=8,
        fit in any_fit(),
    ) {
        let orientation = Orientation::from_exif_value(exif_value);
        let pixels = uneven(width, height);
        let upright = orientation.apply(pixels.clone()).expect("a picture");
        let original = (upright.width(), upright.height());
        let expected = super::fit(&upright, &fit).expect("a model input");
        prop_assert_eq!(fit_stored(&stored(&pixels, orientation), original, &fit), Ok(expected));
    }

    #[test]
    fn what_is_needed_of_a_picture_gives_the_whole_picture_s_input(
        (width, height) in (1_u32..200, 1_u32..200),
        exif_value in 1_u32..=8,
        fit in any_fit(),
    ) {
        let orientation = Orientation::from_exif_value(exif_value);
        let pixels = uneven(width, height);
        let original = orientation.upright(width, height);
        let whole = fit_stored(&stored(&pixels, orientation), original, &fit);
        let part = needed((width, height), orientation, original, &fit);
        let pixels = cut(&pixels, &part);
        let part = Stored { pixels: &pixels, part, orientation };
        prop_assert_eq!(fit_stored(&part, original, &fit), whole);
    }
}
