//! A method compiled by oneDNN Graph for inputs of one shape.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::ptr::NonNull;

use crate::error::{BridgeError, Result};
use crate::ffi::{self, OwnedValue, RawSpecialised, c_text, produce};
use crate::module::Module;
use crate::value::{Value, tuple_of};

/// A method of a prepared module, compiled for the CPU and for inputs of one shape and memory order: convolutions with
/// the activations, sums and depthwise convolutions behind them are one kernel each, and their weights are packed once.
/// Inputs of another shape are computed too, by what there was before. It takes no gradients.
pub struct Specialised {
    raw: NonNull<RawSpecialised>,
    /// Owns the method and the weights.
    _module: Module,
}

// SAFETY: the compiled code keeps nothing of the thread that made it.
unsafe impl Send for Specialised {}
// SAFETY: `run` is the only call; every run has an interpreter of its own, and each kernel is compiled once under a
// lock and only read from then on.
unsafe impl Sync for Specialised {}

impl Drop for Specialised {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once, before the module that it points into.
        unsafe { ffi::bridge_specialised_free(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Specialised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Specialised").finish_non_exhaustive()
    }
}

impl Module {
    /// Compiles `method` for inputs like `inputs`, which it runs twice, with as many threads as the calling thread
    /// has now. The module should be a prepared one without [`Preparation::fuse`](crate::Preparation::fuse), and the
    /// caller should not record gradients.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`]; [`BridgeError::Torch`] when the inputs do not fit, when nothing in the method
    /// can be compiled, or when it writes to its module.
    pub fn specialise(&self, method: &str, inputs: &[Value]) -> Result<Specialised> {
        self.method(method)?;
        if self.is_stateful() {
            return Err(BridgeError::Torch("the module writes to itself".to_owned()));
        }
        let name = c_text(method)?;
        let inputs = tuple_of(inputs)?;
        // SAFETY: everything handed over lives through the call, and the module as long as what is made.
        let raw = produce(|out| unsafe {
            ffi::bridge_specialised_new(self.shared.as_ptr(), name.as_ptr(), inputs.as_ptr(), out)
        })?;
        Ok(Specialised {
            raw,
            _module: self.clone(),
        })
    }
}

impl Specialised {
    /// Runs the method.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when the inputs do not fit or the program raises.
    pub fn run(&self, inputs: &[Value]) -> Result<Value> {
        let inputs = tuple_of(inputs)?;
        // SAFETY: both live through the call, which only reads them.
        let output = OwnedValue::produce(|out| unsafe {
            ffi::bridge_specialised_run(self.raw.as_ptr(), inputs.as_ptr(), out)
        })?;
        Value::from_ivalue(&output)
    }
}
