//! The elements of a tensor, which stand in the list that its datatype has.

use bytes::Bytes;
use grpc_messages::inference::InferTensorContents;

use super::super::datatype::Datatype;
use super::super::tensor::{Elements, Head};
use crate::error::{Error, Result};

/// The elements of the tensor `head` that `contents` are.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the tensor: elements in another list than that of the datatype, more or fewer than
/// the shape says, or such as it has not.
pub(super) fn elements(head: &Head, contents: InferTensorContents) -> Result<Elements> {
    let lengths = [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ];
    let own = list_of(head.datatype).ok_or_else(|| {
        let datatype = head.datatype;
        head.wrong(format!(
            "{datatype} has no list in `contents`; send it in raw_input_contents"
        ))
    })?;
    for (name, found) in lengths {
        let expected = if name == own { head.count } else { 0 };
        if found != expected {
            let (shape, datatype) = (&head.shape, head.datatype);
            return Err(head.wrong(format!(
                "found {found} elements in {name}, expected {expected}: {datatype} {shape:?} stands in {own}"
            )));
        }
    }
    Ok(Elements::Plain(match head.datatype {
        Datatype::Bytes => return Ok(Elements::Texts(contents.bytes_contents)),
        Datatype::Bool => contents.bool_contents.into_iter().map(u8::from).collect(),
        Datatype::Int8 => narrow(head, &contents.int_contents, i8::to_le_bytes)?,
        Datatype::Int16 => narrow(head, &contents.int_contents, i16::to_le_bytes)?,
        Datatype::Int32 => plain(&contents.int_contents, i32::to_le_bytes),
        Datatype::Int64 => plain(&contents.int64_contents, i64::to_le_bytes),
        Datatype::Uint8 => narrow(head, &contents.uint_contents, u8::to_le_bytes)?,
        Datatype::Uint16 => narrow(head, &contents.uint_contents, u16::to_le_bytes)?,
        Datatype::Uint32 => plain(&contents.uint_contents, u32::to_le_bytes),
        Datatype::Uint64 => plain(&contents.uint64_contents, u64::to_le_bytes),
        Datatype::Fp32 => plain(&contents.fp32_contents, f32::to_le_bytes),
        Datatype::Fp64 => plain(&contents.fp64_contents, f64::to_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(Error::Internal("a datatype without a list has none".into()));
        }
    }))
}

/// The list of a datatype; some have none.
fn list_of(datatype: Datatype) -> Option<&'static str> {
    Some(match datatype {
        Datatype::Bool => "bool_contents",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int_contents",
        Datatype::Int64 => "int64_contents",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint_contents",
        Datatype::Uint64 => "uint64_contents",
        Datatype::Fp32 => "fp32_contents",
        Datatype::Fp64 => "fp64_contents",
        Datatype::Bytes => "bytes_contents",
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}

fn plain<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Bytes {
    let mut all = Vec::with_capacity(values.len() * N);
    values.iter().for_each(|&value| all.extend(bytes(value)));
    all.into()
}

/// Values of a list of 32 bits that are of fewer.
fn narrow<T, V, const N: usize>(head: &Head, values: &[T], bytes: impl Fn(V) -> [u8; N]) -> Result<Bytes>
where
    T: Copy + std::fmt::Display,
    V: TryFrom<T>,
{
    let mut all = Vec::with_capacity(values.len() * N);
    for (place, &value) in values.iter().enumerate() {
        let datatype = head.datatype;
        let narrow = V::try_from(value)
            .map_err(|_| head.wrong(format!("element {place} is {value}, which is no {datatype}")))?;
        all.extend(bytes(narrow));
    }
    Ok(all.into())
}
