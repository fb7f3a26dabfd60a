//! What a failure of libtorch means to the server.

use std::panic::{AssertUnwindSafe, catch_unwind};

use torch_bridge::{BridgeError, Brief};

use crate::engine::panic_text;
use crate::error::{Error, Result};

impl From<BridgeError> for Error {
    fn from(error: BridgeError) -> Self {
        match error {
            BridgeError::OutOfMemory(words) => Self::OutOfMemory(words),
            BridgeError::NotDifferentiable(words) => Self::NotDifferentiable(Brief(&words).to_string()),
            BridgeError::NotTorchScript(_) => Self::model(
                "this is no TorchScript file, or a damaged one; export the model with torch.jit.trace or \
                 torch.jit.script, and write it with the module's save()",
            ),
            other => Self::InferenceFailed(other.to_string()),
        }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        BridgeError::from(error).into()
    }
}

/// What `computing` gives, also where libtorch's words come as a panic. tch frees a number that is an argument of an operator
/// before it reads what the operator threw, and so panics as it frees it: `f_full`, `f_mul_scalar` and their like never answer
/// with an error.
pub fn raised<T>(computing: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(computing));
    outcome.unwrap_or_else(|panic| Err(BridgeError::of_panic(&panic_text(panic.as_ref())).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_with_a_number_throws_is_an_error() {
        let full = |size: i64| {
            raised(|| {
                Ok(tch::Tensor::f_full(
                    [size],
                    2.0,
                    (tch::Kind::Float, tch::Device::Cpu),
                )?)
            })
        };
        assert!(matches!(full(1 << 50), Err(Error::OutOfMemory(_))));
        let Err(Error::InferenceFailed(words)) = full(-1) else {
            panic!("a size below zero");
        };
        assert!(
            words.contains("negative dimension") && !words.contains("panic"),
            "{words}"
        );
        assert_eq!(full(2).expect("there is room").size(), [2]);
    }

    #[test]
    fn a_full_device_is_told_apart_by_its_variant() {
        let full = tch::Tensor::f_zeros([1 << 50], (tch::Kind::Float, tch::Device::Cpu));
        let error = Error::from(full.expect_err("a petabyte"));
        assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
        let model = BridgeError::Torch("the model raised: no room left in the garage".into());
        assert!(matches!(Error::from(model), Error::InferenceFailed(_)));
    }
}
