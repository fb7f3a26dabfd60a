//! `POST /v1/models/{name}/explain/compare`

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::answer::{Answer, with_progress};
use super::openapi::{Binary, CompareParameters, Deadline, Problems, Routing};
use super::request::{self, ExplainCall, ExplainParts};
use super::timing::TimingMs;
use super::wire::MethodsCompared;
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::explain::{Made, Options, read_several};
use crate::image::Length;
use crate::manifest::TaskKind;
use crate::reading::Parameters;
use crate::service::{Asked, Service};
use crate::transport::{App, within};

/// Bytes of a number in JSON, with room for a text that grows.
const BYTES_A_NUMBER: u64 = 32;

/// Compare methods
///
/// Which of several methods says most about one picture and target, and do they say the same? Each method's map has its evidence
/// (see `evidence` of explain), its cost and its place by a rule that the answer states, and each two maps the correlation of their
/// ranks. Bodies as for explain, of one picture. Answers JSON, or progress and then the JSON as `text/event-stream`.
#[utoipa::path(
    post, path = "/v1/models/{name}/explain/compare", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        CompareParameters,
        Deadline,
        Routing,
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
pub(super) async fn compare_methods(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let answering = app.answering(request.headers(), &name, None).await?;
    answered(app, answering, request).await
}

/// The comparison of methods of `model`.
pub(super) async fn answered(
    app: App,
    (model, context): (Arc<Model>, Context),
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let form = accept::choose(request.headers(), &[Form::Json, Form::Events])?;
    // A client that cannot get a place learns it before its body is read.
    drop(model.explain.admit(1)?);
    within(&context, async {
        let task = model.spec.manifest.task;
        let (pictures, parameters) = request::explained(&app, request, task == TaskKind::Embedding).await?;
        let (options, has_maps) = read(task, parameters)?;
        let asked = (pictures, options, has_maps);
        if form == Form::Events {
            let service = app.service.clone();
            let work =
                |context: Context| async move { compared(&service, &model, asked, &context, started).await };
            return Ok(with_progress("comparison", &context, work));
        }
        Ok(compared(&app.service, &model, asked, &context, started)
            .await?
            .into_response())
    })
    .await
}

/// The options of each method, and whether the maps are answered.
fn read(task: TaskKind, mut parameters: Parameters) -> Result<(Vec<Options>, bool)> {
    let has_maps = match parameters.take("maps").as_deref().map(str::trim) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::parameter("maps", "expected true or false")),
    };
    let methods = parameters.take("methods").ok_or_else(|| {
        let text =
            "missing; say which methods are compared, with commas between: grad_cam,hires_cam,occlusion";
        Error::parameter("methods", text)
    })?;
    let options = read_several(task, (&methods, has_maps), parameters.pairs())?;
    Ok((options, has_maps))
}

async fn compared(
    service: &Service,
    model: &Arc<Model>,
    (pictures, options, has_maps): (Asked, Vec<Options>, bool),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    let view = options.first().map(|options| options.view).filter(|_| has_maps);
    let done = service.compare_methods(model, pictures, options, context).await?;
    let timing_ms = TimingMs::new(started, done.spent);
    let numbers = view.map_or(0, |view| {
        let of_map = |made: &Made| made.explanation.map.count(view.resolution, &done.placement);
        done.made.iter().map(of_map).sum()
    });
    let held = service.hold(numbers * BYTES_A_NUMBER, 0).await?;
    let written = service.write(Length::of_pixels(numbers), move |_| {
        Answer::json(&MethodsCompared::new(done, view, timing_ms))
    });
    Ok(written.await?.holding([held]))
}
