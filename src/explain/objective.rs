//! From a target to the numbers that methods differentiate and compare: for each image of a batch and each thing that
//! is explained, one scalar. One file a task.
//!
//! An objective is fixed once, on the untouched image, and then holds for every masked, noisy or ablated copy: the
//! mask of a class, the box of an object, the words of a caption stay those of the untouched image.

mod captioning;
mod classification;
mod detection;
mod segmentation;
mod vae;

use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use super::target::{ResolvedTarget, Target};
use crate::engine::session::{Call, first_tensor};
use crate::error::{Error, Result};
use crate::image::Placement;
use crate::repository::manifest::TaskKind;
use crate::tasks::Subject;
use crate::tasks::captioning::Attention;

/// The scalars of some targets, T of them. `output` is always what the first of [`crate::tasks::methods`] gave for a
/// batch of n images, and `net` the module that gave it.
pub(super) trait Objective {
    /// `[n, T]`: what gradients are taken of.
    fn scores(&self, net: &dyn Call, output: &Value) -> Result<Tensor>;

    /// `[n, T]`: the same on a scale from 0 to 1 where the task has one. RISE weighs its masks with it.
    fn confidences(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        self.scores(net, output)
    }

    /// `[n, T]`: how like an object's the best of the image's boxes is (D-RISE).
    fn similarities(&self, _output: &Value) -> Result<Tensor> {
        Err(Error::UnsupportedForTask(
            "d_rise explains the boxes of detectors".into(),
        ))
    }

    /// The same for the picture's mirror image; `None` where the side does not matter.
    fn mirrored(&self) -> Result<Option<Box<dyn Objective>>> {
        Ok(None)
    }

    /// For each target, where the model says that it looked.
    fn attention(&self) -> Result<Vec<Attention>> {
        Err(Error::UnsupportedForTask(
            "attention explains the words of captioners".into(),
        ))
    }
}

/// An objective, and what each of its targets is.
pub(super) struct Resolved {
    pub(super) objective: Box<dyn Objective>,
    pub(super) targets: Vec<ResolvedTarget>,
}

/// The untouched image and who looks at it.
pub(super) struct Scene<'a> {
    pub(super) net: &'a dyn Call,
    pub(super) subject: &'a Arc<Subject>,
    /// `[1, C, H, W]`
    pub(super) input: &'a Tensor,
    pub(super) placement: &'a Placement,
}

impl Scene<'_> {
    /// What `target` means for this image, whose output is `output`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there is no such thing in it.
    pub(super) fn resolve(&self, target: &Target, output: &Value) -> Result<Resolved> {
        let _no_grad = tch::no_grad_guard();
        let target = &target.among(&self.subject.labels);
        match self.subject.manifest.task {
            TaskKind::Classification => classification::resolve(self, target, output),
            TaskKind::Segmentation => segmentation::resolve(self, target, output),
            TaskKind::Detection => detection::resolve(self, target, output),
            TaskKind::Captioning => captioning::resolve(self, target, output),
            TaskKind::Vae => vae::resolve(self, target, output),
            TaskKind::Tensor => Err(Error::UnsupportedForTask(
                "models of tensors have no picture to lay a map on".into(),
            )),
        }
    }
}

/// The tensor of an output.
fn tensor(output: &Value) -> Result<Tensor> {
    first_tensor(output.shallow_clone())
}
