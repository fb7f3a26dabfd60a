//! Pillow's resampling of a part of a picture: the window that a model keeps of the resized picture, and no pixel
//! more.
//!
//! `fast_image_resize` computes Pillow's antialiased convolution with SIMD, but vertically first for 8-bit samples,
//! where Pillow goes horizontally first; with a bicubic filter the order shows wherever an overshoot is clipped. So the
//! two passes are run one by one, in Pillow's order.

use std::cell::RefCell;
use std::ops::Range;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer, SrcCropping};

use super::fit::Interpolation;
use crate::error::{Error, Result};

thread_local! {
    /// Keeps its work buffers from picture to picture.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// A convolution filter and how many (output) pixels it reaches to either side.
struct Kernel {
    filter: FilterType,
    support: f64,
}

const BILINEAR: Kernel = Kernel {
    filter: FilterType::Bilinear,
    support: 1.0,
};
/// Catmull-Rom is the cubic with a = -0.5, which is Pillow's `BICUBIC`.
const BICUBIC: Kernel = Kernel {
    filter: FilterType::CatmullRom,
    support: 2.0,
};

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
    let kernel = match interpolation {
        Interpolation::Nearest => return Ok(nearest(source, &columns, &rows)),
        _ if columns.is_copy() && rows.is_copy() => return Ok(nearest(source, &columns, &rows)),
        Interpolation::Bilinear => BILINEAR,
        Interpolation::Bicubic => BICUBIC,
    };
    match source.channels {
        1 => convolve::<U8>(source, &columns, &rows, &kernel),
        _ => convolve::<U8x3>(source, &columns, &rows, &kernel),
    }
}

/// One axis: `length` pixels from `first` on, of `source` pixels resized to `resized`.
struct Span {
    source: u32,
    resized: u64,
    first: u64,
    length: u32,
}

impl Span {
    fn new(source: u32, resized: u64, first: u64, length: u32) -> Self {
        Self {
            source,
            resized,
            first,
            length,
        }
    }

    fn is_copy(&self) -> bool {
        u64::from(self.source) == self.resized
    }

    /// Source pixels a resized pixel.
    fn scale(&self) -> f64 {
        f64::from(self.source) / self.resized as f64
    }

    /// Where the span begins and how long it is, in source pixels.
    fn box_in_source(&self) -> (f64, f64) {
        let start = self.first as f64 * self.scale();
        let length = f64::from(self.length) * self.scale();
        (start, length.min(f64::from(self.source) - start))
    }

    /// The source pixels that can have a weight, for a filter that reaches `support` pixels.
    fn reach(&self, support: f64) -> Range<u32> {
        let (start, length) = self.box_in_source();
        let radius = support * self.scale().max(1.0);
        let from = (start - radius).floor().max(0.0) as u32;
        let to = (start + length + radius).ceil().min(f64::from(self.source)) as u32;
        from..to
    }

    /// The source pixel under the centre of each pixel; summed up step by step as Pillow does, for equal rounding.
    fn nearest(&self) -> Vec<usize> {
        let scale = self.scale();
        let mut centre = scale * 0.5;
        for _ in 0..self.first {
            centre += scale;
        }
        let last = self.source as usize - 1;
        (0..self.length)
            .map(|_| {
                let pixel = last.min(centre as usize);
                centre += scale;
                pixel
            })
            .collect()
    }
}

fn nearest(source: &Raster<'_>, columns: &Span, rows: &Span) -> Vec<u8> {
    let channels = source.channels;
    let columns: Vec<usize> = columns.nearest().iter().map(|column| column * channels).collect();
    let stride = source.width as usize * channels;
    let mut pixels = Vec::with_capacity(columns.len() * rows.length as usize * channels);
    for row in rows.nearest() {
        let row = &source.data[row * stride..(row + 1) * stride];
        for column in &columns {
            pixels.extend_from_slice(&row[*column..column + channels]);
        }
    }
    pixels
}

/// Both passes, the one first that Pillow does first. `P` is the pixel whose samples `source` holds.
fn convolve<P: PixelTrait>(
    source: &Raster<'_>,
    columns: &Span,
    rows: &Span,
    kernel: &Kernel,
) -> Result<Vec<u8>> {
    let channels = source.channels;
    let between = |width: u32, height: u32, data| Raster {
        width,
        height,
        channels,
        data,
    };
    if vertical_first(columns, rows) {
        let needed = columns.reach(kernel.support);
        let (width, height) = (needed.end - needed.start, rows.length);
        let (top, span) = rows.box_in_source();
        let part = CropBox {
            left: f64::from(needed.start),
            top,
            width: f64::from(width),
            height: span,
        };
        let tall = pass::<P>(source, part, (width, height), kernel)?;
        let (left, span) = columns.box_in_source();
        let left = left - f64::from(needed.start);
        let part = CropBox {
            left,
            top: 0.0,
            width: span,
            height: f64::from(height),
        };
        pass::<P>(
            &between(width, height, &tall),
            part,
            (columns.length, height),
            kernel,
        )
    } else {
        let needed = rows.reach(kernel.support);
        let (width, height) = (columns.length, needed.end - needed.start);
        let (left, span) = columns.box_in_source();
        let part = CropBox {
            left,
            top: f64::from(needed.start),
            width: span,
            height: f64::from(height),
        };
        let wide = pass::<P>(source, part, (width, height), kernel)?;
        let (top, span) = rows.box_in_source();
        let top = top - f64::from(needed.start);
        let part = CropBox {
            left: 0.0,
            top,
            width: f64::from(width),
            height: span,
        };
        pass::<P>(&between(width, height, &wide), part, (width, rows.length), kernel)
    }
}

/// One pass: the `part` of `source` resized to `size`, which differs from the part's in at most one direction.
fn pass<P: PixelTrait>(
    source: &Raster<'_>,
    part: CropBox,
    size: (u32, u32),
    kernel: &Kernel,
) -> Result<Vec<u8>> {
    let mut out = vec![0; size.0 as usize * size.1 as usize * source.channels];
    let from = TypedImageRef::<P>::from_buffer(source.width, source.height, source.data).map_err(unfit)?;
    let mut into = TypedImage::<P>::from_buffer(size.0, size.1, &mut out).map_err(unfit)?;
    let options = ResizeOptions {
        algorithm: ResizeAlg::Convolution(kernel.filter),
        cropping: SrcCropping::Crop(part),
        mul_div_alpha: false,
    };
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize_typed(&from, &mut into, &options))
        .map_err(unfit)?;
    Ok(out)
}

/// Pillow (since 12.1) goes vertically first where the height shrinks by more than twice what the width shrinks by.
fn vertical_first(columns: &Span, rows: &Span) -> bool {
    let shrinks_by = |span: &Span| i64::from(span.source) - span.resized as i64;
    shrinks_by(rows) > 0 && shrinks_by(rows) > 2 * shrinks_by(columns)
}

/// The sizes were worked out here, so this is a fault of ours; it costs the client one image, never the process.
fn unfit(fault: impl std::fmt::Display) -> Error {
    Error::InvalidImage(format!("the image cannot be resized: {fault}"))
}
