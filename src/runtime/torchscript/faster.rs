//! The precision that is faster: f32 and bfloat16 are both opened, asked the same, and the better one is kept.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torch_bridge::{Generator, Value};

use super::Exported;
use crate::engine::cores::Class;
use crate::error::{Error, Result};
use crate::manifest::Precision;
use crate::runtime::precision::has_bf16;
use crate::runtime::requirements::{Opened, Requirements};

/// How much faster half precision must be.
const FASTER: f64 = 1.1;

/// How far probabilities may be apart.
const AGREES: f64 = 0.01;

/// Pictures of noise that both are asked.
const ASKED: usize = 4;

/// How often each is timed.
const ROUNDS: usize = 7;

impl Exported {
    /// bfloat16 where that is faster by a tenth and probabilities agree within 0.01, else f32.
    pub(super) fn faster(&self, wanted: &Requirements<'_>) -> Result<Opened> {
        let plain = self.opened(wanted, Precision::F32)?;
        let kept = |why: &str| tracing::info!("precision is f32: {why}");
        let Some(example) = wanted.example.filter(|_| self.device == Device::Cpu) else {
            kept("\"auto\" is for networks of pictures on a CPU");
            return Ok(plain);
        };
        if !has_bf16() {
            kept("this processor has no instructions for bf16 (avx512_bf16, AMX)");
            return Ok(plain);
        }
        let half = match self.opened(wanted, Precision::Bf16) {
            Ok(half) => half,
            Err(error) => {
                kept(&format!("in bf16 the model does not run: {error}"));
                return Ok(plain);
            }
        };
        match compared(wanted, &plain, &half, example) {
            Ok(Some(Compared { ratio, difference })) => {
                let is_better = ratio >= FASTER && difference <= AGREES;
                let precision = if is_better {
                    half.precision
                } else {
                    plain.precision
                };
                tracing::info!(
                    "precision is {precision}: bf16 is {ratio:.2} × as fast as f32, answers differ by {difference:.4}"
                );
                Ok(if is_better { half } else { plain })
            }
            Ok(None) => {
                kept("this task has no probabilities to compare");
                Ok(plain)
            }
            Err(error) => {
                kept(&format!("bf16 cannot be compared: {error}"));
                Ok(plain)
            }
        }
    }
}

/// What was measured.
struct Compared {
    /// How often half precision answers while f32 answers once.
    ratio: f64,
    /// See [`Requirements::difference`].
    difference: f64,
}

fn compared(
    wanted: &Requirements<'_>,
    plain: &Opened,
    half: &Opened,
    example: &dyn Fn(usize) -> Result<Tensor>,
) -> Result<Option<Compared>> {
    let size = example(1)?.size();
    let mut generator = Generator::new(0)?;
    let permit = wanted.share.acquire(Class::Explain);
    let answer = |opened: &Opened, input: &Tensor| {
        let input = [Value::Tensor(input.shallow_clone())];
        let answer = opened.program.call(&permit, "forward", &input)?;
        match wanted.selection {
            Some(selection) => selection.take(answer),
            None => Ok(answer),
        }
    };
    let mut difference: f64 = 0.0;
    let mut input = example(1)?;
    for _ in 0..ASKED {
        input = generator.normal(&size)?.f_to_kind(Kind::Float)?;
        let (one, other) = (answer(plain, &input)?, answer(half, &input)?);
        let Some(found) = (wanted.difference)(&one, &other)? else {
            return Ok(None);
        };
        // What is no number agrees with nothing.
        difference = if found.is_nan() {
            f64::INFINITY
        } else {
            difference.max(found)
        };
    }
    let timed = |opened: &Opened| -> Result<Duration> {
        let started = Instant::now();
        answer(opened, &input)?;
        Ok(started.elapsed())
    };
    let (mut of_plain, mut of_half) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        of_plain = of_plain.min(timed(plain)?);
        of_half = of_half.min(timed(half)?);
    }
    if of_half.is_zero() {
        return Err(Error::Internal("an answer took no time".into()));
    }
    Ok(Some(Compared {
        ratio: of_plain.as_secs_f64() / of_half.as_secs_f64(),
        difference,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::Share;
    use crate::engine::cores::Cores;
    use crate::manifest::{ArtifactFormat, TaskKind};
    use crate::runtime::Artifact;

    const SIZE: [i64; 4] = [1, 3, 224, 224];

    fn exported() -> Exported {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/mobilenet_v2/model.pt");
        let artifact = Artifact::open(Path::new(file), ArtifactFormat::Torchscript, None).expect("a model");
        Exported::load(&artifact, Device::Cpu, Precision::F32).expect("TorchScript")
    }

    fn wanted<'a>(
        precision: Precision,
        example: &'a dyn Fn(usize) -> Result<Tensor>,
        difference: &'a dyn Fn(&Value, &Value) -> Result<Option<f64>>,
    ) -> Requirements<'a> {
        Requirements {
            task: TaskKind::Classification,
            methods: &["forward"],
            layer: None,
            device: Device::Cpu,
            share: Share {
                cores: Cores::of_this_machine(),
                count: 1,
            },
            precision,
            specialise: true,
            instances: 1,
            max_batch: 1,
            selection: None,
            difference,
            example: Some(example),
        }
    }

    fn blank(size: usize) -> Result<Tensor> {
        let shape = [size as i64, SIZE[1], SIZE[2], SIZE[3]];
        Ok(Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?)
    }

    fn probabilities(one: &Value, other: &Value) -> Result<Option<f64>> {
        let (Value::Tensor(one), Value::Tensor(other)) = (one, other) else {
            return Ok(None);
        };
        let [one, other] = [one, other].map(|logits| logits.softmax(-1, Kind::Float));
        Ok(Some((one - other).abs().max().double_value(&[])))
    }

    #[test]
    fn bf16_answers_f32_and_says_nearly_the_same() {
        let exported = exported();
        let open = |precision| {
            exported
                .open(&wanted(precision, &blank, &probabilities))
                .expect("it is opened")
        };
        let (plain, half) = (open(Precision::F32), open(Precision::Bf16));
        assert_eq!(
            (plain.precision, half.precision),
            (Precision::F32, Precision::Bf16)
        );
        let found = compared(
            &wanted(Precision::Auto, &blank, &probabilities),
            &plain,
            &half,
            &blank,
        );
        let found = found.expect("both answer").expect("there are probabilities");
        assert!(
            found.difference > 0.0 && found.difference < 0.1,
            "{}",
            found.difference
        );
    }

    #[test]
    fn auto_takes_bf16_only_where_it_is_faster_and_agrees() {
        let exported = exported();
        let open = |difference: &dyn Fn(&Value, &Value) -> Result<Option<f64>>| {
            let opened = exported.open(&wanted(Precision::Auto, &blank, difference));
            opened.expect("it is opened").precision
        };
        // Whatever the processor is good at, answers that differ, or cannot be compared, are f32's.
        assert_eq!(open(&|_, _| Ok(Some(0.02))), Precision::F32);
        assert_eq!(open(&|_, _| Ok(Some(f64::NAN))), Precision::F32);
        assert_eq!(open(&|_, _| Ok(None)), Precision::F32);
        let chosen = open(&|_, _| Ok(Some(0.0)));
        if has_bf16() {
            println!("this processor has bf16: auto is {chosen}");
        } else {
            assert_eq!(chosen, Precision::F32);
            println!("this processor has no bf16: auto is f32, and bf16 was not measured");
        }
    }
}
