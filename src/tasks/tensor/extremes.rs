//! The whole numbers at their ends, which a client may send: libtorch divides by them, repeats by them and reads at them, and
//! the processor ends the process where that cannot be done. So a model meets them in its trial first.

use super::arrange::Values;
use super::numbers::Numbers;
use crate::error::{Error, Result};
use crate::manifest::{TensorInput, Tensors};

/// A value of an input's range.
#[derive(Debug, Clone, Copy)]
enum End {
    Least,
    MinusOne,
    Zero,
    Greatest,
}

/// Each for the inputs in turn, so that two inputs meet as a dividend and a divisor that overflow.
const PAIRS: [[End; 2]; 7] = [
    [End::Least, End::Least],
    [End::Greatest, End::Greatest],
    [End::MinusOne, End::MinusOne],
    [End::Zero, End::Zero],
    [End::Least, End::MinusOne],
    [End::MinusOne, End::Least],
    [End::Greatest, End::Zero],
];

/// Has `forward` run with whole numbers at the ends of what requests may have. An error is an answer: a model that
/// does not bear them does not come back.
///
/// # Errors
/// [`Error::Internal`] where no such numbers can be made.
pub(super) fn bear(model: &Tensors, forward: impl Fn(&Vec<Values>)) -> Result<()> {
    if model.inputs.iter().all(|input| ends(input).is_none()) {
        return Ok(());
    }
    for pair in PAIRS {
        let mut turns = pair.into_iter().cycle();
        let filled = |input: &TensorInput| {
            let count = usize::try_from(input.example.iter().product::<i64>()).unwrap_or(0);
            let data = match ends(input) {
                Some(range) => Numbers::repeated(
                    at(turns.next().unwrap_or(End::Zero), range),
                    count,
                    input.spec.dtype,
                )
                .map_err(Error::Internal)?,
                None => Numbers::zeros(count, input.spec.dtype),
            };
            Ok(Values {
                shape: input.example.clone(),
                data,
            })
        };
        let values = model.inputs.iter().map(filled).collect::<Result<Vec<Values>>>()?;
        forward(&values);
    }
    Ok(())
}

/// The least and the greatest whole number of a request.
fn ends(input: &TensorInput) -> Option<[i64; 2]> {
    input.range.or_else(|| input.spec.dtype.whole_numbers())
}

fn at(end: End, [least, most]: [i64; 2]) -> i64 {
    match end {
        End::Least => least,
        End::Greatest => most,
        End::MinusOne => (-1).clamp(least, most),
        End::Zero => 0.clamp(least, most),
    }
}
