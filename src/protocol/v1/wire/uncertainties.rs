//! How sure a model is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::tasks::{classification, segmentation};

/// How sure a classifier is of the class of one picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Uncertainty {
    /// The entropy of the probabilities of all classes in nats, `−Σ p ln p`: 0 where one class is certain, ln K where all are
    /// alike.
    #[schema(example = 0.84)]
    entropy_nats: f64,
    /// The entropy as a part of ln K, 0 to 1.
    #[schema(example = 0.12)]
    relative_entropy: f64,
    /// The probability of the first class less that of the second.
    #[schema(example = 0.59)]
    margin: f64,
    /// How the first class holds out in other views of the picture, with `tta=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tta: Option<Spread>,
}

/// The first class of a picture in several views of it: untouched, mirrored, and shifted to each side.
#[derive(Debug, Serialize, ToSchema)]
struct Spread {
    /// How many views, the untouched one among them.
    #[schema(example = 6)]
    views: usize,
    /// The mean probability of the class over the views.
    #[schema(example = 0.71)]
    score_mean: f64,
    /// The standard deviation of that probability over the views.
    #[schema(example = 0.03)]
    score_std: f64,
    /// In how many of the views it is the first class.
    #[schema(example = 6)]
    agreeing: usize,
    /// Whether it is the first class in all of them.
    same_class: bool,
}

/// How sure a segmenter is of one picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MaskUncertainty {
    /// The entropy of the probabilities of the classes in nats, the mean over the pixels of the model's own output that lie on the
    /// picture.
    #[schema(example = 0.11)]
    mean_entropy_nats: f64,
    /// That as a part of ln K, 0 to 1.
    #[schema(example = 0.06)]
    relative_entropy: f64,
}

impl From<classification::Uncertainty> for Uncertainty {
    fn from(found: classification::Uncertainty) -> Self {
        Self {
            entropy_nats: found.entropy_nats,
            relative_entropy: found.relative_entropy,
            margin: found.margin,
            tta: found.spread.map(|spread| Spread {
                views: spread.views,
                score_mean: spread.score_mean,
                score_std: spread.score_std,
                agreeing: spread.agreeing,
                same_class: spread.agreeing == spread.views,
            }),
        }
    }
}

impl From<segmentation::MaskUncertainty> for MaskUncertainty {
    fn from(found: segmentation::MaskUncertainty) -> Self {
        Self {
            mean_entropy_nats: found.mean_entropy_nats,
            relative_entropy: found.relative_entropy,
        }
    }
}
