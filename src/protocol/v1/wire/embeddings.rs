//! Vectors of pictures, and how like two of them are.

use serde::Serialize;
use utoipa::ToSchema;

use super::names::TaskKind;
use super::sizes::ImageSize;
use crate::protocol::v1::timing::TimingMs;
use crate::service::Compared;
use crate::tasks::embedding;

/// The embedding of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Embedded {
    /// The vector, and what it is.
    embedding: Vector,
}

/// A vector.
#[derive(Debug, Serialize, ToSchema)]
struct Vector {
    /// How many numbers it has.
    #[schema(example = 160)]
    dimension: usize,
    /// Whether its length was made 1.
    normalised: bool,
    /// The numbers.
    vector: Vec<f32>,
}

impl From<embedding::Embedding> for Embedded {
    fn from(found: embedding::Embedding) -> Self {
        Self {
            embedding: Vector {
                dimension: found.vector.len(),
                normalised: found.normalised,
                vector: found.vector,
            },
        }
    }
}

/// How like two images are.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Comparison {
    #[schema(example = "mobilenet_features")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    /// The size of each image.
    images: Vec<ImageSize>,
    /// How like their vectors are.
    comparison: Likeness,
    timing_ms: TimingMs,
}

/// How like two vectors are.
#[derive(Debug, Serialize, ToSchema)]
struct Likeness {
    /// The cosine of the angle between them: 1 for the same direction, 0 for none in common, −1 for the opposite.
    #[schema(example = 0.87)]
    cosine: f64,
    /// Their scalar product.
    dot: f64,
    /// The distance of their ends.
    euclidean: f64,
    /// How many numbers each has.
    dimension: usize,
    /// Whether their lengths were made 1, of which `dot` and `euclidean` depend.
    normalised: bool,
}

impl Comparison {
    pub(in crate::protocol::v1) fn new(found: &Compared, timing_ms: TimingMs) -> Self {
        let size = |seen: &crate::service::Seen| ImageSize::from(&seen.placement);
        Self {
            model: found.model.name.clone(),
            version: found.model.version.clone(),
            task: found.model.spec.manifest.task.into(),
            images: found.pictures.iter().map(size).collect(),
            comparison: Likeness {
                cosine: found.comparison.cosine,
                dot: found.comparison.dot,
                euclidean: found.comparison.euclidean,
                dimension: found.dimension,
                normalised: found.normalised,
            },
            timing_ms,
        }
    }
}
