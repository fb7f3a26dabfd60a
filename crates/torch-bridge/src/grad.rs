//! Gradients of a scalar with respect to any tensors of its autograd graph, recorded activations above all.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::ptr::{self, NonNull};

use tch::Tensor;

use crate::error::Result;
use crate::ffi::{self, check, own_tensor};

/// The gradients of the scalar `target` with respect to each of `inputs`; nothing for an input that `target` does not
/// depend on. `keep_graph` keeps what is needed to differentiate the same graph again. Leaves accumulate nothing.
///
/// # Errors
/// [`crate::BridgeError::Torch`] when `target` is no scalar, when it or an input is in no autograd graph, or when the
/// graph has been freed.
pub fn grad(target: &Tensor, inputs: &[&Tensor], keep_graph: bool) -> Result<Vec<Option<Tensor>>> {
    let pointers: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
    let mut gradients = vec![ptr::null_mut(); inputs.len()];
    // SAFETY: the tensors live through the call; both arrays have as many entries as it is told.
    check(unsafe {
        ffi::bridge_grad(
            target.as_ptr(),
            pointers.as_ptr(),
            pointers.len(),
            keep_graph,
            gradients.as_mut_ptr(),
        )
    })?;
    Ok(gradients
        .into_iter()
        .map(|gradient| NonNull::new(gradient).map(own_tensor))
        .collect())
}
