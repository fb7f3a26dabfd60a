//! PNG, WebP, GIF, BMP and TIFF through the `image` crate, with its limits set and its errors sorted.
//!
//! The decoders there check no more than they are told (`Limits` default to no bound on a side), and text chunks can
//! be bombs: each decoder gets the limits before it allocates, and the size in its header is checked by ours first.

use std::io::Cursor;

use image::codecs::{
    bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder,
};
use image::error::ImageError;
use image::{ColorType, ImageDecoder};

use super::limits::Limits;
use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
use super::samples;
use super::sniff::Format;
use crate::error::{Error, Result};

/// Decodes `bytes` of the given format (any but JPEG) and turns the picture upright. Of an animation, the first frame.
pub(super) fn decode(format: Format, bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let source = Cursor::new(bytes);
    let of = |error| sorted(format, &error);
    match format {
        Format::Png => read(
            format,
            PngDecoder::with_limits(source, limits.for_image_crate()).map_err(of)?,
            limits,
        ),
        Format::WebP => read(format, WebPDecoder::new(source).map_err(of)?, limits),
        Format::Gif => read(format, GifDecoder::new(source).map_err(of)?, limits),
        Format::Bmp => {
            check_bitmap_header(bytes, limits)?;
            read(format, BmpDecoder::new(source).map_err(of)?, limits)
        }
        Format::Tiff => read(format, TiffDecoder::new(source).map_err(of)?, limits),
        Format::Jpeg => unreachable!("JPEG has its own decoder"),
    }
}

fn read(format: Format, mut decoder: impl ImageDecoder, limits: &Limits) -> Result<Picture> {
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let orientation = orientation(format, &mut decoder);
    limits.check(width, height, bytes_per_pixel(color, orientation))?;
    if width == 0 || height == 0 {
        return Err(Error::InvalidImage(format!(
            "the {format} has no pixels: {width}×{height}"
        )));
    }
    decoder
        .set_limits(limits.for_image_crate())
        .map_err(|error| sorted(format, &error))?;
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder
        .read_image(&mut samples)
        .map_err(|error| sorted(format, &error))?;
    let rgb = samples::to_rgb(format, color, samples)?;
    orientation.apply(Picture::new(width, height, rgb)?)
}

fn orientation(format: Format, decoder: &mut impl ImageDecoder) -> Orientation {
    // A TIFF is its own EXIF block: the tag is in the directory that the decoder has already read.
    if format == Format::Tiff {
        return decoder.orientation().map_or(Orientation::Upright, |orientation| {
            Orientation::from_exif_value(u32::from(orientation.to_exif()))
        });
    }
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    Orientation::from_metadata(exif, xmp.as_deref())
}

/// A bitmap's decoder takes a gigantic size for a corrupt one; the client is better told that it is too large.
fn check_bitmap_header(bytes: &[u8], limits: &Limits) -> Result<()> {
    /// Headers of 12 bytes have sides of 16 bits, which the decoder takes as they are.
    const LONG_HEADER: u8 = 40;
    let Some(&[size, _, _, _, w0, w1, w2, w3, h0, h1, h2, h3]) = bytes.get(14..26) else {
        return Ok(());
    };
    if size < LONG_HEADER {
        return Ok(());
    }
    // Signed: rows run upwards where the height is positive, downwards where it is negative.
    let side = |bytes| i32::from_le_bytes(bytes).unsigned_abs();
    limits.check(side([w0, w1, w2, w3]), side([h0, h1, h2, h3]), CHANNELS as u64)
}

/// What decoding holds at once, a pixel: the file's samples, and RGB where that is not the same.
fn bytes_per_pixel(color: ColorType, orientation: Orientation) -> u64 {
    let rgb = CHANNELS as u64;
    let converted = if color == ColorType::Rgb8 { 0 } else { rgb };
    let turned = if orientation.moves_pixels() { rgb } else { 0 };
    u64::from(color.bytes_per_pixel()) + converted + turned
}

/// Too large, of a kind that is not read, or broken: three different answers to the client.
fn sorted(format: Format, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::ImageTooLarge(format!("the {format} exceeds the limits: {error}")),
        ImageError::Unsupported(_) => {
            Error::UnsupportedMediaType(format!("this kind of {format} is not read: {error}"))
        }
        _ => Error::InvalidImage(format!("the {format} cannot be decoded: {error}")),
    }
}
