//! `POST /explanations/{model}[/{version}]`

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::Value;

use super::answer::{json, of_all, response};
use super::problem::Exceptions;
use super::request::{DataForm, Target, pictures};
use crate::error::Result;
use crate::explain;
use crate::image::Length;
use crate::service::{Asked, ExplainedImage, Originals, render};
use crate::transport::{App, within};

/// Explain
///
/// The map of each picture as nested lists, row by row; of several targets or layers a list of maps. The parameters are those
/// of `/v1/models/{name}/explain`, in the query string or as fields of the form.
#[utoipa::path(
    method(post, put), path = "/explanations/{model}", tag = "torchserve",
    params(("model" = String, Path, description = "The model", example = "mobilenet_v2")),
    request_body(content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"), (DataForm = "multipart/form-data"))),
    responses((status = OK, description = "The map", body = Value), Exceptions),
)]
pub(super) async fn explain(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

/// Explain with a version
#[utoipa::path(
    method(post, put), path = "/explanations/{model}/{version}", tag = "torchserve",
    params(
        ("model" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    request_body(content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"), (DataForm = "multipart/form-data"))),
    responses((status = OK, description = "The map", body = Value), Exceptions),
)]
pub(super) async fn explain_version(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

async fn answered(app: &App, target: &Target, request: Request) -> Result<Response> {
    /// Of a number: as a value and as a text that grows.
    const BYTES_A_NUMBER: u64 = 32 + 2 * 32;
    let service = &app.service;
    let (model, context) = app
        .answering(request.headers(), &target.model, target.version())
        .await?;
    // A client that cannot get a place learns it before its body is read.
    drop(model.explain.admit(1)?);
    within(&context, async {
        let task = model.spec.manifest.task;
        let (pictures, parameters) = pictures(app, request, task).await?;
        let options = explain::read(task, parameters.pairs())?.with_maps_alone()?;
        let asked = (Asked::from(pictures), Originals::Dropped);
        let done = service.explain(&model, asked, options, &context).await?;
        // An array of four bytes a number is what this counts.
        let arrays: u64 = done
            .images
            .iter()
            .map(|image| render::array_cost(image, done.options.view))
            .sum();
        let bytes = arrays / 4 * BYTES_A_NUMBER;
        let held = service.hold(bytes, 0).await?;
        let made = service.write(Length::of_bytes(bytes), move |_| {
            let of_image = |image| of_all(maps(image, &done.options));
            json(&of_all(done.images.iter().map(of_image).collect()))
        });
        Ok(response(made.await?, held))
    })
    .await
}

/// The maps of a picture, each as nested lists.
fn maps(image: &ExplainedImage, options: &explain::Options) -> Vec<Value> {
    let maps = image.explanations.iter();
    let maps = maps.map(|map| {
        let shown = render::presented(image, map, &options.view).map;
        nested(&shown.shape, &shown.data)
    });
    maps.collect()
}

fn nested(shape: &[usize], data: &[f32]) -> Value {
    match shape {
        [] => data.first().map_or(Value::Null, |value| (*value).into()),
        [_, inner @ ..] => {
            let length = inner.iter().product::<usize>().max(1);
            data.chunks(length).map(|part| nested(inner, part)).collect()
        }
    }
}
