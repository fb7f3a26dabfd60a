//! What an objective is, and what it is made of.

use std::rc::Rc;
use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::image::Placement;
use crate::runtime::Call;
use crate::tasks::ModelSpec;
use crate::tasks::captioning::Attention;

/// The scalars of some targets, T of them. `output` is always what the first of [`crate::tasks::methods`] gave for a
/// batch of n images, and `net` the module that gave it.
pub(in crate::explain) trait Objective {
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

/// One that several share.
impl Objective for Rc<dyn Objective> {
    fn scores(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        (**self).scores(net, output)
    }

    fn confidences(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        (**self).confidences(net, output)
    }

    fn similarities(&self, output: &Value) -> Result<Tensor> {
        (**self).similarities(output)
    }

    fn mirrored(&self) -> Result<Option<Box<dyn Objective>>> {
        (**self).mirrored()
    }

    fn attention(&self) -> Result<Vec<Attention>> {
        (**self).attention()
    }
}

/// What was resolved once, and holds for other modules.
pub(in crate::explain) struct Settled {
    objective: Rc<dyn Objective>,
    targets: Vec<ResolvedTarget>,
}

impl From<Resolved> for Settled {
    fn from(resolved: Resolved) -> Self {
        Self {
            objective: resolved.objective.into(),
            targets: resolved.targets,
        }
    }
}

impl Settled {
    /// The same again.
    pub(in crate::explain) fn again(&self) -> Resolved {
        Resolved {
            objective: Box::new(Rc::clone(&self.objective)),
            targets: self.targets.clone(),
        }
    }
}

/// An objective, and what each of its targets is.
pub(in crate::explain) struct Resolved {
    pub(in crate::explain) objective: Box<dyn Objective>,
    pub(in crate::explain) targets: Vec<ResolvedTarget>,
}

/// The untouched image, and the module that sees it.
pub(in crate::explain) struct Untouched<'a> {
    pub(in crate::explain) net: &'a dyn Call,
    pub(in crate::explain) spec: &'a Arc<ModelSpec>,
    /// `[1, C, H, W]`; of a model of tensors the input that is explained, `[1, …]`.
    pub(in crate::explain) input: &'a Tensor,
    /// `[1, C, H, W]`: what an embedding is compared with.
    pub(in crate::explain) reference: Option<&'a Tensor>,
    /// Whether gradients of the scores are taken.
    pub(in crate::explain) by_gradients: bool,
    /// Where a picture lies.
    pub(in crate::explain) placement: Option<&'a Placement>,
}

impl Untouched<'_> {
    /// Where the picture lies.
    ///
    /// # Errors
    /// [`Error::Internal`] where the input is no picture.
    pub(in crate::explain) fn placement(&self) -> Result<&Placement> {
        self.placement
            .ok_or_else(|| Error::Internal("no picture here".into()))
    }
}
