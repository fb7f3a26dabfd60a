//! A batch cut into parts for programs that are compiled for some batch sizes, and their answers put together again.

use tch::Tensor;
use torch_bridge::Value;

use crate::error::{Error, Result};

/// Rows of a batch that one program computes in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) program: usize,
    pub(super) start: usize,
    pub(super) length: usize,
}

/// Cuts a batch of `total` rows for programs of `sizes` (smallest first, at least one): as many of the largest as it
/// fills, and the rest goes to the next that has room for it.
pub(super) fn padded(total: usize, sizes: &[usize]) -> Vec<Part> {
    let last = sizes.len() - 1;
    let next = |rest| sizes.iter().position(|size| *size >= rest).unwrap_or(last);
    cut(total, sizes, next)
}

/// Cuts a batch of `total` rows for programs of `sizes` (smallest first, the first is 1) so that each is full.
pub(super) fn exact(total: usize, sizes: &[usize]) -> Vec<Part> {
    cut(total, sizes, |rest| {
        sizes.iter().rposition(|size| *size <= rest).unwrap_or(0)
    })
}

fn cut(total: usize, sizes: &[usize], program_for: impl Fn(usize) -> usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < total {
        let program = program_for(total - start);
        let length = sizes[program].min(total - start);
        parts.push(Part {
            program,
            start,
            length,
        });
        start += length;
    }
    parts
}

/// The batch that `value` is.
///
/// # Errors
/// [`Error::InferenceFailed`] when it is none.
pub(super) fn batch(value: &Value) -> Result<&Tensor> {
    match value {
        Value::Tensor(tensor) if tensor.dim() > 0 => Ok(tensor),
        other => Err(Error::InferenceFailed(format!(
            "a compiled program takes batches of tensors, found {}",
            other.kind()
        ))),
    }
}

/// The rows of `part`.
pub(super) fn rows(input: &Tensor, part: Part) -> Result<Tensor> {
    if input.size()[0] == part.length as i64 {
        return Ok(input.shallow_clone());
    }
    Ok(input.f_narrow(0, part.start as i64, part.length as i64)?)
}

/// `input` in the memory order that programs are compiled for: pictures, and whatever else has four dimensions, in
/// channels-last, all else row-major. No copy where it is so already.
pub(super) fn in_order(input: &Tensor) -> Result<Tensor> {
    if input.dim() != 4 {
        return Ok(input.f_contiguous()?);
    }
    Ok(input
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])?)
}

/// The answers of all parts, which have the same form, one behind the other.
///
/// # Errors
/// [`Error::InferenceFailed`] when there are none, or they hold something that is no batch.
pub(super) fn join(mut answers: Vec<Value>) -> Result<Value> {
    if answers.len() == 1 {
        return Ok(answers.remove(0));
    }
    let first = answers.first();
    match first.ok_or_else(|| Error::InferenceFailed("a batch of nothing".into()))? {
        Value::Tensor(_) => {
            let parts = answers.iter().map(batch).collect::<Result<Vec<_>>>()?;
            Ok(Value::Tensor(Tensor::f_cat(&parts, 0)?))
        }
        Value::Tuple(first) => {
            let elements = (0..first.len()).map(|index| {
                let part = |answer: &Value| match answer {
                    Value::Tuple(elements) => elements.get(index).map(Value::shallow_clone),
                    _ => None,
                };
                join_all(&answers, part)
            });
            Ok(Value::Tuple(elements.collect::<Result<_>>()?))
        }
        Value::Dict(first) => {
            let entries = (0..first.len()).map(|index| {
                let part = |answer: &Value| match answer {
                    Value::Dict(entries) => entries.get(index).map(|(_, value)| value.shallow_clone()),
                    _ => None,
                };
                Ok((first[index].0.shallow_clone(), join_all(&answers, part)?))
            });
            Ok(Value::Dict(entries.collect::<Result<_>>()?))
        }
        other => Err(Error::InferenceFailed(format!(
            "a compiled program answers batches of tensors, found {}",
            other.kind()
        ))),
    }
}

fn join_all(answers: &[Value], part: impl Fn(&Value) -> Option<Value>) -> Result<Value> {
    let parts: Option<Vec<Value>> = answers.iter().map(part).collect();
    let differ = || Error::InferenceFailed("the parts of a batch were answered in different forms".into());
    join(parts.ok_or_else(differ)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn told(parts: Vec<Part>, sizes: &[usize]) -> Vec<(usize, usize, usize)> {
        let part = |p: Part| (sizes[p.program], p.start, p.length);
        parts.into_iter().map(part).collect()
    }

    #[test]
    fn a_batch_goes_to_the_next_size_and_a_large_one_in_parts() {
        let parts = |total, sizes: &[usize]| told(padded(total, sizes), sizes);
        assert_eq!(parts(1, &[1, 4, 8]), [(1, 0, 1)]);
        assert_eq!(parts(3, &[1, 4, 8]), [(4, 0, 3)]);
        assert_eq!(parts(8, &[1, 4, 8]), [(8, 0, 8)]);
        assert_eq!(parts(19, &[1, 4, 8]), [(8, 0, 8), (8, 8, 8), (4, 16, 3)]);
        assert_eq!(parts(2, &[1]), [(1, 0, 1), (1, 1, 1)]);
        assert_eq!(parts(0, &[1]), []);
    }

    #[test]
    fn exact_parts_are_never_padded() {
        let parts = |total| told(exact(total, &[1, 4]), &[1, 4]);
        assert_eq!(parts(1), [(1, 0, 1)]);
        assert_eq!(parts(3), [(1, 0, 1), (1, 1, 1), (1, 2, 1)]);
        assert_eq!(parts(9), [(4, 0, 4), (4, 4, 4), (1, 8, 1)]);
    }

    #[test]
    fn inputs_are_put_into_the_order_of_the_program() {
        let picture = Tensor::arange(2 * 3 * 4 * 4, (Kind::Float, Device::Cpu)).view([2, 3, 4, 4]);
        let ordered = in_order(&picture).expect("it is put in order");
        assert_eq!(ordered.stride(), [48, 1, 12, 3]);
        assert!(ordered.equal(&picture));
        let again = in_order(&ordered).expect("it is in order");
        assert_eq!(
            again.data_ptr(),
            ordered.data_ptr(),
            "no copy where none is needed"
        );
        let table = Tensor::ones([4, 2], (Kind::Float, Device::Cpu)).transpose(0, 1);
        assert_eq!(in_order(&table).expect("a table").stride(), [4, 1]);
    }

    #[test]
    fn answers_are_joined_whatever_holds_them() {
        let rows = |from: i64, to: i64| Tensor::arange_start(from, to, (Kind::Int64, Device::Cpu));
        let answer = |from, to| {
            let pair = Value::Tuple(vec![
                Value::Tensor(rows(from, to)),
                Value::Tensor(rows(-to, -from)),
            ]);
            Value::Dict(vec![(Value::from("out"), pair)])
        };
        let joined = join(vec![answer(0, 4), answer(4, 5)]).expect("they have one form");
        let found: Vec<Vec<i64>> = joined
            .tensors()
            .into_iter()
            .map(|t| Vec::try_from(t).expect("whole numbers"))
            .collect();
        assert_eq!(found, [vec![0, 1, 2, 3, 4], vec![-4, -3, -2, -1, -5]]);
        assert!(join(vec![answer(0, 1), Value::Tensor(rows(0, 1))]).is_err());
        assert!(join(vec![Value::Int(1), Value::Int(2)]).is_err());
    }
}
