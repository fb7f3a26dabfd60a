//! Half precision: a program that computes in it, and takes and answers f32.

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

/// See the module's text.
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
        self.program.settle(share, &in_kind(self.kind, example))
    }
}

/// `example` in numbers of this kind.
pub(super) fn in_kind(
    kind: Kind,
    example: &dyn Fn(usize) -> Result<Tensor>,
) -> impl Fn(usize) -> Result<Tensor> {
    move |size| Ok(example(size)?.f_to_kind(kind)?)
}

/// Whether this processor multiplies bfloat16 by itself; others do so in f32, more slowly than f32 itself.
#[must_use]
pub fn has_bf16() -> bool {
    /// As Linux names what the processor can do, on x86 and on ARM.
    const NAMES: [&str; 3] = ["avx512_bf16", "amx_bf16", "bf16"];
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = known
        .lines()
        .find(|line| line.starts_with("flags") || line.starts_with("Features"));
    flags.is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| NAMES.contains(&flag)))
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
