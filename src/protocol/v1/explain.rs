//! `POST /v1/models/{name}/explain`, `GET …/layers` and `GET …/explainers`

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::accept::{self, Form};
use super::answer::{Answer, with_progress};
use super::npy::npy;
use super::openapi::{Binary, Deadline, ExplainParameters, Problems, Routing};
use super::request::{self, ExplainCall, ExplainParts};
use super::tensors;
use super::timing::TimingMs;
use super::wire::{ExplainerList, Explanation, Explanations, ImageExplanation, LayerList, Manual};
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::explain::{self, Options};
use crate::image::{Length, PoolThread, Taken};
use crate::manifest::TaskKind;
use crate::reading::Parameters;
use crate::service::{Asked, Explained, Originals, Service, render};
use crate::tasks::tensor::NamedTensor;
use crate::transport::{App, within};

/// Explain
///
/// Where did the model look? Answers raw saliency maps as JSON (with overlays if `overlay=true`), the overlay as
/// `image/png` (several maps in a grid), the raw map as `application/x-npy`, or progress and then the JSON as
/// `text/event-stream`, as `Accept` asks. Of a model of tensors, the attribution to one of its inputs. Bodies as for predict; for the
/// task `embedding` also a `reference`, the picture that the others are compared with.
#[utoipa::path(
    post, path = "/v1/models/{name}/explain", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ExplainParameters,
        Deadline,
        Routing,
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
pub(super) async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let answering = app.answering(request.headers(), &name, None).await?;
    answered(app, answering, request).await
}

/// The explanation of `model`.
pub(super) async fn answered(
    app: App,
    (model, context): (Arc<Model>, Context),
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let form = accept::choose(request.headers(), forms(model.spec.manifest.task))?;
    // A client that cannot get a place learns it before its body is read.
    drop(model.explain.admit(1)?);
    within(&context, async {
        let task = model.spec.manifest.task;
        if task == TaskKind::Tensor {
            return attributions(&app, request, (model, form), &context, started).await;
        }
        let takes_reference = task == TaskKind::Embedding;
        let (pictures, parameters) = request::explained(&app, request, takes_reference).await?;
        form.holds(pictures.pictures.count())?;
        let mut options = explain::read(task, parameters.pairs())?;
        if matches!(form, Form::Png | Form::Npy) {
            options = options.with_maps_alone()?;
        }
        if form == Form::Events {
            let service = app.service.clone();
            let work = |context: Context| async move {
                let asked = (pictures, options, Form::Json);
                maps(&service, &model, asked, &context, started).await
            };
            return Ok(with_progress("explanation", &context, work));
        }
        let asked = (pictures, options, form);
        Ok(maps(&app.service, &model, asked, &context, started)
            .await?
            .into_response())
    })
    .await
}

/// The forms in which an explanation of this task can be answered, the default first.
fn forms(task: TaskKind) -> &'static [Form] {
    match task {
        TaskKind::Tensor => &[Form::Json, Form::Npy, Form::Events],
        _ => &[Form::Json, Form::Png, Form::Npy, Form::Events],
    }
}

/// The answer to an explanation of a model of tensors.
async fn attributions(
    app: &App,
    request: Request,
    (model, form): (Arc<Model>, Form),
    context: &Context,
    started: Instant,
) -> Result<Response> {
    let called = tensors::read(app, request, model.spec.manifest.tensors()?).await?;
    let options = explain::read(TaskKind::Tensor, called.parameters.pairs())?;
    let asked = (called.tensors, called.held, options);
    let service = app.service.clone();
    if form == Form::Events {
        let work = |context: Context| async move {
            attribution(&service, &model, asked, (Form::Json, started), &context).await
        };
        return Ok(with_progress("explanation", context, work));
    }
    let answer = attribution(&service, &model, asked, (form, started), context).await?;
    Ok(answer.into_response())
}

pub(super) async fn attribution(
    service: &Service,
    model: &Arc<Model>,
    (tensors, of_request, options): (Vec<NamedTensor>, Option<Taken>, Options),
    (form, started): (Form, Instant),
    context: &Context,
) -> Result<Answer> {
    /// Of a number in JSON, with room for a text that grows; of an array twice its four.
    const BYTES_A_NUMBER: (u64, u64) = (32, 8);
    let done = service.explain_tensors(model, tensors, options, context).await?;
    // What the request took is free before its answer takes some: two that wait for each other wait for ever.
    drop(of_request);
    let timing_ms = TimingMs::new(started, done.spent);
    let values = done.explanation.map.data.len() as u64;
    let bytes = values
        * if form == Form::Npy {
            BYTES_A_NUMBER.1
        } else {
            BYTES_A_NUMBER.0
        };
    let held = service.hold(bytes, 0).await?;
    let written = service.write(Length::of_bytes(bytes), move |_| {
        if form == Form::Npy {
            return npy(&done.explanation.map.shape, &done.explanation.map.data).map(Answer::npy);
        }
        Answer::json(&Explanations {
            explanations: vec![ImageExplanation {
                image_index: None,
                image: None,
                input: Some(done.input),
                explanation: Explanation::from(done.explanation),
                overlay_png_b64: None,
            }],
            model: done.model.name.clone(),
            version: done.model.version.clone(),
            task: done.model.spec.manifest.task.into(),
            timing_ms,
        })
    });
    Ok(written.await?.holding([held]))
}

/// The answer to an explanation, in the form that was asked for.
///
/// # Errors
/// [`Error::InvalidParameter`]; [`Error::NotAcceptable`] when the form cannot hold the maps; those of the service.
pub async fn explained(
    service: &Service,
    model: &Arc<Model>,
    (pictures, parameters, form): (Asked, &Parameters, Form),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    let mut options = explain::read(model.spec.manifest.task, parameters.pairs())?;
    if form != Form::Json {
        options = options.with_maps_alone()?;
    }
    let asked = (pictures, options, form);
    maps(service, model, asked, context, started).await
}

async fn maps(
    service: &Service,
    model: &Arc<Model>,
    (pictures, options, form): (Asked, Options, Form),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    let is_drawn = form == Form::Png || options.view.overlay;
    let originals = if is_drawn {
        Originals::Kept
    } else {
        Originals::Dropped
    };
    let done = service
        .explain(model, (pictures, originals), options, context)
        .await?;
    // What it cost is known now; drawing and compressing come on top.
    let timing_ms = TimingMs::new(started, done.spent);
    let context = context.clone();
    let bytes = cost(&done, form);
    let kept = done.images.iter().filter_map(|image| image.original.as_ref());
    let own = kept.map(|kept| kept.taken.bytes()).sum();
    let held = service.hold(bytes, own).await?;
    let length = Length::of_pixels(bytes / BYTES_OF_A_PIXEL);
    let answer = service.write(length, move |thread| {
        let answer = match form {
            Form::Json | Form::Events => Answer::json(&json(thread, &done, timing_ms, &context)?),
            Form::Npy | Form::Npz => one_map(&done),
            Form::Png => overlays(thread, &done),
        };
        let kept = done.images.into_iter().filter_map(|image| image.original);
        Ok(answer?.holding(kept.map(|kept| kept.taken).chain([held])))
    });
    answer.await
}

/// What a pixel of a map or a picture is in an answer, roughly: by it the time is guessed that an answer takes.
const BYTES_OF_A_PIXEL: u64 = 8;

/// Bytes that the answer takes while it is made and written.
fn cost(done: &Explained, form: Form) -> u64 {
    let view = done.options.view;
    let of_image = |image| match form {
        Form::Png => render::heat_cost(image, view),
        Form::Npy | Form::Npz => render::array_cost(image, view),
        Form::Json | Form::Events => render::maps_cost(image, view),
    };
    done.images.iter().map(of_image).sum()
}

/// The one map of the one image, as an array.
fn one_map(done: &Explained) -> Result<Answer> {
    let maps = done.images.iter().flat_map(|image| {
        let maps = image.explanations.iter();
        maps.map(move |map| render::presented(image, map, &done.options.view).map)
    });
    let maps: Vec<_> = maps.collect();
    let [map] = &maps[..] else {
        let text = format!(
            "application/x-npy holds one map, and these are {}; ask for JSON",
            maps.len()
        );
        return Err(Error::NotAcceptable(text));
    };
    npy(&map.shape, &map.data).map(Answer::npy)
}

/// The one image under the heat of all its maps.
fn overlays(thread: &PoolThread, done: &Explained) -> Result<Answer> {
    let image = done.images.first();
    let image = image.ok_or_else(|| Error::EmptyBody("the body holds no image".into()))?;
    let all: Vec<_> = image.explanations.iter().collect();
    render::heat(thread, image, &all, done.options.view).map(Answer::png)
}

fn json(
    thread: &PoolThread,
    done: &Explained,
    timing_ms: TimingMs,
    context: &Context,
) -> Result<Explanations> {
    let view = done.options.view;
    let mut explanations = Vec::new();
    for (image_index, image) in done.images.iter().enumerate() {
        for explanation in &image.explanations {
            context.check()?;
            let png = view
                .overlay
                .then(|| render::heat(thread, image, &[explanation], view))
                .transpose()?;
            explanations.push(ImageExplanation {
                image_index: Some(image_index),
                image: Some((&image.placement).into()),
                input: None,
                explanation: Explanation::from(render::presented(image, explanation, &view)),
                overlay_png_b64: png.map(|png| BASE64_STANDARD.encode(png)),
            });
        }
    }
    Ok(Explanations {
        explanations,
        model: done.model.name.clone(),
        version: done.model.version.clone(),
        task: done.model.spec.manifest.task.into(),
        timing_ms,
    })
}

/// Layers
///
/// Every layer path that a map can be asked for, with the shape of its output.
#[utoipa::path(
    get, path = "/v1/models/{name}/layers", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2"), Deadline, Routing),
    responses((status = OK, description = "In the order of execution", body = LayerList), Problems),
)]
pub(super) async fn layers(
    State(app): State<App>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<LayerList>> {
    let (model, context) = app.answering(&headers, &name, None).await?;
    Parameters::none_in(uri.query())?;
    let found = within(&context, app.service.describe(&model, &context)).await?;
    Ok(Json(LayerList::new(&model.name, found.layers)))
}

/// Explainers
///
/// The methods that this model supports, with their parameters and what they cost.
#[utoipa::path(
    get, path = "/v1/models/{name}/explainers", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2"), Deadline, Routing),
    responses((status = OK, description = "Every method that has what it needs", body = ExplainerList), Problems),
)]
pub(super) async fn explainers(
    State(app): State<App>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<ExplainerList>> {
    let (model, context) = app.answering(&headers, &name, None).await?;
    Parameters::none_in(uri.query())?;
    let manuals = within(&context, app.service.explainers(&model, &context)).await?;
    Ok(Json(ExplainerList {
        model: model.name.clone(),
        task: model.spec.manifest.task.into(),
        explainers: manuals.into_iter().map(Manual::from).collect(),
    }))
}
