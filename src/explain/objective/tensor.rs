//! An element of an output of named tensors.

use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::element::Element;
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::Target;
use crate::manifest::Tensors;
use crate::runtime::Call;
use crate::tasks::{ModelSpec, tensor};

struct OfElement {
    output: usize,
    /// In each row.
    place: i64,
    spec: Arc<ModelSpec>,
}

/// The output of this place as rows, and the sizes of one.
fn rows(answer: &Value, output: usize, model: &Tensors) -> Result<(Tensor, Vec<i64>)> {
    let found = tensor::outputs(answer, &model.outputs)?;
    let missing = || Error::Internal("an output that is none".into());
    let found = found.get(output).ok_or_else(missing)?;
    let size = found.size();
    if model.is_batched() {
        return Ok((found.f_reshape([size[0], -1])?, size[1..].to_vec()));
    }
    Ok((found.f_reshape([1, -1])?, size))
}

impl Objective for OfElement {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let (rows, _) = rows(output, self.output, self.spec.manifest.tensors()?)?;
        Ok(rows.f_narrow(1, self.place, 1)?)
    }
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let model = untouched.spec.manifest.tensors()?;
    let element = Element::of(target, model)?;
    let (_, sizes) = rows(output, element.output, model)?;
    let objective = OfElement {
        output: element.output,
        place: element.place(&sizes)?,
        spec: Arc::clone(untouched.spec),
    };
    let value = objective.scores(untouched.net, output)?.f_view([])?;
    let target = ResolvedTarget::Element {
        output: model.outputs[element.output].name.clone(),
        index: element.index,
        value: f64::try_from(value.f_to_kind(tch::Kind::Double)?)?,
    };
    Ok(Resolved {
        objective: Box::new(objective),
        targets: vec![target],
    })
}
