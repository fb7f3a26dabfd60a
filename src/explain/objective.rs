//! From a target to the numbers that methods differentiate and compare: for each image of a batch and each thing that
//! is explained, one scalar. One file a task.
//!
//! An objective is fixed once, on the untouched image, and then holds for every masked, noisy or ablated copy: the
//! mask of a class, the box of an object, the words of a caption stay those of the untouched image.

mod captioning;
mod classification;
mod detection;
mod scores;
mod segmentation;
mod tensor;
mod vae;

use torch_bridge::Value;

use super::target::Target;
use crate::error::Result;
use crate::manifest::TaskKind;
pub(super) use scores::{Objective, Resolved, Untouched};

/// What `target` means for this image, whose output is `output`.
///
/// # Errors
/// [`Error::InvalidParameter`] when there is no such thing in it.
pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let _no_grad = tch::no_grad_guard();
    let target = &target.among(&untouched.spec.labels);
    match untouched.spec.manifest.task {
        TaskKind::Classification => classification::resolve(untouched, target, output),
        TaskKind::Segmentation => segmentation::resolve(untouched, target, output),
        TaskKind::Detection => detection::resolve(untouched, target, output),
        TaskKind::Captioning => captioning::resolve(untouched, target, output),
        TaskKind::Vae => vae::resolve(untouched, target, output),
        TaskKind::Tensor => tensor::resolve(untouched, target, output),
    }
}
