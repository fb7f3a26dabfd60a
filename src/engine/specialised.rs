//! `forward` of a frozen module, compiled by oneDNN Graph for some batch sizes.
//!
//! The layers are compiled in stages. The activations of the first layers are so large that a batch of them leaves the
//! caches, so these take the images one after the other; the last, which have most of the weights, take several at once.
//! In any stage an image costs nearly the same in a batch of four as in a larger one, so it is compiled for one image
//! and for at most four, and any batch is cut into those. Each program has packed weights of its own: that for several
//! is made when batches have come, so that a model that is seldom asked keeps its weights once.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tch::{Kind, Tensor};
use torch_bridge::{Module, Specialised, Value};

use super::parts::{self, Part};
use super::stages::plan;
use crate::error::{Error, Result};

/// The largest batch that is compiled for.
const LARGEST: usize = 4;

/// Batches that come one image after the other through a stage before it is compiled for several.
const SEEN: usize = 6;

/// How far the compiled answers may be from the plain ones, as a part of the largest of these.
const TOLERANCE: f64 = 1e-3;

/// Compilations in this process. Each empties the cache in which oneDNN Graph keeps the weights that it packed, of every
/// program: each packs them again when it next runs, from the plain ones.
static COMPILATIONS: AtomicU64 = AtomicU64::new(0);

/// The stages, in order.
#[derive(Debug)]
pub(super) struct Specialisations(Vec<Stage>);

/// Some of the steps of `forward`.
#[derive(Debug)]
struct Stage {
    part: Range<usize>,
    one: Program,
    /// How many images `several` takes.
    largest: usize,
    several: OnceLock<Option<Program>>,
    seen: AtomicUsize,
}

/// A part of `module`'s `forward`, compiled for batches of one shape.
#[derive(Debug)]
struct Program {
    module: Module,
    compiled: Specialised,
    /// How many compilations there had been when it last packed its weights.
    packed: AtomicU64,
}

impl Program {
    fn compile(module: &Module, part: &Range<usize>, input: &Tensor) -> Result<Self> {
        let input = [Value::Tensor(parts::in_order(input)?)];
        let compiled = module.specialise("forward", part.clone(), &input)?;
        COMPILATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            module: module.clone(),
            compiled,
            packed: AtomicU64::new(0),
        })
    }

    fn run(&self, rows: Tensor) -> Result<Value> {
        let compilations = COMPILATIONS.load(Ordering::Relaxed);
        let answer = self.compiled.run(&[Value::Tensor(rows)])?;
        if self.packed.load(Ordering::Relaxed) != compilations {
            self.packed.store(compilations, Ordering::Relaxed);
            // It has just read the plain weights, and will not again.
            self.module.forget_weights("forward")?;
        }
        Ok(answer)
    }
}

impl Specialisations {
    /// Compiles `module`, which is frozen and not fused, for batches of one and of several, none larger than
    /// `max_batch`, and compares what it answers with the module itself. `example` makes a batch of some size.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when nothing in it can be compiled, when its answers are no batches, or when they
    /// differ.
    pub(super) fn compile(
        module: &Module,
        max_batch: usize,
        example: impl Fn(usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let largest = max_batch.clamp(1, LARGEST);
        let cuts = module.cuts("forward", &[Value::Tensor(parts::in_order(&example(1)?)?)])?;
        let staged = plan(&cuts, largest);
        let whole = [(0..cuts.last().map_or(0, |end| end.position), largest)];
        let compiled = |plan: &[(Range<usize>, usize)]| {
            let made = Self::in_stages(module, plan, &example(1)?)?;
            for size in [1, largest] {
                let random = [Value::Tensor(parts::in_order(&example(size)?.f_rand_like()?)?)];
                compare(&module.call("forward", &random)?, &made.forward(&random)?, size)?;
            }
            Ok(made)
        };
        match compiled(&staged) {
            // A tensor whose first dimension is only by chance the batch's, or a stage with nothing to compile.
            Err(error) if staged != whole => {
                tracing::debug!(%error, "the layers are compiled in one stage");
                compiled(&whole)
            }
            made => made,
        }
    }

    fn in_stages(module: &Module, plan: &[(Range<usize>, usize)], example: &Tensor) -> Result<Self> {
        let mut stages = Vec::new();
        let mut arrives = Value::Tensor(example.shallow_clone());
        for (part, largest) in plan {
            let stage = Stage {
                part: part.clone(),
                one: Program::compile(module, part, parts::batch(&arrives)?)?,
                largest: *largest,
                several: OnceLock::new(),
                seen: AtomicUsize::new(0),
            };
            arrives = stage.forward(&arrives)?;
            stages.push(stage);
        }
        Ok(Self(stages))
    }

    /// Whether `module` itself, which is what was compiled, answers `example` sooner, by more than a twentieth: a
    /// network of many small layers between which there is nothing to fuse gains nothing and pays for the reordering.
    pub(super) fn is_slower_than(&self, module: &Module, example: &Tensor) -> Result<bool> {
        let input = [Value::Tensor(parts::in_order(example)?)];
        let (mut ours, mut plain) = (Duration::MAX, Duration::MAX);
        for _ in 0..3 {
            ours = ours.min(timed(|| self.forward(&input))?);
            plain = plain.min(timed(|| Ok(module.call("forward", &input)?))?);
        }
        Ok(ours.as_secs_f64() > 1.05 * plain.as_secs_f64())
    }

    /// Makes what is otherwise made when batches have come.
    pub(super) fn settle(&self, example: impl Fn(usize) -> Result<Tensor>) -> Result<()> {
        let is_settled = |stage: &Stage| stage.largest == 1 || stage.several.get().is_some();
        if self.0.iter().all(is_settled) {
            return Ok(());
        }
        let mut arrives = Value::Tensor(example(LARGEST)?);
        for stage in &self.0 {
            if !is_settled(stage) {
                stage.make_several(parts::batch(&arrives)?);
            }
            arrives = stage.forward(&arrives)?;
        }
        Ok(())
    }

    /// `forward` of `inputs`, tensors with the batch in dimension 0.
    pub(super) fn forward(&self, inputs: &[Value]) -> Result<Value> {
        let [input] = inputs else {
            return Err(Error::InferenceFailed(
                "a compiled program takes one batch".into(),
            ));
        };
        let through = |value: Value, stage: &Stage| stage.forward(&value);
        self.0.iter().try_fold(input.shallow_clone(), through)
    }
}

impl Stage {
    fn forward(&self, input: &Value) -> Result<Value> {
        let input = parts::batch(input)?;
        let several = self.several(input);
        let sizes: &[usize] = if several.is_some() {
            &[1, self.largest]
        } else {
            &[1]
        };
        self.cut(input, sizes, several.unwrap_or(&self.one))
    }

    fn cut(&self, input: &Tensor, sizes: &[usize], several: &Program) -> Result<Value> {
        let run = |part: Part| {
            let program = if part.length == 1 { &self.one } else { several };
            program.run(parts::in_order(&parts::rows(input, part)?)?)
        };
        let total = usize::try_from(input.size()[0]).unwrap_or(0);
        parts::join(
            parts::exact(total, sizes)
                .into_iter()
                .map(run)
                .collect::<Result<_>>()?,
        )
    }

    /// The program for several, once there is one; the caller whose batch `input` is the one that makes it needful waits
    /// for it, others do not.
    fn several(&self, input: &Tensor) -> Option<&Program> {
        if let Some(made) = self.several.get() {
            return made.as_ref();
        }
        let is_several = self.largest > 1 && input.size()[0] >= self.largest as i64;
        if !is_several || self.seen.fetch_add(1, Ordering::Relaxed) + 1 != SEEN {
            return None;
        }
        self.make_several(input)
    }

    /// Makes the program for several from the first of `input`, at least as many.
    fn make_several(&self, input: &Tensor) -> Option<&Program> {
        let made = self
            .compile_several(input)
            .inspect_err(|error| tracing::info!(%error, "a stage is not compiled for several images"));
        self.several.get_or_init(|| made.ok()).as_ref()
    }

    fn compile_several(&self, input: &Tensor) -> Result<Program> {
        // Copies, as a part may begin with a step that writes to what it is given.
        let rows = || -> Result<Tensor> {
            let rows = parts::in_order(&input.f_narrow(0, 0, self.largest as i64)?)?;
            let mut copy = rows.f_empty_like()?;
            copy.f_copy_(&rows)?;
            Ok(copy)
        };
        let program = Program::compile(&self.one.module, &self.part, &rows()?)?;
        let one_by_one = self.cut(&rows()?, &[1], &self.one)?;
        compare(&one_by_one, &program.run(rows()?)?, self.largest)?;
        Ok(program)
    }
}

fn timed(run: impl FnOnce() -> Result<Value>) -> Result<Duration> {
    let started = Instant::now();
    run()?;
    Ok(started.elapsed())
}

/// Whether two answers to a batch of `size` are the same within [`TOLERANCE`], and can be joined to others.
fn compare(plain: &Value, compiled: &Value, size: usize) -> Result<()> {
    let differ = |how: String| Err(Error::InferenceFailed(format!("compiled, it answers {how}")));
    let (plain, compiled) = (plain.tensors(), compiled.tensors());
    if plain.len() != compiled.len() || plain.is_empty() {
        return differ(format!("{} tensors for {}", compiled.len(), plain.len()));
    }
    for (expected, found) in plain.into_iter().zip(compiled) {
        if found.size() != expected.size() || found.size().first() != Some(&(size as i64)) {
            return differ(format!("{:?} for a batch of {size}", found.size()));
        }
        let largest = expected.f_abs()?.f_max()?.f_double_value(&[])?;
        let off = expected
            .f_sub(found)?
            .f_abs()?
            .f_max()?
            .f_to_kind(Kind::Double)?
            .f_double_value(&[])?;
        if off.is_nan() || off > TOLERANCE * largest.max(1e-6) {
            return differ(format!("otherwise, by {off} of {largest}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tch::Device;
    use torch_bridge::Preparation;

    use super::*;

    fn answer(numbers: &[f32]) -> Value {
        Value::Tensor(Tensor::from_slice(numbers).to_device(Device::Cpu))
    }

    #[test]
    fn answers_are_compared_by_form_and_by_size() {
        let plain = answer(&[1.0, -2.0]);
        assert!(compare(&plain, &answer(&[1.0005, -2.0]), 2).is_ok());
        assert!(compare(&plain, &answer(&[1.01, -2.0]), 2).is_err());
        assert!(compare(&plain, &answer(&[f32::NAN, -2.0]), 2).is_err());
        assert!(compare(&plain, &answer(&[1.0]), 2).is_err());
        assert!(compare(&plain, &plain, 1).is_err(), "no batch of one");
        assert!(compare(&Value::None, &Value::None, 1).is_err());
    }

    #[test]
    fn programs_for_several_come_with_the_batches_and_answer_the_same() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/mobilenet_v2/model.pt");
        let module = Module::load(Path::new(file), Device::Cpu)
            .and_then(|module| module.prepare_for_inference_with(&["forward"], Preparation::PLAIN))
            .expect("it is frozen");
        let blank = |count: usize| {
            Ok(Tensor::zeros(
                [count as i64, 3, 224, 224],
                (Kind::Float, Device::Cpu),
            ))
        };
        let _no_grad = tch::no_grad_guard();
        let programs = Specialisations::compile(&module, 8, blank).expect("it is compiled");
        let several = || {
            programs
                .0
                .iter()
                .filter(|stage| stage.several.get().is_some())
                .count()
        };
        let largest: Vec<usize> = programs.0.iter().map(|stage| stage.largest).collect();
        assert_eq!(largest, [1, 2, 4], "the widest activations are first");
        assert_eq!(several(), 0);
        for _ in 0..=SEEN {
            let batch = [Value::Tensor(Tensor::randn(
                [7, 3, 224, 224],
                (Kind::Float, Device::Cpu),
            ))];
            let expected = module.call("forward", &batch).expect("the plain answer");
            let found = programs.forward(&batch).expect("the compiled answer");
            compare(&expected, &found, 7).expect("they are the same");
        }
        assert_eq!(several(), 2);
        assert!(
            programs
                .0
                .iter()
                .all(|stage| stage.several.get().is_none_or(Option::is_some))
        );
    }
}
