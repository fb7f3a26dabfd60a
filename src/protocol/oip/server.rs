//! `GET /v2` and what asks whether the server, or a model, is there.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::target::Target;
use crate::catalog::State as Life;
use crate::error::{Error, Result};
use crate::transport::App;

/// What the server calls itself.
pub(super) const NAME: &str = "lucarne";

/// What is said of shared memory.
pub(super) const NO_SHARED_MEMORY: &str = "shared memory is not supported: the server may be on another machine; send the elements, as JSON or in binary";

/// What is spoken beyond the protocol itself.
pub(super) const EXTENSIONS: [&str; 6] = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
];

/// The server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServerMetadata {
    #[schema(example = "lucarne")]
    name: &'static str,
    version: &'static str,
    /// What is spoken beyond the protocol itself.
    #[schema(value_type = Vec<String>)]
    extensions: [&'static str; EXTENSIONS.len()],
}

/// Server metadata
#[utoipa::path(get, path = "/v2", tag = "open inference protocol", responses((status = OK, body = ServerMetadata)))]
pub(super) async fn metadata() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        extensions: EXTENSIONS,
    })
}

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Live {
    live: bool,
}

/// Server live
///
/// Answers as long as the process does.
#[utoipa::path(get, path = "/v2/health/live", tag = "open inference protocol", responses((status = OK, body = Live)))]
pub(super) async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Whether a server is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
}

/// Server ready
///
/// Whether every required model is loaded and warmed up, and the server is not draining.
#[utoipa::path(
    get, path = "/v2/health/ready", tag = "open inference protocol",
    responses((status = OK, body = Ready), (status = SERVICE_UNAVAILABLE, body = Ready)),
)]
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Ready>) {
    match app.service.ready() {
        Ok(()) => (StatusCode::OK, Json(Ready { ready: true })),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(Ready { ready: false })),
    }
}

/// That a model answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelReady {
    #[schema(example = "mobilenet_v2")]
    name: String,
    ready: bool,
}

pub(super) fn ready_model(app: &App, target: &Target) -> Result<Json<ModelReady>> {
    let found = app.service.find(&target.name)?;
    let is_known = target.version.as_deref().is_none_or(|version| found.has(version));
    // One that rests answers the next request.
    if !(matches!(found.state, Life::Resting) && is_known) {
        target.model(&app.service)?;
    }
    Ok(Json(ModelReady {
        name: target.name.clone(),
        ready: true,
    }))
}

/// Model ready
#[utoipa::path(
    get, path = "/v2/models/{name}/ready", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = ModelReady), Refusals),
)]
pub(super) async fn model_ready(
    State(app): State<App>,
    Path(target): Path<Target>,
) -> Result<Json<ModelReady>> {
    ready_model(&app, &target)
}

/// Version ready
#[utoipa::path(
    get, path = "/v2/models/{name}/versions/{version}/ready", tag = "open inference protocol",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    responses((status = OK, body = ModelReady), Refusals),
)]
pub(super) async fn version_ready(
    State(app): State<App>,
    Path(target): Path<Target>,
) -> Result<Json<ModelReady>> {
    ready_model(&app, &target)
}

/// What there is not, of what clients ask.
pub(super) async fn no_shared_memory() -> Error {
    Error::RouteNotFound(NO_SHARED_MEMORY.into())
}
