//! Walks the markers of a JPEG up to its first scan. Four things are needed before libjpeg sees the file: the size
//! (limits come first), the orientation, whether the file ends where it should, and, for the rare file whose header
//! makes libjpeg warn, a header without the harmless fault.
//!
//! Marker syntax: ITU-T T.81, annex B. EXIF in APP1: EXIF 2.32, 4.7.2.

use std::ops::Range;

use super::orientation::{EXIF_SIGNATURE, Orientation};
use crate::error::{Error, Result};

const START_OF_SCAN: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP14: u8 = 0xEE;
const APP2: u8 = 0xE2;
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";
const JFIF: &[u8] = b"JFIF\0";
const ADOBE: &[u8] = b"Adobe";
/// Where APP14 keeps its colour transform, and APP0 its major version, counted from the segment's data.
const ADOBE_TRANSFORM: usize = 11;
const JFIF_MAJOR: usize = 5;

/// Marker segments before the first scan. libjpeg and [`Header`] hold each, and 32 MB hold millions of empty ones; a colour
/// profile or extended XMP that fills a file of that size takes some 500.
const MOST_SEGMENTS: usize = 4096;

/// One marker segment before the first scan.
struct Segment {
    marker: u8,
    /// The segment's data, after marker and length.
    data: Range<usize>,
}

/// What the frame header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: u8,
    /// Progressive and arithmetic-progressive frames keep all coefficients in memory while they decode.
    pub(super) progressive: bool,
}

/// A JPEG's markers, up to and with its first scan.
pub(super) struct Header<'a> {
    bytes: &'a [u8],
    segments: Vec<Segment>,
    pub(super) frame: Frame,
    /// Where the marker of the first scan begins.
    scan: usize,
}

impl<'a> Header<'a> {
    /// Reads the markers of `bytes`, which begin with SOI.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] when the bytes end, or a segment is malformed, before the first scan;
    /// [`Error::ImageTooLarge`] for more than [`MOST_SEGMENTS`].
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut segments = Vec::new();
        let mut frame = None;
        let mut at = 2;
        loop {
            let (marker, start) = next_marker(bytes, at).ok_or_else(cut_in_header)?;
            if marker == START_OF_SCAN {
                let frame = frame.ok_or_else(|| invalid("it has no frame header before its first scan"))?;
                return Ok(Self {
                    bytes,
                    segments,
                    frame,
                    scan: start - 2,
                });
            }
            at = start;
            if is_standalone(marker) {
                continue;
            }
            let length = bytes.get(start..start + 2).ok_or_else(cut_in_header)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            if length < 2 {
                return Err(invalid("a marker segment has no room for its own length"));
            }
            at = start + length;
            let data = bytes.get(start + 2..at).ok_or_else(cut_in_header)?;
            if is_start_of_frame(marker) {
                frame = Some(Frame::read(marker, data)?);
            }
            if segments.len() == MOST_SEGMENTS {
                return Err(Error::ImageTooLarge(format!(
                    "the JPEG has more than {MOST_SEGMENTS} marker segments before its first scan; write it again without its metadata"
                )));
            }
            segments.push(Segment {
                marker,
                data: start + 2..at,
            });
        }
    }

    /// How the stored picture is to be turned.
    pub(super) fn orientation(&self) -> Orientation {
        // An EXIF block that is longer than a segment continues in further ones.
        let exif: Vec<u8> = self.app1(EXIF_SIGNATURE).flatten().copied().collect();
        let xmp = self.app1(XMP).next();
        Orientation::from_metadata((!exif.is_empty()).then_some(exif), xmp)
    }

    /// What follows `signature` in the APP1 segments that begin with it.
    fn app1(&self, signature: &'static [u8]) -> impl Iterator<Item = &[u8]> {
        let segments = self.segments.iter().filter(|segment| segment.marker == APP1);
        segments.filter_map(move |segment| self.bytes[segment.data.clone()].strip_prefix(signature))
    }

    /// Whether an end-of-image marker follows the first scan. Within a scan 0xFF is always escaped, so a file that
    /// was cut has none; libjpeg would put grey in place of what is missing.
    pub(super) fn is_ended(&self) -> bool {
        self.bytes[self.scan..]
            .windows(2)
            .rev()
            .any(|pair| pair == [0xFF, 0xD9])
    }

    /// Whether libjpeg keeps the coefficients of the whole picture: what a pixel takes comes in several scans.
    pub(super) fn keeps_coefficients(&self) -> bool {
        // Marker and length of the scan's header, then how many components it has.
        let of_scan = self.bytes.get(self.scan + 4);
        self.frame.progressive || of_scan.is_none_or(|count| *count < self.frame.components)
    }

    /// The same file, where nothing but `transform` says what its components mean (Adobe's codes: 0 as they are, 1 YCbCr,
    /// 2 YCCK).
    pub(super) fn with_transform(&self, transform: u8) -> Vec<u8> {
        let mut file = vec![0xFF, 0xD8, 0xFF, APP14, 0, 14];
        file.extend(ADOBE);
        // Its version, and flags of which there are none.
        file.extend([0, 100, 0, 0, 0, 0, transform]);
        for segment in &self.segments {
            if !matches!(segment.marker, 0xE0..=0xEF) {
                self.copy(segment, &mut file);
            }
        }
        file.extend(&self.bytes[self.scan..]);
        if !self.is_ended() {
            file.extend([0xFF, 0xD9]);
        }
        file
    }

    fn copy(&self, segment: &Segment, into: &mut Vec<u8>) {
        let length = (segment.data.len() + 2) as u16;
        into.extend([0xFF, segment.marker]);
        into.extend(length.to_be_bytes());
        into.extend(&self.bytes[segment.data.clone()]);
    }

    /// The same file without what libjpeg merely warns about: stray bytes between segments, a broken colour profile
    /// (none is applied), a JFIF version other than 1, an Adobe transform code that is not defined. The choices are
    /// libjpeg's own.
    pub(super) fn tidied(&self) -> Vec<u8> {
        let mut tidy = Vec::with_capacity(self.bytes.len());
        tidy.extend([0xFF, 0xD8]);
        for segment in &self.segments {
            if segment.marker == APP2 && self.bytes[segment.data.clone()].starts_with(ICC) {
                continue;
            }
            self.copy(segment, &mut tidy);
            let data = tidy.len() - segment.data.len();
            self.mend(segment.marker, &mut tidy[data..]);
        }
        tidy.extend(&self.bytes[self.scan..]);
        tidy
    }

    fn mend(&self, marker: u8, data: &mut [u8]) {
        if marker == APP0 && data.starts_with(JFIF) && data.len() > JFIF_MAJOR {
            data[JFIF_MAJOR] = 1;
        }
        if marker == APP14 && data.starts_with(ADOBE) && data.len() > ADOBE_TRANSFORM {
            let (ycc, transform) = (
                if self.frame.components == 4 { 2 } else { 1 },
                &mut data[ADOBE_TRANSFORM],
            );
            if *transform != 0 {
                *transform = ycc;
            }
        }
    }
}

impl Frame {
    /// Reads the data of a start-of-frame segment: precision, height, width, number of components.
    fn read(marker: u8, data: &[u8]) -> Result<Self> {
        let &[precision, y1, y0, x1, x0, components, ..] = data else {
            return Err(cut_in_header());
        };
        if precision != 8 {
            return Err(Error::UnsupportedMediaType(format!(
                "the JPEG has {precision} bits a sample; JPEGs of 8 bits are read"
            )));
        }
        Ok(Self {
            width: u32::from(u16::from_be_bytes([x1, x0])),
            height: u32::from(u16::from_be_bytes([y1, y0])),
            components,
            progressive: matches!(marker & 0x0F, 0x2 | 0x6 | 0xA | 0xE),
        })
    }
}

/// The next marker at or after `at`, skipping stray bytes as libjpeg does, and the position behind it.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let tail = bytes.get(at..)?;
    let found = tail
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
    Some((tail[found + 1], at + found + 2))
}

/// Markers without a segment: TEM, RST0–7, SOI.
fn is_standalone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD0..=0xD8)
}

fn is_start_of_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

pub(super) fn invalid(what: impl std::fmt::Display) -> Error {
    Error::InvalidImage(format!("the JPEG cannot be decoded: {what}"))
}

fn cut_in_header() -> Error {
    invalid("it is truncated within its header")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOF: &[u8] = b"\xFF\xC0\0\x0B\x08\0\x10\0\x20\x01\x01\x11\0";
    const SCAN: &[u8] = b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\x12\xFF\0\x34";
    const START: &[u8] = b"\xFF\xD8";
    const END: &[u8] = b"\xFF\xD9";

    fn jpeg(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn the_frame_is_found_behind_stray_and_fill_bytes() {
        let bytes = jpeg(&[START, b"stray\xFF\0\xFF\xFF", &SOF[1..], SCAN, END]);
        let header = Header::read(&bytes).expect("a header");
        assert_eq!(
            header.frame,
            Frame {
                width: 32,
                height: 16,
                components: 1,
                progressive: false
            }
        );
        assert_eq!(header.tidied(), jpeg(&[START, SOF, SCAN, END]));
    }

    #[test]
    fn application_segments_give_way_to_a_transform() {
        let quantisation = b"\xFF\xDB\0\x04qq";
        let bytes = jpeg(&[
            START,
            b"\xFF\xE0\0\x04ab",
            quantisation,
            b"\xFF\xEE\0\x04cd",
            SOF,
            SCAN,
        ]);
        let adobe = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x01";
        let expected = jpeg(&[START, adobe, quantisation, SOF, SCAN, END]);
        assert_eq!(
            Header::read(&bytes).expect("a header").with_transform(1),
            expected
        );
    }

    #[test]
    fn a_scan_of_fewer_components_than_the_frame_is_not_the_only_one() {
        let of_three = [&SOF[..9], b"\x03", &SOF[10..]].concat();
        for (frame, keeps) in [(SOF, false), (&of_three[..], true)] {
            let file = jpeg(&[START, frame, SCAN, END]);
            assert_eq!(Header::read(&file).expect("a header").keeps_coefficients(), keeps);
        }
    }

    #[test]
    fn an_end_counts_only_behind_the_first_scan() {
        let thumbnail = b"\xFF\xE1\0\x06\xFF\xD9\xFF\xD9";
        let cut = jpeg(&[START, thumbnail, SOF, SCAN]);
        assert!(!Header::read(&cut).expect("a header").is_ended());
        let whole = jpeg(&[START, thumbnail, SOF, SCAN, END, b"trailer"]);
        assert!(Header::read(&whole).expect("a header").is_ended());
    }

    #[test]
    fn a_header_that_is_cut_anywhere_is_refused() {
        let whole = jpeg(&[START, b"\xFF\xE0\0\x04ab", SOF, SCAN, END]);
        let header_ends = whole.len() - SCAN.len() - END.len() + 2;
        for length in 3..header_ends {
            let cut = Header::read(&whole[..length]);
            assert!(
                matches!(cut, Err(Error::InvalidImage(_))),
                "{length} bytes were taken"
            );
        }
        assert!(Header::read(&whole[..header_ends]).is_ok());
    }

    #[test]
    fn segments_without_end_are_refused() {
        for (comments, is_read) in [(MOST_SEGMENTS - 1, true), (MOST_SEGMENTS, false)] {
            let many = b"\xFF\xFE\0\x02".repeat(comments);
            let read = Header::read(&jpeg(&[START, &many, SOF, SCAN, END])).map(|_| ());
            assert!(is_read == read.is_ok(), "{read:?}");
            assert!(is_read || matches!(read, Err(Error::ImageTooLarge(_))));
        }
    }

    #[test]
    fn twelve_bits_are_refused_by_name() {
        let mut frame = SOF.to_vec();
        frame[4] = 12;
        let refused = Header::read(&jpeg(&[START, &frame, SCAN, END])).err();
        assert!(matches!(refused, Some(Error::UnsupportedMediaType(message)) if message.contains("12 bits")));
    }
}
