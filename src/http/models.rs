//! `GET /v1/models` and `GET /v1/models/{name}`: what is served.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::openapi::Problems;
use crate::error::Result;
use crate::explain::Method;
use crate::image::{Color, ResizeMode};
use crate::repository::manifest::{ImageInput, Input, TaskKind, TensorSpec};
use crate::repository::{Entry, Model, State as ModelState};

/// Every model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    models: Vec<ModelInfo>,
}

/// One model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelInfo {
    #[schema(example = "mobilenet_v2")]
    name: String,
    state: StateName,
    /// Why it failed, one line a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    ready: Option<ReadyInfo>,
}

/// The state of a model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateName {
    Loading,
    Ready,
    Failed,
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
    batching: BatchingInfo,
    #[schema(example = "cpu")]
    device: String,
    instances: usize,
    threads_per_instance: usize,
    parameters: u64,
    explain_methods: Vec<Method>,
}

/// What the model sees.
#[derive(Debug, Serialize, ToSchema)]
struct InputInfo {
    /// `[height, width]` in pixels.
    #[schema(example = json!([224, 224]))]
    size: [u32; 2],
    #[schema(value_type = String, example = "shorter_side")]
    resize: ResizeMode,
    #[schema(value_type = String, example = "rgb")]
    color: Color,
}

/// How requests are batched.
#[derive(Debug, Serialize, ToSchema)]
struct BatchingInfo {
    max_batch_size: usize,
    max_delay_ms: f64,
    queue_capacity: usize,
}

/// List models
#[utoipa::path(get, path = "/v1/models", tag = "models", responses((status = OK, body = ModelList)))]
pub(super) async fn list(State(app): State<App>) -> Json<ModelList> {
    Json(ModelList {
        models: app.registry.entries().map(info).collect(),
    })
}

/// One model
#[utoipa::path(
    get, path = "/v1/models/{name}", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = ModelInfo), Problems),
)]
pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<ModelInfo>> {
    app.registry.entry(&name).map(|entry| Json(info(entry)))
}

fn info(entry: &Entry) -> ModelInfo {
    let (state, error, ready) = match entry.state() {
        ModelState::Loading => (StateName::Loading, None, None),
        ModelState::Ready(model) => (StateName::Ready, None, Some(ready(&model))),
        ModelState::Failed(error) => (StateName::Failed, Some(error.to_string()), None),
    };
    ModelInfo {
        name: entry.name.clone(),
        state,
        error,
        ready,
    }
}

fn ready(model: &Model) -> ReadyInfo {
    let manifest = &model.subject.manifest;
    let (input, tensors) = match &manifest.input {
        Input::Image(image) => (Some(image.into()), None),
        Input::Tensors { inputs, outputs } => (None, Some((inputs.clone(), outputs.clone()))),
    };
    let (inputs, outputs) = tensors.unzip();
    ReadyInfo {
        task: manifest.task,
        description: manifest.description.clone(),
        version: model.version.clone(),
        versions: model.versions.clone(),
        input,
        inputs,
        outputs,
        labels: model.subject.labels.names().to_vec(),
        batching: BatchingInfo {
            max_batch_size: manifest.batching.max_batch_size,
            max_delay_ms: manifest.batching.max_delay.as_secs_f64() * 1e3,
            queue_capacity: manifest.batching.queue_capacity,
        },
        device: model.device.clone(),
        instances: manifest.instances.count,
        threads_per_instance: model.threads,
        parameters: model.parameters,
        explain_methods: Method::of_task(manifest.task).to_vec(),
    }
}

impl From<&ImageInput> for InputInfo {
    fn from(input: &ImageInput) -> Self {
        let (height, width) = input.fit.size;
        Self {
            size: [height, width],
            resize: input.fit.mode,
            color: input.fit.color,
        }
    }
}
