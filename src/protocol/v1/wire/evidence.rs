//! How far a map can be trusted.

use serde::Serialize;
use utoipa::ToSchema;

use super::weights::Weights;
use crate::explain;

/// See docs/evidence.md for each measure's formula and source.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Evidence {
    /// The pixels that the map names first are replaced by the mean: the sooner the score falls, the smaller the area.
    deletion: Curve,
    /// They are put back into a blurred picture: the sooner the score rises, the larger the area.
    insertion: Curve,
    /// Insertion minus deletion, where what the map names first counts most: ∫ 3(1 − s)² (insertion(s) − deletion(s)) ds, s the share
    /// of pixels.
    #[schema(example = 0.31)]
    early: f64,
    /// What random maps of the same grid give.
    random: Chance,
    /// The share of the map's positive part that lies in the object's box, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<f64>,
    /// How the map changes under noise that a person does not see; of methods of few passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    stability: Option<Stability>,
    /// Whether the map depends on what the model has learned, with `weights=true`; not where the budget ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<Weights>,
    /// The same in a sentence.
    #[schema(
        example = "What the map names first moves the score more than chance, both when it goes and when it comes."
    )]
    summary: &'static str,
}

/// Scores while pixels change.
#[derive(Debug, Serialize, ToSchema)]
struct Curve {
    /// The area under the scores, over the share of pixels from 0 to 1.
    #[schema(example = 0.12)]
    area: f64,
    /// The scores, from no pixel to all, in steps of equal shares.
    #[schema(value_type = Vec<Option<f64>>, example = json!([0.91, 0.4, 0.02]))]
    scores: Vec<f64>,
}

/// The means of random maps.
#[derive(Debug, Serialize, ToSchema)]
struct Chance {
    #[schema(example = 0.41)]
    deletion: f64,
    #[schema(example = 0.38)]
    insertion: f64,
    #[schema(example = -0.02)]
    early: f64,
    /// The standard deviation of `early` among them.
    #[schema(example = 0.04)]
    spread: f64,
    /// How many random maps.
    #[schema(example = 2)]
    maps: usize,
}

/// The map of noisy copies beside the map.
#[derive(Debug, Serialize, ToSchema)]
struct Stability {
    /// The largest change of the map, relative to it.
    #[schema(example = 0.08)]
    change: f64,
    /// The largest change of the score meanwhile.
    #[schema(example = 0.003)]
    score_change: f64,
    /// How many noisy copies.
    #[schema(example = 3)]
    copies: usize,
}

impl From<explain::Curve> for Curve {
    fn from(curve: explain::Curve) -> Self {
        Self {
            area: curve.area,
            scores: curve.scores,
        }
    }
}

impl Evidence {
    /// Of a map that may say nothing.
    pub(super) fn new(found: explain::Evidence, is_degenerate: bool) -> Self {
        let summary = match found.beats_chance() {
            // What is first in it is first by chance.
            _ if is_degenerate => "The map is the same everywhere: it names nothing.",
            (true, true) => {
                "What the map names first moves the score more than chance, both when it goes and when it comes."
            }
            (true, false) => {
                "The score falls sooner than by chance when what the map names first goes, but rises no sooner when it comes: \
                 the score needs more than that."
            }
            (false, true) => {
                "The score rises sooner than by chance when what the map names first comes, but falls no sooner when it goes: \
                 the score hangs on more than that."
            }
            (false, false) => {
                "What the map names first moves the score no more than random cells do: do not trust this map."
            }
        };
        Self {
            early: found.early(),
            random: Chance {
                early: found.random.early,
                deletion: found.random.deletion,
                insertion: found.random.insertion,
                spread: found.random.spread,
                maps: found.random.maps,
            },
            inside: found.inside,
            stability: found.stability.map(|stability| Stability {
                change: stability.change,
                score_change: stability.score_change,
                copies: stability.copies,
            }),
            weights: found.weights.map(Weights::from),
            summary,
            deletion: found.deletion.into(),
            insertion: found.insertion.into(),
        }
    }
}
