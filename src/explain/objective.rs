//! From a target to the numbers that methods differentiate and compare: for each image of a batch and each thing that
//! is explained, one scalar. One file a task.
//!
//! An objective is fixed once, on the untouched image, and then holds for every masked, noisy or ablated copy: the
//! mask of a class, the box of an object, the words of a caption stay those of the untouched image.

mod captioning;
mod classification;
mod detection;
mod embedding;
mod image_to_image;
mod place;
mod regression;
mod scores;
mod segmentation;
mod tensor;
mod vae;

use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use super::target::Target;
use crate::error::Result;
use crate::manifest::TaskKind;
use crate::runtime::Call;
use crate::runtime::staging::all_finite;
use crate::tasks::ModelSpec;
use crate::tasks::captioning::Attention;
pub use embedding::{OfEmbedding, of_embedding};
pub use image_to_image::without_place;
pub use regression::of_regression;
pub(super) use scores::{Objective, Resolved, Settled, Untouched};

/// What `target` means for this image, whose output is `output`.
///
/// # Errors
/// [`Error::InvalidParameter`] when there is no such thing in it; [`Error::NotFinite`] when its score is no number.
pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let _no_grad = tch::no_grad_guard();
    untouched.spec.check_one_row(output)?;
    let target = &target.among(&untouched.spec.labels);
    let resolved = match untouched.spec.manifest.task {
        TaskKind::Classification => classification::resolve(untouched, target, output),
        TaskKind::Segmentation => segmentation::resolve(untouched, target, output),
        TaskKind::Detection => detection::resolve(untouched, target, output),
        TaskKind::Captioning => captioning::resolve(untouched, target, output),
        TaskKind::Vae => vae::resolve(untouched, target, output),
        TaskKind::Embedding => embedding::resolve(untouched, target, output),
        TaskKind::Regression => regression::resolve(untouched, target, output),
        TaskKind::ImageToImage => image_to_image::resolve(untouched, target, output),
        TaskKind::Tensor => tensor::resolve(untouched, target, output),
    }?;
    for target in &resolved.targets {
        all_finite(target.score().as_slice(), "the score of the target")?;
    }
    Ok(Resolved {
        objective: Box::new(OfKnownRows {
            objective: resolved.objective,
            spec: Arc::clone(untouched.spec),
        }),
        ..resolved
    })
}

/// An objective that takes no answer whose sizes are others than those the model was loaded with: the class of an index would
/// be another one.
struct OfKnownRows {
    objective: Box<dyn Objective>,
    spec: Arc<ModelSpec>,
}

impl Objective for OfKnownRows {
    fn scores(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        self.spec.check_row(output)?;
        self.objective.scores(net, output)
    }

    fn confidences(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        self.spec.check_row(output)?;
        self.objective.confidences(net, output)
    }

    fn similarities(&self, output: &Value) -> Result<Tensor> {
        self.objective.similarities(output)
    }

    fn mirrored(&self) -> Result<Option<Box<dyn Objective>>> {
        let known = |objective| -> Box<dyn Objective> {
            Box::new(Self {
                objective,
                spec: Arc::clone(&self.spec),
            })
        };
        Ok(self.objective.mirrored()?.map(known))
    }

    fn attention(&self) -> Result<Vec<Attention>> {
        self.objective.attention()
    }
}
