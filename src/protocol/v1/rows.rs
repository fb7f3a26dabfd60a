//! Outputs of tensors as KServe's first protocol has them: a row an instance, as lists in lists; of several outputs an object a row.

use half::f16;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::error::{Error, Result};
use crate::manifest::Dtype;
use crate::tasks::tensor::{AnsweredTensor, Scalar};

/// Outputs of equally many rows, written as `predictions`.
#[derive(Debug)]
pub(super) struct Rows {
    outputs: Vec<AnsweredTensor>,
    count: usize,
}

impl Rows {
    /// The rows of `outputs`.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] where they have not as many.
    pub(super) fn of(outputs: Vec<AnsweredTensor>) -> Result<Self> {
        let rows = |output: &AnsweredTensor| output.shape.first().copied();
        let first = outputs.first().and_then(rows);
        let count = first.filter(|first| outputs.iter().all(|output| rows(output) == Some(*first)));
        let count = count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| {
                let shapes: Vec<_> = outputs.iter().map(|output| &output.shape).collect();
                Error::UnsupportedForTask(format!(
                    "the model answered {shapes:?}, which are no rows of instances; ask /predict or /v2"
                ))
            })?;
        Ok(Self { outputs, count })
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        struct All<'a>(&'a Rows);

        impl Serialize for All<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                let rows = self.0;
                serializer.collect_seq((0..rows.count).map(|row| Row { rows, row }))
            }
        }

        let mut answer = serializer.serialize_struct("Rows", 1)?;
        answer.serialize_field("predictions", &All(self))?;
        answer.end()
    }
}

struct Row<'a> {
    rows: &'a Rows,
    row: usize,
}

impl Row<'_> {
    fn of<'a>(&self, output: &'a AnsweredTensor) -> Nested<'a> {
        let inner = output.shape.get(1..).unwrap_or_default();
        let size = output.data.dtype().size();
        let length = inner
            .iter()
            .map(|&size| usize::try_from(size).unwrap_or(0))
            .product::<usize>()
            * size;
        Nested {
            shape: inner,
            dtype: output.data.dtype(),
            bytes: &output.data.bytes()[self.row * length..(self.row + 1) * length],
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if let [output] = &self.rows.outputs[..] {
            return self.of(output).serialize(serializer);
        }
        let mut members = serializer.serialize_map(Some(self.rows.outputs.len()))?;
        for output in &self.rows.outputs {
            members.serialize_entry(&output.name, &self.of(output))?;
        }
        members.end()
    }
}

/// Values of a type in lists as deep as their shape.
struct Nested<'a> {
    shape: &'a [i64],
    dtype: Dtype,
    bytes: &'a [u8],
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Some((&count, inner)) = self.shape.split_first() else {
            return scalar(self.dtype, self.bytes, serializer);
        };
        let count = usize::try_from(count).unwrap_or(0);
        let mut list = serializer.serialize_seq(Some(count))?;
        for bytes in self.bytes.chunks_exact((self.bytes.len() / count.max(1)).max(1)) {
            list.serialize_element(&Nested {
                shape: inner,
                dtype: self.dtype,
                bytes,
            })?;
        }
        list.end()
    }
}

/// What is not finite is `null`, as serde_json writes it.
fn scalar<S: Serializer>(dtype: Dtype, bytes: &[u8], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match dtype {
        Dtype::Bool => serializer.serialize_bool(bool::of_bytes(bytes)),
        Dtype::U8 => serializer.serialize_u8(u8::of_bytes(bytes)),
        Dtype::I32 => serializer.serialize_i32(i32::of_bytes(bytes)),
        Dtype::I64 => serializer.serialize_i64(i64::of_bytes(bytes)),
        Dtype::F16 => serializer.serialize_f32(f16::of_bytes(bytes).to_f32()),
        Dtype::F32 => serializer.serialize_f32(f32::of_bytes(bytes)),
        Dtype::F64 => serializer.serialize_f64(f64::of_bytes(bytes)),
    }
}
