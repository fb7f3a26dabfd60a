//! PNG and WebP through the `image` crate, with its limits set and its errors sorted.
//!
//! The decoders there check no more than they are told (`Limits` default to no bound on a side), and text chunks can
//! be bombs: each decoder gets the limits before it allocates, and the size in its header is checked by ours first.

use std::io::Cursor;

use image::codecs::{png::PngDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::{ColorType, ImageDecoder};

use super::decoded::Decoded;
use super::limits::Limits;
use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
use super::png_chunks;
use super::samples;
use super::sniff::Format;
use super::span::Part;
use crate::error::{Error, Result};

/// Most bytes that a PNG's decoder may hold besides the picture: rows, profiles, texts.
const PNG_METADATA_BYTES: u64 = 16 << 20;

/// Texts of a PNG at most. Its decoder keeps each, and what one of no length takes it does not count.
const MOST_PNG_TEXTS: usize = 4096;

/// Decodes a PNG; of an animated one, the default image.
pub(super) fn decode_png(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    // IHDR is the first chunk: signature, length and type, then width and height.
    if let (Some(width), Some(height)) = (field(bytes, 16), field(bytes, 20)) {
        limits.check(
            u32::from_be_bytes(width),
            u32::from_be_bytes(height),
            CHANNELS as u64,
        )?;
    }
    if png_chunks::texts(bytes).nth(MOST_PNG_TEXTS).is_some() {
        return Err(Error::ImageTooLarge(format!(
            "the PNG has more than {MOST_PNG_TEXTS} texts; save it without them"
        )));
    }
    let mut bounds = limits.for_image_crate();
    bounds.max_alloc = Some(limits.memory.most().min(PNG_METADATA_BYTES));
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), bounds).map_err(|error| match error {
        ImageError::Limits(_) => Error::ImageTooLarge(format!(
            "the texts and profiles of the PNG take more than {} MB, or their chunks are too large ({error}); save it without them",
            PNG_METADATA_BYTES >> 20
        )),
        error => refusal(Format::Png)(error),
    })?;
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = Orientation::from_metadata(png_chunks::exif(bytes), xmp.as_deref());
    read(Format::Png, decoder, orientation, limits)
}

/// Decodes a WebP; of an animated one, the first frame.
pub(super) fn decode_webp(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    // The extended header has flags, then each side less one in 24 bits.
    if let Some(&[_, _, _, _, w0, w1, w2, h0, h1, h2, ..]) = riff_chunk(bytes, b"VP8X") {
        let side = |a, b, c| u32::from_le_bytes([a, b, c, 0]) + 1;
        limits.check(side(w0, w1, w2), side(h0, h1, h2), CHANNELS as u64)?;
    }
    let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refusal(Format::WebP))?;
    // The decoder would allocate what a metadata chunk claims to be long, so chunks are looked up here.
    let exif = riff_chunk(bytes, b"EXIF").map(<[u8]>::to_vec);
    let orientation = Orientation::from_metadata(exif, riff_chunk(bytes, b"XMP "));
    // A lossless one is decoded into a picture of four samples a pixel first.
    let own = if riff_chunk(bytes, b"VP8L").is_some() {
        4
    } else {
        0
    };
    read_with(own, Format::WebP, decoder, orientation, limits)
}

fn read(
    format: Format,
    decoder: impl ImageDecoder,
    orientation: Orientation,
    limits: &Limits,
) -> Result<Decoded> {
    read_with(0, format, decoder, orientation, limits)
}

/// [`read`], where the decoder takes so many bytes a pixel itself.
fn read_with(
    own: u64,
    format: Format,
    mut decoder: impl ImageDecoder,
    orientation: Orientation,
    limits: &Limits,
) -> Result<Decoded> {
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let taken = limits.admit(width, height, own + bytes_per_pixel(color, orientation))?;
    if width == 0 || height == 0 {
        return Err(Error::InvalidImage(format!(
            "the {format} has no pixels: {width}×{height}"
        )));
    }
    decoder
        .set_limits(limits.for_image_crate())
        .map_err(refusal(format))?;
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(refusal(format))?;
    let rgb = samples::to_rgb(format, color, samples)?;
    Ok(Decoded {
        stored: Picture::new(width, height, rgb)?,
        part: Part::whole((width, height)),
        orientation,
        original: orientation.upright(width, height),
        reducible: false,
        taken,
    })
}

/// The data of the first chunk of this kind in a RIFF file.
fn riff_chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    /// «RIFF», the file's length, «WEBP».
    const FILE_HEADER: usize = 12;
    let mut rest = bytes.get(FILE_HEADER..)?;
    loop {
        let &[a, b, c, d, l0, l1, l2, l3, ref data @ ..] = rest else {
            return None;
        };
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if [a, b, c, d] == *kind {
            return data.get(..length);
        }
        // Chunks are padded to an even length.
        rest = data.get(length + length % 2..)?;
    }
}

/// Four bytes of a header.
fn field(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

/// What decoding holds at once, a pixel: the file's samples, and RGB where that does not fit in their place.
fn bytes_per_pixel(color: ColorType, orientation: Orientation) -> u64 {
    let (stored, rgb) = (u64::from(color.bytes_per_pixel()), CHANNELS as u64);
    let converted = if color.channel_count() < 3 { rgb } else { 0 };
    let turned = if orientation.moves_pixels() { rgb } else { 0 };
    stored + converted.max(turned)
}

/// Too large, of a kind that is not read, or broken: three different answers to the client.
fn refusal(format: Format) -> impl Fn(ImageError) -> Error {
    move |error| match error {
        ImageError::Limits(_) => Error::ImageTooLarge(format!("the {format} exceeds the limits: {error}")),
        ImageError::Unsupported(_) => {
            Error::UnsupportedMediaType(format!("this kind of {format} is not read: {error}"))
        }
        _ => Error::InvalidImage(format!("the {format} cannot be decoded: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_by_kind_behind_padding() {
        let file = b"RIFF\0\0\0\0WEBPodd \x01\0\0\0x\0EXIF\x02\0\0\0ab";
        assert_eq!(riff_chunk(file, b"EXIF"), Some(&b"ab"[..]));
        assert_eq!(riff_chunk(file, b"XMP "), None);
    }

    #[test]
    fn a_chunk_that_claims_more_than_there_is_is_none() {
        assert_eq!(
            riff_chunk(b"RIFF\0\0\0\0WEBPEXIF\xFF\xFF\xFF\xFFab", b"EXIF"),
            None
        );
        assert_eq!(
            riff_chunk(b"RIFF\0\0\0\0WEBPodd \xFF\xFF\xFF\xFFab", b"EXIF"),
            None
        );
        assert_eq!(riff_chunk(b"RIFF", b"EXIF"), None);
    }
}
