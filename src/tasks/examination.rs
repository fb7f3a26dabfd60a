//! A model on trial: whether what serves it answers as the module that was exported, each time the same, and each picture
//! whatever is beside it.

use tch::{Device, Tensor};
use torch_bridge::{Brief, Value};

use super::spec::ModelSpec;
use super::takes_one_batch;
use crate::engine::cores::Class;
use crate::engine::{CorePermit, Share};
use crate::error::{Error, Result};
use crate::manifest::{DetectionFormat, Precision, TaskKind};
use crate::runtime::{Difference, Opened, Program};

/// How far two answers may be apart, as a part of the largest number: sums in another order.
const TOLERANCE: f64 = 1e-2;

/// The same in half precision.
const HALF_TOLERANCE: f64 = 1e-1;

/// What a picture is moved by to see what a network makes of a rounding, and how many times that is allowed.
const MOVED: f64 = 2e-6;
const MOVES: f64 = 4.0;

const STEADY: &str = "forward answers the same picture otherwise the second time, as a dropout does in training; call \
                      model.eval() before it is exported";

const APART: &str = "two pictures in one batch are answered otherwise than each alone, as by a batch norm in training or a \
                     mean over the batch; export the model after model.eval(), or set max_batch_size = 1 under [batching]";

const NO_NUMBERS: &str = "it answers NaN to a black, a white and a noisy picture alike: its weights are those of a training that diverged, or \
                          were damaged";

const FAITHFUL: &str = "optimised for serving, it answers otherwise than as it was exported";

const EXPLAINED: &str =
    "it predicts, but as it was exported, which is what explanations look at, it does not run";

/// Whether the answers of a model are numbers that hang steadily on its pictures: not a choice of the best boxes, whose order
/// rounding changes, and no picture that is made by chance.
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
        TaskKind::Captioning | TaskKind::Vae | TaskKind::ImageToImage | TaskKind::Tensor => false,
    };
    of_this_kind && takes_one_batch(spec)
}

/// Compares what serves a model with the module that it was made from, on a picture of noise, a black and a white one. What cannot
/// predict at all is left to the check of the contract.
///
/// # Errors
/// [`Error::InvalidModel`] when they differ by more than rounding, or the module itself does not run.
pub fn examine(served: &Opened, exported: &dyn Program, spec: &ModelSpec, share: &Share) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let device = exported.device();
    let permit = share.acquire(Class::Explain);
    let pictures = [spec.noise(device)?, spec.blank(1, device)?, spec.white(device)?];
    let is_half = matches!(served.precision, Precision::F16 | Precision::Bf16);
    let tolerance = if is_half { HALF_TOLERANCE } else { TOLERANCE };
    let ask = |program: &dyn Program, pictures: &Tensor| answers(program, &permit, pictures);
    let all = |program: &dyn Program| -> Result<Vec<_>> {
        pictures.iter().map(|picture| ask(program, picture)).collect()
    };
    let Ok(alone) = all(&*served.program) else {
        return Ok(());
    };
    if alone.iter().all(|answer| answer.iter().any(has_nan)) {
        return Err(Error::model(NO_NUMBERS));
    }
    // What serves may compute a batch picture by picture, as its compilation has it that time: the module tells.
    let (program, alone, tolerance) = match all(exported) {
        Ok(expected) => {
            let mut tolerance = tolerance;
            for (picture, answer) in pictures.iter().zip(&expected) {
                let moved = ask(exported, &picture.f_mul_scalar(1.0 + MOVED)?)?;
                tolerance = tolerance.max(MOVES * apart(answer, &moved));
            }
            compare(&expected[0], &alone[0], &ask(exported, &pictures[0])?, tolerance)?;
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
    if spec.manifest.batching.max_batch_size == 1 {
        return Ok(());
    }
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        let pair = Tensor::f_cat(&[&pictures[one], &pictures[other]], 0)?;
        let Ok(together) = ask(program, &pair) else {
            return Ok(());
        };
        let rows = below_each_other(&alone[one], &alone[other]);
        if rows.is_some_and(|rows| apart(&rows, &together) > tolerance) {
            return Err(Error::model(APART));
        }
    }
    Ok(())
}

fn has_nan(tensor: &Tensor) -> bool {
    let found = tensor.f_isnan().and_then(|nan| nan.f_any());
    found.is_ok_and(|any| bool::try_from(any).unwrap_or(false))
}

/// The tensors of two answers as those of a batch of two; nothing where they have other sizes.
fn below_each_other(one: &[Tensor], other: &[Tensor]) -> Option<Vec<Tensor>> {
    let pairs = one.iter().zip(other);
    pairs
        .map(|(one, other)| Tensor::f_cat(&[one, other], 0).ok())
        .collect()
}

/// What the module answered to a picture, what serves it, and the module once more.
fn compare(expected: &[Tensor], served: &[Tensor], again: &[Tensor], tolerance: f64) -> Result<()> {
    if apart(expected, again) > TOLERANCE {
        return Err(Error::model(STEADY));
    }
    if apart(expected, served) > tolerance {
        return Err(Error::model(FAITHFUL));
    }
    Ok(())
}

/// The tensors of what `forward` answers, on the CPU.
fn answers(program: &dyn Program, permit: &CorePermit<'_>, pictures: &Tensor) -> Result<Vec<Tensor>> {
    let input = [Value::Tensor(pictures.shallow_clone())];
    let answer = program.call(permit, "forward", &input)?;
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
mod tests {
    use std::sync::Arc;

    use tch::Kind;

    use super::*;
    use crate::engine::cores::Cores;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    /// Answers the mean of each picture, scaled.
    #[derive(Debug)]
    struct Means(f64);

    impl Program for Means {
        fn call(&self, _: &CorePermit<'_>, _: &str, inputs: &[Value]) -> Result<Value> {
            let pictures = inputs[0].tensors()[0].f_flatten(1, -1)?;
            let means = pictures.f_mean_dim(&[1i64][..], true, Kind::Float)?;
            Ok(Value::Tensor(means.f_mul_scalar(self.0)?))
        }

        fn device(&self) -> Device {
            Device::Cpu
        }
    }

    #[test]
    fn what_serves_answers_as_the_module_that_it_was_made_from() {
        let text = "task = \"regression\"\n\n[input]\nsize = [4, 4]\nresize = \"stretch\"\n\n[output]\nnames = [\"mean\"]\n";
        let spec = ModelSpec::new(Manifest::parse(text).expect("a regression"), Labels::default());
        assert!(can_be_examined(&spec));
        let share = Share {
            cores: Cores::of_this_machine(),
            count: 1,
        };
        let examined = |factor: f64, precision| {
            let served = Opened {
                program: Arc::new(Means(factor)),
                parameters: 0,
                precision,
                measured: None,
            };
            examine(&served, &Means(1.0), &spec, &share)
        };
        assert_eq!(examined(1.001, Precision::F32), Ok(()));
        assert_eq!(examined(1.05, Precision::Bf16), Ok(()));
        assert_eq!(examined(1.05, Precision::F32), Err(Error::model(FAITHFUL)));
        assert_eq!(examined(1.5, Precision::Bf16), Err(Error::model(FAITHFUL)));
        assert_eq!(examined(f64::NAN, Precision::F32), Err(Error::model(NO_NUMBERS)));
    }

    #[test]
    fn answers_differ_by_what_is_more_than_rounding() {
        let of = |numbers: &[f32]| vec![Tensor::from_slice(numbers)];
        assert!(apart(&of(&[1.0, 10.0]), &of(&[1.05, 10.0])) < TOLERANCE);
        assert!(apart(&of(&[1.0, 10.0]), &of(&[1.2, 10.0])) > TOLERANCE);
        assert!(apart(&of(&[1.0]), &of(&[1.0, 2.0])) < TOLERANCE, "another form");
        assert!(apart(&of(&[f32::NAN]), &of(&[f32::NAN])) < TOLERANCE);
        // A pixel at the border between two classes.
        let mask = |pixel: i64| {
            vec![Tensor::cat(
                &[
                    Tensor::ones([999], (Kind::Int64, Device::Cpu)),
                    Tensor::from_slice(&[pixel]),
                ],
                0,
            )]
        };
        assert!(apart(&mask(1), &mask(4)) < TOLERANCE);
        assert!(apart(&mask(1), &mask(400)) > TOLERANCE);
    }
}
