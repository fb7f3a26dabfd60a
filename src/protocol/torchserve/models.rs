//! `GET /models…`: what is served, as TorchServe's management lists it.

use std::num::NonZeroUsize;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Exceptions;
use super::request::Target;
use crate::catalog::Model;
use crate::error::{Error, Result};
use crate::transport::{App, within};

/// The models of a page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    models: Vec<Listed>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    #[schema(example = "mobilenet_v2")]
    model_name: String,
    /// Its folder.
    #[schema(example = "mobilenet_v2")]
    model_url: String,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Models of a page at most.
    #[serde(default = "a_hundred")]
    #[param(value_type = usize, default = 100, minimum = 1)]
    limit: NonZeroUsize,
    /// That of the page before.
    #[serde(default)]
    next_page_token: usize,
}

fn a_hundred() -> NonZeroUsize {
    const HUNDRED: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");
    HUNDRED
}

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    #[schema(example = "mobilenet_v2")]
    model_name: String,
    #[schema(example = "1")]
    model_version: String,
    #[schema(example = "mobilenet_v2")]
    model_url: String,
    /// Always `libtorch`.
    #[schema(example = "libtorch")]
    runtime: &'static str,
    min_workers: usize,
    max_workers: usize,
    batch_size: usize,
    /// Milliseconds.
    max_batch_delay: u64,
    loaded_at_startup: bool,
    workers: Vec<Worker>,
}

/// An instance of a model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Worker {
    #[schema(example = "0")]
    id: String,
    /// `READY`
    #[schema(example = "READY")]
    status: &'static str,
    gpu: bool,
    /// Of the server: workers are its threads.
    pid: u32,
}

/// The models
#[utoipa::path(
    get, path = "/models", tag = "torchserve", params(Page),
    responses((status = OK, body = Listing), (status = BAD_REQUEST, body = super::problem::Exception)),
)]
pub(super) async fn list(
    State(app): State<App>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Listing>> {
    let Query(page) = page.map_err(|error| Error::parameter("query string", error.body_text()))?;
    let all = app.service.models();
    let count = all.len();
    let limit = page.limit.get();
    let end = page.next_page_token.saturating_add(limit);
    let models = all.into_iter().skip(page.next_page_token).take(limit);
    let models = models.map(|listed| Listed {
        model_url: listed.name.clone(),
        model_name: listed.name,
    });
    Ok(Json(Listing {
        models: models.collect(),
        next_page_token: (end < count).then(|| end.to_string()),
    }))
}

fn described(model: &Model) -> Described {
    let (batching, instances) = (&model.spec.manifest.batching, &model.spec.manifest.instances);
    let worker = |id: usize| Worker {
        id: id.to_string(),
        status: "READY",
        gpu: model.device.starts_with("cuda"),
        pid: std::process::id(),
    };
    Described {
        model_name: model.name.clone(),
        model_version: model.version.clone(),
        model_url: model.name.clone(),
        runtime: "libtorch",
        min_workers: instances.count,
        max_workers: instances.count,
        batch_size: batching.max_batch_size,
        max_batch_delay: u64::try_from(batching.max_delay.as_millis()).unwrap_or(u64::MAX),
        loaded_at_startup: true,
        workers: (0..instances.count).map(worker).collect(),
    }
}

/// A model
///
/// The version that answers.
#[utoipa::path(
    get, path = "/models/{model}", tag = "torchserve",
    params(("model" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, body = Vec<Described>), Exceptions),
)]
pub(super) async fn one(
    State(app): State<App>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Result<Json<Vec<Described>>> {
    let model = app.service.catalog().described(&target.model, None);
    let model = within(&app.context(&headers)?, model).await?;
    Ok(Json(vec![described(&model)]))
}

/// A version of a model
///
/// Or all that are loaded, where the version is `all`.
#[utoipa::path(
    get, path = "/models/{model}/{version}", tag = "torchserve",
    params(
        ("model" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded, or `all`", example = "1"),
    ),
    responses((status = OK, body = Vec<Described>), Exceptions),
)]
pub(super) async fn version(
    State(app): State<App>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Result<Json<Vec<Described>>> {
    let catalog = app.service.catalog();
    within(&app.context(&headers)?, catalog.described(&target.model, None)).await?;
    let versions = match target.version() {
        Some("all") => app.service.versions(&target.model)?,
        other => other.map(str::to_owned).into_iter().collect(),
    };
    let models = versions
        .iter()
        .map(|version| app.service.version(&target.model, Some(version)));
    models
        .map(|model| Ok(described(&*model?)))
        .collect::<Result<_>>()
        .map(Json)
}
