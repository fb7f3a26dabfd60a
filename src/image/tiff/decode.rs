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
    let side = |count: u32, length: u32| u64::from(count) * u64::from(length);
    let covered = side(across, width).saturating_mul(side(down, height));
    let unpacked = layout
        .unpacked_bytes(height)
        .and_then(|bytes| bytes.checked_mul(layout.planes()));
    match unpacked {
        // libjpeg gives grey as RGB.
        Some(bytes) if covered <= limits.max_pixels.saturating_mul(2) => Ok(if layout.is_jpeg() {
            (bytes as u64).saturating_mul(CHANNELS as u64)
        } else {
            bytes as u64
        }),
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
