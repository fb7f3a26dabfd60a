//! What only a VAE can do: `encode`, `decode`, `sample`, `interpolate`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accept::{self, Form};
use super::body::{Call, JsonCall, MultipartCall, deadline, read_latents};
use super::decode::on_pool;
use super::openapi::Problems;
use super::predict::{Clock, Predictions, run_undrawn};
use super::timing::TimingMs;
use super::{App, render, within};
use crate::error::{Error, Result};
use crate::repository::Model;
use crate::repository::manifest::TaskKind;
use crate::tasks::vae::{Operation, Path as LatentPath, Prediction as VaePrediction, draw};
use crate::tasks::{Frame, Input, Item, Options, Prediction};

/// Pictures of latents, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Frames {
    #[schema(example = "vae")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    images: Vec<LatentImage>,
    timing_ms: TimingMs,
}

/// A latent and its picture.
#[derive(Debug, Serialize, ToSchema)]
struct LatentImage {
    latent: Vec<f32>,
    #[serde(flatten)]
    frame: Frame,
}

/// The body of `decode`, where it is JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatentCall {
    /// One list of values for each picture, as `encode` answers under `latent.mu`.
    pub(super) latents: Vec<Vec<f32>>,
}

/// Parameters of `sample`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct SampleOptions {
    /// How many pictures.
    #[param(required = false, minimum = 1, default = 16)]
    n: usize,
    /// The same seed gives the same pictures.
    #[param(required = false, default = 0)]
    seed: u64,
    /// The standard deviation of the latents; lower is more typical.
    #[param(required = false, minimum = 0, maximum = 10, default = 1.0)]
    temperature: f32,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self {
            n: 16,
            seed: 0,
            temperature: 1.0,
        }
    }
}

/// Parameters of `interpolate`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct InterpolateOptions {
    /// Pictures on the way, both ends among them.
    #[param(required = false, minimum = 2, default = 8)]
    steps: usize,
    /// The way: along the line, or along the great circle.
    #[param(inline, required = false, default = "linear")]
    path: LatentPath,
}

impl Default for InterpolateOptions {
    fn default() -> Self {
        Self {
            steps: 8,
            path: LatentPath::Linear,
        }
    }
}

/// Encode
///
/// The latent of each image: μ and log σ².
#[utoipa::path(
    post, path = "/v1/models/{name}/encode", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae")),
    request_body(content(
        (Vec<u8> = "image/*"), (MultipartCall = "multipart/form-data"), (JsonCall = "application/json"),
    )),
    responses((status = OK, description = "One latent an image, in order", body = Predictions), Problems),
)]
pub(super) async fn encode(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Predictions>> {
    let started = Instant::now();
    let model = vae(&app, &name)?;
    let deadline = deadline(request.headers(), app.settings.request_timeout())?;
    within(deadline, async {
        let call = Call::read(&app, request).await?;
        call.parameters.none()?;
        let options = Options::Vae(Operation::Encode);
        let clock = Clock { started, deadline };
        Ok(Json(run_undrawn(&app, model, call, options, clock).await?.into()))
    })
    .await
}

/// Decode
///
/// The picture of each latent: JSON with `latents`, or an NPY array `[n, D]`. `image/png` answers all in a grid.
#[utoipa::path(
    post, path = "/v1/models/{name}/decode", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae")),
    request_body(content((LatentCall = "application/json"), (Vec<u8> = "application/x-npy"))),
    responses(
        (status = OK, description = "One picture a latent, in order", content(
            (Frames = "application/json"), (Vec<u8> = "image/png"),
        )),
        Problems,
    ),
)]
pub(super) async fn decode(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, &request)?;
    within(asked.clock.deadline, async {
        let latents = read_latents(&app, request).await?;
        asked.answer(&app, latents, false).await
    })
    .await
}

/// Sample
///
/// Pictures of latents drawn from N(0, temperature²). `image/png` answers all in a grid.
#[utoipa::path(
    post, path = "/v1/models/{name}/sample", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae"), SampleOptions),
    responses(
        (status = OK, description = "The pictures", content((Frames = "application/json"), (Vec<u8> = "image/png"))),
        Problems,
    ),
)]
pub(super) async fn sample(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, &request)?;
    let options: SampleOptions = super::body::read_parameters(&app, request).await?.read()?;
    let most = app.settings.max_images.max(64);
    if !(1..=most).contains(&options.n) {
        return Err(Error::parameter(
            "n",
            format!("found {}, expected 1 to {most}", options.n),
        ));
    }
    if !(0.0..=10.0).contains(&options.temperature) {
        let found = options.temperature;
        return Err(Error::parameter(
            "temperature",
            format!("found {found}, expected 0 to 10"),
        ));
    }
    within(asked.clock.deadline, async {
        let size = asked.model.subject.latent_size();
        let latents = draw(options.n, size, options.seed, options.temperature);
        asked.answer(&app, latents, false).await
    })
    .await
}

/// Interpolate
///
/// Pictures on the way from one image to another, given as two files or two images in JSON. `image/png` answers them
/// in a row.
#[utoipa::path(
    post, path = "/v1/models/{name}/interpolate", tag = "models",
    params(("name" = String, Path, description = "The model", example = "vae"), InterpolateOptions),
    request_body(content((MultipartCall = "multipart/form-data"), (JsonCall = "application/json"))),
    responses(
        (status = OK, description = "From the first image to the second", content(
            (Frames = "application/json"), (Vec<u8> = "image/png"),
        )),
        Problems,
    ),
)]
pub(super) async fn interpolate(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let asked = Asked::new(&app, &name, &request)?;
    within(asked.clock.deadline, async {
        let call = Call::read(&app, request).await?;
        let options: InterpolateOptions = call.parameters.read()?;
        let most = app.settings.max_images.max(64);
        if !(2..=most).contains(&options.steps) {
            return Err(Error::parameter(
                "steps",
                format!("found {}, expected 2 to {most}", options.steps),
            ));
        }
        let found = call.images.len();
        if found != 2 {
            return Err(Error::InvalidBody(format!(
                "found {found} images, expected two to go from and to"
            )));
        }
        let [from, to] = asked.means(&app, call).await?;
        let last = (options.steps - 1) as f32;
        let latents = (0..options.steps).map(|step| options.path.at(&from, &to, step as f32 / last));
        asked.answer(&app, latents.collect(), true).await
    })
    .await
}

fn vae(app: &App, name: &str) -> Result<Arc<Model>> {
    let model = app.registry.get(name)?;
    if model.subject.manifest.task == TaskKind::Vae {
        return Ok(model);
    }
    let task = model.subject.manifest.task;
    Err(Error::UnsupportedForTask(format!(
        "model `{name}` is of the task {task:?}; only a VAE does this"
    )))
}

/// What every operation that answers pictures begins with.
struct Asked {
    model: Arc<Model>,
    form: Form,
    clock: Clock,
}

impl Asked {
    fn new(app: &App, name: &str, request: &Request) -> Result<Self> {
        let model = vae(app, name)?;
        drop(model.predict.admit(1)?);
        Ok(Self {
            model,
            form: accept::choose(request.headers(), &[Form::Json, Form::Png])?,
            clock: Clock {
                started: Instant::now(),
                deadline: deadline(request.headers(), app.settings.request_timeout())?,
            },
        })
    }

    /// The means of two images.
    async fn means(&self, app: &App, call: Call) -> Result<[Vec<f32>; 2]> {
        let options = Options::Vae(Operation::Encode);
        let model = Arc::clone(&self.model);
        let predicted = run_undrawn(app, model, call, options, self.clock).await?;
        let mean = |prediction| match prediction {
            Prediction::Vae(VaePrediction::Encoding(found)) => Ok(found.latent.mu),
            _ => Err(Error::Internal("an encoding was expected".into())),
        };
        let means = predicted
            .completed
            .into_iter()
            .map(|done| mean(done.output))
            .collect::<Result<Vec<_>>>()?;
        means
            .try_into()
            .map_err(|_| Error::Internal("two encodings were expected".into()))
    }

    /// Decodes `latents`, and wraps the pictures in the form that was asked for.
    async fn answer(&self, app: &App, latents: Vec<Vec<f32>>, in_a_row: bool) -> Result<Response> {
        let item = |latent: &Vec<f32>| Item {
            input: Input::Latent(latent.clone()),
            options: Options::Vae(Operation::Decode),
        };
        let permit = self.model.predict.admit(latents.len())?;
        let items = latents.iter().map(item).collect();
        let done = self
            .model
            .predict
            .submit(permit, items, self.clock.deadline)
            .await?;
        let timing_ms = TimingMs::new(self.clock.started, Duration::ZERO, &done);
        let frame = |prediction| match prediction {
            Prediction::Vae(VaePrediction::Decoding(found)) => Ok(found.decoded),
            _ => Err(Error::Internal("a decoding was expected".into())),
        };
        let frames = done
            .into_iter()
            .map(|done| frame(done.output))
            .collect::<Result<Vec<_>>>()?;
        if self.form == Form::Png {
            let png = on_pool(app, move || render::frames_png(&frames, in_a_row)).await?;
            return Ok(([(header::CONTENT_TYPE, self.form.media_type())], png).into_response());
        }
        let images = latents
            .into_iter()
            .zip(frames)
            .map(|(latent, frame)| LatentImage { latent, frame });
        Ok(Json(Frames {
            model: self.model.name.clone(),
            version: self.model.version.clone(),
            task: TaskKind::Vae,
            images: images.collect(),
            timing_ms,
        })
        .into_response())
    }
}
