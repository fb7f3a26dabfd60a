//! What a module says of itself: its methods, its layers, its weights.

use crate::error::{BridgeError, Result};
use crate::value::Value;

/// A method of the top module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodInfo {
    /// `forward`, `encode`, …
    pub name: String,
    /// Without `self`.
    pub arguments: Vec<ArgumentInfo>,
    /// The TorchScript type that it returns, as it is annotated: `Tuple[Tensor, Tensor]`.
    pub returns: String,
}

/// An argument of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentInfo {
    /// The name in the program.
    pub name: String,
    /// The TorchScript type, as it is annotated: `List[Tensor]`.
    pub kind: String,
    /// Whether a call may leave it out.
    pub has_default: bool,
}

/// A layer that a tap can be put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The attribute names from the top module, with dots between: `features.18.0`.
    pub path: String,
    /// The class in the program it was exported from: `Conv2d`.
    pub kind: String,
    /// In how many places its `forward` is called; a loop counts once.
    pub calls: usize,
}

/// What the bridge described is not shaped as it should be; a fault of this crate.
pub(crate) fn malformed() -> BridgeError {
    BridgeError::Torch("the bridge gave a description of another shape".to_owned())
}

/// The name and the shape of a parameter.
pub(crate) fn weight(weight: Value) -> Result<(String, Vec<i64>)> {
    let fields = <[Value; 2]>::try_from(weight.into_elements()?);
    let Ok([Value::String(name), Value::List(sizes)]) = fields else {
        return Err(malformed());
    };
    let size = |size: Value| match size {
        Value::Int(size) => Ok(size),
        _ => Err(malformed()),
    };
    Ok((name, sizes.into_iter().map(size).collect::<Result<_>>()?))
}

impl Layer {
    pub(crate) fn read(fields: Vec<Value>) -> Result<Self> {
        match <[Value; 3]>::try_from(fields) {
            Ok([Value::String(path), Value::String(kind), Value::Int(calls)]) => Ok(Self {
                path,
                kind,
                calls: usize::try_from(calls).map_err(|_| malformed())?,
            }),
            _ => Err(malformed()),
        }
    }
}

impl MethodInfo {
    pub(crate) fn read(fields: Vec<Value>) -> Result<Self> {
        let Ok(
            [
                Value::String(name),
                Value::List(arguments),
                Value::String(returns),
            ],
        ) = <[Value; 3]>::try_from(fields)
        else {
            return Err(malformed());
        };
        let arguments = arguments
            .into_iter()
            .map(|argument| argument.into_elements().and_then(ArgumentInfo::read))
            .collect::<Result<_>>()?;
        Ok(Self {
            name,
            arguments,
            returns,
        })
    }
}

impl ArgumentInfo {
    pub(crate) fn read(fields: Vec<Value>) -> Result<Self> {
        match <[Value; 3]>::try_from(fields) {
            Ok([Value::String(name), Value::String(kind), Value::Bool(has_default)]) => Ok(Self {
                name,
                kind,
                has_default,
            }),
            _ => Err(malformed()),
        }
    }
}
