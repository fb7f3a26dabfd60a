//! What is served.

use serde::Serialize;
use utoipa::ToSchema;

use super::names::{Method, TaskKind};
use super::serving::ServingInfo;
use super::tensors::TensorSpec;
use crate::catalog::{Listed, Measured, Model, State};
use crate::explain::of_model;
use crate::image::{Color, ResizeMode};
use crate::manifest::TaskKind::{Classification, Segmentation};
use crate::manifest::{Activation, ImageInput, Input, Manifest, Precision};

/// Every model.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct ModelList {
    models: Vec<ModelInfo>,
}

/// One model.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct ModelInfo {
    #[schema(example = "mobilenet_v2")]
    name: String,
    state: StateName,
    /// Whether it answers: where KServe's clients look.
    ready: bool,
    /// Why it failed, one line a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    more: Option<ReadyInfo>,
}

/// The state of a model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateName {
    Loading,
    Ready,
    Failed,
    Unloaded,
    /// Nobody asked for it, and it gave its memory back; the next request loads it.
    Resting,
}

/// What there is to say of a model that answers.
#[derive(Debug, Serialize, ToSchema)]
struct ReadyInfo {
    task: TaskKind,
    description: String,
    /// The version that answers.
    version: String,
    /// Every version on disk, oldest first.
    versions: Vec<String>,
    #[serde(flatten)]
    serving: ServingInfo,
    /// What the model sees, where it takes pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<InputInfo>,
    /// What it takes, where it takes tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Vec<TensorSpec>>,
    /// What it answers, where it answers tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<TensorSpec>>,
    labels: Vec<String>,
    /// What logits are divided by before the activation, where there are logits that become scores: 1 where model.toml says
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1.3)]
    temperature: Option<f64>,
    batching: BatchingInfo,
    #[schema(example = "cpu")]
    device: String,
    instances: usize,
    threads_per_instance: usize,
    parameters: u64,
    precision: PrecisionName,
    /// What was measured at load, where `instances.precision` is `auto` and both could be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    precision_measured: Option<PrecisionMeasured>,
    /// The methods for its task; `/explainers` says which of them this model has what they need for.
    explain_methods: Vec<Method>,
}

/// In what numbers predictions are computed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PrecisionName {
    F32,
    F16,
    Bf16,
}

/// What bfloat16 was found to be beside f32.
#[derive(Debug, Serialize, ToSchema)]
struct PrecisionMeasured {
    /// Milliseconds of one image in f32.
    #[schema(example = 4.3)]
    f32_ms: f64,
    /// Milliseconds of one image in bfloat16.
    #[schema(example = 2.4)]
    bf16_ms: f64,
    /// The largest difference of a score; bfloat16 is taken up to 0.01.
    #[schema(example = 0.002)]
    difference: f64,
}

impl From<Precision> for PrecisionName {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
            // What was left to the machine is one of both by now.
            Precision::F32 | Precision::Auto => Self::F32,
        }
    }
}

impl From<Measured> for PrecisionMeasured {
    fn from(measured: Measured) -> Self {
        Self {
            f32_ms: measured.f32_ms,
            bf16_ms: measured.bf16_ms,
            // JSON has no infinity.
            difference: measured.difference.min(f64::from(f32::MAX)),
        }
    }
}

/// What the model sees.
#[derive(Debug, Serialize, ToSchema)]
struct InputInfo {
    /// `[height, width]` in pixels.
    #[schema(example = json!([224, 224]))]
    size: [u32; 2],
    #[schema(value_type = String, example = "shorter_side")]
    resize: &'static str,
    /// The shorter side before the crop, in pixels, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 256)]
    resize_to: Option<u32>,
    #[schema(value_type = String, example = "rgb")]
    color: &'static str,
}

/// How requests are batched.
#[derive(Debug, Serialize, ToSchema)]
struct BatchingInfo {
    max_batch_size: usize,
    max_delay_ms: f64,
    queue_capacity: usize,
}

impl From<Vec<Listed>> for ModelList {
    fn from(listed: Vec<Listed>) -> Self {
        Self {
            models: listed.into_iter().map(ModelInfo::from).collect(),
        }
    }
}

impl From<Listed> for ModelInfo {
    fn from(listed: Listed) -> Self {
        let serving = ServingInfo::from(&listed);
        let (state, error, more) = match listed.state {
            State::Loading => (StateName::Loading, None, None),
            State::Ready(model) => (StateName::Ready, None, Some(ReadyInfo::new(&model, serving))),
            State::Failed(error) => (StateName::Failed, Some(error.to_string()), None),
            State::Unloaded => (StateName::Unloaded, None, None),
            State::Resting => (StateName::Resting, None, None),
        };
        Self {
            name: listed.name,
            // One that rests answers the next request.
            ready: matches!(state, StateName::Ready | StateName::Resting),
            state,
            error,
            more,
        }
    }
}

impl ReadyInfo {
    fn new(model: &Model, serving: ServingInfo) -> Self {
        let manifest = &model.spec.manifest;
        let (input, inputs, outputs) = match &manifest.input {
            Input::Image(image) => (Some(image.into()), None, None),
            Input::Tensors(tensors) => (
                None,
                Some(tensors.inputs.iter().map(TensorSpec::from).collect()),
                Some(tensors.outputs.iter().map(TensorSpec::from).collect()),
            ),
        };
        Self {
            task: manifest.task.into(),
            description: manifest.description.clone(),
            version: model.version.clone(),
            versions: model.versions.clone(),
            serving,
            input,
            inputs,
            outputs,
            labels: model.spec.labels.names().to_vec(),
            temperature: temperature(manifest),
            batching: BatchingInfo {
                max_batch_size: manifest.batching.max_batch_size,
                max_delay_ms: manifest.batching.max_delay.as_secs_f64() * 1e3,
                queue_capacity: manifest.batching.queue_capacity,
            },
            device: model.device.clone(),
            instances: manifest.instances.count,
            threads_per_instance: model.threads,
            parameters: model.parameters,
            precision: model.precision.into(),
            precision_measured: model.measured.map(PrecisionMeasured::from),
            explain_methods: of_model(manifest).map(|row| row.method.into()).collect(),
        }
    }
}

/// What the logits of a model are divided by, where they become scores.
fn temperature(manifest: &Manifest) -> Option<f64> {
    let has_scores = matches!(manifest.task, Classification | Segmentation);
    let is_activated = manifest.output.activation != Activation::None;
    (has_scores && is_activated).then(|| manifest.output.temperature.get())
}

impl From<&ImageInput> for InputInfo {
    fn from(input: &ImageInput) -> Self {
        let (height, width) = input.fit.size;
        Self {
            size: [height, width],
            resize_to: (input.fit.mode == ResizeMode::ShorterSide)
                .then(|| input.fit.resize_to.unwrap_or(height.min(width))),
            resize: match input.fit.mode {
                ResizeMode::ShorterSide => "shorter_side",
                ResizeMode::Stretch => "stretch",
                ResizeMode::Letterbox => "letterbox",
                ResizeMode::None => "none",
            },
            color: match input.fit.color {
                Color::Rgb => "rgb",
                Color::Bgr => "bgr",
                Color::Gray => "gray",
            },
        }
    }
}
