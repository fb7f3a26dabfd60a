//! Pillow's resampling of a part of a picture: the window that a model keeps of the resized picture, and no pixel
//! more.
//!
//! A picture is resampled in two passes, one a direction, with 8-bit samples in between as in Pillow's Resample.c. Where
//! the overshoot of a bicubic filter is clipped, the order of the passes shows, so it is Pillow's as well.
//!
//! A picture that lies on its side is resampled as it is stored, and the little that comes out is turned upright: the
//! weights of a direction are the same from either end, so the pixels are those of the upright picture.

use std::ops::Range;

use super::convolution::{self, Direction, Kernel, Pass};
use super::orientation::Orientation;
use super::picture::CHANNELS;
use super::span::{Part, Raster, Span, Window};
use super::spec::Interpolation;
use crate::error::Result;

/// The `window` of `source`, which is stored as `orientation` says.
pub(super) fn resample(
    source: &Raster<'_>,
    orientation: Orientation,
    window: &Window,
    interpolation: Interpolation,
) -> Result<Vec<u8>> {
    let (columns, rows) = spans(source.part.of, orientation, window);
    let Some(kernel) = kernel(interpolation, &columns, &rows) else {
        return Ok(nearest(source, orientation, &columns, &rows));
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

/// The part that [`resample`] needs of a picture that is `stored` (width, height) as `orientation` says.
pub(super) fn needed(
    stored: (u32, u32),
    orientation: Orientation,
    window: &Window,
    interpolation: Interpolation,
) -> Part {
    let (columns, rows) = spans(stored, orientation, window);
    let Some(kernel) = kernel(interpolation, &columns, &rows) else {
        return Part::whole(stored);
    };
    let passes = Passes::new(columns, rows, orientation);
    let (columns, rows) = (
        passes.columns.reach(kernel.support),
        passes.rows.reach(kernel.support),
    );
    Part {
        of: stored,
        left: columns.start,
        top: rows.start,
        width: columns.end - columns.start,
        height: rows.end - rows.start,
    }
}

/// The columns and the rows of the upright picture.
fn spans(stored: (u32, u32), orientation: Orientation, window: &Window) -> (Span, Span) {
    let (width, height) = orientation.upright(stored.0, stored.1);
    (
        Span::new(width, window.resized.0, window.left, window.width),
        Span::new(height, window.resized.1, window.top, window.height),
    )
}

/// None where pixels are taken as they are.
fn kernel(interpolation: Interpolation, columns: &Span, rows: &Span) -> Option<&'static Kernel> {
    match interpolation {
        _ if columns.is_copy() && rows.is_copy() => None,
        Interpolation::Nearest => None,
        Interpolation::Bilinear => Some(&convolution::BILINEAR),
        Interpolation::Bicubic => Some(&convolution::BICUBIC),
    }
}

/// `source` is a whole picture.
fn nearest(source: &Raster<'_>, orientation: Orientation, columns: &Span, rows: &Span) -> Vec<u8> {
    let channels = source.channels;
    let walk = orientation.walk(source.part.width, source.part.height);
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
        let (first, second, along, then) = if self.vertical_first {
            (self.rows, self.columns, Vertical, Horizontal)
        } else {
            (self.columns, self.rows, Horizontal, Vertical)
        };
        let across = second.reach(kernel.support);
        let half = half(&source.part, first.length, &across, along);
        let length = first.length;
        let data = Pass {
            kernel,
            direction: along,
            span: first,
            across,
            exact,
        }
        .over(source)?;
        let half = Raster {
            part: half,
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

/// What is at hand after the first pass: `length` pixels along it, and of the other direction those `across`.
fn half(part: &Part, length: u32, across: &Range<u32>, along: Direction) -> Part {
    let kept = across.end - across.start;
    match along {
        Direction::Horizontal => Part {
            of: (length, part.of.1),
            left: 0,
            top: across.start,
            width: length,
            height: kept,
        },
        Direction::Vertical => Part {
            of: (part.of.0, length),
            left: across.start,
            top: 0,
            width: kept,
            height: length,
        },
    }
}

/// Pillow goes vertically first where the height shrinks by more than twice what the width shrinks by
/// (`ImagingResampleInner`).
fn vertical_first(columns: &Span, rows: &Span) -> bool {
    rows.shrinks_by() > 0 && rows.shrinks_by() > 2 * columns.shrinks_by()
}
