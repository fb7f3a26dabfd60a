//! Elements of tensors in JSON: what was written, and the bytes that it stands for.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::datatype::Datatype;
use crate::error::excerpt;
use crate::tasks::tensor::whole;

/// An element as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Flag(bool),
    Whole(i64),
    /// A whole number beyond those of 64 bits with a sign.
    Great(u64),
    Real(f64),
    Text(Cow<'a, str>),
    /// What NumPy reads as NaN.
    Null,
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Great(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{:?}", excerpt(text)),
            Self::Null => f.write_str("null"),
        }
    }
}

impl Scalar<'_> {
    /// The nearest 64-bit float. JSON has no number that is none, so it stands there as a text, or as null.
    fn real(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Great(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            Self::Null => Some(f64::NAN),
            Self::Text(text) => match text.as_ref() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                _ => None,
            },
            Self::Flag(_) => None,
        }
    }

    /// The nearest 32-bit float; none where a number has no finite one.
    fn single(&self) -> Option<f32> {
        let single = match self {
            // Not by way of an f64, which would round twice.
            Self::Whole(number) => *number as f32,
            Self::Great(number) => *number as f32,
            other => other.real()? as f32,
        };
        self.is_as_finite(single.is_finite()).then_some(single)
    }

    fn half(&self) -> Option<f16> {
        let half = f16::from_f64(self.real()?);
        self.is_as_finite(half.is_finite()).then_some(half)
    }

    fn brain(&self) -> Option<bf16> {
        let brain = bf16::from_f64(self.real()?);
        self.is_as_finite(brain.is_finite()).then_some(brain)
    }

    /// Whether what was made of it is finite, or was not before either.
    fn is_as_finite(&self, made: bool) -> bool {
        made || self.real().is_some_and(|real| !real.is_finite())
    }

    /// The whole number that it is.
    fn whole(&self) -> Option<i128> {
        match self {
            Self::Whole(number) => Some(i128::from(*number)),
            Self::Great(number) => Some(i128::from(*number)),
            Self::Real(number) => whole(*number).map(i128::from),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match (self, self.whole()) {
            (Self::Flag(flag), _) => Some(*flag),
            (_, Some(0)) => Some(false),
            (_, Some(1)) => Some(true),
            _ => None,
        }
    }

    fn integer<T: TryFrom<i128>>(&self) -> Option<T> {
        T::try_from(self.whole()?).ok()
    }

    /// Writes it behind `bytes` as an element of `datatype`, where it is one; of `BYTES` none is.
    pub(super) fn write(&self, datatype: Datatype, bytes: &mut Vec<u8>) -> Option<()> {
        match datatype {
            Datatype::Bool => bytes.push(u8::from(self.flag()?)),
            Datatype::Uint8 => bytes.push(self.integer()?),
            Datatype::Uint16 => bytes.extend(self.integer::<u16>()?.to_le_bytes()),
            Datatype::Uint32 => bytes.extend(self.integer::<u32>()?.to_le_bytes()),
            Datatype::Uint64 => bytes.extend(self.integer::<u64>()?.to_le_bytes()),
            Datatype::Int8 => bytes.extend(self.integer::<i8>()?.to_le_bytes()),
            Datatype::Int16 => bytes.extend(self.integer::<i16>()?.to_le_bytes()),
            Datatype::Int32 => bytes.extend(self.integer::<i32>()?.to_le_bytes()),
            Datatype::Int64 => bytes.extend(self.integer::<i64>()?.to_le_bytes()),
            Datatype::Fp16 => bytes.extend(self.half()?.to_le_bytes()),
            Datatype::Bf16 => bytes.extend(self.brain()?.to_le_bytes()),
            Datatype::Fp32 => bytes.extend(self.single()?.to_le_bytes()),
            Datatype::Fp64 => bytes.extend(self.real()?.to_le_bytes()),
            Datatype::Bytes => return None,
        }
        Some(())
    }
}

/// What the elements of a datatype are.
pub(super) fn expected(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "true and false, or 1 and 0",
        Datatype::Uint8 => "whole numbers from 0 to 255",
        Datatype::Uint16 => "whole numbers from 0 to 65535",
        Datatype::Uint32 => "whole numbers from 0 to 4294967295",
        Datatype::Uint64 => "whole numbers from 0 to 18446744073709551615",
        Datatype::Int8 => "whole numbers from -128 to 127",
        Datatype::Int16 => "whole numbers from -32768 to 32767",
        Datatype::Int32 => "whole numbers of 32 bits",
        Datatype::Int64 => "whole numbers of 64 bits, from 2^53 on written without a point",
        Datatype::Fp16 => "numbers within a 16-bit float, ±65504",
        Datatype::Bf16 => "numbers within a bfloat16, ±3.4e38",
        Datatype::Fp32 => "numbers within a 32-bit float, ±3.4e38",
        Datatype::Fp64 => "numbers within a 64-bit float, ±1.8e308",
        Datatype::Bytes => "texts",
    }
}

/// Reads a scalar, and nothing that holds others.
pub(super) struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, true, false or null")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(number).map_or(Scalar::Great(number), Scalar::Whole))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Real(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}
