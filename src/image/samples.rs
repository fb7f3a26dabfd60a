//! From the samples a file stores to 8-bit RGB: grey is repeated, 16 bits give their high byte, and transparency is
//! laid over white.
//!
//! Equal to Pillow: 16-bit samples as its `RGB;16B` raw mode reads them, compositing as
//! `Image.alpha_composite(white, picture)` with its fixed-point arithmetic (AlphaComposite.c).

use image::ColorType;

use super::picture::CHANNELS;
use super::sniff::Format;
use crate::error::{Error, Result};

/// Converts `samples` (row-major, interleaved, 16-bit ones in native byte order) to RGB.
///
/// # Errors
/// [`Error::UnsupportedMediaType`] for floating-point samples, which have no agreed white.
pub(super) fn to_rgb(format: Format, color: ColorType, samples: Vec<u8>) -> Result<Vec<u8>> {
    Ok(match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => each::<1>(&samples, |[grey]| [grey; CHANNELS]),
        ColorType::La8 => each::<2>(&samples, |[grey, alpha]| over_white([grey; CHANNELS], alpha)),
        ColorType::Rgba8 => in_place::<4, CHANNELS>(samples, |[r, g, b, alpha]| over_white([r, g, b], alpha)),
        ColorType::L16 => to_rgb(format, ColorType::L8, high_bytes(samples))?,
        ColorType::La16 => to_rgb(format, ColorType::La8, high_bytes(samples))?,
        ColorType::Rgb16 => high_bytes(samples),
        ColorType::Rgba16 => to_rgb(format, ColorType::Rgba8, high_bytes(samples))?,
        other => {
            return Err(Error::UnsupportedMediaType(format!(
                "a {format} with samples of {other:?} is not read; convert it to 8 or 16 bits"
            )));
        }
    })
}

fn each<const N: usize>(samples: &[u8], convert: impl Fn([u8; N]) -> [u8; CHANNELS]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks::<N>();
    pixels.iter().flat_map(|pixel| convert(*pixel)).collect()
}

/// What becomes shorter is written over itself: a second copy of a large picture would be as large again.
fn in_place<const FROM: usize, const TO: usize>(
    mut samples: Vec<u8>,
    convert: impl Fn([u8; FROM]) -> [u8; TO],
) -> Vec<u8> {
    const { assert!(TO <= FROM) };
    let count = samples.len() / FROM;
    for index in 0..count {
        let mut from = [0; FROM];
        from.copy_from_slice(&samples[index * FROM..][..FROM]);
        samples[index * TO..][..TO].copy_from_slice(&convert(from));
    }
    samples.truncate(count * TO);
    samples
}

fn high_bytes(samples: Vec<u8>) -> Vec<u8> {
    in_place::<2, 1>(samples, |pair| [(u16::from_ne_bytes(pair) >> 8) as u8])
}

/// A colour of this opacity over white.
pub(super) fn over_white(color: [u8; CHANNELS], alpha: u8) -> [u8; CHANNELS] {
    /// Pillow's extra bits of precision, and its division by 255.
    const BITS: u32 = 7;
    let alpha = u32::from(alpha);
    color.map(|sample| {
        let blended = (u32::from(sample) * alpha + 255 * (255 - alpha)) << BITS;
        let rounded = blended + (0x80 << BITS);
        ((((rounded >> 8) + rounded) >> 8) >> BITS) as u8
    })
}

/// Pillow's way from CMYK to RGB: each ink takes its share of the light that black leaves, `light * (1 - ink)` (`cmyk2rgb`
/// in Pillow's Convert.c). `kept` is what cyan, magenta and yellow let through, `light` what black does.
pub(super) fn cmyk_to_rgb(kept: [u8; CHANNELS], light: u8) -> [u8; CHANNELS] {
    let light = u32::from(light);
    kept.map(|kept| {
        let product = (255 - u32::from(kept)) * light + 128;
        let absorbed = ((product >> 8) + product) >> 8;
        (light - absorbed) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_laid_over_white() {
        assert_eq!(over_white([10, 20, 30], 255), [10, 20, 30]);
        assert_eq!(over_white([10, 20, 30], 0), [255; 3]);
        for sample in 0..=255_u8 {
            for alpha in 0..=255_u8 {
                let (s, a) = (f64::from(sample), f64::from(alpha) / 255.0);
                let exact = s * a + 255.0 * (1.0 - a);
                let got = f64::from(over_white([sample; 3], alpha)[0]);
                assert!(
                    (got - exact).abs() <= 0.51,
                    "{sample} at {alpha}: {got}, not {exact}"
                );
            }
        }
    }

    #[test]
    fn inks_are_mixed_as_pillow_mixes_them() {
        // Image.merge("CMYK", …).convert("RGB") of the inverted samples, Pillow 13.
        for (kept, light, rgb) in [
            ([255; 3], 255, [255; 3]),
            ([0, 128, 255], 255, [0, 128, 255]),
            ([10, 20, 30], 200, [8, 16, 24]),
            ([1, 2, 3], 0, [0; 3]),
        ] {
            assert_eq!(cmyk_to_rgb(kept, light), rgb);
        }
    }

    #[test]
    fn sixteen_bits_give_their_high_byte() {
        let samples: Vec<u8> = [0x12FF_u16, 0xFF00, 0x0080]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        let rgb = to_rgb(Format::Png, ColorType::Rgb16, samples);
        assert_eq!(rgb, Ok(vec![0x12, 0xFF, 0x00]));
    }
}
