//! `GET /ping`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::transport::App;

/// Whether the server is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pinged {
    /// `Healthy`, or `Unhealthy`.
    #[schema(example = "Healthy")]
    status: &'static str,
}

/// Health
///
/// Healthy where every required model answers.
#[utoipa::path(
    get, path = "/ping", tag = "torchserve",
    responses((status = OK, body = Pinged), (status = INTERNAL_SERVER_ERROR, body = Pinged)),
)]
pub(super) async fn ping(State(app): State<App>) -> (StatusCode, Json<Pinged>) {
    let (code, status) = match app.service.ready() {
        Ok(()) => (StatusCode::OK, "Healthy"),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Unhealthy"),
    };
    (code, Json(Pinged { status }))
}
