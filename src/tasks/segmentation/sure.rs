//! How sure a model is of the class of each cell, where its own output has them.

use super::{Choice, Segmented};
use crate::error::{Error, Result};

/// The best class of each cell of the logits and its probability, after a softmax over the classes at the model's temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Sure {
    /// Row by row.
    pub cells: Vec<(usize, f32)>,
    /// Cells of a row.
    pub width: usize,
}

impl Segmented {
    /// How many cells the logits of a class have.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.size.0 * self.size.1
    }

    /// See [`Sure`].
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] where a cell may be of several classes, which have no common softmax.
    pub fn sure(&self) -> Result<Sure> {
        if !matches!(self.choice, Choice::Best) {
            return Err(Error::UnsupportedForTask(
                "a pixel may be of several classes of this model, so it has no one probability; ask for the masks".into(),
            ));
        }
        let count = self.cells();
        let cell = |at: usize| {
            let logits = self.logits[at..].iter().step_by(count);
            let mut best = (0, f32::NEG_INFINITY);
            for (class, &logit) in logits.clone().enumerate() {
                if logit > best.1 {
                    best = (class, logit);
                }
            }
            let temperature = self.temperature as f32;
            let sum: f32 = logits.map(|logit| ((logit - best.1) / temperature).exp()).sum();
            (best.0, 1.0 / sum)
        };
        Ok(Sure {
            cells: (0..count).map(cell).collect(),
            width: self.size.1,
        })
    }
}
