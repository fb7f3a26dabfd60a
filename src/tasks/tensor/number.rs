//! Numbers as they were written.

use std::fmt;

use half::f16;

use crate::manifest::Dtype;

/// A number whose type nobody has said yet. A whole number stays whole, however large it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// `true` or `false`
    Flag(bool),
    /// Written without a fraction.
    Whole(i64),
    /// Any other.
    Real(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number:?}"),
        }
    }
}

impl Number {
    /// The nearest 64-bit float.
    fn real(self) -> Option<f64> {
        match self {
            Self::Flag(_) => None,
            Self::Whole(number) => Some(number as f64),
            Self::Real(number) => Some(number).filter(|number| number.is_finite()),
        }
    }

    /// The nearest 32-bit float, where there is a finite one.
    fn single(self) -> Option<f32> {
        let single = match self {
            // Not by way of an f64, which would round twice.
            Self::Whole(number) => number as f32,
            other => other.real()? as f32,
        };
        Some(single).filter(|single| single.is_finite())
    }

    /// The nearest 16-bit float, where there is a finite one.
    fn half(self) -> Option<f16> {
        self.real().map(f16::from_f64).filter(|half| half.is_finite())
    }

    /// The whole number that it is.
    fn whole(self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(number),
            Self::Real(number) => whole(number),
            Self::Flag(_) => None,
        }
    }

    fn flag(self) -> Option<bool> {
        match (self, self.whole()) {
            (Self::Flag(flag), _) => Some(flag),
            (_, Some(0)) => Some(false),
            (_, Some(1)) => Some(true),
            _ => None,
        }
    }

    /// Writes it behind `bytes` as a value of this type, where it is one.
    pub(super) fn write(self, dtype: Dtype, bytes: &mut Vec<u8>) -> Option<()> {
        match dtype {
            Dtype::Bool => bytes.push(u8::from(self.flag()?)),
            Dtype::U8 => bytes.push(u8::try_from(self.whole()?).ok()?),
            Dtype::I32 => bytes.extend(i32::try_from(self.whole()?).ok()?.to_le_bytes()),
            Dtype::I64 => bytes.extend(self.whole()?.to_le_bytes()),
            Dtype::F16 => bytes.extend(self.half()?.to_le_bytes()),
            Dtype::F32 => bytes.extend(self.single()?.to_le_bytes()),
            Dtype::F64 => bytes.extend(self.real()?.to_le_bytes()),
        }
        Some(())
    }
}

/// The whole number that a float is. From 2⁵³ on it no longer tells one whole number from the next.
#[must_use]
pub fn whole(real: f64) -> Option<i64> {
    const AMBIGUOUS: f64 = (1u64 << 53) as f64;
    (real.fract() == 0.0 && real.abs() < AMBIGUOUS).then_some(real as i64)
}

/// What the numbers of a type are.
pub(super) fn expected(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "true and false, or 1 and 0",
        Dtype::U8 => "whole numbers from 0 to 255",
        Dtype::I32 => "whole numbers of 32 bits",
        Dtype::I64 => "whole numbers of 64 bits, from 2^53 on written without a point",
        Dtype::F16 => "numbers within a 16-bit float, ±65504",
        Dtype::F32 => "numbers within a 32-bit float, ±3.4e38",
        Dtype::F64 => "numbers within a 64-bit float, ±1.8e308",
    }
}
