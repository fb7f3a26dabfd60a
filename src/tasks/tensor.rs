//! Any `forward` of named tensors: for what is not a picture.
//!
//! Requests share a batch where every input and output has −1 as its first size: rows are put below each other, and
//! the answers parted again. Other models run one request at a time.

mod numbers;

use tch::{Device, Tensor};
use torch_bridge::Value;

use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf};
use super::spec::ModelSpec;
use crate::error::{Error, Result, counted};
use crate::manifest::{Dtype, Input, TensorSpec};
use crate::runtime::Call;
use crate::runtime::staging::all_finite;

pub use numbers::{Number, Numbers};

/// Named tensors to named tensors.
#[derive(Debug, Clone, Copy)]
pub struct Compute;

/// A named tensor in a request.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// As model.toml names it.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<i64>,
    /// Its values, row-major.
    pub data: Vec<Number>,
}

/// A named tensor in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredTensor {
    /// As model.toml names it.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<i64>,
    /// Its values, row-major.
    pub data: Numbers,
}

/// The tensors of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// In the order of model.toml's `[[outputs]]`.
    pub outputs: Vec<AnsweredTensor>,
}

/// A tensor that fits its [`TensorSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    shape: Vec<i64>,
    data: Numbers,
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
        Some(left) if inputs.iter().any(|spec| spec.name == left.name) => {
            Err(Error::parameter(&left.name, "this input is given more than once"))
        }
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
        let least = if found.iter().any(|&size| size < 1) {
            "; the sizes of a request are at least 1"
        } else {
            ""
        };
        let text = format!("found shape {found:?}, expected {expected:?} (−1 is any size){least}");
        return Err(Error::parameter(&spec.name, text));
    }
    let count = found
        .iter()
        .try_fold(1i64, |product, &size| product.checked_mul(size));
    if count != i64::try_from(tensor.data.len()).ok() {
        let values = counted(tensor.data.len(), "value");
        let text = format!("found {values} for shape {found:?}");
        return Err(Error::parameter(&spec.name, text));
    }
    let expected = match spec.dtype {
        Dtype::F32 => "expected numbers within a 32-bit float, ±3.4e38",
        Dtype::I64 => "expected whole numbers of 64 bits",
    };
    let data =
        Numbers::typed(&tensor.data, spec.dtype).ok_or_else(|| Error::parameter(&spec.name, expected))?;
    Ok(Values {
        shape: tensor.shape,
        data,
    })
}

/// The rows of all of `parts` (at least one, alike but for the number of rows) below each other.
fn below_each_other(parts: &[&Values], device: Device) -> Result<Tensor> {
    let mut shape = parts[0].shape.clone();
    if parts.len() > 1 {
        shape[0] = parts.iter().map(|part| part.shape[0]).sum();
    }
    // All parts are of the dtype that the model's input has.
    let flat = match &parts[0].data {
        Numbers::Floats(_) => Tensor::from_slice(
            &parts
                .iter()
                .flat_map(|part| part.data.floats())
                .copied()
                .collect::<Vec<_>>(),
        ),
        Numbers::Integers(_) => Tensor::from_slice(
            &parts
                .iter()
                .flat_map(|part| part.data.integers())
                .copied()
                .collect::<Vec<_>>(),
        ),
    };
    Ok(flat.f_view(shape.as_slice())?.f_to_device(device)?)
}

impl Operation for Compute {
    type Input = Vec<Values>;
    type Options = ();
    type Output = Prediction;
    type Queue = TicketOf<Self>;
}

impl Batched for Compute {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let (inputs, outputs) = specs(spec)?;
        let values: Vec<&Vec<Values>> = batch.iter().map(|asked| &asked.input.input).collect();
        let rows: Vec<i64> = values
            .iter()
            .map(|v| v[0].shape.first().copied().unwrap_or(1))
            .collect();
        let agrees = |v: &&Vec<Values>| {
            v.iter().zip(values[0]).all(|(a, b)| a.shape[1..] == b.shape[1..])
                && v.iter().all(|a| a.shape[0] == v[0].shape[0])
        };
        if is_batched(inputs, outputs) && values.iter().all(agrees) {
            let found = forward(net, outputs, &values)?;
            return Ok(part(&found, outputs, &rows)?.into_iter().map(Ok).collect());
        }
        let one = |values| part(&forward(net, outputs, &[values])?, outputs, &[1]);
        let alone = |values| Ok(one(values)?.remove(0));
        Ok(values.into_iter().map(alone).collect())
    }
}

/// Any `forward` of tensors that model.toml names.
pub(super) struct Named;

impl Contract for Named {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let (inputs, outputs) = specs(spec)?;
        let size = if is_batched(inputs, outputs) { size } else { 1 };
        let blank = |spec: &TensorSpec| {
            // An open size other than the batch may be anything: one is tried.
            let side = |(axis, &side): (usize, &i64)| match (axis, side) {
                (0, -1) => size as i64,
                (_, -1) => 1,
                _ => side,
            };
            let shape: Vec<i64> = spec.shape.iter().enumerate().map(side).collect();
            let count = shape.iter().product::<i64>().max(0) as usize;
            Values {
                data: Numbers::zeros(count, spec.dtype),
                shape,
            }
        };
        let values: Vec<Values> = inputs.iter().map(blank).collect();
        forward(net, outputs, &[&values])?;
        Ok(())
    }
}

fn specs(spec: &ModelSpec) -> Result<(&[TensorSpec], &[TensorSpec])> {
    match &spec.manifest.input {
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
fn forward(net: &dyn Call, outputs: &[TensorSpec], requests: &[&Vec<Values>]) -> Result<Vec<Tensor>> {
    let input = |index: usize| -> Result<Value> {
        let parts: Vec<&Values> = requests.iter().map(|values| &values[index]).collect();
        Ok(Value::Tensor(below_each_other(&parts, net.device())?))
    };
    let inputs = (0..requests[0].len()).map(input).collect::<Result<Vec<_>>>()?;
    let answer = net.call("forward", &inputs)?;
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
fn part(found: &[Tensor], outputs: &[TensorSpec], rows: &[i64]) -> Result<Vec<Prediction>> {
    let numbers = found.iter().map(Numbers::read).collect::<Result<Vec<_>>>()?;
    for (numbers, spec) in numbers.iter().zip(outputs) {
        all_finite(numbers.floats(), &format!("output `{}`", spec.name))?;
    }
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
        answers.push(Prediction { outputs });
        first += count as usize;
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

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
            data: data.iter().map(|&v| Number::Real(v)).collect(),
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
            (&values[0].data, &values[1].data),
            (&Numbers::Floats(vec![1.0, 2.0]), &Numbers::Integers(vec![3]))
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
                .ends_with("found shape [1, 3], expected [-1, 2] (−1 is any size)")
        );
        for shape in [[0, 2], [-1, 2]] {
            let text = wrong(named_tensor("x", &shape, &[]), k());
            assert!(text.ends_with("the sizes of a request are at least 1"), "{text}");
        }
        assert!(wrong(named_tensor("x", &[1, 2], &[0.0]), k()).contains("found 1 value for"));
        assert!(wrong(x(), named_tensor("k", &[1], &[0.5])).contains("whole numbers"));
        assert!(wrong(x(), named_tensor("z", &[1], &[0.0])).contains("`k`: this input is missing"));
        let three = |third| {
            arrange(vec![x(), k(), third], &input())
                .expect_err("three")
                .to_string()
        };
        assert!(three(x()).contains("`x`: this input is given more than once"));
        assert!(three(named_tensor("z", &[1], &[0.0])).contains("`z`: no such input; the model has x, k"));
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let beyond = (1i64 << 53) + 1;
        let typed = |numbers: &[Number]| Numbers::typed(numbers, Dtype::I64);
        let whole = [Number::Whole(beyond), Number::Whole(i64::MIN), Number::Real(-2.0)];
        assert_eq!(typed(&whole), Some(Numbers::Integers(vec![beyond, i64::MIN, -2])));
        assert_eq!(typed(&[Number::Real(1e300)]), None, "no number of 64 bits");
        assert_eq!(typed(&[Number::Real(0.5)]), None);
        assert_eq!(
            Numbers::typed(&[Number::Real(1e39)], Dtype::F32),
            None,
            "infinity as a float"
        );
        let read = Numbers::read(&Tensor::from_slice(&[beyond, -beyond])).expect("integers");
        assert_eq!(read, Numbers::Integers(vec![beyond, -beyond]));
    }
}
