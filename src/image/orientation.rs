//! Cameras store pictures as the sensor lay and note in EXIF how to turn them. Every picture is turned upright
//! once, here, so that boxes, masks and maps are in the coordinates that a viewer shows: a picture that is shown as
//! a whole, and of any other the small part that a model sees.
//!
//! Same result as `PIL.ImageOps.exif_transpose`; the eight values are those of EXIF 2.32, tag 0x0112. Metadata that
//! cannot be read counts as absent: a broken tag is no reason to refuse good pixels.

use super::picture::{CHANNELS, Picture};
use crate::error::Result;

/// What precedes the EXIF block in a JPEG's APP1 segment.
pub(super) const EXIF_SIGNATURE: &[u8] = b"Exif\0\0";

/// How the stored rows and columns relate to the upright picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Orientation {
    #[default]
    Upright,
    MirroredHorizontally,
    Turned180,
    MirroredVertically,
    Transposed,
    NeedsClockwise90,
    Transversed,
    NeedsClockwise270,
}

impl Orientation {
    /// The meaning of EXIF's value; unknown values mean upright.
    pub(super) fn from_exif_value(value: u32) -> Self {
        match value {
            2 => Self::MirroredHorizontally,
            3 => Self::Turned180,
            4 => Self::MirroredVertically,
            5 => Self::Transposed,
            6 => Self::NeedsClockwise90,
            7 => Self::Transversed,
            8 => Self::NeedsClockwise270,
            _ => Self::Upright,
        }
    }

    /// What the metadata of a file says: its EXIF block, or its XMP packet where EXIF says nothing.
    pub(super) fn from_metadata(exif: Option<Vec<u8>>, xmp: Option<&[u8]>) -> Self {
        Self::from_value(exif.and_then(value_in_exif), xmp)
    }

    /// What EXIF's value says, or the XMP packet where there is none.
    pub(super) fn from_value(value: Option<u32>, xmp: Option<&[u8]>) -> Self {
        value
            .or_else(|| xmp.and_then(value_in_xmp))
            .map_or(Self::Upright, Self::from_exif_value)
    }

    /// Whether applying it needs a second copy of the picture.
    pub(super) fn moves_pixels(self) -> bool {
        self != Self::Upright
    }

    /// Whether width and height change places.
    pub(super) fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Transposed | Self::NeedsClockwise90 | Self::Transversed | Self::NeedsClockwise270
        )
    }

    /// Whether the stored columns, and whether the stored rows, run against the upright picture's direction.
    pub(super) fn reverses(self) -> (bool, bool) {
        match self {
            Self::Upright | Self::Transposed => (false, false),
            Self::MirroredHorizontally | Self::NeedsClockwise270 => (true, false),
            Self::MirroredVertically | Self::NeedsClockwise90 => (false, true),
            Self::Turned180 | Self::Transversed => (true, true),
        }
    }

    /// Width and height of the upright picture that is stored as `width`×`height`.
    pub(super) fn upright(self, width: u32, height: u32) -> (u32, u32) {
        if self.swaps_sides() {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Turns `stored` upright.
    pub(super) fn apply(self, stored: Picture) -> Result<Picture> {
        if !self.moves_pixels() {
            return Ok(stored);
        }
        let (width, height) = self.upright(stored.width(), stored.height());
        let data = self.turn::<CHANNELS>(stored.data(), stored.width(), stored.height());
        Picture::new(width, height, data)
    }

    /// The samples of a picture stored as `width`×`height` pixels of `N` samples, upright.
    pub(super) fn turn<const N: usize>(self, stored: &[u8], width: u32, height: u32) -> Vec<u8> {
        let (pixels, _) = stored.as_chunks::<N>();
        let (columns, rows) = self.upright(width, height);
        let walk = self.walk(width, height);
        let upright = if self.swaps_sides() {
            walk.by_blocks(pixels, columns as usize, rows as usize)
        } else {
            walk.by_rows(pixels, columns as usize, rows as usize)
        };
        upright.into_flattened()
    }

    /// Where in the stored picture (`width`×`height`) the upright pixels lie.
    pub(super) fn walk(self, width: u32, height: u32) -> Walk {
        let (width, height) = (width as isize, height as isize);
        let along = |reversed: bool, length: isize, step: isize| {
            if reversed {
                ((length - 1) * step, -step)
            } else {
                (0, step)
            }
        };
        let (columns, rows) = self.reverses();
        let ((first_column, column), (first_row, row)) =
            (along(columns, width, 1), along(rows, height, width));
        let (step_x, step_y) = if self.swaps_sides() {
            (row, column)
        } else {
            (column, row)
        };
        Walk {
            start: first_column + first_row,
            step_x,
            step_y,
        }
    }
}

/// Tag 0x0112 of the first directory of an EXIF block: a TIFF header and its directories, in WebP sometimes behind the
/// signature that belongs to JPEG.
fn value_in_exif(mut block: Vec<u8>) -> Option<u32> {
    if block.starts_with(EXIF_SIGNATURE) {
        block.drain(..EXIF_SIGNATURE.len());
    }
    let exif = exif::Reader::new()
        .continue_on_error(true)
        .read_raw(block)
        .or_else(|error| error.distill_partial_result(|_| {}))
        .ok()?;
    exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?
        .value
        .get_uint(0)
}

/// The digit behind `tiff:Orientation="` or `<tiff:Orientation>`. An XMP packet is text in which other tools look no
/// deeper either, so no XML is parsed.
fn value_in_xmp(packet: &[u8]) -> Option<u32> {
    const PROPERTY: &[u8] = b"tiff:Orientation";
    let at = packet
        .windows(PROPERTY.len())
        .position(|window| window == PROPERTY)?;
    let value = &packet[at + PROPERTY.len()..];
    let digit = value
        .strip_prefix(b"=\"")
        .or_else(|| value.strip_prefix(b">"))?
        .first()?;
    char::from(*digit).to_digit(10)
}

/// Upright pixel (x, y) is stored pixel `start + x * step_x + y * step_y`.
pub(super) struct Walk {
    start: isize,
    step_x: isize,
    step_y: isize,
}

impl Walk {
    /// Side of the square that is copied at a time, so that a quarter turn stays within the cache.
    const BLOCK: usize = 64;

    /// The stored pixel that is upright pixel (x, y).
    pub(super) fn at(&self, x: usize, y: usize) -> usize {
        (self.start + x as isize * self.step_x + y as isize * self.step_y) as usize
    }

    /// All upright pixels, where stored rows remain rows.
    fn by_rows<const N: usize>(&self, stored: &[[u8; N]], width: usize, height: usize) -> Vec<[u8; N]> {
        let mut upright = Vec::with_capacity(stored.len());
        for y in 0..height {
            if self.step_x < 0 {
                let row = &stored[self.at(width - 1, y)..][..width];
                upright.extend(row.iter().rev());
            } else {
                upright.extend_from_slice(&stored[self.at(0, y)..][..width]);
            }
        }
        upright
    }

    /// All upright pixels, where stored columns become rows.
    fn by_blocks<const N: usize>(&self, stored: &[[u8; N]], width: usize, height: usize) -> Vec<[u8; N]> {
        let mut upright = vec![[0; N]; stored.len()];
        for top in (0..height).step_by(Self::BLOCK) {
            for left in (0..width).step_by(Self::BLOCK) {
                let right = width.min(left + Self::BLOCK);
                for y in top..height.min(top + Self::BLOCK) {
                    for (x, pixel) in (left..right).zip(&mut upright[y * width + left..]) {
                        *pixel = stored[self.at(x, y)];
                    }
                }
            }
        }
        upright
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of three columns and two rows whose pixels are numbered row by row.
    fn numbered() -> Picture {
        let data = (0..6).flat_map(|number| [number; CHANNELS]).collect();
        Picture::new(3, 2, data).expect("six pixels")
    }

    fn numbers(picture: &Picture) -> Vec<u8> {
        picture.data().iter().step_by(CHANNELS).copied().collect()
    }

    #[test]
    fn all_eight_values() {
        // Drawn from the table of EXIF 2.32: where row 0 and column 0 of the stored picture are in the upright one.
        let expected: [(u32, [u8; 6]); 8] = [
            (3, [0, 1, 2, 3, 4, 5]),
            (3, [2, 1, 0, 5, 4, 3]),
            (3, [5, 4, 3, 2, 1, 0]),
            (3, [3, 4, 5, 0, 1, 2]),
            (2, [0, 3, 1, 4, 2, 5]),
            (2, [3, 0, 4, 1, 5, 2]),
            (2, [5, 2, 4, 1, 3, 0]),
            (2, [2, 5, 1, 4, 0, 3]),
        ];
        for (value, (width, pixels)) in (1..).zip(expected) {
            let upright = Orientation::from_exif_value(value)
                .apply(numbered())
                .expect("a picture");
            assert_eq!(
                (upright.width(), numbers(&upright)),
                (width, pixels.to_vec()),
                "value {value}"
            );
        }
    }

    #[test]
    fn large_pictures_are_turned_across_block_borders() {
        let (width, height) = (Walk::BLOCK as u32 * 2 + 5, Walk::BLOCK as u32 + 3);
        let data: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        let stored = Picture::new(width, height, data).expect("a picture");
        let quarter = Orientation::NeedsClockwise90;
        let mut turned = stored.clone();
        for _ in 0..4 {
            turned = quarter.apply(turned).expect("a picture");
        }
        assert!(turned == stored, "four quarter turns are a full one");
    }

    #[test]
    fn tags_are_read_where_files_keep_them() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let turned = Orientation::NeedsClockwise90;
        assert_eq!(Orientation::from_metadata(Some(little.clone()), None), turned);
        let signed = [EXIF_SIGNATURE, &little].concat();
        assert_eq!(Orientation::from_metadata(Some(signed), None), turned);
        let xmp = b"<rdf tiff:Orientation=\"6\"/>";
        assert_eq!(Orientation::from_metadata(None, Some(xmp)), turned);
        let xmp = b"<tiff:Orientation>6</tiff:Orientation>";
        assert_eq!(
            Orientation::from_metadata(Some(b"junk".to_vec()), Some(xmp)),
            turned
        );
    }

    #[test]
    fn broken_metadata_counts_as_absent() {
        for block in [
            &b""[..],
            b"II*\0",
            b"MM\0*\xFF\xFF\xFF\xFF",
            b"II*\0\x08\0\0\0\xFF\xFF\x12\x01",
        ] {
            assert_eq!(
                Orientation::from_metadata(Some(block.to_vec()), None),
                Orientation::Upright
            );
        }
        assert_eq!(
            Orientation::from_metadata(None, Some(b"tiff:Orientation")),
            Orientation::Upright
        );
    }
}
