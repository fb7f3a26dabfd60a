//! Versions of a model: asked for by their number, loaded and unloaded while requests run.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::answer::{Answer, with_progress};
use super::openapi::{Binary, CompareParameters, Deadline, Denials, ExplainParameters, Problems};
use super::request::{ExplainCall, ExplainParts, MultipartCall, PredictCall};
use super::wire::{Explanations, MethodsCompared, ModelInfo, Predictions};
use super::{compare_methods, explain, predict};
use crate::engine::Context;
use crate::engine::context::Progress;
use crate::error::Result;
use crate::reading::{Parameters, query};
use crate::transport::App;

/// A model and one of its versions.
type Version = Path<(String, String)>;

/// Predict with a version
///
/// As `/v1/models/{name}/predict`, by a version that is loaded.
#[utoipa::path(
    post, path = "/v1/models/{name}/versions/{version}/predict", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
        query::Uncertain,
        query::Classification,
        query::Segmentation,
        query::Detection,
        query::Captioning,
        query::ImageToImage,
        query::Tensor,
        Deadline,
    ),
    request_body(content(
        (Binary = "image/*"), (Binary = "application/octet-stream"),
        (MultipartCall = "multipart/form-data"), (PredictCall<'_> = "application/json"),
        (Binary = "application/x-npy"),
    )),
    responses(
        (status = OK, description = "One prediction an input, in order", content(
            (Predictions = "application/json"), (Binary = "image/png"), (Binary = "application/x-npy"),
            (Binary = "application/zip"), (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn predict_version(
    State(app): State<App>,
    Path((name, version)): Version,
    request: Request,
) -> Result<Response> {
    let answering = app.answering(request.headers(), &name, Some(&version)).await?;
    predict::answered(app, answering, request).await
}

/// Explain with a version
///
/// As `/v1/models/{name}/explain`, of a version that is loaded.
#[utoipa::path(
    post, path = "/v1/models/{name}/versions/{version}/explain", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
        ExplainParameters,
        Deadline,
    ),
    request_body(content(
        (Binary = "image/*"), (Binary = "application/octet-stream"),
        (ExplainParts = "multipart/form-data"), (ExplainCall<'_> = "application/json"),
        (Binary = "application/x-npy"),
    )),
    responses(
        (status = OK, description = "One explanation an image, target and layer, in this order", content(
            (Explanations = "application/json"), (Binary = "image/png"), (Binary = "application/x-npy"),
            (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn explain_version(
    State(app): State<App>,
    Path((name, version)): Version,
    request: Request,
) -> Result<Response> {
    let answering = app.answering(request.headers(), &name, Some(&version)).await?;
    explain::answered(app, answering, request).await
}

/// Compare methods of a version
///
/// As `/v1/models/{name}/explain/compare`, of a version that is loaded.
#[utoipa::path(
    post, path = "/v1/models/{name}/versions/{version}/explain/compare", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
        CompareParameters,
        Deadline,
    ),
    request_body(content(
        (Binary = "image/*"), (Binary = "application/octet-stream"),
        (ExplainParts = "multipart/form-data"), (ExplainCall<'_> = "application/json"),
    )),
    responses(
        (status = OK, description = "One map a method, ranked", content(
            (MethodsCompared = "application/json"), (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn compare_methods_of_version(
    State(app): State<App>,
    Path((name, version)): Version,
    request: Request,
) -> Result<Response> {
    let answering = app.answering(request.headers(), &name, Some(&version)).await?;
    compare_methods::answered(app, answering, request).await
}

/// Load a model
///
/// What its model.toml wants, anew from its folder: the version that `versions.serve` names, else the newest, answers from then on,
/// and others that `[versions]` wants are loaded beside it. Requests that are under way end on what they began with. Where it cannot be loaded, what answered before goes on. Only with
/// `model_control = "explicit"`. With `Accept: text/event-stream` it tells how far it is: `progress` with the `stage` (`waiting` for
/// another change of the model, `trying` it in a process of its own, `loading`), and at last `model` or `error`.
#[utoipa::path(
    put, path = "/v1/models/{name}", operation_id = "load_model", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses(
        (status = OK, description = "It answers", content((ModelInfo = "application/json"), (String = "text/event-stream"))),
        Denials,
    ),
)]
pub(super) async fn load(
    State(app): State<App>,
    Path(name): Path<String>,
    (uri, headers): (Uri, HeaderMap),
) -> Result<Response> {
    loaded(app, (name, None), (&uri, &headers)).await
}

/// Load a version
///
/// It answers from then on, as with `PUT /v1/models/{name}`.
#[utoipa::path(
    put, path = "/v1/models/{name}/versions/{version}", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version in its folder", example = "1"),
    ),
    responses(
        (status = OK, description = "It answers", content((ModelInfo = "application/json"), (String = "text/event-stream"))),
        Denials,
    ),
)]
pub(super) async fn load_version(
    State(app): State<App>,
    Path((name, version)): Version,
    (uri, headers): (Uri, HeaderMap),
) -> Result<Response> {
    loaded(app, (name, Some(version)), (&uri, &headers)).await
}

/// The model after it was loaded, or how far that is and then the model, as its client wants it.
async fn loaded(
    app: App,
    (name, version): (String, Option<String>),
    (uri, headers): (&Uri, &HeaderMap),
) -> Result<Response> {
    Parameters::none_in(uri.query())?;
    let form = accept::choose(headers, &[Form::Json, Form::Events])?;
    // As a status, whatever the form.
    app.service.may_change()?;
    let load = |progress: Progress| async move {
        app.service.load(&name, version.as_deref(), &progress).await?;
        Answer::json(&ModelInfo::from(app.service.find(&name)?))
    };
    if form == Form::Events {
        // It has no deadline: a large model takes its time.
        let load = |context: Context| load(context.progress);
        return Ok(with_progress("model", &Context::default(), load));
    }
    Ok(load(Progress::default()).await?.into_response())
}

/// Unload a model
///
/// Every version of it; requests that are under way end. Only with `model_control = "explicit"`.
#[utoipa::path(
    delete, path = "/v1/models/{name}", operation_id = "unload_model", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = NO_CONTENT, description = "It is unloaded"), Denials),
)]
pub(super) async fn unload(State(app): State<App>, Path(name): Path<String>, uri: Uri) -> Result<StatusCode> {
    Parameters::none_in(uri.query())?;
    app.service.unload(&name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unload a version
///
/// The newest version that is left answers from then on.
#[utoipa::path(
    delete, path = "/v1/models/{name}/versions/{version}", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    responses((status = NO_CONTENT, description = "It is unloaded"), Denials),
)]
pub(super) async fn unload_version(
    State(app): State<App>,
    Path((name, version)): Version,
    uri: Uri,
) -> Result<StatusCode> {
    Parameters::none_in(uri.query())?;
    app.service.unload(&name, Some(&version)).await?;
    Ok(StatusCode::NO_CONTENT)
}
