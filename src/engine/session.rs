//! A loaded model on a thread: the module as it runs fastest, and the thread's settings for libtorch.

use tch::{Device, Tensor};
use torch_bridge::{BridgeError, Module, Value};

use crate::error::{Error, Result};

impl From<BridgeError> for Error {
    fn from(error: BridgeError) -> Self {
        Self::InferenceFailed(error.to_string())
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::InferenceFailed(error.to_string())
    }
}

/// Settings that hold for the whole process; call it before anything is loaded and any thread is started.
pub fn configure_process() {
    torch_bridge::share_heaps();
    torch_bridge::keep_large_blocks();
    // The profiling executor re-optimises at the first calls of every shape: seconds at a new batch size. A
    // frozen graph gains nothing from it. These only fail when libtorch itself is broken; loading then says so.
    drop(tch::jit::f_set_profiling_mode(false));
    drop(tch::jit::f_set_tensor_expr_fuser_enabled(false));
}

/// Settings of libtorch that are kept by each thread; call it first on every thread that computes.
pub fn configure_thread(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
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

/// A module that is ready to predict. Clones share the weights.
#[derive(Clone)]
pub struct Session {
    module: Module,
    device: Device,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Freezes `module`, which is on `device`, for `methods`.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    pub fn prepare(module: &Module, device: Device, methods: &[&str]) -> Result<Self> {
        Ok(Self {
            module: module.prepare_for_inference(methods)?,
            device,
        })
    }

    /// `forward` of one batch that answers one tensor, or a tuple that begins with it.
    ///
    /// # Errors
    /// As [`Call::call`]; also when the answer is neither.
    pub fn forward(&self, batch: Tensor) -> Result<Tensor> {
        first_tensor(self.call("forward", &[Value::Tensor(batch)])?)
    }
}

impl Call for Session {
    /// Never records gradients.
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.module.call(method, inputs)?)
    }

    fn device(&self) -> Device {
        self.device
    }
}
