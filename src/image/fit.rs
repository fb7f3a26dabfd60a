//! From a picture to one model input: resize, crop or letterbox, colour order. Normalisation comes later, on the
//! device.
//!
//! The four modes end in the same three facts, a [`Layout`]: to what size the picture is (virtually) resized, where
//! the input's corner lies on that, and what fills the rest. Only the part that the input keeps is ever computed, so
//! a picture of 1×30,000 costs no more than a square one.
//!
//! Same result as torchvision's transforms on a PIL image, within 1 of 255.

use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
use super::placement::{Axis, Placement};
use super::resample::{self, resample};
use super::span::{Part, Raster, Window};
use super::spec::{Color, Content, Decoding, Fit, Interpolation, ModelInput, ResizeMode};
use crate::error::{Error, Result};

/// Makes the model's input from `picture`.
///
/// # Errors
/// [`Error::InvalidImage`] when the mode is [`ResizeMode::None`] and the picture is not of the input's size, and when
/// the input has no pixels.
pub fn fit(picture: &Picture, fit: &Fit) -> Result<ModelInput> {
    let original = (picture.width(), picture.height());
    let picture = Stored {
        pixels: picture,
        part: Part::whole(original),
        orientation: Orientation::Upright,
    };
    fit_stored(&picture, original, fit)
}

/// A picture that still lies as its file stores it, or what is at hand of it.
pub(super) struct Stored<'a> {
    pub(super) pixels: &'a Picture,
    /// What `pixels` are of it.
    pub(super) part: Part,
    pub(super) orientation: Orientation,
}

/// [`fit`] of a picture that may have been decoded smaller than it is, and not as a whole but for what is [`needed`]:
/// `original` is the (width, height) of the upright original.
pub(super) fn fit_stored(stored: &Stored<'_>, original: (u32, u32), fit: &Fit) -> Result<ModelInput> {
    let layout = Layout::new(original, fit)?;
    let (height, width) = fit.size;
    let mut data = layout.render(stored, fit)?;
    if fit.color == Color::Bgr {
        data.chunks_exact_mut(CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    }
    Ok(ModelInput {
        height,
        width,
        channels: fit.color.channels(),
        content: Content::Pixels(data),
        placement: layout.placement(original, fit),
    })
}

/// How many times smaller (1, 2, 4 or 8) an original of `original` (width, height) may be decoded for `fit`: no smaller
/// than twice what it is resized to. The nearer to it, the more the two ways of averaging differ (`bench/decoding.py`).
pub(super) fn reduction(original: (u32, u32), fit: &Fit) -> u32 {
    let resampled = matches!(
        fit.interpolation,
        Interpolation::Bilinear | Interpolation::Bicubic
    );
    if fit.decoding == Decoding::Exact || !resampled || fit.mode == ResizeMode::None {
        return 1;
    }
    let Ok(layout) = Layout::new(original, fit) else {
        return 1;
    };
    let holds = |by: &u32| {
        let (width, height) = (u64::from(original.0 / by), u64::from(original.1 / by));
        width >= 2 * layout.resized.0 && height >= 2 * layout.resized.1
    };
    [8, 4, 2].into_iter().find(holds).unwrap_or(1)
}

/// The part that [`fit_stored`] needs of a picture that is `stored` (width, height) as `orientation` says; `original` is
/// the (width, height) of the upright original.
pub(super) fn needed(stored: (u32, u32), orientation: Orientation, original: (u32, u32), fit: &Fit) -> Part {
    match Layout::new(original, fit) {
        Ok(layout) => resample::needed(stored, orientation, &layout.window(fit).0, fit.interpolation),
        Err(_) => Part::whole(stored),
    }
}

/// A picture resized to `resized`, of which the input shows the part that begins at `corner`.
#[derive(Debug, PartialEq)]
struct Layout {
    /// (width, height); up to `resize_to` times the picture's aspect, hence 64 bits.
    resized: (u64, u64),
    /// (x, y) of the input's upper left corner on the resized picture; negative where a border comes first.
    corner: (i64, i64),
    fill: u8,
}

impl Layout {
    fn new(original: (u32, u32), fit: &Fit) -> Result<Self> {
        if fit.size.0 == 0 || fit.size.1 == 0 {
            return Err(Error::InvalidImage(format!(
                "an input of {}×{} has no pixels",
                fit.size.1, fit.size.0
            )));
        }
        let (height, width) = (u64::from(fit.size.0), u64::from(fit.size.1));
        let (own_width, own_height) = (u64::from(original.0), u64::from(original.1));
        match fit.mode {
            ResizeMode::ShorterSide => {
                let shorter = fit.resize_to.map_or(width.min(height), u64::from).max(1);
                let resized = shorter_side_to(shorter, own_width, own_height);
                let corner = (centre_crop(resized.0, width), centre_crop(resized.1, height));
                Ok(Self {
                    resized,
                    corner,
                    fill: 0,
                })
            }
            ResizeMode::Stretch => Ok(Self {
                resized: (width, height),
                corner: (0, 0),
                fill: 0,
            }),
            ResizeMode::Letterbox => {
                let resized = letterboxed((own_width, own_height), (width, height));
                let border = ((width - resized.0) / 2, (height - resized.1) / 2);
                let corner = (-(border.0 as i64), -(border.1 as i64));
                Ok(Self {
                    resized,
                    corner,
                    fill: fit.letterbox_fill,
                })
            }
            ResizeMode::None if (own_width, own_height) == (width, height) => Ok(Self {
                resized: (width, height),
                corner: (0, 0),
                fill: 0,
            }),
            ResizeMode::None => Err(Error::InvalidImage(format!(
                "the image is {own_width}×{own_height}, but this model takes {width}×{height} exactly: it does not resize"
            ))),
        }
    }

    /// The input's pixels, `[height, width, channels]`.
    fn render(&self, stored: &Stored<'_>, fit: &Fit) -> Result<Vec<u8>> {
        let luma;
        let (channels, data) = match fit.color {
            Color::Rgb | Color::Bgr => (CHANNELS, stored.pixels.data()),
            Color::Gray => {
                luma = luminance(stored.pixels.data());
                (1, &luma[..])
            }
        };
        let source = Raster {
            part: stored.part,
            channels,
            data,
        };
        let (height, width) = fit.size;
        let (window, left, above) = self.window(fit);
        let pixels = resample(&source, stored.orientation, &window, fit.interpolation)?;
        if (window.width, window.height) == (width, height) {
            return Ok(pixels);
        }
        let mut model_input = vec![self.fill; width as usize * height as usize * channels];
        let (row_bytes, tile_bytes) = (window.width as usize * channels, width as usize * channels);
        let left = left as usize * channels;
        let below = model_input.chunks_exact_mut(tile_bytes).skip(above as usize);
        for (into, row) in below.zip(pixels.chunks_exact(row_bytes)) {
            into[left..left + row_bytes].copy_from_slice(row);
        }
        Ok(model_input)
    }

    /// What the input shows of the resized picture, and how many input pixels lie to its left and above it.
    fn window(&self, fit: &Fit) -> (Window, u32, u32) {
        let (height, width) = fit.size;
        let columns = shown(self.corner.0, self.resized.0, width);
        let rows = shown(self.corner.1, self.resized.1, height);
        let window = Window {
            resized: self.resized,
            left: columns.from,
            top: rows.from,
            width: columns.length,
            height: rows.length,
        };
        (window, columns.border, rows.border)
    }

    fn placement(&self, original: (u32, u32), fit: &Fit) -> Placement {
        let axis = |original: u32, input: u32, resized: u64, corner: i64| Axis {
            original,
            input,
            scale: resized as f64 / f64::from(original),
            offset: -(corner as f64),
        };
        let (height, width) = fit.size;
        Placement {
            x: axis(original.0, width, self.resized.0, self.corner.0),
            y: axis(original.1, height, self.resized.1, self.corner.1),
        }
    }
}

/// The part of one axis of the resized picture that the input shows.
struct Shown {
    /// Where it begins on the resized picture.
    from: u64,
    /// How many input pixels come before it.
    border: u32,
    length: u32,
}

fn shown(corner: i64, resized: u64, input: u32) -> Shown {
    let from = corner.max(0) as u64;
    let border = corner.min(0).unsigned_abs() as u32;
    let length = u64::from(input - border).min(resized - from) as u32;
    Shown { from, border, length }
}

/// torchvision's `_compute_resized_output_size` for one number: the longer side is truncated, not rounded.
fn shorter_side_to(shorter: u64, width: u64, height: u64) -> (u64, u64) {
    if width <= height {
        (shorter, shorter * height / width)
    } else {
        (shorter * width / height, shorter)
    }
}

/// Where torchvision's `center_crop` of `kept` pixels begins on `length`: rounded half to even (Python's `round`)
/// where it crops, half of the missing (rounded down) before where it pads.
fn centre_crop(length: u64, kept: u64) -> i64 {
    if length < kept {
        return -(((kept - length) / 2) as i64);
    }
    let spare = length - kept;
    let half = spare / 2;
    let rounds_up = spare % 2 == 1 && half % 2 == 1;
    (half + u64::from(rounds_up)) as i64
}

/// Ultralytics' `LetterBox` (centred, scaling up as well): one ratio for both sides, each rounded half to even.
fn letterboxed((width, height): (u64, u64), (into_width, into_height): (u64, u64)) -> (u64, u64) {
    let ratio = (into_width as f64 / width as f64).min(into_height as f64 / height as f64);
    let side = |own: u64, into: u64| ((own as f64 * ratio).round_ties_even() as u64).clamp(1, into);
    (side(width, into_width), side(height, into_height))
}

/// Pillow's `convert("L")`: ITU-R 601-2 luma with 16-bit weights.
fn luminance(rgb: &[u8]) -> Vec<u8> {
    let (pixels, _) = rgb.as_chunks::<CHANNELS>();
    pixels
        .iter()
        .map(|[r, g, b]| {
            let luma = u32::from(*r) * 19_595 + u32::from(*g) * 38_470 + u32::from(*b) * 7_471 + 0x8000;
            (luma >> 16) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests;
