//! Pillow's resampling of a part of a picture: the window that a model keeps of the resized picture, and no pixel
//! more.
//!
//! A picture is resampled in two passes, one a direction, with 8-bit samples in between as in Pillow's Resample.c. Where
//! the overshoot of a bicubic filter is clipped, the order of the passes shows, so it is Pillow's as well.

use super::convolution::{self, Direction, Kernel, Pass};
use super::span::{Raster, Span, Window};
use super::spec::Interpolation;
use crate::error::Result;

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

    let across = second.reach(kernel.support);
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
