//! Values of TorchScript: what a method takes and gives.
//!
//! tch's own `IValue` cannot be handed to other C++ than its own, and gives up on an empty list; this one crosses the
//! bridge in both directions. Lists and dicts need no element type here: the called method's schema provides it.
#![expect(unsafe_code, reason = "values are built and read through C functions")]

use std::ptr::{self, NonNull};

use tch::Tensor;

use crate::error::{BridgeError, Result};
use crate::ffi::{self, OwnedValue, check, own_tensor, produce};

/// A TorchScript value.
#[derive(Debug)]
pub enum Value {
    /// `None`, and also a tensor that is undefined.
    None,
    /// A tensor; shares its storage with the other side.
    Tensor(Tensor),
    /// `int`
    Int(i64),
    /// `float`
    Double(f64),
    /// `bool`
    Bool(bool),
    /// `str`
    String(String),
    /// `List[T]`
    List(Vec<Value>),
    /// `Tuple[…]`, also a named one (its names are lost).
    Tuple(Vec<Value>),
    /// `Dict[K, V]` in order of insertion.
    Dict(Vec<(Value, Value)>),
}

impl Value {
    /// The kind's name, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Tensor(_) => "Tensor",
            Self::Int(_) => "int",
            Self::Double(_) => "float",
            Self::Bool(_) => "bool",
            Self::String(_) => "str",
            Self::List(_) => "List",
            Self::Tuple(_) => "Tuple",
            Self::Dict(_) => "Dict",
        }
    }

    /// The tensor that this is.
    ///
    /// # Errors
    /// [`BridgeError::UnexpectedValue`] when it is anything else.
    pub fn into_tensor(self) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            other => Err(other.unexpected("a Tensor")),
        }
    }

    /// The elements of a tuple or list.
    ///
    /// # Errors
    /// [`BridgeError::UnexpectedValue`] when it is anything else.
    pub fn into_elements(self) -> Result<Vec<Self>> {
        match self {
            Self::Tuple(elements) | Self::List(elements) => Ok(elements),
            other => Err(other.unexpected("a Tuple or a List")),
        }
    }

    /// The entries of a dict.
    ///
    /// # Errors
    /// [`BridgeError::UnexpectedValue`] when it is anything else.
    pub fn into_entries(self) -> Result<Vec<(Self, Self)>> {
        match self {
            Self::Dict(entries) => Ok(entries),
            other => Err(other.unexpected("a Dict")),
        }
    }

    /// Takes the entry of a dict under a text key; nothing when this is no dict or has no such key.
    #[must_use]
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Self::Dict(entries) = self else { return None };
        let index = entries
            .iter()
            .position(|(k, _)| matches!(k, Self::String(text) if text == key))?;
        Some(entries.remove(index).1)
    }

    /// The same value; tensors share their storage, and their place in the autograd graph.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        let all = |elements: &[Self]| elements.iter().map(Self::shallow_clone).collect();
        match self {
            Self::None => Self::None,
            Self::Tensor(tensor) => Self::Tensor(tensor.shallow_clone()),
            Self::Int(number) => Self::Int(*number),
            Self::Double(number) => Self::Double(*number),
            Self::Bool(flag) => Self::Bool(*flag),
            Self::String(text) => Self::String(text.clone()),
            Self::List(elements) => Self::List(all(elements)),
            Self::Tuple(elements) => Self::Tuple(all(elements)),
            Self::Dict(entries) => {
                let entry = |(key, value): &(Self, Self)| (key.shallow_clone(), value.shallow_clone());
                Self::Dict(entries.iter().map(entry).collect())
            }
        }
    }

    /// Every tensor in it, depth first; of a dict the values, in order.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Tensor(tensor) => vec![tensor],
            Self::List(elements) | Self::Tuple(elements) => elements.iter().flat_map(Self::tensors).collect(),
            Self::Dict(entries) => entries.iter().flat_map(|(_, value)| value.tensors()).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn unexpected(&self, expected: &'static str) -> BridgeError {
        BridgeError::UnexpectedValue {
            expected,
            found: self.kind().to_owned(),
        }
    }

    /// This value on the other side.
    pub(crate) fn to_ivalue(&self) -> Result<OwnedValue> {
        // SAFETY: every pointer handed over is good for the call; the callee copies what it keeps.
        match self {
            Self::None => OwnedValue::produce(|out| unsafe { ffi::bridge_value_none(out) }),
            Self::Tensor(tensor) => {
                OwnedValue::produce(|out| unsafe { ffi::bridge_value_tensor(tensor.as_ptr(), out) })
            }
            Self::Int(number) => OwnedValue::produce(|out| unsafe { ffi::bridge_value_int(*number, out) }),
            Self::Double(number) => {
                OwnedValue::produce(|out| unsafe { ffi::bridge_value_double(*number, out) })
            }
            Self::Bool(flag) => OwnedValue::produce(|out| unsafe { ffi::bridge_value_bool(*flag, out) }),
            Self::String(text) => {
                OwnedValue::produce(|out| unsafe { ffi::bridge_value_string(text.as_ptr(), text.len(), out) })
            }
            Self::List(elements) => container(elements, ffi::bridge_value_list),
            Self::Tuple(elements) => container(elements, ffi::bridge_value_tuple),
            Self::Dict(entries) => container(
                entries.iter().flat_map(|(key, value)| [key, value]),
                ffi::bridge_value_dict,
            ),
        }
    }

    /// Reads a value of the other side.
    pub(crate) fn from_ivalue(value: &OwnedValue) -> Result<Self> {
        let raw = value.as_ptr();
        // SAFETY: `raw` is alive as long as `value` is; each out pointer is to a local of the right type; the kind was
        // asked for before the matching getter.
        unsafe {
            Ok(match ffi::bridge_value_kind(raw) {
                0 => Self::None,
                1 => Self::Tensor(own_tensor(produce(|out| ffi::bridge_value_to_tensor(raw, out))?)),
                2 => Self::Int(read(|out| ffi::bridge_value_to_int(raw, out))?),
                3 => Self::Double(read(|out| ffi::bridge_value_to_double(raw, out))?),
                4 => Self::Bool(read(|out| ffi::bridge_value_to_bool(raw, out))?),
                5 => Self::String(text(raw)?),
                6 => Self::List(elements(raw, 1)?),
                7 => Self::Tuple(elements(raw, 1)?),
                8 => Self::Dict(pairs(elements(raw, 2)?)),
                _ => {
                    let found = ffi::take_text(produce(|out| ffi::bridge_value_type(raw, out))?.as_ptr());
                    return Err(BridgeError::UnexpectedValue {
                        expected: "tensors, numbers, texts, or containers of them",
                        found,
                    });
                }
            })
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),+) => {$(
        impl From<$source> for Value {
            fn from(value: $source) -> Self {
                Self::$variant(value)
            }
        }
    )+};
}
from!(Tensor => Tensor, i64 => Int, f64 => Double, bool => Bool, String => String, Vec<Self> => List);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<Vec<Tensor>> for Value {
    fn from(tensors: Vec<Tensor>) -> Self {
        Self::List(tensors.into_iter().map(Self::Tensor).collect())
    }
}

type MakeContainer =
    unsafe extern "C" fn(*const *mut ffi::RawValue, usize, *mut *mut ffi::RawValue) -> ffi::ErrorText;

fn container<'a>(elements: impl IntoIterator<Item = &'a Value>, make: MakeContainer) -> Result<OwnedValue> {
    let owned = elements
        .into_iter()
        .map(Value::to_ivalue)
        .collect::<Result<Vec<_>>>()?;
    let pointers: Vec<_> = owned.iter().map(OwnedValue::as_ptr).collect();
    // SAFETY: `pointers` has as many entries as it says, each alive in `owned`; the callee copies them.
    OwnedValue::produce(|out| unsafe { make(pointers.as_ptr(), pointers.len(), out) })
}

/// The inputs of a call, as one tuple.
pub(crate) fn tuple_of(inputs: &[Value]) -> Result<OwnedValue> {
    container(inputs, ffi::bridge_value_tuple)
}

fn read<T: Default>(get: impl FnOnce(*mut T) -> ffi::ErrorText) -> Result<T> {
    let mut out = T::default();
    check(get(&raw mut out))?;
    Ok(out)
}

/// # Safety
/// `raw` is alive.
unsafe fn text(raw: *const ffi::RawValue) -> Result<String> {
    let mut bytes = ptr::null();
    let mut length = 0;
    // SAFETY: the view stays good while `raw` lives, which is until after the copy.
    let view = unsafe {
        check(ffi::bridge_value_to_string(raw, &raw mut bytes, &raw mut length))?;
        std::slice::from_raw_parts(bytes, length)
    };
    Ok(String::from_utf8_lossy(view).into_owned())
}

/// The elements of a container that has `width` values an entry.
///
/// # Safety
/// `raw` is alive and a container.
unsafe fn elements(raw: *const ffi::RawValue, width: usize) -> Result<Vec<Value>> {
    // SAFETY: as the caller promises; `items` has the capacity that it says.
    let items = unsafe {
        let count = width * read(|out| ffi::bridge_value_length(raw, out))?;
        let mut items = vec![ptr::null_mut(); count];
        check(ffi::bridge_value_items(raw, items.as_mut_ptr(), count))?;
        items
    };
    // All are owned before the first is read, so that none is lost when one cannot be.
    let owned: Vec<_> = items
        .into_iter()
        .filter_map(NonNull::new)
        .map(OwnedValue::from_pointer)
        .collect();
    owned.iter().map(Value::from_ivalue).collect()
}

fn pairs(flat: Vec<Value>) -> Vec<(Value, Value)> {
    let mut flat = flat.into_iter();
    std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
}
