//! `POST /v1/models/{name}/visualize`

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::answer::{Answer, with_progress};
use super::openapi::{Binary, Deadline, Problems, Routing};
use super::request;
use super::request::ParametersCall;
use super::timing::TimingMs;
use super::wire::{PngFrame, Visualization, Visualized};
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::Result;
use crate::explain::visualize::Options;
use crate::image::Length;
use crate::reading::query;
use crate::service::Service;
use crate::transport::{App, within};

/// Visualize
///
/// The picture that a channel of a layer (`layer`, `channel`) or a class (`target`) answers to most, by gradient ascent
/// from noise: JSON with a PNG, the PNG alone as `image/png`, or progress and then the JSON as `text/event-stream`.
#[utoipa::path(
    post, path = "/v1/models/{name}/visualize", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        query::Visualize,
        Deadline,
        Routing,
    ),
    request_body = Option<ParametersCall>,
    responses(
        (status = OK, description = "The picture", content(
            (Visualized = "application/json"), (Binary = "image/png"), (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn visualize(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let (model, context) = app.answering(request.headers(), &name, None).await?;
    let form = accept::choose(request.headers(), &[Form::Json, Form::Png, Form::Events])?;
    // A client that cannot get a place learns it before its body is read.
    drop(model.explain.admit(1)?);
    within(&context, async {
        let options = query::visualize(&request::parameters(&app, request).await?)?;
        if form == Form::Events {
            let service = app.service.clone();
            let work = |context: Context| async move {
                answer(&service, &model, (options, Form::Json), &context, started).await
            };
            return Ok(with_progress("visualization", &context, work));
        }
        let asked = (options, form);
        Ok(answer(&app.service, &model, asked, &context, started)
            .await?
            .into_response())
    })
    .await
}

async fn answer(
    service: &Service,
    model: &Arc<Model>,
    (options, form): (Options, Form),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    let (found, spent) = service.visualize(model, options, context).await?;
    let timing_ms = TimingMs::new(started, spent);
    let model = Arc::clone(model);
    service
        .write(Length::of_pixels(found.image.pixels()), move |thread| {
            if form == Form::Png {
                return found.image.png(thread).map(Answer::png);
            }
            let image = PngFrame::new(thread, &found.image)?;
            Answer::json(&Visualized {
                model: model.name.clone(),
                version: model.version.clone(),
                task: model.spec.manifest.task.into(),
                visualization: Visualization::new(found, image),
                timing_ms,
            })
        })
        .await
}
