//! `POST /explanations/{model}[/{version}]`

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::{Serialize, Serializer};

use super::answer::{json, response};
use super::problem::Exceptions;
use super::request::{DataForm, Target, pictures};
use crate::error::Result;
use crate::explain::{self, Map};
use crate::image::Length;
use crate::service::{Asked, Explained, ExplainedImage, Originals, render};
use crate::transport::{App, within};

/// Explain
///
/// The map of each picture as nested lists, row by row; of several targets or layers a list of maps. The parameters are those
/// of `/v1/models/{name}/explain`, in the query string or as fields of the form.
#[utoipa::path(
    method(post, put), path = "/explanations/{model}", tag = "torchserve",
    params(("model" = String, Path, description = "The model", example = "mobilenet_v2")),
    request_body(content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"), (DataForm = "multipart/form-data"))),
    responses((status = OK, description = "The map", body = serde_json::Value), Exceptions),
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
    responses((status = OK, description = "The map", body = serde_json::Value), Exceptions),
)]
pub(super) async fn explain_version(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

async fn answered(app: &App, target: &Target, request: Request) -> Result<Response> {
    /// Of a number: as it is, and as a text that grows.
    const BYTES_A_NUMBER: u64 = 4 + 32;
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
        let images = done.images.iter();
        let numbers: u64 = images
            .map(|image| render::numbers(image, done.options.view))
            .sum();
        let bytes = numbers * BYTES_A_NUMBER;
        let held = service.hold(bytes, 0).await?;
        let made = service.write(Length::of_bytes(bytes), move |_| written(&done));
        Ok(response(made.await?, held))
    })
    .await
}

/// What of `all` is answered: what is alone itself, several as a list.
struct OneOrAll<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for OneOrAll<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            [one] => one.serialize(serializer),
            all => serializer.collect_seq(all),
        }
    }
}

/// Values as nested lists.
struct Nested<'a> {
    shape: &'a [usize],
    data: &'a [f32],
}

impl<'a> Nested<'a> {
    fn of(map: &'a Map) -> Self {
        Self {
            shape: &map.shape,
            data: &map.data,
        }
    }
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Some((_, inner)) = self.shape.split_first() else {
            return self.data.first().serialize(serializer);
        };
        let length = inner.iter().product::<usize>().max(1);
        let parts = self.data.chunks(length);
        serializer.collect_seq(parts.map(|data| Nested { shape: inner, data }))
    }
}

/// The answer: of each picture its maps.
fn written(done: &Explained) -> Result<Vec<u8>> {
    let of_image = |image: &ExplainedImage| -> Vec<Map> {
        let maps = image.explanations.iter();
        maps.map(|map| render::presented(image, map, &done.options.view).map)
            .collect()
    };
    let maps: Vec<Vec<Map>> = done.images.iter().map(of_image).collect();
    let nested: Vec<Vec<Nested<'_>>> = maps
        .iter()
        .map(|maps| maps.iter().map(Nested::of).collect())
        .collect();
    let of_images: Vec<OneOrAll<'_, Nested<'_>>> = nested.iter().map(|maps| OneOrAll(maps)).collect();
    json(&OneOrAll(&of_images))
}
