//! Weights that are rarely read, kept in a file; weights that have lost their order.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use crate::error::{BridgeError, Result};
use crate::ffi::{self, c_text, check, produce};
use crate::module::Module;
use crate::value::Value;

impl Module {
    /// A copy with weights of its own, in which the values of each floating-point parameter that `parameters` names have changed places
    /// at random: their mean, their deviation and their largest stay, what they have learned goes. Buffers stay as they are, names that
    /// are none of a parameter's are passed over. The same seed gives the same copy.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when libtorch cannot copy the module.
    pub fn shuffled(&self, parameters: &[&str], seed: u32) -> Result<Self> {
        let names = Value::List(parameters.iter().copied().map(Value::from).collect()).to_ivalue()?;
        let _turn = self.shared.take_turn();
        // SAFETY: the module and the names live through the call, which copies the module.
        Self::own(produce(|out| unsafe {
            ffi::bridge_module_shuffled(self.shared.as_ptr(), names.as_ptr(), seed.into(), out)
        })?)
    }

    /// Writes the constants of `method` that have at least so many bytes into `file`, which nothing else may write to, and
    /// maps them from there: they take memory only while they are read. For a prepared module, whose weights are constants,
    /// that nobody else has yet. Answers their bytes.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`]; [`BridgeError::Torch`] when the file cannot be written, or the module has clones.
    pub fn weights_to_file(&mut self, method: &str, least: usize, file: &File) -> Result<u64> {
        self.method(method)?;
        let name = c_text(method)?;
        let Some(alone) = Arc::get_mut(&mut self.shared) else {
            return Err(BridgeError::Torch("the module is in use elsewhere".to_owned()));
        };
        let mut moved = 0;
        // SAFETY: nobody else has the module, so nobody reads a weight while it changes its place; all that is handed over
        // lives through the call.
        check(unsafe {
            ffi::bridge_module_weights_to_file(
                alone.as_ptr(),
                name.as_ptr(),
                least,
                file.as_raw_fd(),
                &raw mut moved,
            )
        })?;
        Ok(moved)
    }

    /// Gives back the memory of weights that [`weights_to_file`](Self::weights_to_file) has moved; a pass that reads them
    /// again reads the file.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`].
    pub fn forget_weights(&self, method: &str) -> Result<()> {
        self.method(method)?;
        let name = c_text(method)?;
        // SAFETY: the module lives through the call. Pages that are given back while another thread reads them come from
        // the file again, and nobody writes to constants.
        check(unsafe { ffi::bridge_module_forget_weights(self.shared.as_ptr(), name.as_ptr()) })
    }
}
