//! How sure a model is of the class of each cell, where its own output has them.

use super::{Choice, Segmented};
use crate::error::{Error, Result};
use crate::manifest::Activation;

/// The best class of each cell of the logits and its probability, by the model's activation at its temperature.
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
    /// [`Error::UnsupportedForTask`] where a cell may be of several classes, which exclude nothing.
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
            (best.0, self.probability(best, logits.copied()))
        };
        Ok(Sure {
            cells: (0..count).map(cell).collect(),
            width: self.size.1,
        })
    }

    /// The probability of the `best` class of a cell with these logits, by the model's own activation.
    fn probability(&self, (class, best): (usize, f32), mut logits: impl Iterator<Item = f32>) -> f32 {
        let temperature = self.temperature as f32;
        let alone = |logit: f32| match self.activation {
            Activation::None => logit,
            Activation::Sigmoid | Activation::Softmax => 1.0 / (1.0 + (-logit / temperature).exp()),
        };
        match self.activation {
            // A threshold decides, it is no logit.
            _ if self.one_channel && class == 0 => 1.0 - logits.nth(1).map_or(0.0, alone),
            _ if self.one_channel => alone(best),
            Activation::None | Activation::Sigmoid => alone(best),
            Activation::Softmax => {
                1.0 / logits
                    .map(|logit| ((logit - best) / temperature).exp())
                    .sum::<f32>()
            }
        }
    }
}
