//! Which numbers predict, where model.toml leaves it to the machine: the model is compiled in f32 and in bfloat16, both answer
//! the same pictures, and bfloat16 is taken where it is faster by a tenth and its scores are the same within a hundredth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Tensor};
use torch_bridge::Value;

use super::difference::Difference;
use super::process::has_bf16;
use super::program::Program;
use super::requirements::{Agreement, Measured, Opened, Requirements};
use super::selected::Selection;
use super::torchscript::Network;
use super::wrapped;
use crate::engine::Share;
use crate::engine::cores::Class;
use crate::error::{Error, Result};
use crate::manifest::Precision;

/// How much faster bfloat16 has to be.
const FASTER: f64 = 1.1;

/// How far a score may be off.
const AGREES: f64 = 0.01;

/// Passes of each that are timed, one in turn with the other; the best of each counts.
const PASSES: usize = 5;

/// What predicts, and what was measured if both could be tried.
///
/// # Errors
/// As [`Network::open`].
pub(super) fn open(network: &Network, wanted: &Requirements<'_>) -> Result<Opened> {
    let single = network.open(wanted, Precision::F32)?;
    let (half, agreement) = match other(network, wanted) {
        Ok(found) => found,
        Err(why) => {
            tracing::info!("precision = \"auto\": f32 is taken, {why}");
            return Ok(single);
        }
    };
    let measured = measure(
        [&single.program, &half].map(Arc::clone),
        agreement,
        (&wanted.share, wanted.selection),
    );
    let measured = match measured {
        Ok(measured) => measured,
        Err(error) => {
            tracing::info!(%error, "precision = \"auto\": f32 is taken, bfloat16 cannot be measured");
            return Ok(single);
        }
    };
    let taken = choose(measured);
    let Measured {
        f32_ms,
        bf16_ms,
        difference,
    } = measured;
    tracing::info!(
        ?taken,
        f32_ms,
        bf16_ms,
        difference,
        "precision = \"auto\" is measured"
    );
    let measured = Some(measured);
    Ok(match taken {
        Precision::Bf16 => Opened {
            program: half,
            precision: taken,
            measured,
            ..single
        },
        _ => Opened { measured, ..single },
    })
}

/// The program in bfloat16 and how it is compared, or why there is none.
fn other<'a>(
    network: &Network,
    wanted: &Requirements<'a>,
) -> Result<(Arc<dyn Program>, &'a dyn Agreement), &'static str> {
    if wanted.device != Device::Cpu {
        return Err("bfloat16 is measured on the CPU alone");
    }
    if !has_bf16() {
        return Err("this processor has no instructions for bfloat16");
    }
    let agreement = wanted.agreement.ok_or("scores of this task are not compared")?;
    let half = network.compiled(wanted, Precision::Bf16);
    Ok((half.ok_or("the model cannot be compiled in bfloat16")?, agreement))
}

/// Which of both predicts.
#[must_use]
pub fn choose(measured: Measured) -> Precision {
    let agrees = measured.difference <= AGREES;
    if agrees && measured.bf16_ms * FASTER <= measured.f32_ms {
        Precision::Bf16
    } else {
        Precision::F32
    }
}

/// Compares two programs for one model, in f32 and in bfloat16, for the calling thread's number of threads.
///
/// # Errors
/// As [`Program::call`]; also where the second answers in another form.
pub fn measure(
    programs: [Arc<dyn Program>; 2],
    agreement: &dyn Agreement,
    (share, selection): (&Share, Option<&Selection>),
) -> Result<Measured> {
    let _no_grad = tch::no_grad_guard();
    let [single, half] = programs.map(|program| wrapped::program(program, selection));
    let permit = share.acquire(Class::Explain);
    let scores = |program: &Arc<dyn Program>, pictures: &Tensor| {
        let answer = program.call(&permit, "forward", &[Value::Tensor(pictures.shallow_clone())])?;
        agreement.scores(&answer)
    };
    let difference = difference(
        &scores(&single, agreement.pictures())?,
        &scores(&half, agreement.pictures())?,
    )?;
    let one = agreement.pictures().f_narrow(0, 0, 1)?;
    let timed = |program: &Arc<dyn Program>| -> Result<Duration> {
        let started = Instant::now();
        program.call(&permit, "forward", &[Value::Tensor(one.shallow_clone())])?;
        Ok(started.elapsed())
    };
    let (mut of_single, mut of_half) = (Duration::MAX, Duration::MAX);
    for _ in 0..PASSES {
        of_single = of_single.min(timed(&single)?);
        of_half = of_half.min(timed(&half)?);
    }
    Ok(Measured {
        f32_ms: of_single.as_secs_f64() * 1e3,
        bf16_ms: of_half.as_secs_f64() * 1e3,
        difference,
    })
}

/// The largest difference between two answers' scores; infinite where one has NaN or another form.
fn difference(single: &[Tensor], half: &[Tensor]) -> Result<f64> {
    if single.len() != half.len() {
        return Err(Error::InferenceFailed("bfloat16 answers in another form".into()));
    }
    let mut largest = 0f64;
    for (one, other) in single.iter().zip(half) {
        if one.size() != other.size() {
            return Err(Error::InferenceFailed(format!(
                "bfloat16 answers {:?} for {:?}",
                other.size(),
                one.size()
            )));
        }
        if let Some(difference) = Difference::between(one, other)? {
            let off = difference.largest()?;
            largest = largest.max(if off.is_nan() { f64::INFINITY } else { off });
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfloat16_is_taken_where_it_is_faster_and_agrees() {
        let of = |f32_ms, bf16_ms, difference| {
            choose(Measured {
                f32_ms,
                bf16_ms,
                difference,
            })
        };
        assert_eq!(of(4.4, 4.0, 0.01), Precision::Bf16);
        assert_eq!(of(4.3, 4.0, 0.0), Precision::F32, "not by a tenth");
        assert_eq!(of(8.0, 4.0, 0.011), Precision::F32, "it answers otherwise");
        assert_eq!(of(8.0, 4.0, f64::INFINITY), Precision::F32);
    }

    #[test]
    fn scores_are_compared_by_their_largest_difference() {
        let scores = |values: &[f32]| vec![Tensor::from_slice(values)];
        let off = |one: &[f32], other: &[f32]| difference(&scores(one), &scores(other));
        assert!(off(&[0.5, 0.25], &[0.5, 0.75]).is_ok_and(|off| (off - 0.5).abs() < 1e-6));
        assert_eq!(off(&[0.5], &[f32::NAN]), Ok(f64::INFINITY));
        assert!(off(&[0.5], &[0.5, 0.5]).is_err());
        assert_eq!(difference(&[], &[]), Ok(0.0));
    }
}
