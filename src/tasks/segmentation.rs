//! Segmentation: logits `[B, K, h, w]`, or one channel, to the class or the classes of each pixel of the original picture.
//! The logits are resized (bilinear, half-pixel centres), and then the best class is chosen, or every class whose score is
//! above its threshold.

mod choice;
mod entropy;
mod finish;
mod sure;
mod uncertainty;

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::gist::Gist;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, answer};
use super::rle::Rle;
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::image::{ModelInput, Placement};
use crate::manifest::Activation;
use crate::runtime::Call;
use crate::runtime::staging::{finite, floats};
pub use choice::UNSEEN;
pub(crate) use choice::{Choice, with_background};
pub use entropy::tells_uncertainty;
pub use sure::Sure;
pub use uncertainty::MaskUncertainty;

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
    choice: Choice,
    placement: Placement,
    /// What logits are divided by before a softmax over the classes.
    temperature: f64,
    /// Whether the model answers the second class alone, against which the first is even.
    one_channel: bool,
    /// What makes probabilities of logits.
    activation: Activation,
}

/// The classes of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The classes that were found, by id.
    pub classes: Vec<ClassArea>,
    /// Where they are, in the original picture.
    pub mask: Mask,
    /// The class of each pixel, row-major; [`UNSEEN`] where the model did not see. Empty where nobody draws them, or where a
    /// pixel may be of several.
    pub class_ids: Vec<u8>,
    /// How many classes the model has, where a pixel may be of several.
    pub overlapping: Option<usize>,
    /// How sure the model is, where that was asked for.
    pub uncertainty: Option<MaskUncertainty>,
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

impl Prediction {
    /// Whether each pixel is of each of so many classes, 1 or 0: `[classes, height, width]`, row-major.
    #[must_use]
    pub fn each_class(&self, classes: usize) -> Vec<u8> {
        let [height, width] = self.mask.size;
        let mut all = vec![0; classes * height * width];
        for mask in &self.mask.rle {
            let own = all.get_mut(mask.class_id * height * width..).unwrap_or_default();
            for at in mask.rle.ones().flatten() {
                own[at % height * width + at / height] = 1;
            }
        }
        all
    }
}

impl Operation for Segment {
    type Input = ModelInput;
    type Options = ();
    type Output = Segmented;
    type Queue = TicketOf<Self>;

    /// By its cells, before they are fitted to the picture.
    fn gist(output: &Segmented) -> Option<Gist> {
        Some(Gist {
            decided: output.choice.of_cells(&output.logits, output.cells()),
            ..Gist::of_dense(&output.logits)
        })
    }
}

impl Batched for Segment {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Segmented>>> {
        let logits = answer::<Self>(net, spec, batch)?.f_to_kind(Kind::Float)?;
        let one_channel = logits.size().get(1) == Some(&1);
        let logits = with_background(&logits, spec)?;
        let choice = Choice::of(spec, usize::try_from(logits.size()[1]).unwrap_or(0));
        let answer = |(index, placement): (usize, &Placement)| {
            let logits = logits.f_get(index as i64)?;
            let side = |axis: usize| usize::try_from(logits.size()[axis]).unwrap_or(0);
            Ok(Segmented {
                size: (side(1), side(2)),
                logits: finite(&logits, "logits")?,
                choice: choice.clone(),
                placement: *placement,
                temperature: spec.manifest.output.temperature.get(),
                one_channel,
                activation: spec.manifest.output.activation,
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
        let logits = logits(output)?;
        let shape = logits.size();
        match shape[..] {
            [batch, ..] if batch != size as i64 => {
                Err(format!("forward answered {shape:?}, expected {size} rows").into())
            }
            [_, classes, _, _] => {
                choice::check(spec, usize::try_from(classes).unwrap_or(0))?;
                floats(&logits.f_get(0).map_err(Error::from)?)?;
                Ok(spec.same_row(&shape)?)
            }
            _ => Err(format!("forward answered {shape:?}, expected logits [{size}, K, h, w]").into()),
        }
    }
}

/// The logits in an answer.
pub(crate) fn logits(answer: Value) -> Result<Tensor> {
    Ok(answer.into_tensor()?.f_to_kind(Kind::Float)?)
}
