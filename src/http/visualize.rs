//! `POST /v1/models/{name}/visualize`

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::accept::{self, Form};
use super::body::{deadline, read_parameters};
use super::decode::on_pool;
use super::openapi::Problems;
use super::timing::TimingMs;
use super::{App, events, within};
use crate::error::{Error, Result};
use crate::explain::visualize::{Item, Options, Visualization};
use crate::explain::{self, Answer, Listener, Patience};
use crate::repository::Model;
use crate::repository::manifest::TaskKind;

/// A picture that a channel or a class answers to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Visualized {
    #[schema(example = "mobilenet_v2")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    visualization: Visualization,
    timing_ms: TimingMs,
}

/// Visualize
///
/// The picture that a channel of a layer (`layer`, `channel`) or a class (`target`) answers to most, by gradient ascent
/// from noise: JSON with a PNG, the PNG alone as `image/png`, or progress and then the JSON as `text/event-stream`.
#[utoipa::path(
    post, path = "/v1/models/{name}/visualize", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        Options,
        ("X-Request-Timeout-Ms" = Option<u32>, Header, description = "After this long, the answer is 504"),
    ),
    responses(
        (status = OK, description = "The picture", content(
            (Visualized = "application/json"), (Vec<u8> = "image/png"), (String = "text/event-stream"),
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
    let model = app.registry.get(&name)?;
    let form = accept::choose(request.headers(), &[Form::Json, Form::Png, Form::Events])?;
    let deadline = deadline(request.headers(), app.settings.request_timeout())?;
    within(deadline, async {
        let options: Options = read_parameters(&app, request).await?.read()?;
        options.validate()?;
        // It has no picture to lay anything on, but it is one: a model of tensors cannot be asked.
        model.subject.manifest.image_input()?;
        if form == Form::Events {
            let work = move |listener| run(model, options, Some(listener), started, deadline);
            return Ok(events::progress("visualization", deadline, work));
        }
        let done = run(model, options, None, started, deadline).await?;
        if form == Form::Png {
            let png = on_pool(&app, move || done.visualization.image.png()).await?;
            return Ok(([(header::CONTENT_TYPE, form.media_type())], png).into_response());
        }
        Ok(Json(done).into_response())
    })
    .await
}

async fn run(
    model: Arc<Model>,
    ask: Options,
    listener: Option<Listener>,
    started: Instant,
    deadline: Option<Instant>,
) -> Result<Visualized> {
    let waiting = Arc::new(());
    let patience = Patience {
        budget: ask.budget(),
        client: Some(Arc::downgrade(&waiting)),
        listener,
    };
    let permit = model.explain.admit(1)?;
    let item = explain::Request::Visualize(Box::new(Item { ask, patience }));
    let mut completed = model.explain.submit(permit, vec![item], deadline).await?;
    drop(waiting);
    let timing_ms = TimingMs::new(started, std::time::Duration::ZERO, &completed);
    match completed.pop().map(|done| done.output) {
        Some(Answer::Visualization(visualization)) => Ok(Visualized {
            model: model.name.clone(),
            version: model.version.clone(),
            task: model.subject.manifest.task,
            visualization: *visualization,
            timing_ms,
        }),
        _ => Err(Error::Internal("a visualisation was expected".into())),
    }
}
