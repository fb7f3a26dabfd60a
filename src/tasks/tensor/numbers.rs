//! Numbers as they were written, and values of one type.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::manifest::Dtype;

/// A number whose type nobody has said yet. A whole number stays whole, however large it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Written without a fraction.
    Whole(i64),
    /// Any other.
    Real(f64),
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// 32-bit floats; in answers any type with a fraction.
    Floats(Vec<f32>),
    /// 64-bit integers; in answers any type without a fraction.
    Integers(Vec<i64>),
}

impl Number {
    /// The nearest 32-bit float, where there is a finite one.
    fn float(self) -> Option<f32> {
        let float = match self {
            Self::Whole(number) => number as f32,
            Self::Real(number) => number as f32,
        };
        float.is_finite().then_some(float)
    }

    /// The whole number that it is. Beyond 2⁵³ a float no longer tells one whole number from the next.
    fn whole(self) -> Option<i64> {
        const EXACT: f64 = (1u64 << 53) as f64;
        match self {
            Self::Whole(number) => Some(number),
            Self::Real(number) if number.fract() == 0.0 && number.abs() <= EXACT => Some(number as i64),
            Self::Real(_) => None,
        }
    }
}

impl Numbers {
    /// `numbers` as values of this type; nothing where one is none.
    pub(super) fn typed(numbers: &[Number], dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => Self::Floats(
                numbers
                    .iter()
                    .map(|number| number.float())
                    .collect::<Option<_>>()?,
            ),
            Dtype::I64 => Self::Integers(
                numbers
                    .iter()
                    .map(|number| number.whole())
                    .collect::<Option<_>>()?,
            ),
        })
    }

    pub(super) fn zeros(count: usize, dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::Floats(vec![0.0; count]),
            Dtype::I64 => Self::Integers(vec![0; count]),
        }
    }

    pub(super) fn read(tensor: &Tensor) -> Result<Self> {
        let flat = tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
        let is_whole = matches!(
            flat.kind(),
            Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 | Kind::Bool
        );
        Ok(if is_whole {
            Self::Integers(Vec::try_from(flat.f_to_kind(Kind::Int64)?)?)
        } else {
            Self::Floats(Vec::try_from(flat.f_to_kind(Kind::Float)?)?)
        })
    }

    pub(super) fn floats(&self) -> &[f32] {
        match self {
            Self::Floats(all) => all,
            Self::Integers(_) => &[],
        }
    }

    pub(super) fn integers(&self) -> &[i64] {
        match self {
            Self::Integers(all) => all,
            Self::Floats(_) => &[],
        }
    }

    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::Floats(all) => Self::Floats(all[range].to_vec()),
            Self::Integers(all) => Self::Integers(all[range].to_vec()),
        }
    }
}
