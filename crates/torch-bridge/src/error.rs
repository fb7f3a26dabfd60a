//! What can go wrong at the boundary. Everything that libtorch throws arrives here as [`BridgeError::Torch`] or
//! [`BridgeError::OutOfMemory`]; nothing of it unwinds into Rust.
//!
//! libtorch's interpreter turns every exception into one type and keeps the words alone, and so does tch. So words are what
//! tells a full device or a file of another kind apart, here and nowhere else; from here on it is a variant.

use tch::TchError;

/// Result with the crate's [`BridgeError`].
pub type Result<T, E = BridgeError> = std::result::Result<T, E>;

/// A failure of libtorch, of the TorchScript program, or of what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// libtorch or the TorchScript program raised this.
    #[error("{0}")]
    Torch(String),
    /// A device had no room for what was to be computed.
    #[error("{0}")]
    OutOfMemory(String),
    /// The pass ran, or would, and its gradients cannot be taken.
    #[error("{0}")]
    NotDifferentiable(String),
    /// A file is no TorchScript, or a damaged one.
    #[error("{0}")]
    NotTorchScript(String),
    /// The module has no method of this name.
    #[error("the module has no method `{method}`; it has {}", known.join(", "))]
    MethodNotFound {
        /// The name that was asked for.
        method: String,
        /// The methods that there are.
        known: Vec<String>,
    },
    /// The method never calls a submodule of this path, so that there is nothing to put a tap on.
    #[error("`{method}` calls no layer `{path}`")]
    LayerNotFound {
        /// The path that was asked for.
        path: String,
        /// The method whose graph was searched.
        method: String,
    },
    /// A value is of another kind than the caller expects.
    #[error("expected {expected}, found {found}")]
    UnexpectedValue {
        /// The kind that was asked for.
        expected: &'static str,
        /// The TorchScript type of what is there.
        found: String,
    },
    /// A text holds a NUL byte and cannot be handed to C++.
    #[error("`{0}` contains a NUL byte")]
    NulByte(String),
}

impl From<TchError> for BridgeError {
    fn from(error: TchError) -> Self {
        Self::of_words(error.to_string())
    }
}

impl BridgeError {
    /// What libtorch's `words` are about.
    #[must_use]
    pub fn of_words(words: String) -> Self {
        if FULL.iter().any(|full| words.contains(full)) {
            Self::OutOfMemory(words)
        } else if words.contains(UNREADABLE) {
            Self::NotTorchScript(words)
        } else if WITHOUT_GRADIENTS.iter().any(|said| words.contains(said)) {
            Self::NotDifferentiable(words)
        } else {
            Self::Torch(words)
        }
    }

    /// What libtorch's words in the text of a `panic` of tch are about, which shows a `TchError`; else what the panic says.
    #[must_use]
    pub fn of_panic(panic: &str) -> Self {
        let shown = panic
            .split_once("Torch(\"")
            .and_then(|(_, words)| words.rsplit_once("\")"));
        let words = shown.map_or_else(|| panic.to_owned(), |(words, _)| words.replace("\\n", "\n"));
        Self::of_words(words)
    }
}

/// What libtorch's allocators say when they have no room: that of the CPU, that of CUDA («CUDA out of memory. Tried to
/// allocate …»), CUDA itself, its driver, and the libraries above it, such as `CUBLAS_STATUS_ALLOC_FAILED`. An internal error is all
/// that cuDNN says where the last 30 MB do not do for it.
/// Last, what C++ says where even an exception has no room.
const FULL: [&str; 8] = [
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "std::bad_alloc",
];

/// What libtorch says of a file that is no archive, is cut off, or lacks what TorchScript has in it (a state dict does).
const UNREADABLE: &str = "PytorchStreamReader failed";

/// What autograd says of an operator that has no derivative, of a write to what a derivative needs, and of an answer that hangs
/// on nothing of which gradients are taken.
const WITHOUT_GRADIENTS: [&str; 4] = [
    "derivative for",
    "modified by an inplace operation",
    "is being modified inplace",
    "does not require grad",
];

#[cfg(test)]
mod tests {
    use super::BridgeError;

    #[test]
    fn a_device_is_full_where_an_allocator_says_so_and_not_where_a_program_does() {
        let is_full =
            |words: &str| matches!(BridgeError::of_words(words.into()), BridgeError::OutOfMemory(_));
        assert!(is_full(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"
        ));
        assert!(is_full(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
             allocate 4503599627370496 bytes"
        ));
        assert!(is_full(
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
        ));
        assert!(!is_full("RuntimeError: the robot is out of memory cards"));
    }

    #[test]
    fn what_has_no_gradients_is_told_apart() {
        let ones = tch::Tensor::ones([2], (tch::Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let root = ones.sqrt();
        let _written = root.shallow_clone().fill_(3.0);
        for sum in [root.sum(tch::Kind::Float), tch::Tensor::from(1.0f32)] {
            let error = sum.f_backward().expect_err("it cannot be taken");
            let error = BridgeError::from(error);
            assert!(matches!(error, BridgeError::NotDifferentiable(_)), "{error}");
        }
    }
}
