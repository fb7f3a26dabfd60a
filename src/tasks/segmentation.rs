//! Segmentation: logits `[B, K, h, w]`, or one channel, to a class for each pixel of
//! the original picture. The logits are resized (bilinear, half-pixel centres) and the best class is chosen on the
//! device; only the chosen classes come back.

mod finish;

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, pictures};
use super::rle::Rle;
use super::spec::ModelSpec;
use crate::error::Result;
use crate::image::{ModelInput, Placement};
use crate::manifest::Activation;
use crate::runtime::Call;
use crate::runtime::staging::floats;

/// The class id of a pixel that the model did not see.
pub const UNSEEN: u8 = 255;

/// A picture to a class for each of its pixels.
#[derive(Debug, Clone, Copy)]
pub struct Segment;

/// What a model says of one image. Of which class each pixel is, is found at the size of the original; that is no work for
/// a core that others wait for: see [`Segmented::finish`].
#[derive(Debug, Clone, PartialEq)]
pub struct Segmented {
    /// `[K, height, width]`, at least one class; they cover the model's input.
    logits: Vec<f32>,
    /// (height, width)
    size: (usize, usize),
    placement: Placement,
}

/// The classes of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The classes that were found, by id.
    pub classes: Vec<ClassArea>,
    /// Where they are, in the original picture.
    pub mask: Mask,
    /// The class of each pixel, row-major; [`UNSEEN`] where the model did not see. Empty where nobody draws them.
    pub class_ids: Vec<u8>,
}

/// How much of the picture is of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassArea {
    /// The index of the logit.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    pub label: String,
    /// Pixels of the original picture.
    pub pixels: usize,
    /// Of all its pixels.
    pub fraction: f64,
}

/// A COCO mask for each class that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// `[height, width]` of the original picture.
    pub size: [usize; 2],
    /// In the order of `classes`.
    pub rle: Vec<ClassMask>,
}

/// The pixels of one class; `pycocotools.mask.decode` reads it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMask {
    /// The class.
    pub class_id: usize,
    /// Its pixels.
    pub rle: Rle,
}

impl Operation for Segment {
    type Input = ModelInput;
    type Options = ();
    type Output = Segmented;
    type Queue = TicketOf<Self>;
}

impl Batched for Segment {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Segmented>>> {
        let pictures = pictures::<Self>(net, spec, batch)?;
        let logits = logits(net.call("forward", &[Value::Tensor(pictures)])?)?;
        let logits = with_background(&logits, spec.manifest.output.activation)?;
        let answer = |(index, placement): (usize, &Placement)| {
            let logits = logits.f_get(index as i64)?;
            let side = |axis: usize| usize::try_from(logits.size()[axis]).unwrap_or(0);
            Ok(Segmented {
                size: (side(1), side(2)),
                logits: floats(&logits)?,
                placement: *placement,
            })
        };
        let placements = batch.iter().map(|asked| &asked.input.input.placement);
        Ok(placements.enumerate().map(answer).collect())
    }
}

/// `forward(x) → logits[B, K, h, w]`, or one channel
pub(super) struct LogitMaps;

impl Contract for LogitMaps {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let input = spec.blank(size, net.device())?;
        let output = net.call("forward", &[Value::Tensor(input)])?;
        let shape = logits(output)?.size();
        let labels = spec.labels.len();
        let breach = match shape[..] {
            [batch, ..] if batch != size as i64 => {
                format!("forward answered {shape:?}, expected {size} rows")
            }
            [_, 1, _, _] if labels == 0 || labels == 2 => return Ok(()),
            [_, 1, _, _] => format!("one channel means two classes, but output.labels has {labels} labels"),
            [_, classes, _, _] if classes >= i64::from(UNSEEN) => {
                let most = UNSEEN - 1;
                format!("forward answered {classes} classes, at most {most} can be told apart")
            }
            [_, classes, _, _] => {
                return Ok(spec.labels.name_each_of(usize::try_from(classes).unwrap_or(0))?);
            }
            _ => format!("forward answered {shape:?}, expected logits [{size}, K, h, w]"),
        };
        Err(breach.into())
    }
}

/// The logits in an answer.
pub(crate) fn logits(answer: Value) -> Result<Tensor> {
    Ok(answer.into_tensor()?.f_to_kind(Kind::Float)?)
}

/// One channel is the second of two classes: the first wins where the logit is below 0, the probability below 0.5.
pub(crate) fn with_background(logits: &Tensor, activation: Activation) -> Result<Tensor> {
    if logits.size().get(1) != Some(&1) {
        return Ok(logits.shallow_clone());
    }
    let even = if activation == Activation::None { 0.5 } else { 0.0 };
    Ok(Tensor::f_cat(
        &[logits.f_full_like(even)?, logits.shallow_clone()],
        1,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_is_two_classes() {
        let one = Tensor::from_slice(&[-0.1f32, 0.4, 0.6]).view([1, 1, 1, 3]);
        let best = |activation| {
            let both = with_background(&one, activation).expect("two classes");
            Vec::<i64>::try_from(both.argmax(1, false).flatten(0, -1)).expect("indices")
        };
        assert_eq!(best(Activation::Sigmoid), [0, 1, 1], "a logit above 0");
        assert_eq!(best(Activation::None), [0, 0, 1], "a probability above 0.5");
    }
}
