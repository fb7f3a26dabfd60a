//! `POST /v1/models/{name}/predict`

use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Call, JsonCall, MultipartCall, deadline};
use super::openapi::Problems;
use super::parameters::Parameters;
use super::timing::TimingMs;
use super::{App, decode, within};
use crate::error::Result;
use crate::repository::Model;
use crate::repository::manifest::TaskKind;
use crate::tasks::{Item, Options, Prediction, classification};

/// The predictions for the images of one request, in their order.
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

/// The prediction for one image.
#[derive(Debug, Serialize, ToSchema)]
struct ImagePrediction {
    image: ImageSize,
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

/// Predict
///
/// One image as the body, several files as multipart, or JSON with base64. Parameters stand in the query
/// string, in the text fields of a multipart, or under `parameters` in JSON.
#[utoipa::path(
    post, path = "/v1/models/{name}/predict", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        classification::Options,
        ("X-Request-Timeout-Ms" = Option<u32>, Header, description = "After this long, the answer is 504"),
    ),
    request_body(content(
        (Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"),
        (MultipartCall = "multipart/form-data"), (JsonCall = "application/json"),
    )),
    responses((status = OK, description = "One prediction an image, in order", body = Predictions), Problems),
)]
pub(super) async fn predict(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Predictions>> {
    let started = Instant::now();
    let model = app.registry.get(&name)?;
    let deadline = deadline(request.headers(), app.settings.request_timeout())?;
    // Whoever cannot get a place learns it before the body is read.
    drop(model.predict.admit(1)?);
    within(deadline, async {
        let call = Call::read(&app, request).await?;
        let options = options(&model, &call.parameters)?;
        let permit = model.predict.admit(call.images.len())?;
        let batch = decode::decode(&app, call.images, &model.subject.manifest.input.fit).await?;
        drop(call.held);
        let sizes: Vec<ImageSize> = batch.images.iter().map(|image| (&image.picture).into()).collect();
        let items = batch.images.into_iter().map(|image| Item {
            tile: image.tile,
            options: options.clone(),
        });
        let completed = model.predict.submit(permit, items.collect(), deadline).await?;
        let timing_ms = TimingMs::new(started, batch.took, &completed);
        let predictions = sizes
            .into_iter()
            .zip(completed)
            .map(|(image, done)| ImagePrediction {
                image,
                prediction: done.output,
            });
        Ok(Json(Predictions {
            model: model.name.clone(),
            version: model.version.clone(),
            task: model.subject.manifest.task,
            predictions: predictions.collect(),
            timing_ms,
        }))
    })
    .await
}

fn options(model: &Model, parameters: &Parameters) -> Result<Options> {
    match model.subject.manifest.task {
        TaskKind::Classification => {
            let options: classification::Options = parameters.read()?;
            options.validate()?;
            Ok(Options::Classification(options))
        }
    }
}

impl From<&crate::image::Picture> for ImageSize {
    fn from(picture: &crate::image::Picture) -> Self {
        Self {
            width: picture.width(),
            height: picture.height(),
        }
    }
}
