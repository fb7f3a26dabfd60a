//! A class: its logit, before softmax.

use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::Result;
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{Target, refused};
use crate::runtime::Call;
use crate::tasks::ModelSpec;
use crate::tasks::classification::{of_each_class, scores};

struct OfClass {
    class_id: i64,
    spec: Arc<ModelSpec>,
}

fn logits(spec: &ModelSpec, output: &Value) -> Result<Tensor> {
    of_each_class(output.shallow_clone().into_tensor()?, &spec.labels)
}

impl Objective for OfClass {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        Ok(logits(&self.spec, output)?.f_narrow(1, self.class_id, 1)?)
    }

    fn confidences(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let keys = &self.spec.manifest.output;
        Ok(scores(&logits(&self.spec, output)?, keys)?.f_narrow(1, self.class_id, 1)?)
    }
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let logits = logits(untouched.spec, output)?.f_select(0, 0)?;
    let classes = usize::try_from(logits.size1()?).unwrap_or(0);
    let asked = match target {
        Target::Top => None,
        Target::Class(class) => class.find(&untouched.spec.labels, classes)?,
        _ => return Err(refused("a classifier explains a class: give its id or its label")),
    };
    let class_id = match asked {
        Some(class_id) => class_id,
        None => usize::try_from(i64::try_from(logits.f_argmax(0, false)?)?).unwrap_or(0),
    };
    let keys = &untouched.spec.manifest.output;
    let score = f32::try_from(scores(&logits, keys)?.f_select(0, class_id as i64)?)?;
    let target = ResolvedTarget::Class {
        class_id,
        label: untouched.spec.labels.name(class_id),
        score,
    };
    Ok(Resolved {
        objective: Box::new(OfClass {
            class_id: class_id as i64,
            spec: Arc::clone(untouched.spec),
        }),
        targets: vec![target],
    })
}
