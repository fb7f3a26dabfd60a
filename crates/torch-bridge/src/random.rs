//! Random numbers of a generator of one's own, as `torch.Generator` gives them.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::ptr::NonNull;

use tch::Tensor;

use crate::error::Result;
use crate::ffi::{self, RawGenerator, own_tensor, produce};

/// The CPU's generator: what it draws is what `torch.Generator().manual_seed(seed)` draws in the same order, and nobody
/// else draws from it, as they may from the process's own.
#[derive(Debug)]
pub struct Generator(NonNull<RawGenerator>);

impl Generator {
    /// A generator with this seed. Of a longer one libtorch takes 32 bits without a word.
    ///
    /// # Errors
    /// [`crate::BridgeError::Torch`] when libtorch cannot make one.
    pub fn new(seed: u32) -> Result<Self> {
        // SAFETY: the pointer handed out is owned by the new value.
        produce(|out| unsafe { ffi::bridge_generator_new(seed.into(), out) }).map(Self)
    }

    /// `torch.rand(size)`: uniform numbers from 0 to 1.
    ///
    /// # Errors
    /// [`crate::BridgeError::Torch`] when the size is none.
    pub fn uniform(&mut self, size: &[i64]) -> Result<Tensor> {
        self.draw(size, false)
    }

    /// `torch.randn(size)`: normal numbers of mean 0 and deviation 1.
    ///
    /// # Errors
    /// [`crate::BridgeError::Torch`] when the size is none.
    pub fn normal(&mut self, size: &[i64]) -> Result<Tensor> {
        self.draw(size, true)
    }

    fn draw(&mut self, size: &[i64], normal: bool) -> Result<Tensor> {
        // SAFETY: the generator and the sizes live through the call; `&mut self` keeps others away.
        let drawn = produce(|out| unsafe {
            ffi::bridge_generator_draw(self.0.as_ptr(), size.as_ptr(), size.len(), normal, out)
        });
        drawn.map(own_tensor)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once.
        unsafe { ffi::bridge_generator_free(self.0.as_ptr()) }
    }
}
