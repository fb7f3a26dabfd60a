//! `POST /v1/models/{name}/predict`

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accept::{self, Form};
use super::body::{Call, JsonCall, MultipartCall, deadline, read_json};
use super::decode::{Needed, on_pool};
use super::openapi::Problems;
use super::parameters::Parameters;
use super::timing::TimingMs;
use super::{App, decode, events, render, within};
use crate::engine::Completed;
use crate::error::{Error, Result};
use crate::image::{Picture, Placement};
use crate::repository::Model;
use crate::repository::manifest::TaskKind;
use crate::tasks::{
    Input, Item, Options, Prediction, captioning, classification, detection, segmentation, tensor, vae,
};

/// The predictions for the inputs of one request, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Predictions {
    #[schema(example = "mobilenet_v2")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    predictions: Vec<ImagePrediction>,
    timing_ms: TimingMs,
}

/// The prediction for one input.
#[derive(Debug, Serialize, ToSchema)]
struct ImagePrediction {
    /// The picture's size, where the input is a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageSize>,
    #[serde(flatten)]
    prediction: Prediction,
}

/// An upright image's size in pixels.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct ImageSize {
    #[schema(example = 451)]
    pub(super) width: u32,
    #[schema(example = 300)]
    pub(super) height: u32,
}

/// The body of a prediction of the tensor task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorCall {
    /// One for each of the model's inputs, in any order.
    inputs: Vec<tensor::NamedTensor>,
}

/// When a request came, and when nobody wants its answer any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) started: Instant,
    pub(super) deadline: Option<Instant>,
}

/// What is left of a request when its images are computed.
pub(super) struct Predicted {
    pub(super) model: Arc<Model>,
    pub(super) options: Options,
    /// Of each input that is a picture.
    pub(super) sizes: Vec<ImageSize>,
    /// The originals, where they are needed.
    pub(super) pictures: Vec<Picture>,
    pub(super) completed: Vec<Completed<Prediction>>,
    pub(super) started: Instant,
    pub(super) decode: Duration,
}

/// Predict
///
/// One image as the body, several files as multipart, or JSON with base64; for the tensor task, JSON with `inputs`.
/// Parameters stand in the query string, in the text fields of a multipart, or under `parameters` in JSON; which
/// there are depends on the model's task. `Accept` picks the form: JSON always, `image/png` for masks, boxes and
/// reconstructions, `application/x-npy` for a mask's class ids, `text/event-stream` for a caption word by word.
#[utoipa::path(
    post, path = "/v1/models/{name}/predict", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        classification::Options,
        segmentation::Options,
        detection::Options,
        captioning::Options,
        ("X-Request-Timeout-Ms" = Option<u32>, Header, description = "After this long, the answer is 504"),
    ),
    request_body(content(
        (Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"),
        (MultipartCall = "multipart/form-data"), (JsonCall = "application/json"), (TensorCall = "application/json"),
    )),
    responses(
        (status = OK, description = "One prediction an input, in order", content(
            (Predictions = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "application/x-npy"),
            (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn predict(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let model = app.registry.get(&name)?;
    let task = model.subject.manifest.task;
    let form = accept::choose(request.headers(), render::forms(task))?;
    let deadline = deadline(request.headers(), app.settings.request_timeout())?;
    // Whoever cannot get a place learns it before the body is read.
    drop(model.predict.admit(1)?);
    within(deadline, async {
        if task == TaskKind::Tensor {
            return Ok(Json(run_tensors(&app, model, request, started, deadline).await?).into_response());
        }
        let call = Call::read(&app, request).await?;
        let options = options(task, &call.parameters)?;
        form.holds(call.images.len())?;
        if form == Form::Events {
            return events::caption(&app, model, call, options, deadline).await;
        }
        let needed = if form == Form::Json {
            Needed::Tile
        } else {
            Needed::PictureToo
        };
        let predicted = run_images(&app, model, call, options, needed, Clock { started, deadline }).await?;
        answer(&app, predicted, form).await
    })
    .await
}

/// Decodes the images of `call` and computes them.
async fn run_images(
    app: &App,
    model: Arc<Model>,
    call: Call,
    options: Options,
    needed: Needed,
    clock: Clock,
) -> Result<Predicted> {
    let permit = model.predict.admit(call.images.len())?;
    let fit = &model.subject.manifest.image_input()?.fit;
    let batch = decode::decode(app, call.images, fit, needed).await?;
    drop(call.held);
    let (mut items, mut sizes, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    for image in batch.images {
        sizes.push(ImageSize::from(&image.tile.placement));
        pictures.extend(image.picture);
        items.push(Item {
            input: Input::Image(Box::new(image.tile)),
            options: options.clone(),
        });
    }
    // Whoever listens for words hears the end when the last sender is gone: only the items keep one.
    let options = options.without_listener();
    let completed = model.predict.submit(permit, items, clock.deadline).await?;
    Ok(Predicted {
        model,
        options,
        sizes,
        pictures,
        completed,
        started: clock.started,
        decode: batch.took,
    })
}

/// [`run_images`] for an answer that draws nothing on the originals.
pub(super) async fn run_undrawn(
    app: &App,
    model: Arc<Model>,
    call: Call,
    options: Options,
    clock: Clock,
) -> Result<Predicted> {
    run_images(app, model, call, options, Needed::Tile, clock).await
}

async fn run_tensors(
    app: &App,
    model: Arc<Model>,
    request: Request,
    started: Instant,
    deadline: Option<Instant>,
) -> Result<Predictions> {
    let (call, parameters): (TensorCall, _) = read_json(app, request).await?;
    parameters.none()?;
    let values = tensor::arrange(call.inputs, &model.subject.manifest.input)?;
    let item = Item {
        input: Input::Tensors(values),
        options: Options::Tensor,
    };
    let permit = model.predict.admit(1)?;
    let completed = model.predict.submit(permit, vec![item], deadline).await?;
    Ok(Predicted {
        model,
        options: Options::Tensor,
        sizes: Vec::new(),
        pictures: Vec::new(),
        completed,
        started,
        decode: Duration::ZERO,
    }
    .into())
}

/// Wraps the predictions in the form that was asked for.
async fn answer(app: &App, predicted: Predicted, form: Form) -> Result<Response> {
    if form == Form::Json {
        // A mask or a PNG in JSON is work, too.
        let json = on_pool(app, move || {
            let predictions = Predictions::from(predicted);
            serde_json::to_vec(&predictions).map_err(|e| Error::Internal(e.to_string()))
        });
        return Ok(([(header::CONTENT_TYPE, form.media_type())], json.await?).into_response());
    }
    let bytes = on_pool(app, move || {
        let done = predicted.completed.first().zip(predicted.pictures.first());
        let (done, picture) = done.ok_or_else(|| Error::Internal("a request without an image".into()))?;
        render::bytes(form, picture, &done.output, &predicted.options)
    });
    Ok(([(header::CONTENT_TYPE, form.media_type())], bytes.await?).into_response())
}

impl From<Predicted> for Predictions {
    fn from(predicted: Predicted) -> Self {
        let timing_ms = TimingMs::new(predicted.started, predicted.decode, &predicted.completed);
        let mut sizes = predicted.sizes.into_iter();
        let prediction = |done: Completed<Prediction>| ImagePrediction {
            image: sizes.next(),
            prediction: done.output,
        };
        Self {
            predictions: predicted.completed.into_iter().map(prediction).collect(),
            model: predicted.model.name.clone(),
            version: predicted.model.version.clone(),
            task: predicted.model.subject.manifest.task,
            timing_ms,
        }
    }
}

fn options(task: TaskKind, parameters: &Parameters) -> Result<Options> {
    Ok(match task {
        TaskKind::Classification => {
            let options: classification::Options = parameters.read()?;
            options.validate()?;
            Options::Classification(options)
        }
        TaskKind::Segmentation => {
            let options: segmentation::Options = parameters.read()?;
            options.validate()?;
            Options::Segmentation(options)
        }
        TaskKind::Detection => {
            let options: detection::Options = parameters.read()?;
            options.validate()?;
            Options::Detection(options)
        }
        TaskKind::Captioning => {
            let options: captioning::Options = parameters.read()?;
            options.validate()?;
            Options::Captioning(options, None)
        }
        TaskKind::Vae => {
            parameters.none()?;
            Options::Vae(vae::Operation::Reconstruct)
        }
        TaskKind::Tensor => {
            parameters.none()?;
            Options::Tensor
        }
    })
}

impl From<&Placement> for ImageSize {
    fn from(placement: &Placement) -> Self {
        let (width, height) = placement.original();
        Self { width, height }
    }
}
