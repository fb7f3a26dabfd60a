//! Any `forward` of named tensors: for what is not a picture.
//!
//! Requests share a batch where every input and output has −1 as its first size: rows are put below each other, and
//! the answers parted again. Other models run one request at a time.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torch_bridge::Value;
use utoipa::ToSchema;

use super::{Breach, Input as TaskInput, Item, Subject, Task};
use crate::engine::session::{Call, Session};
use crate::error::{Error, Result};
use crate::repository::manifest::{Dtype, Input, TensorSpec};

/// A named tensor in a request.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedTensor {
    /// As model.toml names it.
    #[schema(example = "x")]
    pub name: String,
    /// Its sizes.
    #[schema(example = json!([1, 4]))]
    pub shape: Vec<i64>,
    /// Its values, row-major.
    #[schema(example = json!([5.1, 3.5, 1.4, 0.2]))]
    pub data: Vec<f64>,
}

/// A named tensor in an answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AnsweredTensor {
    /// As model.toml names it.
    #[schema(example = "y")]
    pub name: String,
    /// Its sizes.
    #[schema(example = json!([1, 2]))]
    pub shape: Vec<i64>,
    /// Its values, row-major.
    pub data: Numbers,
}

/// Values as the model computes them, so that JSON has no more digits than they have.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Numbers {
    /// Of any type with a fraction.
    #[schema(example = json!([0.9, 0.1]))]
    Floats(Vec<f32>),
    /// Of any type without.
    Integers(Vec<i64>),
}

/// The tensors of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Prediction {
    /// In the order of model.toml's `[[outputs]]`.
    pub outputs: Vec<AnsweredTensor>,
}

/// A tensor that fits its [`TensorSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    shape: Vec<i64>,
    data: Vec<f64>,
    dtype: Dtype,
}

/// The request's tensors in the order of the model's inputs.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the tensor, what was found and what is expected.
pub fn arrange(mut given: Vec<NamedTensor>, manifest: &Input) -> Result<Vec<Values>> {
    let Input::Tensors { inputs, .. } = manifest else {
        return Err(Error::UnsupportedForTask(
            "this model takes images, not tensors".into(),
        ));
    };
    let mut values = Vec::with_capacity(inputs.len());
    for spec in inputs {
        let place = given.iter().position(|tensor| tensor.name == spec.name);
        let place = place.ok_or_else(|| Error::parameter(&spec.name, "this input is missing"))?;
        values.push(fitted(given.swap_remove(place), spec)?);
    }
    match given.first() {
        Some(unknown) => {
            let known: Vec<&str> = inputs.iter().map(|spec| spec.name.as_str()).collect();
            Err(Error::parameter(
                &unknown.name,
                format!("no such input; the model has {}", known.join(", ")),
            ))
        }
        None => Ok(values),
    }
}

fn fitted(tensor: NamedTensor, spec: &TensorSpec) -> Result<Values> {
    let (found, expected) = (&tensor.shape, &spec.shape);
    let fits = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(&found, &size)| found > 0 && (size == -1 || size == found));
    if !fits {
        let text = format!("found shape {found:?}, expected {expected:?} (−1 is any size)");
        return Err(Error::parameter(&spec.name, text));
    }
    let count = found
        .iter()
        .try_fold(1i64, |product, &size| product.checked_mul(size));
    if count != i64::try_from(tensor.data.len()).ok() {
        let text = format!("found {} values for shape {found:?}", tensor.data.len());
        return Err(Error::parameter(&spec.name, text));
    }
    if spec.dtype == Dtype::I64 && tensor.data.iter().any(|v| v.fract() != 0.0) {
        return Err(Error::parameter(&spec.name, "expected whole numbers"));
    }
    Ok(Values {
        shape: tensor.shape,
        data: tensor.data,
        dtype: spec.dtype,
    })
}

impl Numbers {
    fn read(tensor: &Tensor) -> Result<Self> {
        let flat = tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
        let is_whole = matches!(
            flat.kind(),
            Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 | Kind::Bool
        );
        Ok(if is_whole {
            Self::Integers(Vec::try_from(flat.f_to_kind(Kind::Int64)?)?)
        } else {
            Self::Floats(Vec::try_from(flat.f_to_kind(Kind::Float)?)?)
        })
    }

    fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::Floats(all) => Self::Floats(all[range].to_vec()),
            Self::Integers(all) => Self::Integers(all[range].to_vec()),
        }
    }
}

/// The rows of all of `parts` (at least one, alike but for the number of rows) below each other.
fn below_each_other(parts: &[&Values], device: Device) -> Result<Tensor> {
    let mut shape = parts[0].shape.clone();
    if parts.len() > 1 {
        shape[0] = parts.iter().map(|part| part.shape[0]).sum();
    }
    let numbers = parts.iter().flat_map(|part| &part.data);
    let flat = match parts[0].dtype {
        Dtype::F32 => Tensor::from_slice(&numbers.map(|&v| v as f32).collect::<Vec<_>>()),
        Dtype::I64 => Tensor::from_slice(&numbers.map(|&v| v as i64).collect::<Vec<_>>()),
    };
    Ok(flat.f_view(shape.as_slice())?.f_to_device(device)?)
}

/// The task itself.
pub(super) struct TensorTask;

impl Task for TensorTask {
    fn check(&self, session: &Session, subject: &Subject, size: usize) -> Result<(), Breach> {
        let (inputs, outputs) = specs(subject)?;
        let size = if is_batched(inputs, outputs) { size } else { 1 };
        let blank = |spec: &TensorSpec| {
            // An open size other than the batch may be anything: one is tried.
            let side = |(axis, &side): (usize, &i64)| match (axis, side) {
                (0, -1) => size as i64,
                (_, -1) => 1,
                _ => side,
            };
            let shape: Vec<i64> = spec.shape.iter().enumerate().map(side).collect();
            Values {
                data: vec![0.0; shape.iter().product::<i64>().max(0) as usize],
                shape,
                dtype: spec.dtype,
            }
        };
        let values: Vec<Values> = inputs.iter().map(blank).collect();
        forward(session, outputs, &[&values])?;
        Ok(())
    }

    fn run(
        &self,
        session: &Session,
        subject: &Subject,
        items: &[Item],
    ) -> Result<Vec<Result<super::Prediction>>> {
        let (inputs, outputs) = specs(subject)?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match &item.input {
                TaskInput::Tensors(tensors) => values.push(tensors),
                _ => return Err(Error::Internal("tensors were expected".into())),
            }
        }
        let rows: Vec<i64> = values
            .iter()
            .map(|v| v[0].shape.first().copied().unwrap_or(1))
            .collect();
        let agrees = |v: &&Vec<Values>| {
            v.iter().zip(values[0]).all(|(a, b)| a.shape[1..] == b.shape[1..])
                && v.iter().all(|a| a.shape[0] == v[0].shape[0])
        };
        if is_batched(inputs, outputs) && values.iter().all(agrees) {
            let found = forward(session, outputs, &values)?;
            return Ok(part(&found, outputs, &rows)?.into_iter().map(Ok).collect());
        }
        let one = |values| part(&forward(session, outputs, &[values])?, outputs, &[1]);
        let alone = |values| Ok(one(values)?.remove(0));
        Ok(values.into_iter().map(alone).collect())
    }
}

fn specs(subject: &Subject) -> Result<(&[TensorSpec], &[TensorSpec])> {
    match &subject.manifest.input {
        Input::Tensors { inputs, outputs } => Ok((inputs, outputs)),
        Input::Image(_) => Err(Error::Internal("a tensor model without tensors".into())),
    }
}

fn is_batched(inputs: &[TensorSpec], outputs: &[TensorSpec]) -> bool {
    inputs
        .iter()
        .chain(outputs)
        .all(|spec| spec.shape.first() == Some(&-1))
}

/// Runs the rows of all requests below each other; one tensor an output.
fn forward(session: &Session, outputs: &[TensorSpec], requests: &[&Vec<Values>]) -> Result<Vec<Tensor>> {
    let input = |index: usize| -> Result<Value> {
        let parts: Vec<&Values> = requests.iter().map(|values| &values[index]).collect();
        Ok(Value::Tensor(below_each_other(&parts, session.device())?))
    };
    let inputs = (0..requests[0].len()).map(input).collect::<Result<Vec<_>>>()?;
    let answer = session.call("forward", &inputs)?;
    let found: Vec<Tensor> = answer.tensors().into_iter().map(Tensor::shallow_clone).collect();
    let fits = |(tensor, spec): (&Tensor, &TensorSpec)| {
        let size = tensor.size();
        size.len() == spec.shape.len() && size.iter().zip(&spec.shape).all(|(a, b)| *b == -1 || a == b)
    };
    if found.len() != outputs.len() || !found.iter().zip(outputs).all(fits) {
        let sizes: Vec<Vec<i64>> = found.iter().map(Tensor::size).collect();
        let expected: Vec<&[i64]> = outputs.iter().map(|spec| spec.shape.as_slice()).collect();
        return Err(Error::InferenceFailed(format!(
            "forward answered {sizes:?}, but [[outputs]] says {expected:?}"
        )));
    }
    Ok(found)
}

/// Parts the outputs of a shared batch into those of each request, which has so many of the rows. One request has
/// all, whatever its sizes are.
fn part(found: &[Tensor], outputs: &[TensorSpec], rows: &[i64]) -> Result<Vec<super::Prediction>> {
    let numbers = found.iter().map(Numbers::read).collect::<Result<Vec<_>>>()?;
    let rows = if rows.len() == 1 { &[1] } else { rows };
    let total: i64 = rows.iter().sum();
    if let Some(other) = found.iter().find(|t| rows.len() > 1 && t.size()[0] != total) {
        let found = other.size()[0];
        return Err(Error::InferenceFailed(format!(
            "forward answered {found} rows for {total}"
        )));
    }
    let mut first = 0;
    let mut answers = Vec::with_capacity(rows.len());
    for &count in rows {
        let own = |((tensor, all), spec): ((&Tensor, &Numbers), &TensorSpec)| {
            let mut shape = tensor.size();
            if let [batch, ..] = shape.as_mut_slice()
                && rows.len() > 1
            {
                *batch = count;
            }
            let row = tensor.numel() / total as usize;
            AnsweredTensor {
                name: spec.name.clone(),
                shape,
                data: all.slice(first * row..(first + count as usize) * row),
            }
        };
        let outputs = found.iter().zip(&numbers).zip(outputs).map(own).collect();
        answers.push(super::Prediction::Tensor(Prediction { outputs }));
        first += count as usize;
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::manifest::Manifest;

    fn input() -> Input {
        let text = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 2]\n\
                    [[inputs]]\nname = \"k\"\ndtype = \"i64\"\nshape = [-1]\n\
                    [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]";
        Manifest::parse(text).expect("a tensor model").input
    }

    fn named_tensor(name: &str, shape: &[i64], data: &[f64]) -> NamedTensor {
        NamedTensor {
            name: name.into(),
            shape: shape.into(),
            data: data.into(),
        }
    }

    #[test]
    fn tensors_are_put_in_the_model_s_order() {
        let given = vec![
            named_tensor("k", &[1], &[3.0]),
            named_tensor("x", &[1, 2], &[1.0, 2.0]),
        ];
        let values = arrange(given, &input()).expect("they fit");
        assert_eq!(
            (values[0].data.as_slice(), values[1].data.as_slice()),
            ([1.0, 2.0].as_slice(), [3.0].as_slice())
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wrong =
            |x: NamedTensor, k: NamedTensor| arrange(vec![x, k], &input()).expect_err("wrong").to_string();
        let (x, k) = (
            || named_tensor("x", &[1, 2], &[1.0, 2.0]),
            || named_tensor("k", &[1], &[3.0]),
        );
        assert!(
            wrong(named_tensor("x", &[1, 3], &[0.0; 3]), k())
                .contains("found shape [1, 3], expected [-1, 2]")
        );
        assert!(wrong(named_tensor("x", &[1, 2], &[0.0]), k()).contains("found 1 values"));
        assert!(wrong(x(), named_tensor("k", &[1], &[0.5])).contains("whole numbers"));
        assert!(wrong(x(), named_tensor("z", &[1], &[0.0])).contains("`k`: this input is missing"));
    }
}
