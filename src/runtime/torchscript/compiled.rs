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

use tch::{Device, Kind, Tensor};
use torch_bridge::{Module, Specialised, Value};

use super::stages::plan;
use crate::engine::cores::Class;
use crate::engine::{CorePermit, Share};
use crate::error::{Error, Result};
use crate::runtime::Difference;
use crate::runtime::parts::{self, Part};
use crate::runtime::program::Program;

/// The largest batch that is compiled for.
const LARGEST: usize = 4;

/// Batches that come one image after the other through a stage before it is compiled for several.
const SEEN: usize = 6;

/// How far the compiled answers may be from the plain ones, as a part of the largest of these.
const TOLERANCE: f64 = 1e-3;

/// The same where both round to the eight bits of a bfloat16, each between other steps.
const HALF_TOLERANCE: f64 = 5e-2;

/// Compilations in this process. Each empties the cache in which oneDNN Graph keeps the weights that it packed, of every
/// program: each packs them again when it next runs, from the plain ones.
static COMPILATIONS: AtomicU64 = AtomicU64::new(0);

/// The stages, in order.
#[derive(Debug)]
pub(super) struct Compiled(Vec<Stage>);

/// Some of the steps of `forward`.
#[derive(Debug)]
struct Stage {
    part: Range<usize>,
    one: Kernel,
    /// How many images `several` takes.
    largest: usize,
    several: OnceLock<Option<Kernel>>,
    seen: AtomicUsize,
}

/// A part of `module`'s `forward`, compiled for batches of one shape.
#[derive(Debug)]
struct Kernel {
    module: Module,
    compiled: Specialised,
    /// How many compilations there had been when it last packed its weights.
    packed: AtomicU64,
}

impl Kernel {
    fn compile(
        _permit: &CorePermit<'_>,
        module: &Module,
        part: &Range<usize>,
        input: &Tensor,
    ) -> Result<Self> {
        let input = [Value::Tensor(parts::in_order(input)?)];
        let compiled = module.specialise("forward", part.clone(), &input)?;
        COMPILATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            module: module.clone(),
            compiled,
            packed: AtomicU64::new(0),
        })
    }

    fn run(&self, _permit: &CorePermit<'_>, rows: Tensor) -> Result<Value> {
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

impl Compiled {
    /// Compiles `module`, which is frozen and not fused, for batches of one and of several, none larger than
    /// `max_batch`, and compares what it answers with the module itself. `example` makes a batch of some size.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when nothing in it can be compiled, when its answers are no batches, or when they
    /// differ.
    pub(super) fn new(
        module: &Module,
        max_batch: usize,
        share: &Share,
        example: &dyn Fn(usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let largest = max_batch.clamp(1, LARGEST);
        let cuts = {
            let _permit = share.acquire(Class::Explain);
            module.cuts("forward", &[Value::Tensor(parts::in_order(&example(1)?)?)])?
        };
        let staged = plan(&cuts, largest);
        let whole = [(0..cuts.last().map_or(0, |end| end.position), largest)];
        let compiled = |plan: &[(Range<usize>, usize)]| {
            let made = Self::in_stages(module, plan, share, &example(1)?)?;
            for size in [1, largest] {
                let random = [Value::Tensor(parts::in_order(&example(size)?.f_rand_like()?)?)];
                let permit = share.acquire(Class::Explain);
                compare(
                    &module.call("forward", &random)?,
                    &made.forward(&permit, &random)?,
                    size,
                )?;
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

    fn in_stages(
        module: &Module,
        plan: &[(Range<usize>, usize)],
        share: &Share,
        example: &Tensor,
    ) -> Result<Self> {
        let mut stages = Vec::new();
        let mut arrives = Value::Tensor(example.shallow_clone());
        for (part, largest) in plan {
            // One for each stage, so that predictions of other models go between them.
            let permit = share.acquire(Class::Explain);
            let stage = Stage {
                part: part.clone(),
                one: Kernel::compile(&permit, module, part, parts::batch(&arrives)?)?,
                largest: *largest,
                several: OnceLock::new(),
                seen: AtomicUsize::new(0),
            };
            arrives = stage.forward(&permit, &arrives)?;
            stages.push(stage);
        }
        Ok(Self(stages))
    }

    /// Whether `module` itself, which is what was compiled, answers `example` sooner, by more than a twentieth: a
    /// network of many small layers between which there is nothing to fuse gains nothing and pays for the reordering.
    pub(super) fn is_slower_than(&self, module: &Module, share: &Share, example: &Tensor) -> Result<bool> {
        let input = [Value::Tensor(parts::in_order(example)?)];
        let permit = share.acquire(Class::Explain);
        let (mut ours, mut plain) = (Duration::MAX, Duration::MAX);
        for _ in 0..3 {
            ours = ours.min(timed(|| self.forward(&permit, &input))?);
            plain = plain.min(timed(|| Ok(module.call("forward", &input)?))?);
        }
        Ok(ours.as_secs_f64() > 1.05 * plain.as_secs_f64())
    }

    /// `forward` of `inputs`, tensors with the batch in dimension 0.
    fn forward(&self, permit: &CorePermit<'_>, inputs: &[Value]) -> Result<Value> {
        let [input] = inputs else {
            return Err(Error::InferenceFailed(
                "a compiled program takes one batch".into(),
            ));
        };
        let through = |value: Value, stage: &Stage| stage.forward(permit, &value);
        self.0.iter().try_fold(input.shallow_clone(), through)
    }
}

impl Program for Compiled {
    /// `forward`, whatever `method` says: there is no other. It records no gradients.
    fn call(&self, permit: &CorePermit<'_>, _method: &str, inputs: &[Value]) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        self.forward(permit, inputs)
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn settle(&self, share: &Share, example: &dyn Fn(usize) -> Result<Tensor>) -> Result<()> {
        let is_settled = |stage: &Stage| stage.largest == 1 || stage.several.get().is_some();
        if self.0.iter().all(is_settled) {
            return Ok(());
        }
        let _no_grad = tch::no_grad_guard();
        let permit = share.acquire(Class::Explain);
        let mut arrives = Value::Tensor(example(LARGEST)?);
        for stage in &self.0 {
            if !is_settled(stage) {
                stage.make_several(&permit, parts::batch(&arrives)?);
            }
            arrives = stage.forward(&permit, &arrives)?;
        }
        Ok(())
    }
}

impl Stage {
    fn forward(&self, permit: &CorePermit<'_>, input: &Value) -> Result<Value> {
        let input = parts::batch(input)?;
        let several = self.several(permit, input);
        let sizes: &[usize] = if several.is_some() {
            &[1, self.largest]
        } else {
            &[1]
        };
        self.cut(permit, input, sizes, several.unwrap_or(&self.one))
    }

    fn cut(
        &self,
        permit: &CorePermit<'_>,
        input: &Tensor,
        sizes: &[usize],
        several: &Kernel,
    ) -> Result<Value> {
        let run = |part: Part| {
            let kernel = if part.length == 1 { &self.one } else { several };
            kernel.run(permit, parts::in_order(&parts::rows(input, part)?)?)
        };
        let total = usize::try_from(input.size()[0]).unwrap_or(0);
        parts::join(
            parts::exact(total, sizes)
                .into_iter()
                .map(run)
                .collect::<Result<_>>()?,
        )
    }

    /// The kernel for several, once there is one. The batch that shows that it is worth its memory waits until it is
    /// compiled; other batches do not.
    fn several(&self, permit: &CorePermit<'_>, input: &Tensor) -> Option<&Kernel> {
        if let Some(made) = self.several.get() {
            return made.as_ref();
        }
        let is_several = self.largest > 1 && input.size()[0] >= self.largest as i64;
        if !is_several || self.seen.fetch_add(1, Ordering::Relaxed) + 1 != SEEN {
            return None;
        }
        self.make_several(permit, input)
    }

    /// Makes the kernel for several from the first of `input`, at least as many.
    fn make_several(&self, permit: &CorePermit<'_>, input: &Tensor) -> Option<&Kernel> {
        let made = self
            .compile_several(permit, input)
            .inspect_err(|error| tracing::info!(%error, "a stage is not compiled for several images"));
        self.several.get_or_init(|| made.ok()).as_ref()
    }

    fn compile_several(&self, permit: &CorePermit<'_>, input: &Tensor) -> Result<Kernel> {
        // Copies, as a part may begin with a step that writes to what it is given.
        let rows = || -> Result<Tensor> {
            let rows = parts::in_order(&input.f_narrow(0, 0, self.largest as i64)?)?;
            let mut copy = rows.f_empty_like()?;
            copy.f_copy_(&rows)?;
            Ok(copy)
        };
        let kernel = Kernel::compile(permit, &self.one.module, &self.part, &rows()?)?;
        let one_by_one = self.cut(permit, &rows()?, &[1], &self.one)?;
        compare(&one_by_one, &kernel.run(permit, rows()?)?, self.largest)?;
        Ok(kernel)
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
        let tolerance = if expected.kind() == Kind::BFloat16 {
            HALF_TOLERANCE
        } else {
            TOLERANCE
        };
        let is_batch = found.size().first() == Some(&(size as i64));
        let Some(difference) = Difference::between(expected, found)?.filter(|_| is_batch) else {
            return differ(format!("{:?} for a batch of {size}", found.size()));
        };
        let off = difference.relative(difference.largest()?);
        if off.is_nan() || off > tolerance {
            return differ(format!("otherwise, by {off} of the largest number"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use torch_bridge::Preparation;

    use super::*;
    use crate::engine::cores::Cores;

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
    fn kernels_for_several_come_with_the_batches_and_answer_the_same() {
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
        let share = Share {
            cores: Cores::of_this_machine(),
            count: 1,
        };
        let compiled = Compiled::new(&module, 8, &share, &blank).expect("it is compiled");
        let several = || {
            compiled
                .0
                .iter()
                .filter(|stage| stage.several.get().is_some())
                .count()
        };
        let largest: Vec<usize> = compiled.0.iter().map(|stage| stage.largest).collect();
        assert_eq!(largest, [1, 2, 4], "the widest activations are first");
        assert_eq!(several(), 0);
        let permit = share.acquire(Class::Predict);
        for _ in 0..=SEEN {
            let batch = [Value::Tensor(Tensor::randn(
                [7, 3, 224, 224],
                (Kind::Float, Device::Cpu),
            ))];
            let expected = module.call("forward", &batch).expect("the plain answer");
            let found = compiled.forward(&permit, &batch).expect("the compiled answer");
            compare(&expected, &found, 7).expect("they are the same");
        }
        assert_eq!(several(), 2);
        assert!(
            compiled
                .0
                .iter()
                .all(|stage| stage.several.get().is_none_or(Option::is_some))
        );
    }
}
