//! Which format the bytes are, told from their first bytes and never from a name or a content type: clients send
//! `image/png` for JPEGs, and `application/octet-stream` for anything.

use crate::error::{Error, Result};

/// A format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
    Bmp,
    Tiff,
}

/// What every refusal tells the client to send instead.
const READ: &str = "JPEG, PNG, WebP, GIF, BMP and TIFF are read";

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        })
    }
}

/// Names the format of `bytes`.
///
/// # Errors
/// [`Error::EmptyBody`] for no bytes at all; [`Error::UnsupportedMediaType`] for anything that is not decoded,
/// naming it where its first bytes are known.
pub(super) fn sniff(bytes: &[u8]) -> Result<Format> {
    if bytes.is_empty() {
        return Err(Error::EmptyBody(format!("the image is empty; {READ}")));
    }
    readable(bytes).ok_or_else(|| {
        let found = foreign(bytes).unwrap_or("of no known image format");
        Error::UnsupportedMediaType(format!("the bytes are {found}; {READ}"))
    })
}

fn readable(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
        // Classic TIFF (42) and BigTIFF (43), either byte order.
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Format::Tiff),
        // Its version in the other byte order, as some writers have it.
        [b'I', b'I', 0, 42, ..] | [b'M', b'M', 42, 0, ..] => Some(Format::Tiff),
        [b'B', b'M', ..] if has_bitmap_header(bytes) => Some(Format::Bmp),
        _ => None,
    }
}

/// «BM» begins many a text; a bitmap also has one of the known sizes of a DIB header at byte 14.
fn has_bitmap_header(bytes: &[u8]) -> bool {
    matches!(
        bytes.get(14..18),
        Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])
    )
}

/// Formats that clients do send and that are not decoded, for a message that helps.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => Some(iso_media(brand)),
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Some("JPEG 2000"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP archive"),
        [b'8', b'B', b'P', b'S', ..] => Some("a Photoshop document"),
        [0, 0, 1, 0, ..] => Some("a Windows icon"),
        _ if looks_like_svg(bytes) => Some("an SVG drawing"),
        _ if looks_like_text(bytes) => Some("text"),
        _ => None,
    }
}

/// HEIC and AVIF share the box structure of MP4; the brand tells them apart.
fn iso_media(brand: &[u8]) -> &'static str {
    match brand.get(..4) {
        Some(b"avif" | b"avis") => "AVIF",
        Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => "HEIC",
        _ => "ISO media (MP4, MOV)",
    }
}

/// How much of a body is looked at for text: enough to pass a licence comment above `<svg`.
const TEXT_PREFIX: usize = 1024;

fn looks_like_svg(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(TEXT_PREFIX)];
    head.trim_ascii_start().starts_with(b"<") && head.windows(4).any(|window| window == b"<svg")
}

fn looks_like_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(TEXT_PREFIX)];
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The prefix may end within a character.
        Err(error) => error.error_len().is_none(),
    };
    valid && !head.iter().any(|byte| *byte < b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        let bmp = {
            let mut bytes = b"BM".to_vec();
            bytes.resize(14, 0);
            bytes.extend([40, 0, 0, 0]);
            bytes
        };
        for (bytes, format) in [
            (&b"\xFF\xD8\xFF\xE0"[..], Format::Jpeg),
            (b"\x89PNG\r\n\x1A\n", Format::Png),
            (b"GIF89a", Format::Gif),
            (b"RIFF\0\0\0\0WEBPVP8 ", Format::WebP),
            (b"II*\0", Format::Tiff),
            (b"MM\0*", Format::Tiff),
            (b"II+\0", Format::Tiff),
            (&bmp, Format::Bmp),
        ] {
            assert_eq!(sniff(bytes), Ok(format));
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (bytes, name) in [
            (&b"\0\0\0\x18ftypheic\0\0\0\0"[..], "HEIC"),
            (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
            (b"\xFF\x0A\x00", "JPEG XL"),
            (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
            (b"%PDF-1.7", "PDF"),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns=\"\">", "SVG"),
            (b"BMW makes cars", "text"),
            (b"\x00\x01\x02\x03", "no known image format"),
        ] {
            let Err(Error::UnsupportedMediaType(message)) = sniff(bytes) else {
                panic!("{name} was taken for an image");
            };
            assert!(message.contains(name) && message.contains("WebP"), "{message}");
        }
    }

    #[test]
    fn no_bytes_are_an_empty_body() {
        assert!(matches!(sniff(b""), Err(Error::EmptyBody(_))));
    }
}
