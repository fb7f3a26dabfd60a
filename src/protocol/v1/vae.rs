//! What only a VAE can do: `encode`, `decode`, `sample`, `interpolate`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::answer::Answer;
use super::openapi::{Binary, Deadline, Problems, Routing};
use super::request::{self, JsonCall, LatentCall, MultipartCall, ParametersCall};
use super::timing::TimingMs;
use super::wire::{Frames, Predictions};
use super::written::json;
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::Result;
use crate::image::Length;
use crate::reading::query;
use crate::service::{Decoded, Originals, render};
use crate::tasks::vae::Encode;
use crate::transport::{App, within};

/// Encode
///
/// The latent of each image: μ and log σ².
#[utoipa::path(
    post, path = "/v1/models/{name}/encode", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae"), Deadline, Routing),
    request_body(content(
        (Binary = "image/*"), (MultipartCall = "multipart/form-data"), (JsonCall<'_> = "application/json"),
    )),
    responses((status = OK, description = "One latent an image, in order", body = Predictions), Problems),
)]
pub(super) async fn encode(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, request.headers(), &[Form::Json]).await?;
    within(&asked.context, async {
        let (pictures, parameters) = request::pictures(&app, request).await?;
        parameters.none()?;
        let (model, pictures) = (&asked.model, (pictures, Originals::Dropped));
        let done = app
            .service
            .predict::<Encode>(model, model.vae()?, pictures, &(), &asked.context);
        Ok(json(&app.service, done.await?, asked.started)
            .await?
            .into_response())
    })
    .await
}

/// Decode
///
/// The picture of each latent: JSON with `latents`, or an NPY array `[n, D]`. `image/png` answers all in a grid.
#[utoipa::path(
    post, path = "/v1/models/{name}/decode", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae"), Deadline, Routing),
    request_body(content((LatentCall = "application/json"), (Binary = "application/x-npy"))),
    responses(
        (status = OK, description = "One picture a latent, in order", content(
            (Frames = "application/json"), (Binary = "image/png"),
        )),
        Problems,
    ),
)]
pub(super) async fn decode(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, request.headers(), &FRAMES).await?;
    within(&asked.context, async {
        let latents = request::latents(&app, request).await?;
        let done = app
            .service
            .decode_latents(&asked.model, latents, &asked.context)
            .await?;
        asked.answer(&app, done, false).await
    })
    .await
}

/// Sample
///
/// Pictures of latents drawn from N(0, temperature²). `image/png` answers all in a grid.
#[utoipa::path(
    post, path = "/v1/models/{name}/sample", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae"), query::Sample, Deadline, Routing),
    request_body = Option<ParametersCall>,
    responses(
        (status = OK, description = "The pictures", content((Frames = "application/json"), (Binary = "image/png"))),
        Problems,
    ),
)]
pub(super) async fn sample(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, request.headers(), &FRAMES).await?;
    within(&asked.context, async {
        let draw = query::sample(&request::parameters(&app, request).await?)?;
        let done = app.service.sample(&asked.model, draw, &asked.context).await?;
        asked.answer(&app, done, false).await
    })
    .await
}

/// Interpolate
///
/// Pictures on the way from one image to another, given as two files or two images in JSON. `image/png` answers them
/// in a row.
#[utoipa::path(
    post, path = "/v1/models/{name}/interpolate", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae"), query::Interpolate, Deadline, Routing),
    request_body(content((MultipartCall = "multipart/form-data"), (JsonCall<'_> = "application/json"))),
    responses(
        (status = OK, description = "From the first image to the second", content(
            (Frames = "application/json"), (Binary = "image/png"),
        )),
        Problems,
    ),
)]
pub(super) async fn interpolate(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, request.headers(), &FRAMES).await?;
    within(&asked.context, async {
        let (pictures, parameters) = request::pictures(&app, request).await?;
        let way = query::interpolate(&parameters)?;
        let done = app
            .service
            .interpolate(&asked.model, pictures, way, &asked.context)
            .await?;
        asked.answer(&app, done, true).await
    })
    .await
}

/// The forms of pictures that a VAE makes.
const FRAMES: [Form; 2] = [Form::Json, Form::Png];

/// What every operation of a VAE begins with.
struct Asked {
    model: Arc<Model>,
    form: Form,
    context: Context,
    started: Instant,
}

impl Asked {
    async fn new(app: &App, name: &str, headers: &HeaderMap, forms: &[Form]) -> Result<Self> {
        let (model, context) = app.answering(headers, name, None).await?;
        // A client that cannot get a place learns it before its body is read.
        drop(model.vae()?.admit(1)?);
        Ok(Self {
            form: accept::choose(headers, forms)?,
            context,
            started: Instant::now(),
            model,
        })
    }

    /// The pictures in the form that was asked for.
    async fn answer(&self, app: &App, done: Decoded, in_a_row: bool) -> Result<Response> {
        let (form, timing_ms) = (self.form, TimingMs::new(self.started, done.spent));
        let pixels = done.frames.iter().map(|(_, frame)| frame.pixels()).sum();
        let answer = app.service.write(Length::of_pixels(pixels), move |thread| {
            if form == Form::Png {
                let frames: Vec<_> = done.frames.iter().map(|(_, frame)| frame).collect();
                return render::frames(thread, &frames, in_a_row).map(Answer::png);
            }
            Answer::json(&Frames::new(thread, &done, timing_ms)?)
        });
        Ok(answer.await?.into_response())
    }
}
