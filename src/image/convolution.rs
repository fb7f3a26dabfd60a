//! One pass of Pillow's antialiased convolution: every output sample is a weighted sum of the input samples under a
//! kernel that is stretched by the scale where it shrinks.
//!
//! `fast_image_resize` does it with SIMD and 16-bit weights; Pillow has 32-bit ones. The coarser weights now and then
//! round a sample to its neighbour. A second pass with Pillow's own weights averages such differences of 1, so that no
//! sample is further off; with coarse weights of its own it could be. The second pass is therefore computed here: it has
//! few samples left, so that is cheap. So is a first pass with few, large weights of either sign (bicubic, a scale below
//! [`Kernel::exact_below`]), whose differences the second would amplify. All pictures stay within 1 of 255.

use std::cell::RefCell;
use std::ops::Range;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer, SrcCropping};

use super::span::{Part, Raster, Span};
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
    /// The scale (source pixels an output pixel) below which 16-bit weights are too coarse for the first pass.
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
    /// The pixels of the other direction that are kept, counted in the whole picture.
    pub(super) across: Range<u32>,
    /// Whether Pillow's weights are needed.
    pub(super) exact: bool,
}

impl Kernel {
    /// Whether 16-bit weights are too coarse for the first pass over a picture that is resized in these two directions.
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
        let (before, beside) = self.left_out(&source.part);
        let along = (start - f64::from(before), length);
        let kept = self.across.end - self.across.start;
        let across = (f64::from(self.across.start - beside), f64::from(kept));
        let (size, (left, width), (top, height)) = match self.direction {
            Direction::Horizontal => ((self.span.length, kept), along, across),
            Direction::Vertical => ((kept, self.span.length), across, along),
        };
        let mut out = vec![0; size.0 as usize * size.1 as usize * source.channels];
        let from = TypedImageRef::<P>::from_buffer(source.part.width, source.part.height, source.data)
            .map_err(unfit)?;
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

    /// How many of the picture's first pixels `part` lacks: in the direction that is resized, and in the other.
    fn left_out(&self, part: &Part) -> (u32, u32) {
        match self.direction {
            Direction::Horizontal => (part.left, part.top),
            Direction::Vertical => (part.top, part.left),
        }
    }

    /// `CHANNELS` is the number of samples a pixel of `source`.
    fn exactly<const CHANNELS: usize>(&self, source: &Raster<'_>) -> Vec<u8> {
        let (before, beside) = self.left_out(&source.part);
        let taps: Vec<Taps> = (0..self.span.length)
            .map(|pixel| Taps::of(&self.span, pixel, self.kernel, before))
            .collect();
        let row = source.part.width as usize * CHANNELS;
        let across = (self.across.start - beside) as usize..(self.across.end - beside) as usize;
        let mut out = vec![0; taps.len() * across.len() * CHANNELS];
        match self.direction {
            Direction::Horizontal => {
                let rows = source.data.chunks_exact(row).skip(across.start);
                for (pixels, into) in rows.zip(out.chunks_exact_mut(taps.len() * CHANNELS)) {
                    let ((pixels, _), (into, _)) = (pixels.as_chunks(), into.as_chunks_mut());
                    for (tap, pixel) in taps.iter().zip(into) {
                        *pixel = tap.sum_of_pixels::<CHANNELS>(pixels);
                    }
                }
            }
            Direction::Vertical => {
                let columns = across.start * CHANNELS..across.end * CHANNELS;
                for (tap, into) in taps.iter().zip(out.chunks_exact_mut(columns.len())) {
                    let samples = &source.data[tap.first * row + columns.start..];
                    tap.sum_of_rows(samples, row, into);
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
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's Resample.c; of the source's pixels the first
    /// `left_out` are not at hand.
    fn of(span: &Span, pixel: u32, kernel: &Kernel, left_out: u32) -> Self {
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
            first: (from - left_out) as usize,
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

    /// Sums columns: `samples` begins with the first of them in the first row, the next row follows `stride` later.
    fn sum_of_rows(&self, samples: &[u8], stride: usize, into: &mut [u8]) {
        let (blocks, rest) = into.as_chunks_mut::<LANES>();
        let of_rest = blocks.len() * LANES;
        for (index, block) in blocks.iter_mut().enumerate() {
            let (mut high, mut low) = ([0; LANES], [HALF; LANES]);
            for (row, weight) in self.weights.iter().enumerate() {
                let (samples, _) = samples[row * stride + index * LANES..].as_chunks::<LANES>();
                // Products of 16 bits are what every processor multiplies side by side.
                let (by_high, by_low) = ((weight >> LOW_BITS) as i16, (weight & LOW) as i16);
                for lane in 0..LANES {
                    high[lane] += i32::from(samples[0][lane]) * i32::from(by_high);
                    low[lane] += i32::from(samples[0][lane]) * i32::from(by_low);
                }
            }
            for lane in 0..LANES {
                block[lane] = rounded((high[lane] << LOW_BITS) + low[lane]);
            }
        }
        for (index, sample) in rest.iter_mut().enumerate() {
            let column = samples[of_rest + index..].iter().step_by(stride);
            let products = self
                .weights
                .iter()
                .zip(column)
                .map(|(weight, sample)| i32::from(*sample) * weight);
            *sample = rounded(HALF + products.sum::<i32>());
        }
    }
}

/// How many columns are summed side by side.
const LANES: usize = 16;

/// A weight in two parts. The upper has a sign and no more than 16 bits, since no weight reaches 2.
const LOW_BITS: u32 = 8;
const LOW: i32 = (1 << LOW_BITS) - 1;

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
            part: Part::whole((row.len() as u32, 1)),
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
            part: Part::whole((97, 31)),
            channels: 1,
            data: &data,
        };
        let pass = |exact| {
            let span = Span {
                source: 97,
                resized: 40,
                first: 3,
                length: 30,
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
