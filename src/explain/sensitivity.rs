//! Whether maps depend on what a model has learned: what was measured, and kept, for each method and layer of a model.

use std::cell::RefCell;

use super::method::Method;
use super::options::{Channels, Smooth};

/// A map whose ranks still correlate by so much with those of the same map under random weights hardly depends on the weights.
pub const INSENSITIVE: f64 = 0.5;

/// What is known of methods and layers at most; more than most models have.
const KEPT: usize = 512;

/// Which weights were made random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Randomised {
    /// Those of the layers that run after the one that is looked at.
    AboveTheLayer,
    /// Those of the later half of the layers that have any.
    UpperHalf,
    /// All.
    All,
}

/// What became of a map when some weights were made random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Which weights.
    pub randomised: Randomised,
    /// How many parameters that is: matrices, kernels, biases.
    pub parameters: usize,
    /// The mean, over the copies, of Spearman's rank correlation of the magnitudes of both maps; 0 of a map that has
    /// become the same everywhere.
    pub correlation: f64,
    /// Copies whose map has become the same everywhere, or is not finite.
    pub empty: usize,
}

/// Why it cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// The file has no parameters: it was frozen, or quantised.
    ConstantWeights,
    /// No layer above the one that is looked at has weights.
    NothingAbove,
    /// The method reads what the model itself says.
    OwnWords,
    /// The map is the same everywhere, or is not finite.
    EmptyMap,
    /// The model cannot be explained with random weights.
    Fails,
}

/// What came of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Sensitivity {
    /// Stage by stage, over so many random copies.
    Measured {
        /// From few weights to all.
        stages: Vec<Stage>,
        /// Random copies of each.
        copies: usize,
    },
    /// Why not.
    Untold(Untold),
}

impl Sensitivity {
    /// Whether the map depends on the weights: at no stage is it still like itself. Nothing where it cannot be told.
    #[must_use]
    pub fn depends(&self) -> Option<bool> {
        match self {
            Self::Measured { stages, .. } => Some(stages.iter().all(|stage| stage.correlation < INSENSITIVE)),
            Self::Untold(_) => None,
        }
    }

    /// Whether it holds for other pictures, too.
    pub(super) fn is_of_the_model(&self) -> bool {
        !matches!(self, Self::Untold(Untold::EmptyMap | Untold::Fails))
    }
}

/// What it is measured for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subject {
    pub(super) method: Method,
    pub(super) layer: Option<String>,
    pub(super) smooth: Option<Smooth>,
    pub(super) channels: Option<Channels>,
}

/// What was measured; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Sensitivities(RefCell<Vec<(Subject, Sensitivity)>>);

impl Sensitivities {
    /// What is known.
    pub(super) fn get(&self, subject: &Subject) -> Option<Sensitivity> {
        let known = self.0.borrow();
        let found = known.iter().find(|(its, _)| its == subject);
        found.map(|(_, sensitivity)| sensitivity.clone())
    }

    /// Keeps it, where it is a property of the model.
    pub(super) fn keep(&self, subject: Subject, sensitivity: &Sensitivity) {
        if !sensitivity.is_of_the_model() {
            return;
        }
        let mut known = self.0.borrow_mut();
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push((subject, sensitivity.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(correlations: &[f64]) -> Sensitivity {
        let stage = |correlation: &f64| Stage {
            randomised: Randomised::All,
            parameters: 1,
            correlation: *correlation,
            empty: 0,
        };
        Sensitivity::Measured {
            stages: correlations.iter().map(stage).collect(),
            copies: 3,
        }
    }

    #[test]
    fn a_map_depends_on_weights_where_no_stage_leaves_it_as_it_was() {
        assert_eq!(measured(&[0.4, 0.1]).depends(), Some(true));
        assert_eq!(measured(&[0.6, 0.1]).depends(), Some(false));
        assert_eq!(Sensitivity::Untold(Untold::OwnWords).depends(), None);
    }

    #[test]
    fn what_depends_on_the_picture_is_not_kept() {
        let known = Sensitivities::default();
        let subject = |layer: &str| Subject {
            method: Method::GradCam,
            layer: Some(layer.into()),
            smooth: None,
            channels: None,
        };
        known.keep(subject("a"), &measured(&[0.1]));
        known.keep(subject("b"), &Sensitivity::Untold(Untold::EmptyMap));
        assert_eq!(known.get(&subject("a")), Some(measured(&[0.1])));
        assert_eq!(known.get(&subject("b")), None);
    }
}
