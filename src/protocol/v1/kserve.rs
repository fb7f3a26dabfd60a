//! KServe's first protocol, which TensorFlow Serving began: `POST /v1/models/{name}:predict` and `:explain`, with `instances`.
//! The answers are those of `/predict` and `/explain`, which have `predictions` and `explanations` where its clients look; those of
//! a model of tensors are rows.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::accept::{self, Form};
use super::answer::Answer;
use super::explain::explained;
use super::instances::{self, Called};
use super::openapi::{Deadline, Problems, Routing};
use super::predict::predicted;
use super::request;
use super::rows::Rows;
use super::wire::{Explanations, Predictions};
use crate::catalog::{Model, Predict};
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::explain;
use crate::image::Length;
use crate::manifest::TaskKind;
use crate::reading::{Parameters, bounded};
use crate::service::Asked;
use crate::transport::{App, within};

/// What an empty body should have been.
const EXPECTED: &str = "JSON with `instances`";

/// What is asked of a model behind its name.
#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Predict,
    Explain,
}

/// Between a name and its verb, as the router has them: it knows no parameter that ends within a segment.
const WITHIN: &str = "/instances";

/// The path by which the router knows `path`, where that ends in one of the verbs.
#[must_use]
pub fn routed(path: &str) -> Option<String> {
    let name = path
        .strip_prefix("/v1/models/")
        .filter(|name| !name.contains('/'))?;
    let mut verbs = ["predict", "explain"].into_iter();
    verbs.find_map(|verb| {
        let before = name.strip_suffix(verb)?;
        let name = [":", "%3A", "%3a"]
            .into_iter()
            .find_map(|colon| before.strip_suffix(colon))?;
        Some(format!("/v1/models/{name}{WITHIN}:{verb}"))
    })
}

/// The documented path of what the router knows as `route`.
#[must_use]
pub fn documented(route: &str) -> String {
    route.replace(&format!("{WITHIN}:"), ":")
}

/// Both routes, as the router knows them.
pub(super) fn routes() -> Router<App> {
    let route = |verb: &str| format!("/v1/models/{{name}}{WITHIN}:{verb}");
    Router::new()
        .route(
            &route("predict"),
            post(async |app, name, request| call(app, name, Verb::Predict, request).await),
        )
        .route(
            &route("explain"),
            post(async |app, name, request| call(app, name, Verb::Explain, request).await),
        )
}

async fn call(
    State(app): State<App>,
    Path(name): Path<String>,
    verb: Verb,
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let (model, context) = app.answering(request.headers(), &name, None).await?;
    accept::choose(request.headers(), &[Form::Json])?;
    // A client that cannot get a place learns it before its body is read.
    match verb {
        Verb::Predict => model.predict.has_place()?,
        Verb::Explain => drop(model.explain.admit(1)?),
    }
    within(&context, async {
        let received = request::json_body(&app, request, EXPECTED).await?;
        let answer = match model.spec.manifest.task {
            TaskKind::Tensor => of_tensors(&app, received, (&model, verb), &context, started).await,
            _ => of_pictures(&app, received, (&model, verb), &context, started).await,
        };
        Ok(answer?.into_response())
    })
    .await
}

async fn of_pictures(
    app: &App,
    received: crate::transport::Received,
    (model, verb): (&Arc<Model>, Verb),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    let most = app.service.limits().images;
    let of_query = Parameters::from_query(received.query.as_deref())?;
    let read = move |_: &_| instances::pictures(&received, most);
    let Called {
        given,
        mut parameters,
    } = app.service.pool().run(read).await?;
    parameters.extend(of_query)?;
    let service = &app.service;
    match verb {
        Verb::Predict => predicted(service, model, (given, &parameters, Form::Json), context, started).await,
        Verb::Explain => {
            let asked = (Asked::from(given), &parameters, Form::Json);
            explained(service, model, asked, context, started).await
        }
    }
}

async fn of_tensors(
    app: &App,
    received: crate::transport::Received,
    (model, verb): (&Arc<Model>, Verb),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    /// Of a number, with room for a text that grows.
    const BYTES_A_NUMBER: u64 = 32;
    let numbers = bounded::separators(&received.bytes);
    let held = app.service.hold_numbers(numbers, BYTES_A_NUMBER).await?;
    let of_query = Parameters::from_query(received.query.as_deref())?;
    let reads = Arc::clone(model);
    let read = move |_: &_| instances::tensors(&received, reads.spec.manifest.tensors()?);
    let Called {
        given,
        mut parameters,
    } = app.service.pool().run(read).await?;
    parameters.extend(of_query)?;
    let service = &app.service;
    if verb == Verb::Explain {
        let options = explain::read(TaskKind::Tensor, parameters.pairs())?;
        let asked = (given, Some(held), options);
        return super::explain::attribution(service, model, asked, (Form::Json, started), context).await;
    }
    parameters.none()?;
    let Predict::Tensor(engine) = &model.predict else {
        return Err(Error::Internal("tensors for a model of pictures".into()));
    };
    let mut done = service.compute(model, engine, given, context).await?;
    drop(held);
    let outputs = done.outputs.pop().map(|prediction| prediction.outputs);
    let outputs = outputs.ok_or_else(|| Error::Internal("no answer".into()))?;
    let count: usize = outputs.iter().map(|output| output.data.count()).sum();
    let bytes = count as u64 * BYTES_A_NUMBER;
    let held = service.hold(bytes, 0).await?;
    let written = service.write(Length::of_bytes(bytes), move |_| {
        Answer::json(&Rows::of(outputs)?)
    });
    Ok(written.await?.holding([held]))
}

/// Predict, as KServe and TensorFlow Serving have it
///
/// `instances` are pictures: `{"b64": "…"}`, the same under a name such as `image_bytes`, or the text alone; to a model of tensors
/// rows, as lists, or as objects by the names of the inputs.
#[utoipa::path(
    post, path = "/v1/models/{name}:predict", operation_id = "predict_instances", tag = "models", request_body = instances::InstancesCall,
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2"), Deadline, Routing),
    responses((status = OK, description = "One prediction an instance, in order", body = Predictions), Problems),
)]
#[expect(dead_code, reason = "it only describes the route, which `call` answers")]
fn predict() {}

/// Explain, as KServe has it
///
/// `instances` as for `:predict`; `parameters` are those of explanations.
#[utoipa::path(
    post, path = "/v1/models/{name}:explain", operation_id = "explain_instances", tag = "models", request_body = instances::InstancesCall,
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2"), Deadline, Routing),
    responses((status = OK, description = "One explanation an image, target and layer", body = Explanations), Problems),
)]
#[expect(dead_code, reason = "it only describes the route, which `call` answers")]
fn explain_route() {}

/// What the two routes say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(predict, explain_route))]
pub(super) struct Document;
