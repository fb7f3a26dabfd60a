//! Image to image: a picture to a picture `[B, 3, h, w]` (super-resolution, denoising, colours), or to a map `[B, 1, h, w]`
//! (depth). What is answered is what the module says at its own size, or resized to the original (bilinear, half-pixel
//! centres, as the masks of a segmentation are).

mod check;
mod finish;

use tch::{Kind, Tensor};

use super::gist::Gist;
use super::operation::{Batch, Batched, Operation, TicketOf, answer};
use super::spec::ModelSpec;
use crate::error::Result;
use crate::image::{ModelInput, Placement};
use crate::runtime::Call;
use crate::runtime::staging::finite;

pub(super) use check::Pictures;

/// A picture to a picture.
#[derive(Debug, Clone, Copy)]
pub struct Translate;

/// What a model makes of one image. Its PNG, or what of it lies on the original, is no work for a core that others wait for:
/// see [`Translated::finish`].
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// `[C, h, w]`, all finite; they cover the model's input.
    values: Vec<f32>,
    /// 1 or 3.
    channels: usize,
    /// (h, w)
    size: (usize, usize),
    placement: Placement,
}

/// The grid of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The module's own.
    Native,
    /// The original's.
    Original,
}

/// What is made of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A PNG.
    Png,
    /// The values themselves.
    Array,
}

/// How a picture is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// On which grid.
    pub resolution: Resolution,
    /// As what.
    pub form: Form,
}

/// What came of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// 1 or 3.
    pub channels: usize,
    /// For each of the module's channels, the values that a PNG shows as black and as white.
    pub ends: Vec<[f32; 2]>,
    /// The least of the module's values.
    pub least: f32,
    /// The greatest.
    pub greatest: f32,
    /// The picture itself.
    pub body: Body,
}

/// A picture as it is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A PNG: 8 bits a colour, 16 bits of grey; transparent where the model did not see.
    Png(Vec<u8>),
    /// `[C, height, width]` in the module's order and units; NaN where the model did not see.
    Array(Vec<f32>),
}

impl Prediction {
    /// Bits of a sample of its PNG.
    #[must_use]
    pub fn bits(&self) -> u8 {
        if self.channels == 1 { 16 } else { 8 }
    }
}

impl Operation for Translate {
    type Input = ModelInput;
    type Options = ();
    type Output = Translated;
    type Queue = TicketOf<Self>;

    fn gist(output: &Translated) -> Option<Gist> {
        Some(Gist::of_dense(&output.values))
    }
}

impl Batched for Translate {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Translated>>> {
        let answer = answer::<Self>(net, spec, batch)?;
        let answer = images(&answer)?;
        let side = |axis: usize| usize::try_from(answer.size()[axis]).unwrap_or(0);
        let one = |(index, placement): (usize, &Placement)| {
            Ok(Translated {
                values: finite(&answer.f_get(index as i64)?, "the picture")?,
                channels: side(1),
                size: (side(2), side(3)),
                placement: *placement,
            })
        };
        let placements = batch.iter().map(|asked| &asked.input.input.placement);
        Ok(placements.enumerate().map(one).collect())
    }
}

/// The pictures `[B, C, h, w]` of an answer; `[B, h, w]` is a map, as depth estimators of transformers have it.
///
/// # Errors
/// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
pub(crate) fn images(answer: &Tensor) -> Result<Tensor> {
    let answer = answer.f_to_kind(Kind::Float)?;
    Ok(if answer.dim() == 3 {
        answer.f_unsqueeze(1)?
    } else {
        answer
    })
}
