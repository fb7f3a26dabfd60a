//! Pillow's resampling of a part of a picture: the window that a model keeps of the resized picture, and no pixel
//! more.
//!
//! A picture is resampled in two passes, one a direction, with 8-bit samples in between as in Pillow's Resample.c. Where
//! the overshoot of a bicubic filter is clipped, the order of the passes shows, so it is Pillow's as well.
//!
//! A picture that lies on its side is resampled as it is stored, and the little that comes out is turned upright: the
//! weights of a direction are the same from either end, so the pixels are those of the upright picture.

use super::convolution::{self, Direction, Kernel, Pass};
use super::orientation::Orientation;
use super::picture::CHANNELS;
use super::span::{Raster, Span, Window};
use super::spec::Interpolation;
use crate::error::Result;

/// The `window` of `source`, which is stored as `orientation` says.
pub(super) fn resample(
    source: &Raster<'_>,
    orientation: Orientation,
    window: &Window,
    interpolation: Interpolation,
) -> Result<Vec<u8>> {
    let (width, height) = orientation.upright(source.width, source.height);
    let columns = Span::new(width, window.resized.0, window.left, window.width);
    let rows = Span::new(height, window.resized.1, window.top, window.height);
    let kernel = match interpolation {
        _ if columns.is_copy() && rows.is_copy() => return Ok(nearest(source, orientation, &columns, &rows)),
        Interpolation::Nearest => return Ok(nearest(source, orientation, &columns, &rows)),
        Interpolation::Bilinear => &convolution::BILINEAR,
        Interpolation::Bicubic => &convolution::BICUBIC,
    };
    let passes = Passes::new(columns, rows, orientation);
    let (width, height) = (passes.columns.length, passes.rows.length);
    let stored = passes.over(source, kernel)?;
    Ok(match (orientation, source.channels) {
        (Orientation::Upright, _) => stored,
        (_, 1) => orientation.turn::<1>(&stored, width, height),
        _ => orientation.turn::<CHANNELS>(&stored, width, height),
    })
}

fn nearest(source: &Raster<'_>, orientation: Orientation, columns: &Span, rows: &Span) -> Vec<u8> {
    let channels = source.channels;
    let walk = orientation.walk(source.width, source.height);
    let columns = columns.nearest();
    let mut pixels = Vec::with_capacity(columns.len() * rows.length as usize * channels);
    for row in rows.nearest() {
        for column in &columns {
            pixels.extend_from_slice(&source.data[walk.at(*column, row) * channels..][..channels]);
        }
    }
    pixels
}

/// Both passes over a stored picture, one a direction.
struct Passes {
    columns: Span,
    rows: Span,
    vertical_first: bool,
}

impl Passes {
    /// `columns` and `rows` are those of the upright picture, and so is the order of the passes that Pillow would take.
    fn new(columns: Span, rows: Span, orientation: Orientation) -> Self {
        let vertical_first = vertical_first(&columns, &rows) != orientation.swaps_sides();
        let (columns, rows) = if orientation.swaps_sides() {
            (rows, columns)
        } else {
            (columns, rows)
        };
        let along = |span: Span, reversed: bool| if reversed { span.reversed() } else { span };
        let (columns_reversed, rows_reversed) = orientation.reverses();
        Self {
            columns: along(columns, columns_reversed),
            rows: along(rows, rows_reversed),
            vertical_first,
        }
    }

    /// The first pass leaves out what the second does not reach.
    fn over(self, source: &Raster<'_>, kernel: &Kernel) -> Result<Vec<u8>> {
        use Direction::{Horizontal, Vertical};
        let exact = kernel.needs_exact(&self.columns, &self.rows);
        let (first, mut second, along, then) = if self.vertical_first {
            (self.rows, self.columns, Vertical, Horizontal)
        } else {
            (self.columns, self.rows, Horizontal, Vertical)
        };
        let across = second.reach(kernel.support);
        let kept = across.end - across.start;
        second.left_out = across.start;
        let length = first.length;
        let (width, height) = if self.vertical_first {
            (kept, length)
        } else {
            (length, kept)
        };
        let data = Pass {
            kernel,
            direction: along,
            span: first,
            across,
            exact,
        }
        .over(source)?;
        let half = Raster {
            width,
            height,
            channels: source.channels,
            data: &data,
        };
        Pass {
            kernel,
            direction: then,
            span: second,
            across: 0..length,
            exact: true,
        }
        .over(&half)
    }
}

/// Pillow goes vertically first where the height shrinks by more than twice what the width shrinks by
/// (`ImagingResampleInner`).
fn vertical_first(columns: &Span, rows: &Span) -> bool {
    rows.shrinks_by() > 0 && rows.shrinks_by() > 2 * columns.shrinks_by()
}
