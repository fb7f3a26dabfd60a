//! Pixels to PNG: pictures, grey maps, and masks of a few classes with a palette.
//!
//! Speed comes before size (fast deflate): these are answers, made while a client waits.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::picture::Picture;
use super::pool::PoolThread;
use crate::error::{Error, Result};

/// `picture` as an 8-bit RGB PNG.
///
/// # Errors
/// [`Error::InvalidImage`] when the encoder fails, which no valid picture makes it do.
pub fn encode_png(_: &PoolThread, picture: &Picture) -> Result<Vec<u8>> {
    let raw = Raw {
        width: picture.width(),
        height: picture.height(),
        samples: picture.data(),
    };
    raw.encode(ExtendedColorType::Rgb8, FilterType::Adaptive)
}

/// `samples` (`[height, width]`, row-major) as an 8-bit grey PNG.
///
/// # Errors
/// [`Error::InvalidImage`] when the samples do not fill the size.
pub fn encode_gray_png(_: &PoolThread, width: u32, height: u32, samples: &[u8]) -> Result<Vec<u8>> {
    Raw {
        width,
        height,
        samples,
    }
    .encode(ExtendedColorType::L8, FilterType::Adaptive)
}

/// What the samples of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// Red, green, blue; a byte each.
    Rgb8,
    /// And alpha.
    Rgba8,
    /// Grey of 16 bits, in the machine's order of bytes.
    Gray16,
    /// And alpha of 16 bits.
    GrayAlpha16,
}

/// `data` (`[height, width, samples]`, row-major) as a PNG.
///
/// # Errors
/// [`Error::InvalidImage`] when the samples do not fill the size.
pub fn encode_samples_png(
    _: &PoolThread,
    (width, height): (u32, u32),
    samples: Samples,
    data: &[u8],
) -> Result<Vec<u8>> {
    let color = match samples {
        Samples::Rgb8 => ExtendedColorType::Rgb8,
        Samples::Rgba8 => ExtendedColorType::Rgba8,
        Samples::Gray16 => ExtendedColorType::L16,
        Samples::GrayAlpha16 => ExtendedColorType::La16,
    };
    Raw {
        width,
        height,
        samples: data,
    }
    .encode(color, FilterType::Adaptive)
}

/// `indices` (`[height, width]`, row-major) as an indexed-colour PNG: class `i` is shown in `palette[i]`, and a reader
/// that asks for the raw samples gets the classes back.
///
/// # Errors
/// [`Error::InvalidImage`] when the indices do not fill the size, the palette has not 1 to 256 colours, or an index
/// has no colour.
pub fn encode_indexed_png(
    _: &PoolThread,
    width: u32,
    height: u32,
    indices: &[u8],
    palette: &[[u8; 3]],
) -> Result<Vec<u8>> {
    if !(1..=256).contains(&palette.len()) {
        return Err(Error::InvalidImage(format!(
            "a palette has 1 to 256 colours, not {}",
            palette.len()
        )));
    }
    if let Some(stray) = indices.iter().find(|index| usize::from(**index) >= palette.len()) {
        return Err(Error::InvalidImage(format!(
            "index {stray} has no colour in a palette of {}",
            palette.len()
        )));
    }
    // Neighbouring class numbers say nothing about each other: filters only cost time.
    let gray = Raw {
        width,
        height,
        samples: indices,
    }
    .encode(ExtendedColorType::L8, FilterType::NoFilter)?;
    Ok(with_palette(&gray, palette))
}

struct Raw<'a> {
    width: u32,
    height: u32,
    samples: &'a [u8],
}

impl Raw<'_> {
    fn encode(&self, color: ExtendedColorType, filter: FilterType) -> Result<Vec<u8>> {
        let expected = u64::from(self.width) * u64::from(self.height) * u64::from(color.bits_per_pixel()) / 8;
        if expected == 0 || self.samples.len() as u64 != expected {
            return Err(Error::InvalidImage(format!(
                "{} samples do not make a PNG of {}×{}",
                self.samples.len(),
                self.width,
                self.height
            )));
        }
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, filter)
            .write_image(self.samples, self.width, self.height, color)
            .map_err(|fault| Error::InvalidImage(format!("the PNG cannot be written: {fault}")))?;
        Ok(png)
    }
}

/// Where the parts of every PNG lie: signature, then IHDR with length, type, 13 bytes of data and a checksum.
const IHDR: std::ops::Range<usize> = 12..29;
const COLOR_TYPE: usize = 25;
const AFTER_IHDR: usize = 33;
const INDEXED: u8 = 3;

/// Cores an 8-bit grey PNG into an indexed one. The two differ in one byte of the header and in the palette chunk
/// (PNG, third edition, 11.2): the compressed samples are the same, and the `image` crate writes only grey.
fn with_palette(gray: &[u8], palette: &[[u8; 3]]) -> Vec<u8> {
    let mut png = gray[..AFTER_IHDR].to_vec();
    png[COLOR_TYPE] = INDEXED;
    let checksum = crc32(&png[IHDR]);
    png[IHDR.end..AFTER_IHDR].copy_from_slice(&checksum.to_be_bytes());
    let mut chunk = b"PLTE".to_vec();
    chunk.extend(palette.as_flattened());
    png.extend((palette.as_flattened().len() as u32).to_be_bytes());
    png.extend(&chunk);
    png.extend(crc32(&chunk).to_be_bytes());
    png.extend(&gray[AFTER_IHDR..]);
    png
}

/// The checksum of PNG chunks (ISO 3309, annex D of the PNG specification); bit by bit, for some 800 bytes a mask.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pool;
    use super::super::{Limits, decode};
    use super::*;

    /// Runs `work` on a pool.
    fn on_pool<T: Send>(work: impl FnOnce(&PoolThread) -> T + Send) -> T {
        Pool::new(1).expect("a thread").block(work)
    }

    #[test]
    fn pictures_come_back_as_they_were() {
        let data = (0..5 * 4 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Picture::new(5, 4, data).expect("a picture");
        let png = on_pool(|thread| encode_png(thread, &picture)).expect("a PNG");
        assert_eq!(decode(&png, &Limits::default()), Ok(picture));
    }

    #[test]
    fn grey_comes_back_in_three_equal_channels() {
        let png = on_pool(|thread| encode_gray_png(thread, 3, 1, &[0, 128, 255])).expect("a PNG");
        let picture = decode(&png, &Limits::default()).expect("a picture");
        assert_eq!(picture.data(), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
    }

    #[test]
    fn samples_of_16_bits_come_back_with_all_of_them() {
        let values = [0u16, 1, 256, 65_535];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let png =
            on_pool(|thread| encode_samples_png(thread, (4, 1), Samples::Gray16, &bytes)).expect("a PNG");
        let read = image::load_from_memory(&png).expect("a PNG").into_luma16();
        assert_eq!(read.as_raw().as_slice(), values);
        let short = on_pool(|thread| encode_samples_png(thread, (4, 1), Samples::GrayAlpha16, &bytes));
        assert!(short.is_err(), "half of the samples");
    }

    #[test]
    fn indices_are_shown_in_the_colours_of_the_palette() {
        let palette = [[1, 2, 3], [40, 50, 60], [7, 8, 9]];
        let png = on_pool(|thread| encode_indexed_png(thread, 2, 2, &[0, 2, 1, 1], &palette)).expect("a PNG");
        let picture = decode(&png, &Limits::default()).expect("its checksums are right");
        assert_eq!(picture.data(), [1, 2, 3, 7, 8, 9, 40, 50, 60, 40, 50, 60]);
        assert_eq!(png[COLOR_TYPE], INDEXED);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        on_pool(|thread| {
            assert!(encode_indexed_png(thread, 1, 1, &[3], &[[0; 3]; 3]).is_err());
            assert!(encode_indexed_png(thread, 1, 1, &[0], &[]).is_err());
            assert!(encode_indexed_png(thread, 1, 1, &[0], &[[0; 3]; 257]).is_err());
            assert!(encode_gray_png(thread, 2, 2, &[0; 3]).is_err());
            assert!(encode_gray_png(thread, 0, 2, &[]).is_err());
        });
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
