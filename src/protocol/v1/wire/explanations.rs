//! Maps, and pictures of channels.

use serde::Serialize;
use utoipa::ToSchema;

use super::detections::Bounds;
use super::latents::PngFrame;
use super::names::{Method, TaskKind};
use super::predictions::ImageSize;
use crate::engine::context;
use crate::explain::{self, visualize};
use crate::protocol::v1::timing::TimingMs;

/// The explanations for the images of one request: image by image, target by target, layer by layer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Explanations {
    #[schema(example = "mobilenet_v2")]
    pub(in crate::protocol::v1) model: String,
    #[schema(example = "1")]
    pub(in crate::protocol::v1) version: String,
    pub(in crate::protocol::v1) task: TaskKind,
    pub(in crate::protocol::v1) explanations: Vec<ImageExplanation>,
    pub(in crate::protocol::v1) timing_ms: TimingMs,
}

/// One map of one image, or one attribution of one tensor.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct ImageExplanation {
    /// Which of the request's images this is of, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::protocol::v1) image_index: Option<usize>,
    /// The picture's size, where the input is a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::protocol::v1) image: Option<ImageSize>,
    /// The input that is explained, of a model of tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "x")]
    pub(in crate::protocol::v1) input: Option<String>,
    #[serde(flatten)]
    pub(in crate::protocol::v1) explanation: Explanation,
    /// The picture under its heat, a PNG in base64; with `overlay=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::protocol::v1) overlay_png_b64: Option<String>,
}

/// A saliency map and what it is of.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Explanation {
    /// How it was made.
    method: Method,
    /// The layer whose activation was looked at, where the method looks at one; several with commas between, if fused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "features.18")]
    layer: Option<String>,
    /// What was explained.
    target: ResolvedTarget,
    /// The method's own result.
    map: Map,
    /// Whether the map says nothing: it is zero everywhere, or not finite.
    degenerate: bool,
    /// Why the map is degenerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    degenerate_reason: Option<&'static str>,
    /// Of integrated gradients: whether the attribution adds up.
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<Completeness>,
    /// Of methods of many passes: how many were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<Passes>,
    /// Whether the budget ended before the method did.
    stopped_early: bool,
    /// What whoever reads the map should know of the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<&'static str>,
}

impl From<explain::Explanation> for Explanation {
    fn from(explanation: explain::Explanation) -> Self {
        Self {
            stopped_early: explanation.stopped_early(),
            method: explanation.method.into(),
            layer: explanation.layer,
            target: explanation.target.into(),
            map: explanation.map.into(),
            degenerate: explanation.degeneracy.is_some(),
            degenerate_reason: explanation.degeneracy,
            completeness: explanation.completeness.map(Completeness::from),
            passes: explanation.passes.map(Passes::from),
            caution: explanation.caution,
        }
    }
}

/// What was explained.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum ResolvedTarget {
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

/// A map with its largest and smallest value.
#[derive(Debug, Serialize, ToSchema)]
struct Map {
    /// `[height, width]`; `[channels, height, width]` with `channels=keep`; of a tensor its own shape.
    #[schema(example = json!([7, 7]))]
    shape: Vec<usize>,
    /// Row-major; one value a cell. Values that are not finite are `null` in JSON.
    #[schema(value_type = Vec<Option<f32>>)]
    data: Vec<f32>,
    /// The smallest value.
    #[schema(value_type = Option<f32>, required = true)]
    min: f32,
    /// The largest value.
    #[schema(value_type = Option<f32>, required = true)]
    max: f32,
}

impl From<explain::Map> for Map {
    fn from(map: explain::Map) -> Self {
        Self {
            shape: map.shape,
            data: map.data,
            min: map.min,
            max: map.max,
        }
    }
}

/// Whether an attribution adds up to what it explains (integrated gradients).
#[derive(Debug, Serialize, ToSchema)]
struct Completeness {
    /// The sum of the attribution.
    sum: f64,
    /// The score of the image minus that of the baseline.
    difference: f64,
    /// How far they are apart, relative to the difference.
    error: f64,
}

impl From<explain::Completeness> for Completeness {
    fn from(found: explain::Completeness) -> Self {
        Self {
            sum: found.sum,
            difference: found.difference,
            error: found.error,
        }
    }
}

/// Passes through the model, in images.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Passes {
    /// Those that were made.
    done: usize,
    /// Those that the method asks for; more than `done` when the budget ended first.
    planned: usize,
}

impl From<context::Passes> for Passes {
    fn from(passes: context::Passes) -> Self {
        Self {
            done: passes.done,
            planned: passes.planned,
        }
    }
}

/// A picture that a channel or a class answers to.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Visualized {
    #[schema(example = "mobilenet_v2")]
    pub(in crate::protocol::v1) model: String,
    #[schema(example = "1")]
    pub(in crate::protocol::v1) version: String,
    pub(in crate::protocol::v1) task: TaskKind,
    pub(in crate::protocol::v1) visualization: Visualization,
    pub(in crate::protocol::v1) timing_ms: TimingMs,
}

/// A picture, and what it is of.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Visualization {
    /// The layer, where a channel was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "features.10")]
    layer: Option<String>,
    /// The channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<i64>,
    /// The class, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<ResolvedTarget>,
    /// What the noise scored: the mean activation of the channel, or the class's logit.
    score_before: f32,
    /// What the picture scores.
    score: f32,
    /// Steps that were made, and asked for.
    steps: Passes,
    /// The picture.
    image: PngFrame,
}

impl Visualization {
    pub(in crate::protocol::v1) fn new(found: visualize::Visualization, image: PngFrame) -> Self {
        Self {
            layer: found.layer,
            channel: found.channel,
            target: found.target.map(ResolvedTarget::from),
            score_before: found.score_before,
            score: found.score,
            steps: found.steps.into(),
            image,
        }
    }
}
