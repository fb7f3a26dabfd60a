//! Maps, and pictures of channels.

use serde::Serialize;
use utoipa::ToSchema;

use super::evidence::Evidence;
use super::latents::PngFrame;
use super::names::{Method, TaskKind};
use super::sizes::ImageSize;
use super::targets::ResolvedTarget;
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
    /// How far the map can be trusted, with `evidence=true`; not where the budget ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
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
            evidence: explanation
                .evidence
                .map(|evidence| Evidence::new(evidence, explanation.degeneracy.is_some())),
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
pub(super) struct Completeness {
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
