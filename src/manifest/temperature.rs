//! The temperature of a model's logits.

use super::reader::Section;

/// What logits are divided by before the activation (Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599,
/// eq. 9): above 1 scores are less sure, below 1 surer. The order of the classes stays.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Temperature(f64);

impl Temperature {
    /// The least that there is.
    pub const LEAST: f64 = 0.01;
    /// The greatest.
    pub const MOST: f64 = 100.0;

    /// This one, if it is within the bounds.
    #[must_use]
    pub fn new(found: f64) -> Option<Self> {
        (Self::LEAST..=Self::MOST).contains(&found).then_some(Self(found))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_one(self) -> bool {
        self.0 == 1.0
    }
}

impl Default for Temperature {
    /// 1: logits stay as they are.
    fn default() -> Self {
        Self(1.0)
    }
}

/// The key of a model with classes, whose logits are `activated` to scores.
pub(super) fn read(s: &mut Section<'_>, activated: bool) -> Temperature {
    let expected = format!("a number from {} to {}", Temperature::LEAST, Temperature::MOST);
    let found: Option<f64> = s.optional("temperature", &expected);
    s.check(found.is_none() || activated, "temperature", || {
        "with activation = \"none\" scores are what the module answers; set activation = \"softmax\" or \"sigmoid\" for logits"
            .into()
    });
    let temperature = found.and_then(Temperature::new);
    if let (Some(found), None) = (found, temperature) {
        s.check(false, "temperature", || {
            format!("found {found}, expected {expected}")
        });
    }
    temperature.unwrap_or_default()
}
