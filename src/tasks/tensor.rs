//! Any `forward` of named tensors: for what is not a picture.
//!
//! Requests share a batch where every input and output has −1 as its first size and their other sizes are the same: rows
//! are put below each other, and the answers parted again. Other models run one request at a time.

mod arrange;
mod drawn;
mod extremes;
mod number;
mod numbers;
mod rows;

use tch::Tensor;
use torch_bridge::Value;

use super::gist::{Gist, stride};
use super::misfit::ALONE;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf};
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::manifest::{TensorInput, TensorSpec, Tensors};
use crate::runtime::Call;

pub use arrange::{Given, NamedTensor, Values, arrange};
pub(super) use drawn::drawn;
pub use number::{Number, whole};
pub use numbers::{Numbers, Scalar, kind};
pub use rows::check_rows;
use rows::{groups, shape_in_batch};

/// Named tensors to named tensors.
#[derive(Debug, Clone, Copy)]
pub struct Compute;

/// A named tensor in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredTensor {
    /// As model.toml names it.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<i64>,
    /// Its values, row-major, of the type that model.toml says.
    pub data: Numbers,
}

/// The tensors of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// In the order of model.toml's `[[outputs]]`.
    pub outputs: Vec<AnsweredTensor>,
}

impl Operation for Compute {
    type Input = Vec<Values>;
    type Options = ();
    type Output = Prediction;
    type Queue = TicketOf<Self>;

    fn rows(input: &Vec<Values>) -> usize {
        usize::try_from(rows_of(input)).unwrap_or(1)
    }

    fn gist(output: &Prediction) -> Option<Gist> {
        let tensors = output.outputs.iter().map(|tensor| &tensor.data);
        let stride = stride(tensors.clone().map(Numbers::count).sum());
        Some(Gist::of(tensors.flat_map(|numbers| numbers.doubles(stride))))
    }
}

impl Batched for Compute {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let model = spec.manifest.tensors()?;
        let requests: Vec<&Vec<Values>> = batch.iter().map(|asked| &asked.input.input).collect();
        let most = spec.manifest.batching.max_batch_size;
        let shares = spec.manifest.shares_batches().then_some(most);
        let shared = |values: &Vec<Values>| model.is_batched().then(|| shape_in_batch(values)).flatten();
        let kinds = requests.iter().map(|values| shared(values));
        let mut answers: Vec<Option<Result<Prediction>>> = requests.iter().map(|_| None).collect();
        for group in groups(&kinds.collect::<Vec<_>>(), most) {
            let together: Vec<&Vec<Values>> = group.iter().map(|&index| requests[index]).collect();
            let answered = answered(net, model, &together, shares);
            match (group.as_slice(), answered) {
                (&[index], answered) => answers[index] = Some(answered.map(|mut found| found.remove(0))),
                (_, Ok(found)) => {
                    for (index, prediction) in group.into_iter().zip(found) {
                        answers[index] = Some(Ok(prediction));
                    }
                }
                // Each is run again alone.
                (_, Err(error)) => return Err(error),
            }
        }
        let missing = || Err(Error::Internal("a request of no group".into()));
        Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(missing))
            .collect())
    }
}

/// How many rows a request has.
fn rows_of(values: &[Values]) -> i64 {
    let first = values.first().and_then(|values| values.shape.first());
    first.copied().unwrap_or(1)
}

/// The answers of requests that are run together, in batches of so many rows at most where rows share them.
fn answered(
    net: &dyn Call,
    model: &Tensors,
    requests: &[&Vec<Values>],
    most: Option<usize>,
) -> Result<Vec<Prediction>> {
    let rows: Vec<i64> = requests.iter().map(|values| rows_of(values)).collect();
    let inputs = inputs(net, requests)?;
    let found = match most {
        None => forward(net, model, &inputs)?,
        Some(most) => {
            let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
            in_batches(net, model, &inputs, (rows.iter().sum(), most))?
        }
    };
    part(&found, &model.outputs, &rows)
}

/// What is answered for so many rows, in batches of so many at most.
fn in_batches(
    net: &dyn Call,
    model: &Tensors,
    inputs: &[Tensor],
    (rows, most): (i64, i64),
) -> Result<Vec<Tensor>> {
    let batch = |start: i64| {
        let length = most.min(rows - start);
        let part = inputs.iter().map(|input| input.f_narrow(0, start, length));
        let found = forward(net, model, &part.collect::<Result<Vec<_>, _>>()?)?;
        as_many_rows(&found, length)?;
        Ok(found)
    };
    if rows <= most {
        return batch(0);
    }
    let starts = (0..rows).step_by(usize::try_from(most).unwrap_or(usize::MAX));
    let batches = starts.map(batch).collect::<Result<Vec<_>>>()?;
    let whole = |index: usize| {
        let parts: Vec<&Tensor> = batches.iter().map(|found| &found[index]).collect();
        Ok(Tensor::f_cat(&parts, 0)?)
    };
    (0..model.outputs.len()).map(whole).collect()
}

/// Any `forward` of tensors that model.toml names.
pub(super) struct Named;

impl Contract for Named {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let model = spec.manifest.tensors()?;
        let blank = |input: &TensorInput| {
            let mut shape = input.example.clone();
            if let (true, Some(first)) = (model.is_batched(), shape.first_mut()) {
                *first = size as i64;
            }
            let count = shape.iter().product::<i64>().max(0) as usize;
            Ok(Values {
                data: blank_numbers(input, count)?,
                shape,
            })
        };
        let values = model.inputs.iter().map(blank).collect::<Result<Vec<Values>>>()?;
        let found = forward(net, model, &inputs(net, &[&values])?)?;
        if spec.manifest.shares_batches() {
            as_many_rows(&found, size as i64)?;
        }
        part(&found, &model.outputs, &[size as i64])?;
        Ok(())
    }
}

/// Has `forward` run at the ends of what requests may have.
pub(super) fn bear_extremes(net: &dyn Call, model: &Tensors) -> Result<()> {
    extremes::bear(model, |values| {
        drop(inputs(net, &[values]).and_then(|inputs| forward(net, model, &inputs)));
    })
}

/// Zeros, or what of the input's range is the nearest to them.
fn blank_numbers(input: &TensorInput, count: usize) -> Result<Numbers> {
    match input.range {
        Some([least, most]) => {
            Numbers::repeated(0.clamp(least, most), count, input.spec.dtype).map_err(Error::Internal)
        }
        None => Ok(Numbers::zeros(count, input.spec.dtype)),
    }
}

/// The rows of all of `parts` (at least one, alike but for the number of rows) below each other.
fn below_each_other(parts: &[&Values], net: &dyn Call) -> Result<Tensor> {
    let mut shape = parts[0].shape.clone();
    if parts.len() > 1 {
        shape[0] = parts.iter().map(|part| part.shape[0]).sum();
    }
    let data: Vec<&Numbers> = parts.iter().map(|part| &part.data).collect();
    Numbers::tensor(&data, &shape, net.device())
}

/// The rows of all requests (at least one) below each other; a tensor an input.
fn inputs(net: &dyn Call, requests: &[&Vec<Values>]) -> Result<Vec<Tensor>> {
    let input = |index: usize| {
        let parts: Vec<&Values> = requests.iter().map(|values| &values[index]).collect();
        below_each_other(&parts, net)
    };
    (0..requests[0].len()).map(input).collect()
}

/// Runs `inputs`; one tensor an output.
fn forward(net: &dyn Call, model: &Tensors, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let inputs: Vec<Value> = inputs
        .iter()
        .map(|input| Value::Tensor(input.shallow_clone()))
        .collect();
    outputs(&net.call("forward", &inputs)?, &model.outputs)
}

/// The tensors that `forward` answered, which are those that model.toml says.
///
/// # Errors
/// [`Error::InferenceFailed`] where they are not.
pub(crate) fn outputs(answer: &Value, expected: &[TensorSpec]) -> Result<Vec<Tensor>> {
    let found: Vec<Tensor> = answer.tensors().into_iter().map(Tensor::shallow_clone).collect();
    let fits = |(tensor, spec): (&Tensor, &TensorSpec)| {
        let size = tensor.size();
        size.len() == spec.shape.len() && size.iter().zip(&spec.shape).all(|(a, b)| *b == -1 || a == b)
    };
    if found.len() != expected.len() || !found.iter().zip(expected).all(fits) {
        let sizes: Vec<Vec<i64>> = found.iter().map(Tensor::size).collect();
        let expected: Vec<&[i64]> = expected.iter().map(|spec| spec.shape.as_slice()).collect();
        return Err(Error::InferenceFailed(format!(
            "forward answered {sizes:?}, but [[outputs]] says {expected:?}"
        )));
    }
    let mut pairs = found.iter().zip(expected);
    if let Some((tensor, spec)) = pairs.find(|(tensor, spec)| !numbers::holds(spec.dtype, tensor.kind())) {
        let (name, found, dtype) = (&spec.name, tensor.kind(), spec.dtype);
        return Err(Error::InferenceFailed(format!(
            "forward answered `{name}` as {found:?}, but [[outputs]] says {dtype}"
        )));
    }
    Ok(found)
}

/// Whether each of what `forward` answered has a row for each of `rows`, which requests share.
///
/// # Errors
/// [`Error::InferenceFailed`] where one has not: whose rows they are could not be told.
fn as_many_rows(found: &[Tensor], rows: i64) -> Result<()> {
    let Some(other) = found.iter().find(|tensor| tensor.size()[0] != rows) else {
        return Ok(());
    };
    let found = other.size()[0];
    Err(Error::InferenceFailed(format!(
        "forward answered {found} rows for {rows}; where rows of the answer are not those of the inputs, no batch can be \
         shared: {ALONE}"
    )))
}

/// Parts the outputs of a shared batch, which has [`as_many_rows`], into those of each request, which has so many of the rows. One request has
/// all, whatever its sizes are.
fn part(found: &[Tensor], outputs: &[TensorSpec], rows: &[i64]) -> Result<Vec<Prediction>> {
    let numbers = found.iter().zip(outputs);
    let numbers = numbers.map(|(tensor, spec)| Numbers::read(tensor, spec.dtype));
    let numbers = numbers.collect::<Result<Vec<_>>>()?;
    for (numbers, spec) in numbers.iter().zip(outputs) {
        numbers.all_finite(&format!("output `{}`", spec.name))?;
    }
    let rows = if rows.len() == 1 { &[1] } else { rows };
    let total: i64 = rows.iter().sum();
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
