//! For operators: is the process alive, is it ready, what does it measure?

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Problems;
use crate::error::Result;
use crate::transport::App;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    /// Of the server.
    version: &'static str,
}

const OK: Json<Health> = Json(Health {
    status: "ok",
    version: env!("CARGO_PKG_VERSION"),
});

/// Liveness
///
/// Answers as long as the process does.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = OK, body = Health)))]
pub(super) async fn healthz() -> Json<Health> {
    OK
}

/// Readiness
///
/// Whether every required model is loaded and warmed up, and the server is not draining.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses((status = OK, body = Health), Problems))]
pub(super) async fn readyz(State(app): State<App>) -> Result<Json<Health>> {
    app.service.ready().map(|()| OK)
}

/// Metrics
///
/// OpenMetrics text, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = OK, content_type = "application/openmetrics-text", body = String)),
)]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok((
        [(header::CONTENT_TYPE, kind)],
        app.service.metrics().text(&app.service.now())?,
    )
        .into_response())
}
