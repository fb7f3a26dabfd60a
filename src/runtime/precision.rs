//! A program that computes in half precision, and takes and answers f32.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use torch_bridge::Value;

use super::program::Program;
use crate::engine::{CorePermit, Share};
use crate::error::Result;
use crate::manifest::Precision;

/// The kind that weights are turned into; `None`: they stay f32.
pub(super) fn half(precision: Precision) -> Option<Kind> {
    match precision {
        Precision::F32 | Precision::Auto => None,
        Precision::F16 => Some(Kind::Half),
        Precision::Bf16 => Some(Kind::BFloat16),
    }
}

/// A program of `kind` behind an interface of f32: inputs and answers are converted at each call.
#[derive(Debug)]
pub(super) struct InHalf {
    pub(super) program: Arc<dyn Program>,
    pub(super) kind: Kind,
}

impl Program for InHalf {
    fn call(&self, permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let inputs = inputs
            .iter()
            .map(|value| converted(value, Kind::Float, self.kind))
            .collect::<Result<Vec<_>>>()?;
        converted(
            &self.program.call(permit, method, &inputs)?,
            self.kind,
            Kind::Float,
        )
    }

    fn device(&self) -> Device {
        self.program.device()
    }

    fn settle(&self, share: &Share, example: &dyn Fn(usize) -> Result<Tensor>) -> Result<()> {
        self.program
            .settle(share, &|size| Ok(example(size)?.f_to_kind(self.kind)?))
    }
}

/// `value` with every tensor of the kind `from` as one of the kind `to`.
fn converted(value: &Value, from: Kind, to: Kind) -> Result<Value> {
    let all = |elements: &[Value]| {
        elements
            .iter()
            .map(|e| converted(e, from, to))
            .collect::<Result<_>>()
    };
    Ok(match value {
        Value::Tensor(tensor) if tensor.kind() == from => Value::Tensor(tensor.f_to_kind(to)?),
        Value::List(elements) => Value::List(all(elements)?),
        Value::Tuple(elements) => Value::Tuple(all(elements)?),
        Value::Dict(entries) => Value::Dict(
            entries
                .iter()
                .map(|(key, value)| Ok((key.shallow_clone(), converted(value, from, to)?)))
                .collect::<Result<_>>()?,
        ),
        other => other.shallow_clone(),
    })
}
