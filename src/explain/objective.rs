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

use torch_bridge::Value;

use super::target::Target;
use crate::error::Result;
use crate::manifest::TaskKind;
use crate::runtime::staging::all_finite;
pub use embedding::{OfEmbedding, of_embedding};
pub use image_to_image::without_place;
pub use regression::of_regression;
pub(super) use scores::{Objective, Resolved, Untouched};

/// What `target` means for this image, whose output is `output`.
///
/// # Errors
/// [`Error::InvalidParameter`] when there is no such thing in it; [`Error::NotFinite`] when its score is no number.
pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let _no_grad = tch::no_grad_guard();
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
    Ok(resolved)
}
