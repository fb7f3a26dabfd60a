//! `POST /v1/models/{name}/compare`

use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::answer::Answer;
use super::openapi::{Deadline, Problems, Routing};
use super::request::{self, JsonCall, MultipartCall};
use super::timing::TimingMs;
use super::wire::Comparison;
use crate::error::Result;
use crate::transport::{App, within};

/// Compare
///
/// How like two images are by a model of the task `embedding`: the cosine, scalar product and distance of their vectors. The
/// images are two files, or two images in JSON.
#[utoipa::path(
    post, path = "/v1/models/{name}/compare", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_features"), Deadline, Routing),
    request_body(content((MultipartCall = "multipart/form-data"), (JsonCall<'_> = "application/json"))),
    responses((status = OK, description = "How like they are", body = Comparison), Problems),
)]
pub(super) async fn compare(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let (model, context) = app.answering(request.headers(), &name, None).await?;
    // A client that cannot get a place learns it before its body is read.
    drop(model.embedding()?.admit(1)?);
    accept::choose(request.headers(), &[Form::Json])?;
    within(&context, async {
        let (pictures, parameters) = request::pictures(&app, request).await?;
        parameters.none()?;
        let found = app.service.compare(&model, pictures, &context).await?;
        let timing_ms = TimingMs::new(started, found.spent);
        Ok(Answer::json(&Comparison::new(&found, timing_ms))?.into_response())
    })
    .await
}
