//! Strip by strip, tile by tile: unpack, tell what the samples mean, write into place.

use super::colors::Colors;
use super::directory::Directory;
use super::layout::Layout;
use super::tag;
use super::unpack::Chunks;
use crate::error::{Error, Result};
use crate::image::decoded::Decoded;
use crate::image::limits::Limits;
use crate::image::orientation::Orientation;
use crate::image::picture::{CHANNELS, Picture};
use crate::image::span::Part;

/// Decodes the first page of a TIFF.
///
/// # Errors
/// As [`crate::image::decode`].
pub(in super::super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let directory = Directory::first(bytes)?;
    let layout = Layout::read(&directory, limits)?;
    let orientation = orientation(&directory);
    let turned = if orientation.moves_pixels() { CHANNELS } else { 0 };
    let beside = beside(&layout, limits)?;
    let cost = (CHANNELS + turned) as u64;
    let taken = limits.admit_beside(layout.width, layout.height, cost, beside)?;
    let chunks = Chunks::find(&directory, &layout)?;
    let colors = Colors::read(&directory, &layout)?;
    let mut rgb = vec![0; layout.width as usize * layout.height as usize * CHANNELS];
    let mut work = Work::default();
    let (across, down) = layout.grid();
    for index in 0..across * down {
        let place = Place::of(&layout, index);
        work.unpack(&layout, &chunks, &place)?;
        work.paint(&layout, &colors, &place, &mut rgb);
    }
    Ok(Decoded {
        stored: Picture::new(layout.width, layout.height, rgb)?,
        part: Part::whole((layout.width, layout.height)),
        orientation,
        original: orientation.upright(layout.width, layout.height),
        reducible: false,
        taken,
    })
}

/// Bytes that are held besides the picture: a strip or tile of each plane. Tiles may reach beyond the picture, but not so
/// far that unpacking them is more work than any picture that is allowed.
fn beside(layout: &Layout, limits: &Limits) -> Result<u64> {
    let ((across, down), (width, height)) = (layout.grid(), layout.chunk);
    let pieces = (across as usize)
        .saturating_mul(down as usize)
        .saturating_mul(layout.planes());
    if pieces > limits.max_pieces {
        return Err(Error::ImageTooLarge(format!(
            "the TIFF has {pieces} strips or tiles, at most {} are read",
            limits.max_pieces
        )));
    }
    let side = |count: u32, length: u32| u64::from(count) * u64::from(length);
    let covered = side(across, width).saturating_mul(side(down, height));
    // libjpeg gives grey as RGB, a plane at a time.
    let is_grey_jpeg = layout.is_jpeg() && layout.together() == 1;
    let held = layout.planes() + if is_grey_jpeg { CHANNELS } else { 0 };
    let bytes = layout
        .unpacked_bytes(height)
        .and_then(|bytes| bytes.checked_mul(held));
    match bytes {
        Some(bytes) if covered <= limits.max_pixels.saturating_mul(2) => Ok(bytes as u64),
        _ => Err(Error::ImageTooLarge(format!(
            "the tiles of the TIFF, {width}×{height}, reach far beyond its {}×{} pixels",
            layout.width, layout.height
        ))),
    }
}

/// The tag, or the XMP packet where there is none.
fn orientation(directory: &Directory<'_>) -> Orientation {
    let value = directory
        .number(tag::ORIENTATION)
        .map(|value| value.min(255) as u32);
    Orientation::from_value(value, directory.bytes(tag::XMP))
}

/// Where a strip or tile lies, and how much of it in the picture.
struct Place {
    index: usize,
    left: usize,
    top: usize,
    width: usize,
    rows: u32,
}

impl Place {
    fn of(layout: &Layout, index: u32) -> Self {
        let across = layout.grid().0;
        let (left, top) = (index % across * layout.chunk.0, index / across * layout.chunk.1);
        Self {
            index: index as usize,
            left: left as usize,
            top: top as usize,
            width: layout.chunk.0.min(layout.width - left) as usize,
            rows: layout.chunk.1.min(layout.height - top),
        }
    }
}

/// What is used again for each strip or tile.
#[derive(Default)]
struct Work {
    /// Of each plane.
    unpacked: Vec<Vec<u8>>,
    /// Of a row, 8 bits each.
    samples: Vec<u8>,
    of_plane: Vec<u8>,
}

impl Work {
    fn unpack(&mut self, layout: &Layout, chunks: &Chunks<'_>, place: &Place) -> Result<()> {
        let (across, down) = layout.grid();
        let of_plane = across as usize * down as usize;
        self.unpacked.resize_with(layout.planes(), Vec::new);
        for (plane, unpacked) in self.unpacked.iter_mut().enumerate() {
            chunks.unpack(layout, plane * of_plane + place.index, place.rows, unpacked)?;
        }
        Ok(())
    }

    fn paint(&mut self, layout: &Layout, colors: &Colors, place: &Place, rgb: &mut [u8]) {
        for row in 0..place.rows as usize {
            if layout.subsampling == (1, 1) {
                self.take_row(layout, colors, row);
            } else {
                self.take_subsampled(layout, row);
            }
            let start = (place.top + row) * layout.width as usize + place.left;
            let into = &mut rgb[start * CHANNELS..][..place.width * CHANNELS];
            colors.paint(&self.samples, layout.samples, into);
        }
    }

    fn take_row(&mut self, layout: &Layout, colors: &Colors, row: usize) {
        let length = layout.row_bytes().unwrap_or(0);
        if let [unpacked] = &mut self.unpacked[..] {
            colors.samples(
                &mut unpacked[row * length..][..length],
                layout.samples,
                &mut self.samples,
            );
            return;
        }
        let planes = self.unpacked.len();
        for (plane, unpacked) in self.unpacked.iter_mut().enumerate() {
            colors.samples(&mut unpacked[row * length..][..length], 1, &mut self.of_plane);
            self.samples.resize(self.of_plane.len() * planes, 0);
            let into = self.samples.iter_mut().skip(plane).step_by(planes);
            into.zip(&self.of_plane)
                .for_each(|(into, sample)| *into = *sample);
        }
    }

    /// Blocks of luma, each followed by the chroma that they share (TIFF 6.0, section 21).
    fn take_subsampled(&mut self, layout: &Layout, row: usize) {
        let (across, down) = layout.subsampling;
        let block = across * down + 2;
        let length = (layout.chunk.0 as usize).div_ceil(across) * block;
        let blocks = &self.unpacked[0][row / down * length..][..length];
        self.samples.clear();
        for block in blocks.chunks_exact(block) {
            let (luma, chroma) = block.split_at(across * down);
            for y in &luma[row % down * across..][..across] {
                self.samples.extend([*y, chroma[0], chroma[1]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tags = &'static [(u16, u32)];

    /// A TIFF of 2×2 pixels of 8 bits grey in a strip, with these tags beside or instead.
    fn tiff(tags: &[(u16, u32)], data: &[u8]) -> Vec<u8> {
        let mut all: std::collections::BTreeMap<u16, u32> = [
            (tag::WIDTH, 2),
            (tag::HEIGHT, 2),
            (tag::BITS, 8),
            (tag::PHOTOMETRIC, 1),
            (tag::STRIP_OFFSETS, 8),
            (tag::STRIP_LENGTHS, data.len() as u32),
        ]
        .into();
        all.extend(tags.iter().copied());
        let mut file = b"II*\0".to_vec();
        file.extend((8 + data.len() as u32).to_le_bytes());
        file.extend(data);
        file.extend((all.len() as u16).to_le_bytes());
        for (tag, value) in all {
            file.extend(tag.to_le_bytes());
            // One LONG.
            file.extend([4, 0, 1, 0, 0, 0]);
            file.extend(value.to_le_bytes());
        }
        file.extend([0; 4]);
        file
    }

    fn refusal(tags: &[(u16, u32)], data: &[u8]) -> Error {
        match decode(&tiff(tags, data), &Limits::default()) {
            Err(error) => error,
            Ok(decoded) => panic!("{tags:?} gave {:?}", decoded.stored),
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        let kinds: [(Tags, &str); 10] = [
            (&[(tag::BITS, 12)], "12 bits"),
            (
                &[(tag::BITS, 32), (tag::SAMPLE_FORMAT, 3)],
                "floating-point samples (32 bits)",
            ),
            (&[(tag::BITS, 16), (tag::SAMPLE_FORMAT, 2)], "with a sign"),
            (&[(tag::BITS, 16), (tag::PHOTOMETRIC, 0)], "whose white is 0"),
            (&[(tag::COMPRESSION, 34925)], "LZMA compression"),
            (&[(tag::PHOTOMETRIC, 8), (tag::SAMPLES, 3)], "L*a*b*"),
            (&[(tag::PHOTOMETRIC, 32803)], "camera's raw samples"),
            (&[(tag::PHOTOMETRIC, 6), (tag::SAMPLES, 4)], "further samples"),
            (&[(tag::COMPRESSION, 6)], "old-style JPEG"),
            (&[(tag::COMPRESSION, 8), (tag::PREDICTOR, 3)], "predictor 3"),
        ];
        for (tags, named) in kinds {
            match refusal(tags, &[0; 64]) {
                Error::UnsupportedMediaType(text) => {
                    assert!(text.contains(named) && text.contains("PNG"), "{text}");
                }
                other => panic!("{named}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_broken_is_told_so() {
        let kinds: [(Tags, &[u8], &str); 6] = [
            (
                &[(tag::STRIP_OFFSETS, u32::MAX)],
                &[0; 4],
                "strip or tile 0 is truncated",
            ),
            (&[(tag::WIDTH, 0)], &[0; 4], "tag 256"),
            (
                &[(tag::ROWS_PER_STRIP, 1)],
                &[0; 4],
                "it has 1 strips or tiles, not 2",
            ),
            (&[(tag::COMPRESSION, 5)], &[0xFF; 9], "truncated or corrupt"),
            (&[(tag::PHOTOMETRIC, 3)], &[0; 4], "its palette has 0 numbers"),
            (&[(tag::COMPRESSION, 7)], &[0; 4], "the JPEG cannot be decoded"),
        ];
        for (tags, data, named) in kinds {
            match refusal(tags, data) {
                Error::InvalidImage(text) => assert!(text.contains(named), "{text}"),
                other => panic!("{named}: {other:?}"),
            }
        }
    }

    #[test]
    fn nothing_that_is_announced_is_allocated_before_it_is_bounded() {
        let tiles = |width, height| {
            vec![
                (tag::TILE_WIDTH, width),
                (tag::TILE_HEIGHT, height),
                (tag::TILE_OFFSETS, 8),
                (tag::TILE_LENGTHS, 4),
            ]
        };
        let large = [
            vec![(tag::WIDTH, 60_000), (tag::HEIGHT, 60_000)],
            vec![(tag::WIDTH, u32::MAX), (tag::HEIGHT, 1)],
            tiles(u32::MAX, u32::MAX),
            tiles(100_000, 100_000),
            [tiles(1, 120_000_000), vec![(tag::WIDTH, 20_000)]].concat(),
            // 8000×8000 pixels of sixteen samples each: four of them in memory would be too much.
            vec![(tag::WIDTH, 8000), (tag::HEIGHT, 8000), (tag::SAMPLES, 16)],
        ];
        for tags in large {
            let refused = refusal(&tags, &[0; 4]);
            assert!(
                matches!(refused, Error::ImageTooLarge(_)),
                "{tags:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn strips_are_counted_however_few_their_pixels_are() {
        let file = tiff(&[(tag::ROWS_PER_STRIP, 1)], &[1, 2, 3, 4]);
        let limits = Limits {
            max_pieces: 1,
            ..Limits::default()
        };
        let refused = decode(&file, &limits).map(drop).expect_err("two strips");
        assert!(matches!(refused, Error::ImageTooLarge(_)), "{refused:?}");
    }

    #[test]
    fn memory_is_counted_with_what_lies_beside_the_picture() {
        // 2×2 pixels of RGB, and a strip of 4 bytes.
        for (most, fits) in [(16, true), (15, false)] {
            let limits = Limits {
                memory: crate::image::Memory::new(most),
                ..Limits::default()
            };
            let decoded = decode(&tiff(&[], &[1, 2, 3, 4]), &limits);
            assert_eq!(decoded.is_ok(), fits, "{most}");
            assert_eq!(
                decoded.ok().map(|decoded| decoded.taken.bytes()),
                fits.then_some(most)
            );
        }
    }

    #[test]
    fn strips_that_overlap_are_not_read_again_and_again() {
        let mut file = tiff(
            &[(tag::COMPRESSION, 8), (tag::ROWS_PER_STRIP, 1), (tag::HEIGHT, 3)],
            &[0; 400],
        );
        // Three strips that are the whole file each; the lists take the place of the data.
        for (tag, value, at) in [(tag::STRIP_OFFSETS, 0_u32, 20), (tag::STRIP_LENGTHS, 500, 40)] {
            let entry = (8 + 400..file.len())
                .find(|at| file[*at..].starts_with(&[tag.to_le_bytes(), [4, 0]].concat()))
                .expect("the entry");
            file[entry + 4..entry + 8].copy_from_slice(&3_u32.to_le_bytes());
            file[entry + 8..entry + 12].copy_from_slice(&(at as u32).to_le_bytes());
            for index in 0..3 {
                file[at + 4 * index..][..4].copy_from_slice(&value.to_le_bytes());
            }
        }
        let refused = decode(&file, &Limits::default()).err();
        assert!(matches!(refused, Some(Error::InvalidImage(text)) if text.contains("overlap")));
    }
}
