//! `POST /predictions/{model}[/{version}]`

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::answer::{Handled, json, of_all, response};
use super::problem::Exceptions;
use super::request::{DataForm, Target, pictures};
use crate::catalog::{HasEngine, Model, Predict};
use crate::engine::{Context, Engine};
use crate::error::{Error, Result};
use crate::image::{Length, ModelInput, Taken};
use crate::reading::{Parameters, query};
use crate::service::{Originals, Pictures, Predicted, Service};
use crate::tasks::captioning::Caption;
use crate::tasks::classification::{self, Classify};
use crate::tasks::detection;
use crate::tasks::embedding::Embed;
use crate::tasks::regression::Regress;
use crate::tasks::segmentation::{Segment, Segmented};
use crate::transport::{App, within};

/// Predict
///
/// A classifier answers its best labels with their scores, a detector a list of objects, a segmenter of each cell `[class,
/// probability]`. Of several pictures a list of such answers.
#[utoipa::path(
    method(post, put), path = "/predictions/{model}", tag = "torchserve",
    params(("model" = String, Path, description = "The model", example = "mobilenet_v2")),
    request_body(content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"), (DataForm = "multipart/form-data"))),
    responses((status = OK, description = "As the handler of the task answers", body = Value), Exceptions),
)]
pub(super) async fn predict(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

/// Predict with a version
#[utoipa::path(
    method(post, put), path = "/predictions/{model}/{version}", tag = "torchserve",
    params(
        ("model" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    request_body(content((Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"), (DataForm = "multipart/form-data"))),
    responses((status = OK, description = "As the handler of the task answers", body = Value), Exceptions),
)]
pub(super) async fn predict_version(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

async fn answered(app: &App, target: &Target, request: Request) -> Result<Response> {
    let (model, context) = app
        .answering(request.headers(), &target.model, target.version())
        .await?;
    // A client that cannot get a place learns it before its body is read.
    model.predict.has_place()?;
    within(&context, async {
        let (pictures, parameters) = pictures(app, request, model.spec.manifest.task).await?;
        let asked = Asked {
            service: &app.service,
            model: &model,
            pictures,
            context: &context,
        };
        asked.predicted(&parameters).await
    })
    .await
}

/// Pictures, and the model and request that they are for.
struct Asked<'a> {
    service: &'a Service,
    model: &'a Arc<Model>,
    pictures: Pictures,
    context: &'a Context,
}

impl Asked<'_> {
    async fn predicted(self, parameters: &Parameters) -> Result<Response> {
        match &self.model.predict {
            Predict::Classification(engine) => {
                let asked = parameters.pairs().any(|(name, _)| name == "top_k");
                let options = match asked {
                    true => query::classification(parameters)?,
                    false => handlers_own(parameters)?,
                };
                self.plain::<Classify>(engine, &options).await
            }
            Predict::Detection(engine) => {
                let (options, _) = query::detection(parameters)?;
                let pictures = (self.pictures, Originals::Dropped);
                let done = self.service.detect(self.model, engine, pictures, &options, self.context);
                written::<detection::Prediction>(self.service, done.await?).await
            }
            Predict::Segmentation(engine) => {
                parameters.none()?;
                let pictures = (self.pictures, Originals::Dropped);
                let done = self.service.predict::<Segment>(self.model, engine, pictures, &(), self.context);
                segmented(self.service, done.await?).await
            }
            Predict::Captioning(engine) => {
                self.plain::<Caption>(engine, &query::captioning(parameters)?).await
            }
            Predict::Embedding(engine) => {
                parameters.none()?;
                self.plain::<Embed>(engine, &()).await
            }
            Predict::Regression(engine) => {
                parameters.none()?;
                self.plain::<Regress>(engine, &()).await
            }
            Predict::Vae(_) | Predict::ImageToImage(_) | Predict::Tensor(_) => Err(Error::UnsupportedForTask(
                "TorchServe has no handler for such a model; its answers are at /v1/models/{name}/predict".into(),
            )),
        }
    }

    async fn plain<Op>(self, engine: &Engine<Op::Queue>, options: &Op::Options) -> Result<Response>
    where
        Op: HasEngine<Input = ModelInput, Output: Handled>,
    {
        let pictures = (self.pictures, Originals::Dropped);
        let done = self
            .service
            .predict::<Op>(self.model, engine, pictures, options, self.context);
        written(self.service, done.await?).await
    }
}

/// As many classes as TorchServe's handler answers.
fn handlers_own(parameters: &Parameters) -> Result<classification::Options> {
    const TOP_K: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);
    parameters.none()?;
    Ok(classification::Options::best(TOP_K))
}

async fn segmented(service: &Service, done: Predicted<Segmented>) -> Result<Response> {
    /// Of a cell: its class and probability while they are made, as values, and as a text that grows.
    const BYTES_A_CELL: u64 = 16 + 3 * 80 + 2 * 32;
    let cells: usize = done.outputs.iter().map(Segmented::cells).sum();
    let bytes = cells as u64 * BYTES_A_CELL;
    let held = service.hold(bytes, 0).await?;
    let made = service.write(Length::of_bytes(bytes), move |_| {
        let sure = done.outputs.iter().map(Segmented::sure);
        let answers = sure.map(|sure| Ok(sure?.handled())).collect::<Result<_>>()?;
        json(&of_all(answers))
    });
    Ok(response(made.await?, held))
}

async fn written<O: Handled>(service: &Service, done: Predicted<O>) -> Result<Response> {
    let length = Length::of_bytes(done.held.as_ref().map_or(0, Taken::bytes));
    let made = service.write(length, move |_| {
        let answers = done.outputs.into_iter().map(Handled::handled);
        json(&of_all(answers.collect()))
    });
    Ok(response(made.await?, done.held))
}
