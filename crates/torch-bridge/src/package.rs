//! AOTInductor packages (`.pt2`): a graph that was compiled ahead of time into a shared library, for one shape of
//! input, with its weights. There are no layers in it and no gradients.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::path::Path;
use std::ptr::NonNull;

use tch::Device;

use crate::error::{BridgeError, Result};
use crate::ffi::{self, OwnedValue, RawPackage, c_text, produce};
use crate::value::{Value, tuple_of};

/// A loaded package. Calls may come from several threads; beyond the number of its runners they wait.
pub struct Package {
    raw: NonNull<RawPackage>,
}

// SAFETY: the loader keeps nothing of the thread that made it.
unsafe impl Send for Package {}
// SAFETY: `run` is the only call on a shared package; the container behind it hands each caller a runner of its own
// under a lock, and the weights are only read.
unsafe impl Sync for Package {}

impl Drop for Package {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once.
        unsafe { ffi::bridge_package_free(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Package {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Package").finish_non_exhaustive()
    }
}

impl Package {
    /// What the package at `path` says of itself: `AOTI_DEVICE_KEY` and whatever else its maker wrote. Runs none of
    /// its code.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when the file is no package.
    pub fn metadata(path: &Path) -> Result<BTreeMap<String, String>> {
        let file = c_text(&path.to_string_lossy())?;
        // SAFETY: the text lives through the call.
        let entries = OwnedValue::produce(|out| unsafe { ffi::bridge_package_metadata(file.as_ptr(), out) })?;
        let entries = Value::from_ivalue(&entries)?.into_entries()?;
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            other => Err(other.unexpected("a str")),
        };
        entries
            .into_iter()
            .map(|(key, value)| Ok((text(key)?, text(value)?)))
            .collect()
    }

    /// Loads the package at `path` for `runners` calls side by side, which share its weights. It unpacks itself into
    /// the folder for temporary files, and lies there until it is dropped.
    ///
    /// The file is a program: load only what you trust, and only what was compiled for processors like this one.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when the file is no package, or not one for `device`.
    pub fn load(path: &Path, runners: NonZeroUsize, device: Device) -> Result<Self> {
        let file = c_text(&path.to_string_lossy())?;
        let index = match device {
            Device::Cuda(index) => c_int::try_from(index)
                .map_err(|_| BridgeError::Torch(format!("there is no CUDA device {index}")))?,
            _ => -1,
        };
        // SAFETY: the text lives through the call.
        let raw =
            produce(|out| unsafe { ffi::bridge_package_load(file.as_ptr(), runners.get(), index, out) })?;
        Ok(Self { raw })
    }

    /// Runs it on tensors of exactly the shapes that it was compiled for, and answers every tensor of the result in
    /// order, whatever containers the exported program put them in.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when there are other inputs than it was compiled for; [`BridgeError::UnexpectedValue`]
    /// when one is no tensor.
    pub fn run(&self, inputs: &[Value]) -> Result<Vec<Value>> {
        if let Some(other) = inputs.iter().find(|value| !matches!(value, Value::Tensor(_))) {
            return Err(other.unexpected("a Tensor"));
        }
        let inputs = tuple_of(inputs)?;
        // SAFETY: the package is alive and its own lock lets calls in side by side; the inputs live through the call.
        let outputs = OwnedValue::produce(|out| unsafe {
            ffi::bridge_package_run(self.raw.as_ptr(), inputs.as_ptr(), out)
        })?;
        Value::from_ivalue(&outputs)?.into_elements()
    }
}
