//! What a model has computed, as Triton's statistics extension says it.

use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::target::Target;
use crate::catalog::Listed;
use crate::error::Result;
use crate::telemetry::{Statistics, Sum};
use crate::transport::App;

/// The statistics of models.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelStatistics {
    pub(super) model_stats: Vec<OfModel>,
}

/// The statistics of one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfModel {
    #[schema(example = "mobilenet_v2")]
    pub(super) name: String,
    /// The one that answers; what is counted is counted for the model.
    pub(super) version: String,
    /// Milliseconds since 1970.
    pub(super) last_inference: u64,
    /// Items that were computed: pictures, or rows of tensors; of tensors whose rows share no batch, requests.
    pub(super) inference_count: u64,
    /// Batches.
    pub(super) execution_count: u64,
    pub(super) inference_stats: InferenceStatistics,
    pub(super) batch_stats: Vec<BatchStatistics>,
}

/// How often something was, and how long it took in all.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(super) struct Duration {
    pub(super) count: u64,
    /// Nanoseconds.
    pub(super) ns: u64,
}

/// By request; of one of several pictures, the slowest.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InferenceStatistics {
    pub(super) success: Duration,
    /// How long those took is not counted.
    pub(super) fail: Duration,
    pub(super) queue: Duration,
    /// Decoding and fitting pictures.
    pub(super) compute_input: Duration,
    pub(super) compute_infer: Duration,
    /// A part of `compute_infer`.
    pub(super) compute_output: Duration,
    /// There is no cache.
    pub(super) cache_hit: Duration,
    /// There is no cache.
    pub(super) cache_miss: Duration,
}

/// By batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchStatistics {
    pub(super) batch_size: usize,
    pub(super) compute_input: Duration,
    pub(super) compute_infer: Duration,
    pub(super) compute_output: Duration,
}

impl From<Sum> for Duration {
    fn from(sum: Sum) -> Self {
        Self {
            count: sum.count,
            ns: u64::try_from(sum.took.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl OfModel {
    fn new(name: &str, version: &str, found: &Statistics) -> Self {
        let last = found.last.and_then(|last| last.duration_since(UNIX_EPOCH).ok());
        let (input, queue, infer) = (
            Duration::from(found.decoded),
            Duration::from(found.queued),
            Duration::from(found.computed),
        );
        // Clients divide the sums by one count.
        let none = |count| Duration { count, ns: 0 };
        let batch = |(&batch_size, &sum): (&usize, &Sum)| BatchStatistics {
            batch_size,
            compute_input: none(sum.count),
            compute_infer: sum.into(),
            compute_output: none(sum.count),
        };
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            last_inference: last.map_or(0, |last| u64::try_from(last.as_millis()).unwrap_or(u64::MAX)),
            inference_count: found.items,
            execution_count: found.batches.values().map(|sum| sum.count).sum(),
            inference_stats: InferenceStatistics {
                success: Duration {
                    count: infer.count,
                    ns: input.ns.saturating_add(queue.ns).saturating_add(infer.ns),
                },
                fail: none(found.failed),
                queue,
                compute_input: input,
                compute_infer: infer,
                compute_output: none(infer.count),
                cache_hit: Duration::default(),
                cache_miss: Duration::default(),
            },
            batch_stats: found.batches.iter().map(batch).collect(),
        }
    }
}

fn of(app: &App, name: &str, version: &str) -> OfModel {
    let found = app.service.metrics().statistics(name, version);
    OfModel::new(name, version, &found.unwrap_or_default())
}

/// Statistics
///
/// Of every version that is loaded or rests, since it was loaded.
#[utoipa::path(
    get, path = "/v2/models/stats", tag = "open inference protocol",
    responses((status = OK, body = ModelStatistics)),
)]
pub(super) async fn all(State(app): State<App>) -> Json<ModelStatistics> {
    Json(of_all(&app))
}

/// The statistics of every version that is loaded or rests.
pub(super) fn of_all(app: &App) -> ModelStatistics {
    let of_each = |listed: Listed| -> Vec<OfModel> {
        let versions = listed.versions.iter();
        versions.map(|version| of(app, &listed.name, version)).collect()
    };
    ModelStatistics {
        model_stats: app.service.models().into_iter().flat_map(of_each).collect(),
    }
}

/// The statistics of one version, or of every one that is loaded where none is asked for.
pub(super) fn of_one(app: &App, target: &Target) -> Result<Json<ModelStatistics>> {
    let name = &target.name;
    let known = app.service.versions(name)?;
    let said = target.version.as_ref();
    let versions = match said.map(|said| app.service.catalog().named(name, said)) {
        None if !known.is_empty() => known,
        Some(version) if known.contains(&version) => vec![version],
        // It says what is wrong.
        _ => vec![target.model(&app.service)?.version.clone()],
    };
    let versions = versions.iter();
    Ok(Json(ModelStatistics {
        model_stats: versions.map(|version| of(app, name, version)).collect(),
    }))
}

/// Statistics of a model
///
/// Of each of its versions that is loaded.
#[utoipa::path(
    get, path = "/v2/models/{name}/stats", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = ModelStatistics), Refusals),
)]
pub(super) async fn of_model(
    State(app): State<App>,
    Path(target): Path<Target>,
) -> Result<Json<ModelStatistics>> {
    of_one(&app, &target)
}

/// Statistics of a version
#[utoipa::path(
    get, path = "/v2/models/{name}/versions/{version}/stats", tag = "open inference protocol",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    responses((status = OK, body = ModelStatistics), Refusals),
)]
pub(super) async fn of_version(
    State(app): State<App>,
    Path(target): Path<Target>,
) -> Result<Json<ModelStatistics>> {
    of_one(&app, &target)
}
