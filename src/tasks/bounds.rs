//! Numbers of a request that are within their bounds.

use std::fmt::Display;
use std::num::NonZeroUsize;

use crate::error::{Error, Result};

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fraction(f32);

impl Fraction {
    /// A half.
    pub const HALF: Self = Self(0.5);

    /// The parameter `name`, if it is one.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn new(name: &str, found: f32) -> Result<Self> {
        within(name, found, 0.0, 1.0).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }
}

/// The parameter `name`, which must be from `least` to `most`.
///
/// # Errors
/// [`Error::InvalidParameter`] with what was found and what is expected.
pub fn within<T: PartialOrd + Display + Copy>(name: &str, found: T, least: T, most: T) -> Result<T> {
    if found >= least && found <= most {
        return Ok(found);
    }
    Err(Error::parameter(
        name,
        format!("found {found}, expected {least} to {most}"),
    ))
}

/// The parameter `name`, which must not be 0.
///
/// # Errors
/// [`Error::InvalidParameter`]
pub fn at_least_one(name: &str, found: usize) -> Result<NonZeroUsize> {
    NonZeroUsize::new(found)
        .ok_or_else(|| Error::parameter(name, "found 0, expected a whole number, at least 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_bounds() {
        assert_eq!(Fraction::new("alpha", 1.0).map(Fraction::get), Ok(1.0));
        for wrong in [-0.1, 1.5, f32::NAN] {
            let text = Fraction::new("alpha", wrong)
                .expect_err("out of bounds")
                .to_string();
            assert!(
                text.contains("`alpha`") && text.contains("expected 0 to 1"),
                "{text}"
            );
        }
        assert!(at_least_one("top_k", 0).is_err() && within("beams", 32, 1, 32).is_ok());
    }
}
