//! What a failure of libtorch means to the server.

use torch_bridge::{BridgeError, Brief};

use crate::error::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_is_told_apart_by_its_variant() {
        let full = tch::Tensor::f_zeros([1 << 50], (tch::Kind::Float, tch::Device::Cpu));
        let error = Error::from(full.expect_err("a petabyte"));
        assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
        let model = BridgeError::Torch("the model raised: no room left in the garage".into());
        assert!(matches!(Error::from(model), Error::InferenceFailed(_)));
    }
}
