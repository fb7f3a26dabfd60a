//! `POST /v1/models/{name}/explain` and `GET /v1/models/{name}/layers`

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::accept::{self, Form};
use super::body::{Call, JsonCall, MultipartCall, deadline};
use super::decode::{Decoded, on_pool};
use super::npy::npy;
use super::openapi::Problems;
use super::predict::ImageSize;
use super::timing::TimingMs;
use super::{App, decode, within};
use crate::error::{Error, Result};
use crate::explain::{self, Answer, Explanation, Item, LayerMap, Layers, Map, Options};
use crate::image::{self, Picture, Placement};
use crate::repository::Model;
use crate::repository::manifest::TaskKind;

/// The explanations for the images of one request, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanations {
    #[schema(example = "mobilenet_v2")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    explanations: Vec<ImageExplanation>,
    timing_ms: TimingMs,
}

/// The explanation for one image.
#[derive(Debug, Serialize, ToSchema)]
struct ImageExplanation {
    image: ImageSize,
    #[serde(flatten)]
    explanation: Explanation,
    /// The picture under its heat, a PNG in base64; with `overlay=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay_png_b64: Option<String>,
}

/// The layers of a model that a map can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LayerList {
    #[schema(example = "mobilenet_v2")]
    model: String,
    /// The layer that is looked at when none is asked for.
    #[schema(example = "features.18")]
    default: Option<String>,
    /// In the order of execution.
    layers: Vec<LayerMap>,
}

/// What is left of a request when its maps are made.
struct Explained {
    model: Arc<Model>,
    options: Options,
    images: Vec<(Picture, Placement)>,
    explanations: Vec<Explanation>,
    timing_ms: TimingMs,
}

/// Explain
///
/// Where did the model look? Answers raw saliency maps as JSON (with the overlay if `overlay=true`), the overlay
/// as `image/png`, or the raw map as `application/x-npy`, as `Accept` asks. Bodies as for predict.
#[utoipa::path(
    post, path = "/v1/models/{name}/explain", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        Options,
        ("X-Request-Timeout-Ms" = Option<u32>, Header, description = "After this long, the answer is 504"),
    ),
    request_body(content(
        (Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"),
        (MultipartCall = "multipart/form-data"), (JsonCall = "application/json"),
    )),
    responses(
        (status = OK, description = "One explanation an image, in order", content(
            (Explanations = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "application/x-npy"),
        )),
        Problems,
    ),
)]
pub(super) async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let model = app.registry.get(&name)?;
    let form = accept::choose(request.headers(), &[Form::Json, Form::Png, Form::Npy])?;
    let deadline = deadline(request.headers(), app.settings.request_timeout())?;
    drop(model.explain.admit(1)?);
    within(deadline, async {
        let call = Call::read(&app, request).await?;
        let options: Options = call.parameters.read()?;
        options.validate()?;
        form.holds(call.images.len())?;
        let permit = model.explain.admit(call.images.len())?;
        let batch = decode::decode(&app, call.images, &model.subject.manifest.image_input()?.fit).await?;
        drop(call.held);
        let (images, requests) = batch
            .images
            .into_iter()
            .map(|image| part(image, &options))
            .unzip();
        let completed = model.explain.submit(permit, requests, deadline).await?;
        let timing_ms = TimingMs::new(started, batch.took, &completed);
        let explanations = completed
            .into_iter()
            .map(|done| explanation(done.output))
            .collect::<Result<_>>()?;
        let explained = Explained {
            model,
            options,
            images,
            explanations,
            timing_ms,
        };
        on_pool(&app, move || answer(explained, form)).await
    })
    .await
}

fn part(image: Decoded, options: &Options) -> ((Picture, Placement), explain::Request) {
    let placement = image.tile.placement;
    let item = Item {
        tile: image.tile,
        method: options.method,
        layer: options.layer.clone(),
        target: options.target.clone(),
    };
    (
        (image.picture, placement),
        explain::Request::Explain(Box::new(item)),
    )
}

fn explanation(answer: Answer) -> Result<Explanation> {
    match answer {
        Answer::Explanation(explanation) => Ok(explanation),
        Answer::Layers(_) => Err(Error::Internal("layers instead of an explanation".into())),
    }
}

/// Wraps the maps in the form that was asked for. It draws and compresses, so it runs on the pool.
fn answer(mut explained: Explained, form: Form) -> Result<Response> {
    let bytes = match form {
        Form::Json | Form::Events => return Ok(Json(to_json(explained)?).into_response()),
        Form::Npy => {
            let map = explained.explanations.swap_remove(0).map;
            npy(&map.shape, &map.data)?
        }
        Form::Png => {
            let (picture, placement) = explained.images.swap_remove(0);
            overlay_png(
                &picture,
                &explained.explanations[0].map,
                &placement,
                &explained.options,
            )?
        }
    };
    Ok(([(header::CONTENT_TYPE, form.media_type())], bytes).into_response())
}

fn to_json(explained: Explained) -> Result<Explanations> {
    let options = explained.options;
    let pairs = explained.images.into_iter().zip(explained.explanations);
    let explanations = pairs.map(|((picture, placement), explanation)| {
        let draw = || overlay_png(&picture, &explanation.map, &placement, &options);
        let png = options.overlay.then(draw).transpose()?;
        Ok(ImageExplanation {
            image: (&picture).into(),
            overlay_png_b64: png.map(|png| BASE64_STANDARD.encode(png)),
            explanation,
        })
    });
    Ok(Explanations {
        explanations: explanations.collect::<Result<_>>()?,
        model: explained.model.name.clone(),
        version: explained.model.version.clone(),
        task: explained.model.subject.manifest.task,
        timing_ms: explained.timing_ms,
    })
}

/// The picture under the heat of `map`.
///
/// # Errors
/// [`Error::Internal`] when the PNG cannot be written.
fn overlay_png(picture: &Picture, map: &Map, placement: &Placement, options: &Options) -> Result<Vec<u8>> {
    let look = explain::render::Look {
        colormap: options.colormap,
        alpha: options.alpha,
    };
    image::encode_png(&explain::render::overlay(picture, map, placement, look)?)
}

/// Layers
///
/// Every layer path that a map can be asked for, with the shape of its output.
#[utoipa::path(
    get, path = "/v1/models/{name}/layers", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, description = "In the order of execution", body = LayerList), Problems),
)]
pub(super) async fn layers(State(app): State<App>, Path(name): Path<String>) -> Result<Json<LayerList>> {
    let model = app.registry.get(&name)?;
    let found = list_layers(&model).await?;
    Ok(Json(LayerList {
        model: model.name.clone(),
        default: found.default,
        layers: found.with_map,
    }))
}

async fn list_layers(model: &Model) -> Result<Layers> {
    let permit = model.explain.admit(1)?;
    let mut answers = model
        .explain
        .submit(permit, vec![explain::Request::Layers], None)
        .await?;
    match answers.pop().map(|done| done.output) {
        Some(Answer::Layers(layers)) => Ok(layers),
        _ => Err(Error::Internal("no layers in the answer".into())),
    }
}
