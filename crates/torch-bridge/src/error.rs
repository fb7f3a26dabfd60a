//! What can go wrong at the boundary. Everything that libtorch throws arrives here as [`BridgeError::Torch`]; nothing
//! of it unwinds into Rust.

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
        Self::Torch(error.to_string())
    }
}
