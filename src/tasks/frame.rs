//! Small pictures that models make, from their normalised form back to bytes.

use tch::{Kind, Tensor};

use super::spec::ModelSpec;
use crate::error::Result;
use crate::image::{Picture, PoolThread, encode_gray_png, encode_png};
use crate::runtime::staging::finite;

/// A small picture, gray or RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// 1 (gray) or 3 (RGB).
    pub channels: usize,
    /// Row-major, one byte a channel.
    pub data: Vec<u8>,
}

impl Frame {
    /// How many pixels it has.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The picture that `normalised [C, H, W]`, as a model's input, shows.
    ///
    /// # Errors
    /// [`Error::NotFinite`]
    pub(crate) fn of(spec: &ModelSpec, normalised: &Tensor) -> Result<Self> {
        let pixels = pixels(spec, normalised)?;
        let size = pixels.size();
        let bytes = finite(&pixels, "the picture")?
            .into_iter()
            .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8)
            .collect();
        let side = |axis: usize| u32::try_from(size[axis]).unwrap_or(0);
        let mut frame = Self {
            width: side(1),
            height: side(0),
            channels: usize::try_from(size[2]).unwrap_or(1),
            data: bytes,
        };
        if spec.manifest.image_input()?.fit.color == crate::image::Color::Bgr {
            frame.data.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        Ok(frame)
    }

    /// Its PNG.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) when it cannot be written.
    pub fn png(&self, thread: &PoolThread) -> Result<Vec<u8>> {
        if self.channels == 1 {
            return encode_gray_png(thread, self.width, self.height, &self.data);
        }
        encode_png(thread, &Picture::new(self.width, self.height, self.data.clone())?)
    }
}

/// Undoes the normalisation: `[C, H, W]` as the model sees it, to values from 0 to 1 in `[H, W, C]`.
pub(super) fn pixels(spec: &ModelSpec, picture: &Tensor) -> Result<Tensor> {
    let input = spec.manifest.image_input()?;
    let column = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Tensor::from_slice(&values)
            .f_view([-1, 1, 1])?
            .f_to_device(picture.device())
    };
    let bytes = picture
        .f_to_kind(Kind::Float)?
        .f_mul(&column(&input.std)?)?
        .f_add(&column(&input.mean)?)?;
    Ok(bytes.f_div_scalar(input.scale * 255.0)?.f_permute([1, 2, 0])?)
}
