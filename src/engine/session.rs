//! A loaded model on a thread: the module as it runs fastest, and the thread's settings for libtorch.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use torch_bridge::{BridgeError, Module, Preparation, Value};

use super::packages::Packages;
use super::specialised::Specialisations;
use crate::error::{Error, Result};
use crate::repository::manifest::Precision;

impl From<BridgeError> for Error {
    fn from(error: BridgeError) -> Self {
        failure(error.to_string())
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        failure(error.to_string())
    }
}

/// What libtorch's words mean.
fn failure(words: String) -> Error {
    // "CUDA out of memory. Tried to allocate …", "CUDA error: out of memory", "DefaultCPUAllocator: can't allocate memory".
    let is_full = ["out of memory", "can't allocate memory"]
        .iter()
        .any(|w| words.contains(w));
    if is_full {
        Error::OutOfMemory(words)
    } else {
        Error::InferenceFailed(words)
    }
}

/// Settings that hold for the whole process; call it before anything is loaded and any thread is started.
pub fn configure_process() {
    torch_bridge::share_heaps();
    torch_bridge::keep_large_blocks();
    torch_bridge::share_blocks();
    // The profiling executor re-optimises at the first calls of every shape: seconds at a new batch size. A
    // frozen graph gains nothing from it. These only fail when libtorch itself is broken; loading then says so.
    drop(tch::jit::f_set_profiling_mode(false));
    drop(tch::jit::f_set_tensor_expr_fuser_enabled(false));
    // f32 means f32: with TF32, which libtorch would use for convolutions, scores move by up to 0.007.
    drop(torch_bridge::allow_tf32(false));
}

/// Settings of libtorch that are kept by each thread; call it first on every thread that computes on the CPU.
pub fn configure_thread(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
}

/// [`configure_thread`] for a thread that computes on `device`; on CUDA it gets a stream of its own.
///
/// # Errors
/// [`Error::InferenceFailed`] when there is no such device.
pub fn configure_thread_on(device: Device, threads: usize) -> Result<()> {
    configure_thread(threads);
    if let Device::Cuda(index) = device {
        torch_bridge::use_own_stream(index)?;
    }
    Ok(())
}

/// A module that can be called: frozen, as predictions use it, or as it was exported, as explanations do.
pub trait Call {
    /// Calls `method`.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value>;

    /// Where the weights are.
    fn device(&self) -> Device;
}

/// A tensor, or the first of a tuple: networks with auxiliary heads, such as torchvision's scripted GoogLeNet, answer
/// `(logits, None, None)`.
///
/// # Errors
/// [`Error::InferenceFailed`] when there is no tensor at that place.
pub fn first_tensor(output: Value) -> Result<Tensor> {
    match output {
        Value::Tuple(parts) => match parts.into_iter().next() {
            Some(Value::Tensor(first)) => Ok(first),
            _ => Err(Error::InferenceFailed(
                "the answer is a tuple that begins with no tensor".into(),
            )),
        },
        other => Ok(other.into_tensor()?),
    }
}

/// A module as it was exported. Gradients are recorded as the calling thread's grad mode says.
#[derive(Debug)]
pub struct Exported {
    /// Its layers can be captured.
    pub module: Module,
    /// Where it is.
    pub device: Device,
}

impl Call for Exported {
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        Ok(self.module.call(method, inputs)?)
    }

    fn device(&self) -> Device {
        self.device
    }
}

/// Bytes of a weight that is worth pages of its own.
const LARGE: usize = 64 << 10;

/// A model that is ready to predict. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Session {
    program: Program,
    device: Device,
    /// What its numbers are, where that is not f32.
    half: Option<Kind>,
}

#[derive(Debug, Clone)]
enum Program {
    Frozen(Module),
    Specialised(Arc<Specialisations>),
    Compiled(Arc<Packages>),
}

impl Session {
    /// Freezes `module`, which is on `device`, for `methods`.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    pub fn prepare(module: &Module, device: Device, methods: &[&str], precision: Precision) -> Result<Self> {
        let half = match precision {
            Precision::F32 => None,
            Precision::F16 => Some(Kind::Half),
            Precision::Bf16 => Some(Kind::BFloat16),
        };
        let preparation = Preparation {
            kind: half,
            ..Preparation::default()
        };
        Ok(Self {
            program: Program::Frozen(module.prepare_for_inference_with(methods, preparation)?),
            device,
            half,
        })
    }

    /// Freezes `module`, which is on the CPU, for `forward` alone, and compiles it for batches of the pictures that
    /// `example` makes, up to `max_batch`, with the threads that the calling thread has. Where that makes it slower, it is
    /// only frozen.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when nothing in it can be compiled, or the compiled one would answer otherwise.
    pub fn specialised(
        module: &Module,
        max_batch: usize,
        example: impl Fn(usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let mut frozen = module.prepare_for_inference_with(&["forward"], Preparation::PLAIN)?;
        // What is compiled has weights of its own.
        let moved = tempfile::tempfile().map_err(|e| e.to_string()).and_then(|file| {
            let moved = frozen.weights_to_file("forward", LARGE, &file);
            moved.map_err(|e| e.to_string())
        });
        if let Err(error) = moved {
            tracing::info!(error, "weights that are rarely read stay in memory");
        }
        let programs = Specialisations::compile(&frozen, max_batch, &example)?;
        let program = if programs.is_slower_than(&frozen, &example(1)?)? {
            tracing::info!("the model is slower compiled for batch sizes, so it is not");
            Program::Frozen(module.prepare_for_inference_with(&["forward"], Preparation::PLAIN)?)
        } else {
            frozen.forget_weights("forward")?;
            Program::Specialised(Arc::new(programs))
        };
        Ok(Self {
            program,
            device: Device::Cpu,
            half: None,
        })
    }

    /// Loads the AOTInductor packages `files`, given by batch size, for `runners` threads.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when there is none, or one cannot run on this machine.
    pub fn compiled(files: &[(usize, PathBuf)], runners: NonZeroUsize, device: Device) -> Result<Self> {
        Ok(Self {
            program: Program::Compiled(Arc::new(Packages::load(files, runners, device)?)),
            device,
            half: None,
        })
    }

    /// Compiles now, for as many threads as the calling thread has, what is otherwise compiled when batches have come; for
    /// measurements. `example` makes a batch of some size.
    ///
    /// # Errors
    /// As [`Call::call`].
    pub fn settle(&self, example: impl Fn(usize) -> Result<Tensor>) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        match &self.program {
            Program::Specialised(programs) => programs.settle(example),
            Program::Frozen(_) | Program::Compiled(_) => Ok(()),
        }
    }

    /// `forward` of one batch that answers one tensor, or a tuple that begins with it.
    ///
    /// # Errors
    /// As [`Call::call`]; also when the answer is neither.
    pub fn forward(&self, batch: Tensor) -> Result<Tensor> {
        first_tensor(self.call("forward", &[Value::Tensor(batch)])?)
    }

    fn run(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        match &self.program {
            Program::Frozen(module) => Ok(module.call(method, inputs)?),
            Program::Specialised(programs) => programs.forward(inputs),
            Program::Compiled(packages) => packages.forward(inputs),
        }
    }
}

impl Call for Session {
    /// Never records gradients. Takes and answers f32, whatever the model computes in.
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let Some(half) = self.half else {
            return self.run(method, inputs);
        };
        let inputs = inputs
            .iter()
            .map(|value| converted(value, Kind::Float, half))
            .collect::<Result<Vec<_>>>()?;
        converted(&self.run(method, &inputs)?, half, Kind::Float)
    }

    fn device(&self) -> Device {
        self.device
    }
}

/// `value` with every tensor of the kind `from` as one of the kind `to`.
fn converted(value: &Value, from: Kind, to: Kind) -> Result<Value> {
    let all = |elements: &[Value]| {
        elements
            .iter()
            .map(|e| converted(e, from, to))
            .collect::<Result<_>>()
    };
    Ok(match value {
        Value::Tensor(tensor) if tensor.kind() == from => Value::Tensor(tensor.f_to_kind(to)?),
        Value::List(elements) => Value::List(all(elements)?),
        Value::Tuple(elements) => Value::Tuple(all(elements)?),
        Value::Dict(entries) => Value::Dict(
            entries
                .iter()
                .map(|(key, value)| Ok((key.shallow_clone(), converted(value, from, to)?)))
                .collect::<Result<_>>()?,
        ),
        other => other.shallow_clone(),
    })
}
