//! Holds decoding and fitting against Pillow and torchvision; `tests/golden/pixels/README.md` says how the values were
//! made and what is equal to what.
//!
//! Decoding must be equal, bit for bit, but for what `kinds.json` allows a difference, where other roundings are as good.
//! Model inputs may differ by 1 of 255: Pillow and the resizer here round their weights differently (`--nocapture` prints
//! how often).

use std::fs;
use std::path::PathBuf;

use lucarne::error::Error;
use lucarne::image::{
    Color, Decoding, Fit, Interpolation, Limits, Memory, Picture, ResizeMode, decode, fit, model_input,
    picture_and_model_input,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

fn pixels(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/pixels")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(pixels(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn picture(name: &str) -> Picture {
    decode(&bytes(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn entries<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    serde_json::from_slice(&bytes(name)).expect("a list of entries")
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[derive(Deserialize)]
struct Decoded {
    file: String,
    width: u32,
    height: u32,
    sha256: Option<String>,
    golden: Option<String>,
    max_difference: Option<u8>,
}

/// All pictures, each with the folder that it is in.
fn decoded() -> Vec<Decoded> {
    let mut all = Vec::new();
    for folder in ["decode", "kinds"] {
        let in_folder = |entry: Decoded| Decoded {
            file: format!("{folder}/{}", entry.file),
            golden: entry.golden.map(|golden| format!("{folder}/{golden}")),
            ..entry
        };
        all.extend(entries(&format!("{folder}.json")).into_iter().map(in_folder));
    }
    all
}

#[test]
fn decoding_equals_pillow() {
    let entries = decoded();
    assert!(entries.len() > 110, "only {} pictures", entries.len());
    for entry in entries {
        let picture = picture(&entry.file);
        assert_eq!(
            (picture.width(), picture.height()),
            (entry.width, entry.height),
            "{}",
            entry.file
        );
        if let Some(expected) = entry.sha256 {
            let found: String = Sha256::digest(picture.data())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(found, expected, "{}: the pixels are not Pillow's", entry.file);
        } else {
            let golden = self::picture(&entry.golden.expect("a golden picture"));
            let difference = largest_difference(picture.data(), golden.data());
            let allowed = entry.max_difference.expect("a tolerance");
            assert!(difference <= allowed, "{} differs by {difference}", entry.file);
        }
    }
}

#[derive(Deserialize)]
struct InputCase {
    source: String,
    size: (u32, u32),
    mode: ResizeMode,
    resize_to: Option<u32>,
    interpolation: Interpolation,
    color: Color,
    golden: String,
}

#[test]
fn model_inputs_are_within_one_of_torchvision() {
    let cases: Vec<InputCase> = entries("model_inputs.json");
    assert!(cases.len() >= 20, "only {} model inputs", cases.len());
    for case in cases {
        let spec = Fit {
            size: case.size,
            mode: case.mode,
            resize_to: case.resize_to,
            interpolation: case.interpolation,
            color: case.color,
            letterbox_fill: Fit::LETTERBOX_FILL,
            decoding: Decoding::Exact,
        };
        let model_input =
            fit(&picture(&format!("model_inputs/{}", case.source)), &spec).expect("a model input");
        assert_eq!(
            (model_input.height, model_input.width),
            case.size,
            "{}",
            case.golden
        );
        let golden = picture(&format!("model_inputs/{}", case.golden));
        let expected: Vec<u8> = match case.color {
            Color::Rgb => golden.into_data(),
            Color::Bgr => golden.data().chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect(),
            Color::Gray => golden.data().iter().step_by(3).copied().collect(),
        };
        let difference = largest_difference(model_input.pixels(), &expected);
        let exact = case.interpolation == Interpolation::Nearest || case.mode == ResizeMode::None;
        let allowed = if exact { 0 } else { 1 };
        assert!(difference <= allowed, "{} differs by {difference}", case.golden);
        let others = model_input.pixels().iter().zip(&expected).filter(|(a, b)| a != b);
        println!(
            "{}: {} of {} samples differ",
            case.golden,
            others.count(),
            expected.len()
        );
    }
}

#[test]
fn a_model_input_is_that_of_the_upright_picture() {
    let limits = Limits::default();
    for entry in decoded() {
        let bytes = bytes(&entry.file);
        for interpolation in [
            Interpolation::Nearest,
            Interpolation::Bilinear,
            Interpolation::Bicubic,
        ] {
            let spec = Fit {
                size: (30, 40),
                mode: ResizeMode::ShorterSide,
                resize_to: Some(44),
                interpolation,
                color: Color::Rgb,
                letterbox_fill: Fit::LETTERBOX_FILL,
                decoding: Decoding::Exact,
            };
            let expected = decode(&bytes, &limits).and_then(|picture| fit(&picture, &spec));
            assert_eq!(model_input(&bytes, &limits, &spec), expected, "{}", entry.file);
        }
    }
}

#[test]
fn a_truncated_jpeg_is_invalid_wherever_it_ends() {
    for name in [
        "baseline_420.jpg",
        "baseline_restart.jpg",
        "progressive.jpg",
        "cmyk.jpg",
    ] {
        let whole = bytes(&format!("decode/{name}"));
        // The last two bytes are the end-of-image marker: without it alone, all pixels are there, but none can tell.
        for length in (3..whole.len())
            .step_by(97)
            .chain([whole.len() - 2, whole.len() - 1])
        {
            let cut = decode(&whole[..length], &Limits::default());
            assert!(
                matches!(cut, Err(Error::InvalidImage(_))),
                "{length} bytes of {name}: {cut:?}"
            );
        }
    }
}

#[test]
fn a_jpeg_whose_middle_is_missing_is_invalid() {
    let whole = bytes("decode/baseline_420.jpg");
    let gutted = [&whole[..whole.len() / 2], &[0xFF, 0xD9]].concat();
    assert!(matches!(
        decode(&gutted, &Limits::default()),
        Err(Error::InvalidImage(_))
    ));
}

#[test]
fn other_truncated_files_are_invalid() {
    for name in [
        "rgb.png",
        "lossy.webp",
        "lossless.webp",
        "opaque.gif",
        "rgb.bmp",
        "tiff_lzw.tif",
    ] {
        let whole = bytes(&format!("decode/{name}"));
        let cut = decode(&whole[..whole.len() / 2], &Limits::default());
        assert!(
            matches!(cut, Err(Error::InvalidImage(_))),
            "half of {name}: {cut:?}"
        );
    }
}

/// Headers that claim more than is allowed, with nothing behind them.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let png = [
        &b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR"[..],
        &60_000_u32.to_be_bytes(),
        &60_000_u32.to_be_bytes(),
        b"\x08\x02\0\0\0\x0F\xB0\xE2\x15\0\0\0\0IEND\xAE\x42\x60\x82",
    ];
    let bmp = [
        &b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"[..],
        &3_000_000_i32.to_le_bytes(),
        &(-2_000_000_i32).to_le_bytes(),
        b"\x01\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ];
    let tiff = b"II*\0\x08\0\0\0\x08\0\
        \0\x01\x04\0\x01\0\0\0\x60\xEA\0\0\x01\x01\x04\0\x01\0\0\0\x60\xEA\0\0\
        \x02\x01\x03\0\x01\0\0\0\x08\0\0\0\x03\x01\x03\0\x01\0\0\0\x01\0\0\0\
        \x06\x01\x03\0\x01\0\0\0\x01\0\0\0\x11\x01\x04\0\x01\0\0\0\x08\0\0\0\
        \x15\x01\x03\0\x01\0\0\0\x01\0\0\0\x17\x01\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
    let jpeg =
        b"\xFF\xD8\xFF\xC0\0\x0B\x08\xFF\xFF\xFF\xFF\x01\x01\x11\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\0\xFF\xD9";
    let webp = b"RIFF\x20\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\0\0VP8L\x06\0\0\0\x2F\0\0\0\0\0";
    vec![
        ("PNG", png.concat()),
        ("BMP", bmp.concat()),
        ("TIFF", tiff.to_vec()),
        ("JPEG", jpeg.to_vec()),
        ("WebP", webp.to_vec()),
        (
            "GIF",
            b"GIF89a\xFF\xFF\xFF\xFF\0\0\0,\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\x02\x44\x01\0;".to_vec(),
        ),
    ]
}

#[test]
fn decompression_bombs_are_refused_from_the_header() {
    for (name, bomb) in bombs() {
        let refused = decode(&bomb, &Limits::default());
        assert!(
            matches!(refused, Err(Error::ImageTooLarge(_))),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn limits_hold_for_every_format() {
    let tight = |limits: Limits| move |name: &str| decode(&bytes(&format!("decode/{name}")), &limits);
    let loose = Limits::default();
    for name in [
        "baseline_420.jpg",
        "rgb.png",
        "lossy.webp",
        "opaque.gif",
        "rgb.bmp",
        "raw.tif",
    ] {
        for limits in [
            Limits {
                max_side: 60,
                ..loose.clone()
            },
            Limits {
                max_pixels: 1000,
                ..loose.clone()
            },
            Limits {
                memory: Memory::new(3000),
                ..loose.clone()
            },
        ] {
            let refused = tight(limits.clone())(name);
            assert!(
                matches!(refused, Err(Error::ImageTooLarge(_))),
                "{name} at {limits:?}: {refused:?}"
            );
        }
    }
}

#[test]
fn what_is_no_image_is_told_apart() {
    let answer = |bytes: &[u8]| decode(bytes, &Limits::default());
    assert!(matches!(answer(b""), Err(Error::EmptyBody(_))));
    assert!(matches!(answer(b"just some text"), Err(Error::UnsupportedMediaType(m)) if m.contains("text")));
    assert!(matches!(answer(b"\xFF\xD8\xFF"), Err(Error::InvalidImage(_))));
}

/// Damage of three kinds to every fixture, always the same: whatever comes of it, it is an answer.
#[test]
fn damaged_files_get_an_answer() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        // xorshift64 (Marsaglia, 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    for entry in decoded() {
        let whole = bytes(&entry.file);
        for kind in (0..3).cycle().take(30) {
            let mut damaged = whole.clone();
            match kind {
                0 => damaged.truncate(random(whole.len())),
                1 => (0..8).for_each(|_| damaged[random(whole.len())] ^= 1 << random(8)),
                _ => (0..4).for_each(|_| damaged[random(whole.len().min(200))] = random(256) as u8),
            }
            match decode(&damaged, &Limits::default()) {
                Ok(picture) => assert!(picture.width() >= 1 && picture.height() >= 1),
                Err(
                    Error::EmptyBody(_)
                    | Error::InvalidImage(_)
                    | Error::ImageTooLarge(_)
                    | Error::UnsupportedMediaType(_),
                ) => {}
                Err(other) => panic!("{}: {other:?}", entry.file),
            }
        }
    }
}

#[test]
fn decoding_smaller_keeps_what_the_model_sees() {
    let photos = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/photos");
    for name in ["astronaut.jpg", "coffee.jpg", "rocket.jpg"] {
        let bytes = fs::read(photos.join(name)).expect("a photo");
        // A shorter side of 320 to 400 is reduced by 2, 4 and 8.
        for side in [80, 40, 20] {
            let exact = Fit {
                size: (side, side),
                mode: ResizeMode::ShorterSide,
                resize_to: Some(side),
                interpolation: Interpolation::Bilinear,
                color: Color::Rgb,
                letterbox_fill: Fit::LETTERBOX_FILL,
                decoding: Decoding::Exact,
            };
            let scaled = Fit {
                decoding: Decoding::Scaled,
                ..exact.clone()
            };
            let limits = Limits::default();
            let (whole, of_whole) = picture_and_model_input(&bytes, &limits, &exact).expect("a model input");
            assert_eq!(of_whole, fit(&whole, &exact).expect("a model input"));
            assert_eq!(
                of_whole,
                model_input(&bytes, &limits, &exact).expect("a model input")
            );
            let reduced = model_input(&bytes, &limits, &scaled).expect("a model input");
            assert_eq!(
                reduced,
                picture_and_model_input(&bytes, &limits, &scaled)
                    .expect("a model input")
                    .1
            );
            assert_eq!(reduced.placement, of_whole.placement, "{name} to {side}");
            assert_ne!(
                reduced.pixels(),
                of_whole.pixels(),
                "{name} to {side} was not reduced"
            );
            let difference: u64 = reduced
                .pixels()
                .iter()
                .zip(of_whole.pixels())
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum();
            let mean = difference as f64 / reduced.pixels().len() as f64;
            println!("{name} to {side}: {mean:.2} of 255 on average");
            assert!(mean < 4.0, "{name} to {side}: {mean:.2} of 255 on average");
        }
    }
}
