//! Values of one type as they lie in memory.

use std::ops::Range;

use bytes::Bytes;
use half::f16;
use tch::{Device, Kind, Tensor};

use super::number::{Number, expected};
use crate::error::{Error, Result};
use crate::manifest::Dtype;
use crate::runtime::staging::none_strange;

// Bytes of tensors are those of the machine, and those of NPY files and raw bodies are little-endian.
const _: () = assert!(cfg!(target_endian = "little"));

/// Values of one type, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    dtype: Dtype,
    /// As many as whole values take; of `bool` each is 0 or 1.
    bytes: Bytes,
}

/// A type of values, as Rust has it.
pub trait Scalar: Copy {
    /// The value that these bytes are, as many as it has.
    fn of_bytes(bytes: &[u8]) -> Self;
}

macro_rules! scalars {
    ($($scalar:ty),+) => {$(
        impl Scalar for $scalar {
            fn of_bytes(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().unwrap_or_default())
            }
        }
    )+};
}
scalars!(u8, i32, i64, f16, f32, f64);

impl Scalar for bool {
    fn of_bytes(bytes: &[u8]) -> Self {
        bytes.first().is_some_and(|byte| *byte != 0)
    }
}

impl Numbers {
    /// `numbers` as values of this type.
    ///
    /// # Errors
    /// Which of them is none, and what is expected.
    pub(super) fn typed(numbers: &[Number], dtype: Dtype) -> Result<Self, String> {
        let mut bytes = Vec::with_capacity(numbers.len() * dtype.size());
        for (index, number) in numbers.iter().enumerate() {
            number.write(dtype, &mut bytes).ok_or_else(|| {
                format!(
                    "value {index} is {number}, expected {} ({dtype})",
                    expected(dtype)
                )
            })?;
        }
        Ok(Self {
            dtype,
            bytes: bytes.into(),
        })
    }

    /// Values whose bytes came as they are.
    ///
    /// # Errors
    /// What is wrong, where they are no whole values, or no `bool`.
    pub fn of_bytes(bytes: Bytes, dtype: Dtype) -> Result<Self, String> {
        if !bytes.len().is_multiple_of(dtype.size()) {
            let (found, size) = (bytes.len(), dtype.size());
            return Err(format!("found {found} bytes, expected {size} for each {dtype}"));
        }
        let is_flag = |byte: &u8| *byte <= 1;
        match bytes
            .iter()
            .position(|byte| dtype == Dtype::Bool && !is_flag(byte))
        {
            Some(index) => Err(format!(
                "value {index} is {}, expected 1 or 0 (bool)",
                bytes[index]
            )),
            None => Ok(Self { dtype, bytes }),
        }
    }

    pub(super) fn zeros(count: usize, dtype: Dtype) -> Self {
        Self {
            dtype,
            bytes: vec![0; count * dtype.size()].into(),
        }
    }

    /// The same whole number everywhere.
    pub(super) fn repeated(value: i64, count: usize, dtype: Dtype) -> Result<Self, String> {
        let one = Self::typed(&[Number::Whole(value)], dtype)?;
        Ok(Self {
            dtype,
            bytes: one.bytes.repeat(count).into(),
        })
    }

    /// The first value outside of `range`, and where it is, of whole numbers.
    pub(super) fn beyond(&self, [least, most]: [i64; 2]) -> Option<(usize, i64)> {
        let outside = |(_, value): &(usize, i64)| !(least..=most).contains(value);
        match self.dtype {
            Dtype::U8 => self.values::<u8>().map(i64::from).enumerate().find(outside),
            Dtype::I32 => self.values::<i32>().map(i64::from).enumerate().find(outside),
            Dtype::I64 => self.values::<i64>().enumerate().find(outside),
            Dtype::Bool | Dtype::F16 | Dtype::F32 | Dtype::F64 => None,
        }
    }

    /// The values of `tensor` as this type, which [`holds`] them. 32-bit floats are rounded to 16 bits, since a model in
    /// half precision computes in single here.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    pub(super) fn read(tensor: &Tensor, dtype: Dtype) -> Result<Self> {
        let flat = tensor
            .f_to_device(Device::Cpu)?
            .f_to_kind(kind(dtype))?
            .f_contiguous()?;
        let mut bytes = vec![0; flat.numel() * dtype.size()];
        flat.f_copy_data_u8(&mut bytes, flat.numel())?;
        Ok(Self {
            dtype,
            bytes: bytes.into(),
        })
    }

    /// All of `parts`, which are of one type, one behind the other, as a tensor of this shape.
    pub(super) fn tensor(parts: &[&Self], shape: &[i64], device: Device) -> Result<Tensor> {
        let dtype = parts.first().map_or(Dtype::F32, |part| part.dtype);
        let count: usize = parts.iter().map(|part| part.count()).sum();
        if i64::try_from(count).ok() != Some(shape.iter().product()) {
            return Err(Error::Internal(format!("{count} values for shape {shape:?}")));
        }
        let made = match parts {
            [one] => Tensor::f_from_data_size(&one.bytes, shape, kind(dtype))?,
            _ => {
                let all: Vec<&[u8]> = parts.iter().map(|part| &part.bytes[..]).collect();
                Tensor::f_from_data_size(&all.concat(), shape, kind(dtype))?
            }
        };
        let made = match dtype {
            // Weights in half precision were widened; see `runtime::Program`.
            Dtype::F16 => made.f_to_kind(Kind::Float)?,
            _ => made,
        };
        Ok(made.f_to_device(device)?)
    }

    /// What they are.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Their bytes, little-endian.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// [`Numbers::bytes`], which are not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The values themselves, where they are of the type of `T`.
    pub fn values<T: Scalar>(&self) -> impl ExactSizeIterator<Item = T> {
        self.bytes.chunks_exact(self.dtype.size()).map(T::of_bytes)
    }

    /// One of `stride` as a double, which whole numbers beyond 2⁵³ are not exactly.
    pub(super) fn doubles(&self, stride: usize) -> Box<dyn Iterator<Item = f64> + '_> {
        let values = self.bytes.chunks_exact(self.dtype.size()).step_by(stride);
        match self.dtype {
            Dtype::Bool => Box::new(values.map(|value| f64::from(bool::of_bytes(value)))),
            Dtype::U8 => Box::new(values.map(|value| f64::from(u8::of_bytes(value)))),
            Dtype::I32 => Box::new(values.map(|value| f64::from(i32::of_bytes(value)))),
            Dtype::I64 => Box::new(values.map(|value| i64::of_bytes(value) as f64)),
            Dtype::F16 => Box::new(values.map(|value| f64::from(f16::of_bytes(value)))),
            Dtype::F32 => Box::new(values.map(|value| f64::from(f32::of_bytes(value)))),
            Dtype::F64 => Box::new(values.map(f64::of_bytes)),
        }
    }

    /// Whether they are numbers, and `what` a model answered if not.
    ///
    /// # Errors
    /// [`Error::NotFinite`]
    pub(super) fn all_finite(&self, what: &str) -> Result<()> {
        let strange = match self.dtype {
            Dtype::F16 => self.values::<f16>().filter(|value| !value.is_finite()).count(),
            Dtype::F32 => self.values::<f32>().filter(|value| !value.is_finite()).count(),
            Dtype::F64 => self.values::<f64>().filter(|value| !value.is_finite()).count(),
            Dtype::Bool | Dtype::U8 | Dtype::I32 | Dtype::I64 => 0,
        };
        none_strange(strange, self.count(), what)
    }

    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let size = self.dtype.size();
        Self {
            dtype: self.dtype,
            bytes: self.bytes.slice(range.start * size..range.end * size),
        }
    }
}

/// The type of libtorch's tensors with values of this one.
#[must_use]
pub fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::Bool => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::F16 => Kind::Half,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
    }
}

/// Whether a tensor of this kind is answered as values of this type.
pub(super) fn holds(dtype: Dtype, found: Kind) -> bool {
    match dtype {
        Dtype::Bool => matches!(found, Kind::Bool),
        Dtype::U8 => matches!(found, Kind::Bool | Kind::Uint8),
        Dtype::I32 => matches!(
            found,
            Kind::Bool | Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int
        ),
        Dtype::I64 => matches!(
            found,
            Kind::Bool | Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64
        ),
        Dtype::F16 => matches!(found, Kind::Half | Kind::Float),
        Dtype::F32 => matches!(found, Kind::Half | Kind::BFloat16 | Kind::Float),
        Dtype::F64 => matches!(found, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(numbers: &[Number], dtype: Dtype) -> Result<Numbers, String> {
        Numbers::typed(numbers, dtype)
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let beyond = (1i64 << 53) + 1;
        let whole = [Number::Whole(beyond), Number::Whole(i64::MIN), Number::Real(-2.0)];
        let found = typed(&whole, Dtype::I64).expect("whole numbers");
        assert_eq!(found.values().collect::<Vec<i64>>(), [beyond, i64::MIN, -2]);
        let read = Numbers::read(&Tensor::from_slice(&[beyond, -beyond]), Dtype::I64).expect("integers");
        assert_eq!(read.values().collect::<Vec<i64>>(), [beyond, -beyond]);
    }

    #[test]
    fn what_is_no_value_of_a_type_is_named_by_its_place() {
        use Number::{Flag, Real, Whole};
        for (dtype, wrong, word) in [
            (
                Dtype::U8,
                Whole(300),
                "value 1 is 300, expected whole numbers from 0 to 255 (u8)",
            ),
            (Dtype::U8, Whole(-1), "value 1 is -1"),
            (Dtype::U8, Real(0.5), "value 1 is 0.5"),
            (Dtype::I32, Whole(1 << 31), "whole numbers of 32 bits"),
            (
                Dtype::I64,
                Real(1e300),
                "value 1 is 1e300, expected whole numbers of 64 bits",
            ),
            (
                Dtype::Bool,
                Whole(2),
                "value 1 is 2, expected true and false, or 1 and 0",
            ),
            (Dtype::F16, Whole(65520), "±65504"),
            (Dtype::F32, Real(1e39), "±3.4e38"),
            (Dtype::F32, Flag(true), "value 1 is true"),
            (Dtype::I64, Flag(true), "value 1 is true"),
        ] {
            let text = typed(&[Whole(1), wrong], dtype).expect_err(word);
            assert!(text.contains(word), "{text}");
        }
        let flags = [Flag(true), Whole(0), Whole(1), Real(0.0)];
        let flags = typed(&flags, Dtype::Bool).expect("flags");
        assert_eq!(flags.values().collect::<Vec<bool>>(), [true, false, true, false]);
    }

    #[test]
    fn floats_are_rounded_to_their_own_type_and_no_further() {
        let tenth = [Number::Real(0.1)];
        let found = |dtype| typed(&tenth, dtype).expect("a number");
        assert_eq!(found(Dtype::F64).values().collect::<Vec<f64>>(), [0.1]);
        assert_eq!(found(Dtype::F32).values().collect::<Vec<f32>>(), [0.1]);
        assert_eq!(
            found(Dtype::F16).values().collect::<Vec<f16>>(),
            [f16::from_f64(0.1)]
        );
        let double = Numbers::read(&Tensor::from_slice(&[0.1f64]), Dtype::F64).expect("f64");
        assert_eq!(double.values().collect::<Vec<f64>>(), [0.1]);
    }

    #[test]
    fn an_answer_is_widened_and_never_narrowed() {
        let read = |tensor: &Tensor, dtype| Numbers::read(tensor, dtype).expect("wider");
        let single = Tensor::from_slice(&[0.5f32]);
        assert_eq!(read(&single, Dtype::F64).values().collect::<Vec<f64>>(), [0.5]);
        let flags = Tensor::from_slice(&[true, false]);
        assert_eq!(read(&flags, Dtype::I32).values().collect::<Vec<i32>>(), [1, 0]);
        assert!(
            holds(Dtype::F64, Kind::Float) && holds(Dtype::I32, Kind::Bool) && holds(Dtype::F16, Kind::Float)
        );
        for (dtype, wider) in [
            (Dtype::I64, Kind::Float),
            (Dtype::F32, Kind::Double),
            (Dtype::F32, Kind::Int64),
            (Dtype::I32, Kind::Int64),
            (Dtype::Bool, Kind::Uint8),
        ] {
            assert!(!holds(dtype, wider), "{dtype} {wider:?}");
        }
    }

    #[test]
    fn bytes_are_whole_values() {
        let of = |bytes: &'static [u8], dtype| Numbers::of_bytes(Bytes::from_static(bytes), dtype);
        let numbers = of(&[0, 0, 128, 63], Dtype::F32).expect("one");
        assert_eq!(
            (numbers.count(), numbers.values().collect::<Vec<f32>>()),
            (1, vec![1.0])
        );
        assert!(of(&[1, 2, 3], Dtype::F32).is_err_and(|text| text.contains("3 bytes")));
        assert!(of(&[1, 2], Dtype::Bool).is_err_and(|text| text.contains("value 1 is 2")));
    }
}
