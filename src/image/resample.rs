//! Pillow's resampling of a part of a picture: the window that a model keeps of the resized picture, and no pixel
//! more.
//!
//! A picture is resampled in two passes, one a direction, with 8-bit samples in between as in Pillow's Resample.c. Where
//! the overshoot of a bicubic filter is clipped, the order of the passes shows, so it is Pillow's as well.

use std::ops::Range;

use super::convolution::{self, Direction, Kernel, Pass};
use super::fit::Interpolation;
use crate::error::Result;

/// Interleaved 8-bit samples, row-major; `channels` is 1 or 3.
pub(super) struct Raster<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: usize,
    pub(super) data: &'a [u8],
}

/// A part of the resized picture; both sides at least 1.
pub(super) struct Window {
    pub(super) left: u64,
    pub(super) top: u64,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The `window` of `source` as it were resized to `resized` (width, height).
pub(super) fn resample(
    source: &Raster<'_>,
    resized: (u64, u64),
    window: &Window,
    interpolation: Interpolation,
) -> Result<Vec<u8>> {
    let columns = Span::new(source.width, resized.0, window.left, window.width);
    let rows = Span::new(source.height, resized.1, window.top, window.height);
    match interpolation {
        _ if columns.is_copy() && rows.is_copy() => Ok(nearest(source, &columns, &rows)),
        Interpolation::Nearest => Ok(nearest(source, &columns, &rows)),
        Interpolation::Bilinear => convolve(source, columns, rows, &convolution::BILINEAR),
        Interpolation::Bicubic => convolve(source, columns, rows, &convolution::BICUBIC),
    }
}

/// One direction: `length` pixels from `first` on, of `source` pixels resized to `resized`.
pub(super) struct Span {
    pub(super) source: u32,
    pub(super) resized: u64,
    pub(super) first: u64,
    pub(super) length: u32,
    /// How many of the source's first pixels the raster at hand leaves out.
    pub(super) left_out: u32,
}

impl Span {
    fn new(source: u32, resized: u64, first: u64, length: u32) -> Self {
        Self {
            source,
            resized,
            first,
            length,
            left_out: 0,
        }
    }

    /// Whether nothing is resized in this direction.
    pub(super) fn is_copy(&self) -> bool {
        u64::from(self.source) == self.resized
    }

    /// Source pixels a resized pixel.
    pub(super) fn scale(&self) -> f64 {
        f64::from(self.source) / self.resized as f64
    }

    /// Where the span begins in the source and how long it is there, in source pixels.
    pub(super) fn in_source(&self) -> (f64, f64) {
        let start = self.first as f64 * self.scale();
        let length = f64::from(self.length) * self.scale();
        (start, length.min(f64::from(self.source) - start))
    }

    /// The source pixels that can have a weight.
    fn reach(&self, kernel: &Kernel) -> Range<u32> {
        let (start, length) = self.in_source();
        let radius = kernel.support * self.scale().max(1.0);
        let from = (start - radius).floor().max(0.0) as u32;
        let to = (start + length + radius).ceil().min(f64::from(self.source)) as u32;
        from..to
    }

    /// How many pixels resizing takes away; negative where it enlarges.
    fn shrinks_by(&self) -> i64 {
        i64::from(self.source) - self.resized as i64
    }

    /// The source pixel under the centre of each pixel; summed up step by step as Pillow does, for equal rounding.
    fn nearest(&self) -> Vec<usize> {
        let scale = self.scale();
        let mut centre = scale * 0.5;
        for _ in 0..self.first {
            centre += scale;
        }
        let last = self.source as usize - 1;
        let next = |_| {
            let pixel = last.min(centre as usize);
            centre += scale;
            pixel
        };
        (0..self.length).map(next).collect()
    }
}

fn nearest(source: &Raster<'_>, columns: &Span, rows: &Span) -> Vec<u8> {
    let channels = source.channels;
    let columns: Vec<usize> = columns.nearest().iter().map(|column| column * channels).collect();
    let stride = source.width as usize * channels;
    let mut pixels = Vec::with_capacity(columns.len() * rows.length as usize * channels);
    for row in rows.nearest() {
        let row = &source.data[row * stride..][..stride];
        for column in &columns {
            pixels.extend_from_slice(&row[*column..column + channels]);
        }
    }
    pixels
}

/// Both passes. The first leaves out what the second does not reach.
fn convolve(source: &Raster<'_>, columns: Span, rows: Span, kernel: &Kernel) -> Result<Vec<u8>> {
    use Direction::{Horizontal, Vertical};
    let exact = kernel.needs_exact(&columns, &rows);
    let vertical_first = vertical_first(&columns, &rows);
    let (first, mut second) = if vertical_first {
        (rows, columns)
    } else {
        (columns, rows)
    };
    let (along, then) = if vertical_first {
        (Vertical, Horizontal)
    } else {
        (Horizontal, Vertical)
    };

    let across = second.reach(kernel);
    let kept = across.end - across.start;
    second.left_out = across.start;
    let (width, height) = if vertical_first {
        (kept, first.length)
    } else {
        (first.length, kept)
    };
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
        exact,
    }
    .over(&half)
}

/// Pillow goes vertically first where the height shrinks by more than twice what the width shrinks by
/// (`ImagingResampleInner`).
fn vertical_first(columns: &Span, rows: &Span) -> bool {
    rows.shrinks_by() > 0 && rows.shrinks_by() > 2 * columns.shrinks_by()
}
