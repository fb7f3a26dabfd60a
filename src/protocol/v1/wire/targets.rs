//! What was explained.

use serde::Serialize;
use utoipa::ToSchema;

use super::detections::Bounds;
use crate::explain;

/// What was explained.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ResolvedTarget {
    /// A class of the picture.
    Class {
        /// The class.
        class_id: usize,
        /// Its label.
        #[schema(example = "Egyptian cat")]
        label: String,
        /// Its score after the model's activation.
        score: f32,
    },
    /// A class over some pixels.
    Region {
        /// The class.
        class_id: usize,
        /// Its label.
        #[schema(example = "person")]
        label: String,
        /// The pixel `[x, y]` of the original that was asked for; none: the class's own mask.
        #[serde(skip_serializing_if = "Option::is_none")]
        pixel: Option<[f64; 2]>,
        /// Cells of the logits' grid whose logits are summed.
        cells: usize,
    },
    /// A detected object.
    Object {
        /// Its index in the answer of a prediction.
        object: usize,
        /// The class.
        class_id: usize,
        /// Its label.
        #[schema(example = "cup")]
        label: String,
        /// Its score.
        score: f32,
        /// Where it is.
        #[serde(rename = "box")]
        bounds: Bounds,
    },
    /// A word of the caption.
    Word {
        /// Its index.
        word: usize,
        /// Its text.
        #[schema(example = "boot")]
        text: String,
        /// Its log-probability, given the words before it.
        log_prob: f32,
    },
    /// The whole caption.
    Caption {
        /// Its words.
        text: String,
        /// The log-probability of all tokens, the end among them.
        log_prob: f32,
    },
    /// An element of an output of named tensors.
    Element {
        /// The output's name.
        #[schema(example = "logits")]
        output: String,
        /// Its index in a row; empty for the only element that there is.
        index: Vec<i64>,
        /// Its value; null where it is not finite.
        #[schema(value_type = Option<f64>, required = true)]
        value: f64,
    },
    /// What a VAE makes of the picture.
    Latent {
        /// `mu[3]`, `sum_mu` or `reconstruction`.
        #[schema(example = "sum_mu")]
        latent: String,
        /// Its value: of latents the mean, of the reconstruction minus the mean squared error of the model's input.
        value: f32,
    },
    /// How like the reference the picture is.
    Similarity {
        /// The cosine of the two embeddings.
        similarity: f32,
    },
    /// One number of the picture's embedding.
    Dimension {
        /// Its index.
        dimension: usize,
        /// Its value, as a prediction has it.
        value: f32,
    },
    /// A number of a regression.
    Number {
        /// Its index.
        number: usize,
        /// Its name.
        #[schema(example = "pressure")]
        name: String,
        /// Its value, as a prediction has it; null where it is not finite.
        #[schema(value_type = Option<f32>, required = true)]
        value: f32,
        /// What it is counted in.
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
    /// A part of a picture that the model makes.
    Patch {
        /// The pixel `[x, y]` of the original, where one was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pixel: Option<[f64; 2]>,
        /// The box in the original, where one was asked for.
        #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
        bounds: Option<Bounds>,
        /// The channel, where one was asked for; else the mean of all.
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<usize>,
        /// Cells of the answer's own grid that are looked at.
        cells: usize,
        /// The mean of the model's values there.
        value: f32,
    },
}

impl From<explain::ResolvedTarget> for ResolvedTarget {
    fn from(target: explain::ResolvedTarget) -> Self {
        use explain::ResolvedTarget as Core;
        match target {
            Core::Class {
                class_id,
                label,
                score,
            } => Self::Class {
                class_id,
                label,
                score,
            },
            Core::Region {
                class_id,
                label,
                pixel,
                cells,
            } => Self::Region {
                class_id,
                label,
                pixel,
                cells,
            },
            Core::Object {
                object,
                class_id,
                label,
                score,
                bounds,
            } => Self::Object {
                object,
                class_id,
                label,
                score,
                bounds: bounds.into(),
            },
            Core::Word { word, text, log_prob } => Self::Word { word, text, log_prob },
            Core::Caption { text, log_prob } => Self::Caption { text, log_prob },
            Core::Element { output, index, value } => Self::Element { output, index, value },
            Core::Latent { latent, value } => Self::Latent { latent, value },
            Core::Similarity { similarity } => Self::Similarity { similarity },
            Core::Dimension { dimension, value } => Self::Dimension { dimension, value },
            Core::Patch {
                pixel,
                bounds,
                channel,
                cells,
                value,
            } => Self::Patch {
                pixel,
                bounds: bounds.map(Bounds::from),
                channel,
                cells,
                value,
            },
            Core::Number {
                number,
                name,
                value,
                unit,
            } => Self::Number {
                number,
                name,
                value,
                unit,
            },
        }
    }
}
