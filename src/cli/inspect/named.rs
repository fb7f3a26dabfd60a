//! The tensor task, which serves any answer: names, types and shapes.

use tch::{Kind, Tensor};
use torch_bridge::{MethodInfo, Value};

use super::draft::Named;
use super::probe::{Fed, Run};
use crate::manifest::Dtype;
use crate::tasks::tensor;

/// Outputs at most.
const MOST_OUTPUTS: usize = 64;

/// The inputs and outputs of a run, if the tensor task can serve them.
pub(super) fn named(run: &Run, method: &MethodInfo) -> Option<(Vec<Named>, Vec<Named>)> {
    let fed = match &run.input {
        Fed::Pictures { channels, size, .. } => {
            let shape = [1, i64::from(*channels), i64::from(size.0), i64::from(size.1)];
            vec![(Dtype::F32, shape.to_vec())]
        }
        Fed::Tensors(fed) => fed.clone(),
        Fed::List { .. } => return None,
    };
    let outputs = outputs(run)?;
    let is_batched = run.batches && outputs.iter().all(|(_, _, shape)| shape.first() == Some(&1));
    let opened = |shape: Vec<i64>| match shape.split_first() {
        Some((1, rest)) if is_batched => std::iter::once(-1).chain(rest.iter().copied()).collect(),
        _ => shape,
    };
    let input = |((dtype, shape), argument): ((Dtype, Vec<i64>), &torch_bridge::ArgumentInfo)| Named {
        name: argument.name.clone(),
        dtype,
        shape: opened(shape),
    };
    let inputs = fed.into_iter().zip(&method.arguments).map(input).collect();
    let output = |(name, dtype, shape)| Named {
        name,
        dtype,
        shape: opened(shape),
    };
    Some((inputs, outputs.into_iter().map(output).collect()))
}

/// Name, type and shape of each tensor; a size that differs between two rows is any.
fn outputs(run: &Run) -> Option<Vec<(String, Dtype, Vec<i64>)>> {
    let (one, other) = (run.output.tensors(), run.other.tensors());
    let names = names(&run.output, one.len());
    if one.is_empty() || one.len() > MOST_OUTPUTS || one.len() != other.len() {
        return None;
    }
    let output = |((name, one), other): ((String, &Tensor), &Tensor)| {
        let (shape, beside) = (one.size(), other.size());
        let alike = |(one, other): (i64, i64)| if one == other { one } else { -1 };
        let is_alike = shape.len() == beside.len();
        let shape = shape.into_iter().zip(beside).map(alike).collect();
        Some((name, dtype(one.kind()).filter(|_| is_alike)?, shape))
    };
    names.into_iter().zip(one).zip(other).map(output).collect()
}

/// A name for each of `count` tensors: those of a dict, where each entry is one.
fn names(output: &Value, count: usize) -> Vec<String> {
    let numbered = |count: usize| (0..count).map(|index| format!("output_{index}")).collect();
    match output {
        Value::Dict(entries) if entries.len() == count => {
            let name = |(key, _): &(Value, Value)| match key {
                Value::String(name) => Some(name.clone()),
                _ => None,
            };
            let names: Option<Vec<String>> = entries.iter().map(name).collect();
            names.unwrap_or_else(|| numbered(count))
        }
        _ if count == 1 => vec!["output".to_owned()],
        _ => numbered(count),
    }
}

fn dtype(kind: Kind) -> Option<Dtype> {
    Dtype::ALL.into_iter().find(|dtype| tensor::kind(*dtype) == kind)
}
