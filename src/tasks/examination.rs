//! A model on trial: whether what serves it answers as the module that was exported, each time the same, and each row of a batch
//! whatever is beside it.

use tch::{Device, Tensor};
use torch_bridge::{Brief, Value};

use super::misfit::ALONE;
use super::spec::ModelSpec;
use super::{takes_one_batch, tensor};
use crate::engine::cores::Class;
use crate::engine::{CorePermit, Share};
use crate::error::{Error, Result};
use crate::manifest::{DetectionFormat, Input, Precision, TaskKind};
use crate::runtime::{Difference, Opened, Program};

/// How far two answers may be apart, as a part of the largest number: sums in another order.
const TOLERANCE: f64 = 1e-2;

/// The same in half precision.
const HALF_TOLERANCE: f64 = 1e-1;

/// What an input is moved by to see what a network makes of a rounding, and how many times that is allowed.
const MOVED: f64 = 2e-6;
const MOVES: f64 = 4.0;

const NO_NUMBERS: &str = "it answers NaN to a black, a white and a noisy picture alike: its weights are those of a training that diverged, or \
                          were damaged";

const FAITHFUL: &str = "optimised for serving, it answers otherwise than as it was exported";

const EXPLAINED: &str =
    "it predicts, but as it was exported, which is what explanations look at, it does not run";

/// Whether the answers of a model are numbers that hang steadily on its pictures: not a choice of the best boxes, whose order
/// rounding changes, and no picture that is made by chance. Of tensors nobody says what they are, so that they are all examined, and the
/// order in a row may change.
#[must_use]
pub fn can_be_examined(spec: &ModelSpec) -> bool {
    let output = &spec.manifest.output;
    let is_dense = |format| {
        use DetectionFormat::{Dense, EndToEnd, Torchvision, Yolo, YoloObb, YoloPose, YoloSeg, Yolov5};
        match format {
            Dense | Yolo | Yolov5 | YoloPose | YoloObb | YoloSeg => true,
            Torchvision | EndToEnd | DetectionFormat::Detr => false,
        }
    };
    let of_this_kind = match spec.manifest.task {
        TaskKind::Classification | TaskKind::Segmentation | TaskKind::Embedding | TaskKind::Regression => {
            true
        }
        TaskKind::Detection => output
            .detection
            .as_ref()
            .is_some_and(|keys| is_dense(keys.format)),
        TaskKind::Tensor => return true,
        TaskKind::Captioning | TaskKind::Vae | TaskKind::ImageToImage => false,
    };
    of_this_kind && takes_one_batch(spec)
}

/// What `forward` is given, a tensor an input.
type Case = Vec<Tensor>;

/// What `forward` answers, a tensor an output.
type Answer = Vec<Tensor>;

/// Compares what serves a model with the module that it was made from: on a picture of noise, a black and a white one, or on tensors
/// at random. What cannot predict at all is left to the check of the contract.
///
/// # Errors
/// [`Error::InvalidModel`] when they differ by more than rounding, or the module itself does not run.
pub fn examine(served: &Opened, exported: &dyn Program, spec: &ModelSpec, share: &Share) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let permit = share.acquire(Class::Explain);
    let cases = cases(spec, exported.device())?;
    let is_half = matches!(served.precision, Precision::F16 | Precision::Bf16);
    let tolerance = if is_half { HALF_TOLERANCE } else { TOLERANCE };
    let all = |program: &dyn Program| -> Result<Vec<Answer>> {
        cases.iter().map(|case| answers(program, &permit, case)).collect()
    };
    let Ok(alone) = all(&*served.program) else {
        return Ok(());
    };
    let (takes_pictures, order) = (matches!(spec.manifest.input, Input::Image(_)), Order::of(spec));
    if takes_pictures && alone.iter().all(|answer| answer.iter().any(has_nan)) {
        return Err(Error::model(NO_NUMBERS));
    }
    // What serves may compute a batch row by row, as its compilation has it that time: the module tells.
    let (program, alone, tolerance) = match all(exported) {
        Ok(expected) => {
            let mut tolerance = tolerance;
            for (case, answer) in cases.iter().zip(&expected) {
                let moved = answers(exported, &permit, &moved(case)?)?;
                tolerance = tolerance.max(MOVES * order.apart(answer, &moved));
            }
            let again = answers(exported, &permit, &cases[0])?;
            if apart(&expected[0], &again) > TOLERANCE {
                return Err(Error::model(Fault::Unsteady.words(takes_pictures)));
            }
            // Where half precision was asked for, a choice of what is nearly equal is another one, and tensors may be such choices.
            let is_held = takes_pictures || !is_half;
            if is_held && order.apart(&expected[0], &alone[0]) > tolerance {
                return Err(Error::model(Fault::Unfaithful.words(takes_pictures)));
            }
            (exported, expected, tolerance)
        }
        // Explanations take such a module in f32.
        Err(_) if is_half => (&*served.program, alone, tolerance),
        Err(Error::InferenceFailed(words)) => {
            let brief = Brief(&words);
            return Err(Error::model(format!("{EXPLAINED}: {brief}")));
        }
        Err(error) => return Err(error),
    };
    let ask = |case: &[Tensor]| answers(program, &permit, case);
    if shares_batches(spec) && !keeps_apart(&ask, (&cases, &alone), (order, tolerance)) {
        return Err(Error::model(Fault::Mixes.words(takes_pictures)));
    }
    Ok(())
}

/// Whether the numbers of an answer keep their places.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// They do.
    Kept,
    /// From this axis on they may be a choice of the best, whose order rounding changes.
    Chosen { from: i64 },
}

impl Order {
    fn of(spec: &ModelSpec) -> Self {
        match &spec.manifest.input {
            Input::Image(_) => Self::Kept,
            Input::Tensors(model) => Self::Chosen {
                from: i64::from(model.is_batched()),
            },
        }
    }

    /// How far two answers are apart in this order.
    fn apart(self, expected: &[Tensor], found: &[Tensor]) -> f64 {
        let far = apart(expected, found);
        match self {
            Self::Kept => far,
            Self::Chosen { from } => {
                let (expected, found) = (sorted(expected, from), sorted(found, from));
                let far_sorted = expected
                    .zip(found)
                    .map(|(expected, found)| apart(&expected, &found));
                far_sorted.map_or(far, |sorted| sorted.min(far))
            }
        }
    }
}

/// The numbers of each tensor from the axis `from` on, the least first.
fn sorted(answer: &[Tensor], from: i64) -> Option<Vec<Tensor>> {
    let sorted = |tensor: &Tensor| {
        if tensor.dim() as i64 <= from {
            return Some(tensor.shallow_clone());
        }
        let flat = tensor.f_flatten(from, -1).ok()?;
        flat.f_sort(-1, false).ok().map(|(values, _)| values)
    };
    answer.iter().map(sorted).collect()
}

/// What is wrong with the answers of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// They change.
    Unsteady,
    /// They are not those of the module.
    Unfaithful,
    /// They hang on what else is in the batch.
    Mixes,
}

impl Fault {
    fn words(self, of_pictures: bool) -> String {
        let (one, two) = if of_pictures {
            ("picture", "pictures")
        } else {
            ("input", "rows")
        };
        match self {
            Self::Unsteady => format!(
                "forward answers the same {one} otherwise the second time, as a dropout does in training, or a buffer that each call \
                 changes; call model.eval() before it is exported, and where forward itself says so, take it out: an explicit \
                 training=True, numbers at random"
            ),
            Self::Unfaithful => FAITHFUL.to_owned(),
            Self::Mixes => format!(
                "two {two} in one batch are answered otherwise than each alone, as by a batch norm in training or a mean over the \
                 batch; export the model after model.eval(), or {ALONE}"
            ),
        }
    }
}

/// What `forward` is tried with, each a batch of one where there are batches.
fn cases(spec: &ModelSpec, device: Device) -> Result<Vec<Case>> {
    match &spec.manifest.input {
        Input::Image(_) => Ok(vec![
            vec![spec.noise(device)?],
            vec![spec.blank(1, device)?],
            vec![spec.white(device)?],
        ]),
        Input::Tensors(model) => tensor::drawn(model, device),
    }
}

/// Whether requests may meet in a batch.
fn shares_batches(spec: &ModelSpec) -> bool {
    match spec.manifest.input {
        Input::Image(_) => spec.manifest.batching.max_batch_size > 1,
        Input::Tensors(_) => spec.manifest.shares_batches(),
    }
}

/// Whether two cases in one batch are answered as each alone. Where they do not run together, or their answers have other sizes, that
/// is the contract's affair.
fn keeps_apart(
    ask: &dyn Fn(&[Tensor]) -> Result<Answer>,
    (cases, alone): (&[Case], &[Answer]),
    (order, tolerance): (Order, f64),
) -> bool {
    let is_kept = |(one, other): (usize, usize)| {
        let pair = below_each_other(&cases[one], &cases[other]);
        let together = pair.and_then(|pair| ask(&pair).ok());
        let rows = below_each_other(&alone[one], &alone[other]);
        let far = together
            .zip(rows)
            .map(|(together, rows)| order.apart(&rows, &together));
        far.is_none_or(|far| far <= tolerance)
    };
    [(0, 1), (1, 2), (2, 0)].into_iter().all(is_kept)
}

/// A case whose numbers with a fraction are moved by a rounding.
fn moved(case: &[Tensor]) -> Result<Case> {
    let moved = |tensor: &Tensor| {
        if tensor.is_floating_point() {
            Ok(tensor.f_mul_scalar(1.0 + MOVED)?)
        } else {
            Ok(tensor.shallow_clone())
        }
    };
    case.iter().map(moved).collect()
}

fn has_nan(tensor: &Tensor) -> bool {
    let found = tensor.f_isnan().and_then(|nan| nan.f_any());
    found.is_ok_and(|any| bool::try_from(any).unwrap_or(false))
}

/// The tensors of two cases, or of two answers, as those of a batch of two; nothing where they have other sizes.
fn below_each_other(one: &[Tensor], other: &[Tensor]) -> Option<Vec<Tensor>> {
    let pairs = one.iter().zip(other);
    pairs
        .map(|(one, other)| Tensor::f_cat(&[one, other], 0).ok())
        .collect()
}

/// The tensors of what `forward` answers, on the CPU.
fn answers(program: &dyn Program, permit: &CorePermit<'_>, case: &[Tensor]) -> Result<Answer> {
    let inputs: Vec<Value> = case
        .iter()
        .map(|input| Value::Tensor(input.shallow_clone()))
        .collect();
    let answer = program.call(permit, "forward", &inputs)?;
    let tensors = answer.tensors().into_iter();
    tensors
        .map(|tensor| Ok(tensor.f_to_device(Device::Cpu)?))
        .collect()
}

/// How far two answers of one form are apart, as a part of the largest number: floats by their largest difference, whole
/// numbers and truths, such as a mask of classes, by their mean one. Another form is the contract's affair, and so is what is
/// no number.
fn apart(expected: &[Tensor], found: &[Tensor]) -> f64 {
    let off = |expected: &Tensor, found: &Tensor| -> Option<f64> {
        let difference = Difference::between(expected, found).ok()??;
        let off = if expected.is_floating_point() {
            difference.largest()
        } else {
            difference.mean()
        };
        Some(difference.relative(off.ok()?))
    };
    let pairs = expected.iter().zip(found);
    pairs
        .filter_map(|(expected, found)| off(expected, found))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
