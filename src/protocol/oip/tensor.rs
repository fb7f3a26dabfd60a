//! Named tensors as the protocol has them, however they are written.

use bytes::Bytes;
use half::{bf16, f16};

use super::datatype::Datatype;
use crate::error::{Error, Result, counted, excerpt};

/// Dimensions of a tensor at most.
const MOST_DIMENSIONS: usize = 16;

/// Elements of `BYTES` in a tensor at most: each takes more memory than it may take in a body.
pub(super) const MOST_TEXTS: usize = 1 << 16;

/// A tensor: a name, a datatype, and as many elements as its shape says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) datatype: Datatype,
    pub(super) shape: Vec<i64>,
    pub(super) elements: Elements,
}

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Elements {
    /// Little-endian, without gaps, of any datatype but `BYTES`.
    Plain(Bytes),
    /// Of `BYTES`.
    Texts(Vec<Bytes>),
}

/// What a request says of a tensor before its elements.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) datatype: Datatype,
    pub(super) shape: Vec<i64>,
    /// How many elements the shape says.
    pub(super) count: usize,
}

impl Head {
    /// # Errors
    /// [`Error::InvalidParameter`], which names the tensor, for a datatype that is none and for a shape of other sizes than
    /// there can be.
    pub(super) fn new(name: String, datatype: &str, shape: Vec<i64>) -> Result<Self> {
        let wrong = |why: String| Error::parameter(excerpt(&name), why);
        let known = Datatype::named(datatype).ok_or_else(|| {
            let (found, names) = (excerpt(datatype), Datatype::names());
            wrong(format!("datatype: found `{found}`, expected one of {names}"))
        })?;
        if shape.len() > MOST_DIMENSIONS {
            let found = shape.len();
            return Err(wrong(format!(
                "shape: found {found} sizes, expected at most {MOST_DIMENSIONS}"
            )));
        }
        let mut sizes = shape.iter();
        let count = sizes.try_fold(1usize, |all, &size| all.checked_mul(usize::try_from(size).ok()?));
        let count = count.filter(|count| *count <= isize::MAX as usize / 8);
        let count = count.ok_or_else(|| wrong(format!("shape: {shape:?} are no sizes of a tensor")))?;
        if known == Datatype::Bytes && count > MOST_TEXTS {
            return Err(wrong(format!(
                "shape: found {count} elements, expected at most {MOST_TEXTS} of BYTES"
            )));
        }
        Ok(Self {
            name,
            datatype: known,
            shape,
            count,
        })
    }

    /// Something that is wrong with the tensor.
    pub(super) fn wrong(&self, why: impl std::fmt::Display) -> Error {
        Error::parameter(excerpt(&self.name), why.to_string())
    }

    /// The tensor with the elements that `bytes` are in the form of the binary extension.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] where they are not as many as the shape says.
    pub(super) fn binary(self, bytes: Bytes) -> Result<Tensor> {
        let Some(size) = self.datatype.size() else {
            let texts = texts(&self, &bytes)?;
            return Ok(self.holding(Elements::Texts(texts)));
        };
        // The count is bounded, so this does not overflow.
        let expected = self.count * size;
        if bytes.len() != expected {
            let (found, shape, datatype) = (bytes.len(), &self.shape, self.datatype);
            return Err(self.wrong(format!(
                "found {found} bytes, expected {expected} for {datatype} {shape:?}"
            )));
        }
        if self.datatype == Datatype::Bool
            && let Some(place) = bytes.iter().position(|byte| *byte > 1)
        {
            let found = bytes[place];
            return Err(self.wrong(format!("element {place} is {found}, expected 1 or 0 (BOOL)")));
        }
        Ok(self.holding(Elements::Plain(bytes)))
    }

    /// The tensor with these elements, as many as the shape says.
    pub(super) fn holding(self, elements: Elements) -> Tensor {
        Tensor {
            name: self.name,
            datatype: self.datatype,
            shape: self.shape,
            elements,
        }
    }
}

/// Elements of `BYTES`, each behind its length in four bytes.
fn texts(head: &Head, bytes: &Bytes) -> Result<Vec<Bytes>> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < head.count {
        let place = found.len();
        let cut = || head.wrong(format!("element {place}: its length or its bytes are cut off"));
        let length = bytes.get(at..at + 4).and_then(|length| length.try_into().ok());
        let length = u32::from_le_bytes(length.ok_or_else(cut)?) as usize;
        let end = (at + 4).checked_add(length).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(cut)?;
        found.push(bytes.slice(at + 4..end));
        at = end;
    }
    if at < bytes.len() {
        let left = counted(bytes.len() - at, "byte");
        let elements = counted(head.count, "element");
        return Err(head.wrong(format!("found {left} behind its {elements}")));
    }
    Ok(found)
}

impl Tensor {
    /// A tensor of 32-bit floats.
    pub(super) fn floats(name: &str, shape: Vec<i64>, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::plain(name, Datatype::Fp32, shape, bytes)
    }

    /// A tensor of 64-bit integers.
    pub(super) fn integers(name: &str, shape: Vec<i64>, values: &[i64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::plain(name, Datatype::Int64, shape, bytes)
    }

    /// A tensor of texts.
    pub(super) fn texts(name: &str, shape: Vec<i64>, texts: impl IntoIterator<Item = String>) -> Self {
        Self {
            name: name.to_owned(),
            datatype: Datatype::Bytes,
            shape,
            elements: Elements::Texts(texts.into_iter().map(Bytes::from).collect()),
        }
    }

    /// A tensor of one file.
    pub(super) fn file(name: &str, file: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            datatype: Datatype::Bytes,
            shape: vec![1],
            elements: Elements::Texts(vec![file]),
        }
    }

    /// A tensor of elements that lie as they are sent.
    pub(super) fn plain(name: &str, datatype: Datatype, shape: Vec<i64>, bytes: impl Into<Bytes>) -> Self {
        Self {
            name: name.to_owned(),
            datatype,
            shape,
            elements: Elements::Plain(bytes.into()),
        }
    }

    /// Its elements in the form of the binary extension.
    pub(super) fn binary(&self) -> Bytes {
        match &self.elements {
            Elements::Plain(bytes) => bytes.clone(),
            Elements::Texts(texts) => {
                let mut bytes = Vec::with_capacity(self.binary_size());
                for text in texts {
                    bytes.extend((text.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(text);
                }
                bytes.into()
            }
        }
    }

    /// Bytes that [`Tensor::binary`] has.
    pub(super) fn binary_size(&self) -> usize {
        match &self.elements {
            Elements::Plain(bytes) => bytes.len(),
            Elements::Texts(texts) => texts.iter().map(|text| 4 + text.len()).sum(),
        }
    }

    /// How many elements it has.
    pub(super) fn count(&self) -> usize {
        match &self.elements {
            Elements::Plain(bytes) => bytes.len() / self.datatype.size().unwrap_or(1),
            Elements::Texts(texts) => texts.len(),
        }
    }

    /// Its elements as 32-bit floats, in rows of so many, where those hold every value of its datatype.
    pub(super) fn single_rows(&self, length: usize) -> Option<Vec<Vec<f32>>> {
        let Elements::Plain(bytes) = &self.elements else {
            return None;
        };
        let size = self.datatype.size()?;
        let rows = bytes.chunks_exact((length * size).max(1));
        rows.map(|row| self.single(row)).collect()
    }

    /// Bytes that its pictures take beside its elements: prepared ones as 32-bit floats, files that may be texts in base64 as what
    /// those stand for.
    pub(super) fn size_as_pictures(&self) -> usize {
        let is_text = |file: &&Bytes| file.first().is_some_and(u8::is_ascii);
        match &self.elements {
            Elements::Plain(_) => self.count() * size_of::<f32>(),
            Elements::Texts(files) => files.iter().filter(is_text).map(|file| file.len() / 4 * 3).sum(),
        }
    }

    fn single(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        match self.datatype {
            Datatype::Fp32 => Some(values(bytes, f32::from_le_bytes)),
            Datatype::Fp16 => Some(values(bytes, |two| f16::from_le_bytes(two).to_f32())),
            Datatype::Bf16 => Some(values(bytes, |two| bf16::from_le_bytes(two).to_f32())),
            _ => None,
        }
    }
}

fn values<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (all, _) = bytes.as_chunks::<N>();
    all.iter().map(|bytes| value(*bytes)).collect()
}
