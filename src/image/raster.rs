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

use super::decoded::Decoded;
use super::limits::Limits;
use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
use super::samples;
use super::sniff::Format;
use super::span::Part;
use crate::error::{Error, Result};

/// Strips or tiles of a TIFF at most: one a row of the highest picture, in each of four planes.
const MOST_TIFF_PIECES: u64 = 4 * 32_768;

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
    if png_texts(bytes).nth(MOST_PNG_TEXTS).is_some() {
        return Err(Error::ImageTooLarge(format!(
            "the PNG has more than {MOST_PNG_TEXTS} texts; save it without them"
        )));
    }
    let mut bounds = limits.for_image_crate();
    bounds.max_alloc = Some(limits.memory.most().min(PNG_METADATA_BYTES));
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), bounds).map_err(refusal(Format::Png))?;
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = Orientation::from_metadata(exif, xmp.as_deref());
    read(Format::Png, decoder, orientation, limits)
}

/// The chunks of a PNG that hold text.
fn png_texts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const SIGNATURE: usize = 8;
    // Length, type, data, checksum.
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    let chunks = std::iter::from_fn(move || {
        let length = u32::from_be_bytes(field(rest, 0)?) as usize;
        let kind = rest.get(4..8)?;
        rest = rest.get(length.checked_add(12)?..)?;
        Some(kind)
    });
    chunks.filter(|kind| matches!(*kind, b"tEXt" | b"zTXt" | b"iTXt"))
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

/// Decodes the first frame of a GIF.
pub(super) fn decode_gif(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(refusal(Format::Gif))?;
    read(Format::Gif, decoder, Orientation::Upright, limits)
}

/// Decodes a BMP.
pub(super) fn decode_bmp(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    // The decoder takes a gigantic size for a corrupt one. Headers shorter than 40 bytes have sides of 16 bits, which
    // cannot be gigantic. Signed: rows run upwards where the height is positive, downwards where it is negative.
    let long_header = field(bytes, 14).is_some_and(|size| u32::from_le_bytes(size) >= 40);
    if let (true, Some(width), Some(height)) = (long_header, field(bytes, 18), field(bytes, 22)) {
        let side = |bytes| i32::from_le_bytes(bytes).unsigned_abs();
        limits.check(side(width), side(height), CHANNELS as u64)?;
    }
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(refusal(Format::Bmp))?;
    read(Format::Bmp, decoder, Orientation::Upright, limits)
}

/// Decodes the first page of a TIFF.
pub(super) fn decode_tiff(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    if tiff_pieces(bytes).is_some_and(|pieces| pieces > MOST_TIFF_PIECES) {
        let text = format!("the TIFF has more than {MOST_TIFF_PIECES} strips or tiles");
        return Err(Error::ImageTooLarge(text));
    }
    let mut decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(refusal(Format::Tiff))?;
    // The tag is in the directory that the decoder has read already.
    let tag = decoder
        .orientation()
        .map_or(1, |orientation| u32::from(orientation.to_exif()));
    read(Format::Tiff, decoder, Orientation::from_exif_value(tag), limits)
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

/// The largest number of strips or tiles that the first directory of a TIFF names. Its decoder would read a list of them
/// before anybody has seen the size.
fn tiff_pieces(bytes: &[u8]) -> Option<u64> {
    /// StripOffsets, StripByteCounts, TileOffsets, TileByteCounts (TIFF 6.0).
    const LISTS: [u64; 4] = [273, 279, 324, 325];
    let is_little = bytes.starts_with(b"II");
    let number = |at: u64, length: usize| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let digits = bytes.get(at..at.checked_add(length)?)?;
        let from_largest = |value: u64, digit: &u8| (value << 8) | u64::from(*digit);
        Some(if is_little {
            digits.iter().rev().fold(0, from_largest)
        } else {
            digits.iter().fold(0, from_largest)
        })
    };
    // A BigTIFF has wider numbers throughout.
    let (first, counted, entry, wide) = match number(2, 2)? {
        43 => (number(8, 8)?, 8, 20, 8),
        _ => (number(4, 4)?, 2, 12, 4),
    };
    let entries = number(first, counted)?.min(4096);
    let start = first.checked_add(counted as u64)?;
    let pieces = (0..entries).filter_map(|index| {
        let at = start.checked_add(index * entry)?;
        if !LISTS.contains(&number(at, 2)?) {
            return None;
        }
        number(at.checked_add(4)?, wide)
    });
    pieces.max()
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
    fn the_strips_of_a_tiff_are_counted_in_both_byte_orders() {
        // One entry: StripOffsets, of type LONG, and so many of them.
        let little = b"II*\0\x08\0\0\0\x01\0\x11\x01\x04\0\x05\0\x02\0\0\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x11\0\x04\0\x02\0\x05\0\0\0\0\0\0\0\0";
        assert_eq!(
            (tiff_pieces(little), tiff_pieces(big)),
            (Some(0x2_0005), Some(0x2_0005))
        );
        assert_eq!(tiff_pieces(b"II*\0\xFF\xFF\xFF\xFF"), None);
    }

    #[test]
    fn the_texts_of_a_png_are_counted() {
        let chunk = |kind: &[u8]| [b"\0\0\0\x01", kind, b"a", b"\0\0\0\0"].concat();
        let kinds: [&[u8]; 5] = [b"IHDR", b"tEXt", b"IDAT", b"zTXt", b"iTXt"];
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        file.extend(kinds.into_iter().flat_map(chunk));
        assert_eq!(png_texts(&file).count(), 3);
        // One that claims more than there is, is none.
        file.extend_from_slice(b"\xFF\xFF\xFF\xFFtEXt");
        assert_eq!(png_texts(&file).count(), 3);
        assert_eq!(png_texts(b"\x89PNG").count(), 0);
    }

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
