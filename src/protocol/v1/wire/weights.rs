//! Whether a map depends on what the model has learned.

use serde::Serialize;
use utoipa::ToSchema;

use crate::explain::{self, INSENSITIVE};

/// The map beside those of copies of the model in which the values of weights have changed places: a property of the method and the
/// layer, measured on the first picture that it is asked for, and kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Weights {
    /// Whether the map depends on the weights: it correlates by less than the threshold at every stage. `null` where that cannot be told.
    depends: Option<bool>,
    /// A map that still correlates by so much hardly depends on them.
    #[schema(example = 0.5)]
    threshold: f64,
    /// From few random weights to all.
    stages: Vec<Stage>,
    /// Random copies of each stage.
    #[schema(example = 8)]
    copies: usize,
    /// Why it cannot be told, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<Untold>,
    /// The same in a sentence.
    #[schema(
        example = "The map depends on what the model has learned: with random weights it correlates by at most 0.18, below 0.5."
    )]
    summary: String,
}

/// What became of the map when some weights were made random.
#[derive(Debug, Serialize, ToSchema)]
struct Stage {
    /// Which.
    randomised: Randomised,
    /// How many parameters (matrices, kernels, biases) that is.
    #[schema(example = 2)]
    parameters: usize,
    /// The mean over the copies of Spearman's rank correlation of the magnitudes of both maps.
    #[schema(example = 0.18)]
    correlation: f64,
    /// Copies whose map has become the same everywhere, or is not finite; they count as 0.
    #[schema(example = 0)]
    empty: usize,
}

/// Which weights were made random.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Randomised {
    /// Those of the layers that run after the one that is looked at.
    AboveTheLayer,
    /// Those of the later half of the layers that have any.
    UpperHalf,
    /// All.
    All,
}

/// Why it cannot be told whether a map depends on the weights.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Untold {
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

impl From<explain::Sensitivity> for Weights {
    fn from(found: explain::Sensitivity) -> Self {
        let depends = found.depends();
        let (stages, copies, unavailable) = match found {
            explain::Sensitivity::Measured { stages, copies } => (stages, copies, None),
            explain::Sensitivity::Untold(why) => (Vec::new(), 0, Some(why)),
        };
        let most = stages.iter().map(|stage| stage.correlation).fold(0.0, f64::max);
        let summary = match (depends, unavailable) {
            (Some(true), _) => format!(
                "The map depends on what the model has learned: with random weights it correlates by at most {most:.2}, below \
                 {INSENSITIVE}."
            ),
            (Some(false), _) => format!(
                "The map hardly depends on what the model has learned: with random weights it still correlates by {most:.2}, and \
                 {INSENSITIVE} is too much. It shows the picture rather than the model's reasons: do not trust it as an explanation."
            ),
            (None, why) => format!(
                "Whether the map depends on what the model has learned cannot be told: {}.",
                why.map_or("it was not measured", why_not)
            ),
        };
        Self {
            depends,
            threshold: INSENSITIVE,
            stages: stages.into_iter().map(Stage::from).collect(),
            copies,
            unavailable: unavailable.map(Untold::from),
            summary,
        }
    }
}

fn why_not(why: explain::Untold) -> &'static str {
    match why {
        explain::Untold::ConstantWeights => {
            "the file has its weights as constants, as one that was frozen or quantised; serve the module as it was before that"
        }
        explain::Untold::NothingAbove => {
            "no layer above the one that is looked at has weights; look at an earlier layer"
        }
        explain::Untold::OwnWords => "the method reads where the model itself says that it looked",
        explain::Untold::EmptyMap => "this map says nothing",
        explain::Untold::Fails => "the model cannot be explained with random weights",
    }
}

impl From<explain::Stage> for Stage {
    fn from(found: explain::Stage) -> Self {
        Self {
            randomised: match found.randomised {
                explain::Randomised::AboveTheLayer => Randomised::AboveTheLayer,
                explain::Randomised::UpperHalf => Randomised::UpperHalf,
                explain::Randomised::All => Randomised::All,
            },
            parameters: found.parameters,
            correlation: found.correlation,
            empty: found.empty,
        }
    }
}

impl From<explain::Untold> for Untold {
    fn from(why: explain::Untold) -> Self {
        match why {
            explain::Untold::ConstantWeights => Self::ConstantWeights,
            explain::Untold::NothingAbove => Self::NothingAbove,
            explain::Untold::OwnWords => Self::OwnWords,
            explain::Untold::EmptyMap => Self::EmptyMap,
            explain::Untold::Fails => Self::Fails,
        }
    }
}
