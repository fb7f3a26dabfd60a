//! `GET /v1/models` and `GET /v1/models/{name}`: what is served.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;

use super::openapi::Problems;
use super::wire::{ModelInfo, ModelList};
use crate::error::Result;
use crate::reading::Parameters;
use crate::transport::App;

/// List models
#[utoipa::path(get, path = "/v1/models", tag = "models", responses((status = OK, body = ModelList), Problems))]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Result<Json<ModelList>> {
    Parameters::none_in(uri.query())?;
    Ok(Json(app.service.models().into()))
}

/// One model
#[utoipa::path(
    get, path = "/v1/models/{name}", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = ModelInfo), Problems),
)]
pub(super) async fn one(
    State(app): State<App>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<ModelInfo>> {
    let listed = app.service.find(&name)?;
    Parameters::none_in(uri.query())?;
    Ok(Json(listed.into()))
}
