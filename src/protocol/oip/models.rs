//! What a model takes and answers: its metadata, and its configuration as Triton's clients read it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::signature::{Signature, inputs, outputs};
use super::target::Target;
use crate::error::Result;
use crate::manifest::Tensors;
use crate::transport::{App, within};

/// A tensor that a model takes or answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TensorMetadata {
    #[schema(example = "image")]
    pub(super) name: String,
    #[schema(example = "FP32")]
    pub(super) datatype: &'static str,
    /// −1 is any size, and as the first it is the picture or the row.
    #[schema(example = json!([-1, 3, 224, 224]))]
    pub(super) shape: Vec<i64>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelMetadata {
    #[schema(example = "mobilenet_v2")]
    pub(super) name: String,
    /// Those that are loaded.
    pub(super) versions: Vec<String>,
    #[schema(example = "pytorch_libtorch")]
    pub(super) platform: &'static str,
    /// Of a model of pictures `image`, which may as well be files, `BYTES [-1]`.
    pub(super) inputs: Vec<TensorMetadata>,
    pub(super) outputs: Vec<TensorMetadata>,
}

impl From<Signature> for TensorMetadata {
    fn from(signature: Signature) -> Self {
        Self {
            name: signature.name,
            datatype: signature.datatype.name(),
            shape: signature.shape,
        }
    }
}

pub(super) async fn described(app: &App, target: &Target) -> Result<Json<ModelMetadata>> {
    let model = target.described(&app.service).await?;
    Ok(Json(ModelMetadata {
        name: model.name.clone(),
        versions: app.service.versions(&model.name)?,
        platform: PLATFORM,
        inputs: inputs(&model).into_iter().map(Into::into).collect(),
        outputs: outputs(&model).into_iter().map(Into::into).collect(),
    }))
}

/// As Triton calls what libtorch runs.
const PLATFORM: &str = "pytorch_libtorch";

/// Model metadata
#[utoipa::path(
    get, path = "/v2/models/{name}", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = ModelMetadata), Refusals),
)]
pub(super) async fn model(
    State(app): State<App>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Result<Json<ModelMetadata>> {
    within(&app.context(&headers)?, described(&app, &target)).await
}

/// Version metadata
#[utoipa::path(
    get, path = "/v2/models/{name}/versions/{version}", tag = "open inference protocol",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    responses((status = OK, body = ModelMetadata), Refusals),
)]
pub(super) async fn version(
    State(app): State<App>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Result<Json<ModelMetadata>> {
    within(&app.context(&headers)?, described(&app, &target)).await
}

/// A tensor in a configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TensorConfig {
    #[schema(example = "image")]
    pub(super) name: String,
    #[schema(example = "TYPE_FP32")]
    pub(super) data_type: String,
    /// Without the batch, where there is one.
    #[schema(example = json!([3, 224, 224]))]
    pub(super) dims: Vec<i64>,
}

/// Where instances of a model compute.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InstanceGroup {
    pub(super) name: String,
    #[schema(example = "KIND_CPU")]
    pub(super) kind: &'static str,
    pub(super) count: usize,
}

/// How requests become batches.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DynamicBatching {
    pub(super) max_queue_delay_microseconds: u64,
}

/// A model's configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelConfig {
    #[schema(example = "mobilenet_v2")]
    pub(super) name: String,
    #[schema(example = "pytorch_libtorch")]
    pub(super) platform: &'static str,
    #[schema(example = "pytorch")]
    pub(super) backend: &'static str,
    /// 0 where tensors have no batch.
    pub(super) max_batch_size: usize,
    pub(super) input: Vec<TensorConfig>,
    pub(super) output: Vec<TensorConfig>,
    pub(super) instance_group: Vec<InstanceGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dynamic_batching: Option<DynamicBatching>,
}

pub(super) async fn configured(app: &App, target: &Target) -> Result<Json<ModelConfig>> {
    let model = target.described(&app.service).await?;
    let manifest = &model.spec.manifest;
    let is_batched = manifest.tensors().map_or(true, Tensors::is_batched);
    let tensor = |signature: Signature| TensorConfig {
        name: signature.name,
        data_type: match signature.datatype.name() {
            "BYTES" => "TYPE_STRING".into(),
            name => format!("TYPE_{name}"),
        },
        dims: signature
            .shape
            .into_iter()
            .skip(usize::from(is_batched))
            .collect(),
    };
    let batching = &manifest.batching;
    Ok(Json(ModelConfig {
        name: model.name.clone(),
        platform: PLATFORM,
        backend: "pytorch",
        max_batch_size: if is_batched { batching.max_batch_size } else { 0 },
        input: inputs(&model).into_iter().map(tensor).collect(),
        output: outputs(&model).into_iter().map(tensor).collect(),
        instance_group: vec![InstanceGroup {
            name: format!("{}_0", model.name),
            kind: if model.device.starts_with("cuda") {
                "KIND_GPU"
            } else {
                "KIND_CPU"
            },
            count: manifest.instances.count,
        }],
        dynamic_batching: is_batched.then(|| DynamicBatching {
            max_queue_delay_microseconds: u64::try_from(batching.max_delay.as_micros()).unwrap_or(u64::MAX),
        }),
    }))
}

/// Model configuration
///
/// As Triton's clients read it.
#[utoipa::path(
    get, path = "/v2/models/{name}/config", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = ModelConfig), Refusals),
)]
pub(super) async fn config(
    State(app): State<App>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Result<Json<ModelConfig>> {
    within(&app.context(&headers)?, configured(&app, &target)).await
}

/// Version configuration
#[utoipa::path(
    get, path = "/v2/models/{name}/versions/{version}/config", tag = "open inference protocol",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    responses((status = OK, body = ModelConfig), Refusals),
)]
pub(super) async fn version_config(
    State(app): State<App>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Result<Json<ModelConfig>> {
    within(&app.context(&headers)?, configured(&app, &target)).await
}
