//! One pass of Pillow's antialiased convolution: every output sample is a weighted sum of the input samples under a
//! kernel that is stretched by the scale where it shrinks.
//!
//! `fast_image_resize` does it with SIMD and 16-bit weights; Pillow has 32-bit ones. The coarser weights now and then
//! round a sample to its neighbour, and with few, large weights of either sign the second pass can make 2 of that
//! difference. Such pictures (bicubic, a scale below [`Kernel::exact_below`]) are computed here with Pillow's own weights;
//! they are small or change little, so that is cheap. All others stay within 1 of 255.

use std::cell::RefCell;
use std::ops::Range;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer, SrcCropping};

use super::span::{Raster, Span};
use crate::error::{Error, Result};

thread_local! {
    /// Keeps its work buffers from picture to picture.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Along which direction a pass convolves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    Horizontal,
    Vertical,
}

/// A convolution kernel.
pub(super) struct Kernel {
    filter: FilterType,
    /// The weight at a distance, in output pixels.
    weight: fn(f64) -> f64,
    /// How far it reaches to either side, in output pixels.
    pub(super) support: f64,
    /// The scale (source pixels an output pixel) below which 16-bit weights are too coarse.
    exact_below: f64,
}

/// The triangle filter. Its weights are positive, so an error of the first pass is never amplified by the second.
pub(super) const BILINEAR: Kernel = Kernel {
    filter: FilterType::Bilinear,
    weight: triangle,
    support: 1.0,
    exact_below: 0.0,
};

/// Cubic convolution with a = -0.5 (Keys, 1981), which is Catmull-Rom.
pub(super) const BICUBIC: Kernel = Kernel {
    filter: FilterType::CatmullRom,
    weight: cubic,
    support: 2.0,
    exact_below: 2.0,
};

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// What one pass is to do.
pub(super) struct Pass<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) direction: Direction,
    /// What becomes of the direction that is resized.
    pub(super) span: Span,
    /// The pixels of the other direction that are kept.
    pub(super) across: Range<u32>,
    /// Whether Pillow's weights are needed; see [`Kernel::needs_exact`].
    pub(super) exact: bool,
}

impl Kernel {
    /// Whether 16-bit weights are too coarse for a picture that is resized in these two directions.
    pub(super) fn needs_exact(&self, columns: &Span, rows: &Span) -> bool {
        columns.scale().min(rows.scale()) < self.exact_below
    }
}

impl Pass<'_> {
    /// The samples of `source` after this pass.
    pub(super) fn over(&self, source: &Raster<'_>) -> Result<Vec<u8>> {
        match (source.channels, self.exact) {
            (1, true) => Ok(self.exactly::<1>(source)),
            (_, true) => Ok(self.exactly::<3>(source)),
            (1, false) => self.with_simd::<U8>(source),
            (_, false) => self.with_simd::<U8x3>(source),
        }
    }

    /// `P` is the pixel whose samples `source` holds.
    fn with_simd<P: PixelTrait>(&self, source: &Raster<'_>) -> Result<Vec<u8>> {
        let (start, length) = self.span.in_source();
        let along = (start - f64::from(self.span.left_out), length);
        let kept = self.across.end - self.across.start;
        let across = (f64::from(self.across.start), f64::from(kept));
        let (size, (left, width), (top, height)) = match self.direction {
            Direction::Horizontal => ((self.span.length, kept), along, across),
            Direction::Vertical => ((kept, self.span.length), across, along),
        };
        let mut out = vec![0; size.0 as usize * size.1 as usize * source.channels];
        let from =
            TypedImageRef::<P>::from_buffer(source.width, source.height, source.data).map_err(unfit)?;
        let mut into = TypedImage::<P>::from_buffer(size.0, size.1, &mut out).map_err(unfit)?;
        let options = ResizeOptions {
            algorithm: ResizeAlg::Convolution(self.kernel.filter),
            cropping: SrcCropping::Crop(CropBox {
                left,
                top,
                width,
                height,
            }),
            mul_div_alpha: false,
        };
        let resized = RESIZER.with_borrow_mut(|resizer| resizer.resize_typed(&from, &mut into, &options));
        resized.map_err(unfit)?;
        Ok(out)
    }

    /// `CHANNELS` is the number of samples a pixel of `source`.
    fn exactly<const CHANNELS: usize>(&self, source: &Raster<'_>) -> Vec<u8> {
        let taps: Vec<Taps> = (0..self.span.length)
            .map(|pixel| Taps::of(&self.span, pixel, self.kernel))
            .collect();
        let row = source.width as usize * CHANNELS;
        let across = self.across.start as usize..self.across.end as usize;
        let mut out = Vec::with_capacity(taps.len() * across.len() * CHANNELS);
        match self.direction {
            Direction::Horizontal => {
                for pixels in source.data.chunks_exact(row).take(across.end).skip(across.start) {
                    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
                    out.extend(taps.iter().flat_map(|tap| tap.sum_of_pixels(pixels)));
                }
            }
            Direction::Vertical => {
                let columns = across.start * CHANNELS..across.end * CHANNELS;
                let mut sums = vec![0; columns.len()];
                for tap in &taps {
                    let rows = source
                        .data
                        .chunks_exact(row)
                        .map(|pixels| &pixels[columns.clone()]);
                    tap.sum_of_rows(rows, &mut sums);
                    out.extend(sums.iter().map(|sum| rounded(*sum)));
                }
            }
        }
        out
    }
}

/// The sizes were worked out by us, so this is a fault of ours; it costs the client one image, never the process.
fn unfit(fault: impl std::fmt::Display) -> Error {
    Error::InvalidImage(format!("the image cannot be resized: {fault}"))
}

/// Pillow's fixed point: 22 bits of fraction leave room for a sign and an overshoot above 8 bits.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The weights of one output pixel, and the first input pixel that they apply to.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Taps {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's Resample.c.
    fn of(span: &Span, pixel: u32, kernel: &Kernel) -> Self {
        let scale = span.scale();
        let stretch = scale.max(1.0);
        let radius = kernel.support * stretch;
        let centre = ((span.first + u64::from(pixel)) as f64 + 0.5) * scale;
        let from = (centre - radius + 0.5).max(0.0) as u32;
        let to = ((centre + radius + 0.5) as u32).min(span.source);
        let weight = |at: u32| (kernel.weight)((f64::from(at) - centre + 0.5) / stretch);
        let weights: Vec<f64> = (from..to).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| (weight / sum * f64::from(1 << PRECISION_BITS)).round() as i32;
        Self {
            first: (from - span.left_out) as usize,
            weights: weights.into_iter().map(fixed).collect(),
        }
    }
    fn sum_of_pixels<const CHANNELS: usize>(&self, pixels: &[[u8; CHANNELS]]) -> [u8; CHANNELS] {
        let mut sums = [HALF; CHANNELS];
        for (weight, pixel) in self.weights.iter().zip(&pixels[self.first..]) {
            for (sum, sample) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*sample) * weight;
            }
        }
        sums.map(rounded)
    }

    fn sum_of_rows<'a>(&self, rows: impl Iterator<Item = &'a [u8]>, sums: &mut [i32]) {
        sums.fill(HALF);
        for (weight, row) in self.weights.iter().zip(rows.skip(self.first)) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(*sample) * weight;
            }
        }
    }
}

/// Half of the last place, so that cutting off the fraction rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::super::orientation::Orientation;
    use super::super::resample::resample;
    use super::super::span::Window;
    use super::super::spec::Interpolation;
    use super::*;

    fn resized(row: &[u8], width: u32, interpolation: Interpolation) -> Vec<u8> {
        let source = Raster {
            width: row.len() as u32,
            height: 1,
            channels: 1,
            data: row,
        };
        let window = Window {
            resized: (u64::from(width), 1),
            left: 0,
            top: 0,
            width,
            height: 1,
        };
        resample(&source, Orientation::Upright, &window, interpolation).expect("a row")
    }

    #[test]
    fn rows_are_resized_as_pillow_resizes_them() {
        // Image.fromarray(row).resize((width, 1), filter), Pillow 13.
        let row = [0, 255, 10, 200, 90, 90, 30];
        for (width, interpolation, expected) in PILLOW {
            assert_eq!(
                resized(&row, *width, *interpolation),
                *expected,
                "{interpolation:?} to {width}"
            );
        }
    }

    const PILLOW: &[(u32, Interpolation, &[u8])] = &[
        (3, Interpolation::Nearest, &[255, 200, 90]),
        (3, Interpolation::Bilinear, &[111, 126, 69]),
        (3, Interpolation::Bicubic, &[111, 126, 69]),
        (5, Interpolation::Nearest, &[0, 10, 200, 90, 30]),
        (5, Interpolation::Bilinear, &[85, 119, 145, 90, 50]),
        (5, Interpolation::Bicubic, &[87, 123, 145, 94, 47]),
        (7, Interpolation::Nearest, &[0, 255, 10, 200, 90, 90, 30]),
        (7, Interpolation::Bilinear, &[0, 255, 10, 200, 90, 90, 30]),
        (7, Interpolation::Bicubic, &[0, 255, 10, 200, 90, 90, 30]),
        (
            11,
            Interpolation::Nearest,
            &[0, 0, 255, 10, 10, 200, 90, 90, 90, 30, 30],
        ),
        (
            11,
            Interpolation::Bilinear,
            &[0, 116, 233, 77, 79, 200, 130, 90, 90, 57, 30],
        ),
        (
            11,
            Interpolation::Bicubic,
            &[0, 119, 250, 59, 60, 200, 135, 84, 92, 55, 26],
        ),
    ];

    #[test]
    fn both_ways_of_computing_agree() {
        let data: Vec<u8> = (0..97 * 31).map(|i| (i * i % 253) as u8).collect();
        let source = Raster {
            width: 97,
            height: 31,
            channels: 1,
            data: &data,
        };
        let pass = |exact| {
            let span = Span {
                source: 97,
                resized: 40,
                first: 3,
                length: 30,
                left_out: 0,
            };
            let pass = Pass {
                kernel: &BICUBIC,
                direction: Direction::Horizontal,
                span,
                across: 2..29,
                exact,
            };
            pass.over(&source).expect("samples")
        };
        let (coarse, exact) = (pass(false), pass(true));
        assert_eq!(coarse.len(), 30 * 27);
        let differences = coarse.iter().zip(&exact).map(|(a, b)| a.abs_diff(*b));
        assert!(differences.max() <= Some(1));
    }
}
