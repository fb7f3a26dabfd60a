//! How far an answer is from the one that is expected.

use tch::{Kind, Tensor};

use crate::error::Result;

/// What two tensors of one shape differ by. A number that is none in either makes the difference none.
#[derive(Debug)]
pub struct Difference {
    /// Of each number, without its sign.
    apart: Tensor,
    /// The largest number that is expected, without its sign.
    scale: f64,
}

impl Difference {
    /// Nothing where the shapes differ, or there is no number.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn between(expected: &Tensor, found: &Tensor) -> Result<Option<Self>> {
        if expected.size() != found.size() || expected.numel() == 0 {
            return Ok(None);
        }
        let expected = expected.f_to_kind(Kind::Double)?;
        let apart = expected.f_sub(&found.f_to_kind(Kind::Double)?)?.f_abs()?;
        let scale = expected.f_abs()?.f_max()?.f_double_value(&[])?;
        Ok(Some(Self { apart, scale }))
    }

    /// The largest one.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn largest(&self) -> Result<f64> {
        Ok(self.apart.f_max()?.f_double_value(&[])?)
    }

    /// The mean one.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn mean(&self) -> Result<f64> {
        Ok(self.apart.f_mean(Kind::Double)?.f_double_value(&[])?)
    }

    /// A difference as a part of the largest number that is expected.
    #[must_use]
    pub fn relative(&self, difference: f64) -> f64 {
        difference / self.scale.max(1e-6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_of_numbers_in_the_same_places() {
        let one = Tensor::from_slice(&[1.0f32, -4.0]);
        let difference = |other: &Tensor| Difference::between(&one, other).expect("tensors of the CPU");
        let found = difference(&Tensor::from_slice(&[1.0f32, -2.0])).expect("of one shape");
        let largest = found.largest().expect("a number");
        assert_eq!(
            (largest, found.mean().expect("a number"), found.scale),
            (2.0, 1.0, 4.0)
        );
        assert_eq!(found.relative(largest), 0.5);
        assert!(difference(&Tensor::from_slice(&[1.0f32])).is_none());
        let none = difference(&Tensor::from_slice(&[f32::NAN, -4.0])).expect("of one shape");
        assert!(none.largest().expect("a number").is_nan());
    }
}
