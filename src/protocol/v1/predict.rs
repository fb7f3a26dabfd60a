//! `POST /v1/models/{name}/predict`

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::answer::Answer;
use super::npy::npy;
use super::openapi::{Binary, Deadline, Problems, Routing};
use super::request::{self, MultipartCall, PredictCall};
use super::wire::Predictions;
use super::written::{Written, json};
use super::{arrays, tensors, words};
use crate::catalog::{HasEngine, Model, Predict};
use crate::engine::{Context, Engine};
use crate::error::{Error, Result};
use crate::image::{Length, ModelInput, Picture, PoolThread};
use crate::manifest::TaskKind;
use crate::reading::Parameters;
use crate::reading::query;
use crate::service::render::{MaskRender, MaskView};
use crate::service::{
    Certainty, MaskForm, MaskQuestion, Originals, Pictures, Predicted, Seen, Service, render,
};
use crate::tasks::bounds::Fraction;
use crate::tasks::captioning::Caption;
use crate::tasks::classification::{self, Classify};
use crate::tasks::detection::Detect;
use crate::tasks::embedding::{Embed, Embedding};
use crate::tasks::image_to_image::{Form as Shown, Prediction as Translation, Resolution, Translate, View};
use crate::tasks::regression::{Prediction as Numbers, Regress};
use crate::tasks::segmentation::{Prediction as Segmented, Segment};
use crate::tasks::vae::{Reconstruct, Reconstruction};
use crate::tasks::{TicketOf, detection};
use crate::transport::{App, within};

/// Predict
///
/// One image as the body, several files as multipart, or JSON with base64; for the tensor task, JSON with `inputs`, one
/// NPY array, or multipart with an NPY array or raw bytes for each input.
/// Parameters stand in the query string, in the text fields of a multipart, or under `parameters` in JSON; which
/// there are depends on the model's task. `Accept` picks the form: JSON always, `image/png` for masks, boxes and
/// reconstructions, `application/x-npy` for a mask's class ids, an embedding, numbers, maps or a tensor, `application/zip` for
/// tensors by name as NumPy's .npz, `text/event-stream` for a caption word by word.
#[utoipa::path(
    post, path = "/v1/models/{name}/predict", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        query::Uncertain,
        query::Classification,
        query::Segmentation,
        query::Detection,
        query::Captioning,
        query::ImageToImage,
        query::Tensor,
        Deadline,
        Routing,
    ),
    request_body(content(
        (Binary = "image/*"), (Binary = "application/octet-stream"),
        (MultipartCall = "multipart/form-data"), (PredictCall<'_> = "application/json"),
        (Binary = "application/x-npy"),
    )),
    responses(
        (status = OK, description = "One prediction an input, in order", content(
            (Predictions = "application/json"), (Binary = "image/png"), (Binary = "application/x-npy"),
            (Binary = "application/zip"), (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn predict(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let answering = app.answering(request.headers(), &name, None).await?;
    answered(app, answering, request).await
}

/// The answer of `model`.
pub(super) async fn answered(
    app: App,
    (model, context): (Arc<Model>, Context),
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let form = accept::choose(request.headers(), forms(model.spec.manifest.task))?;
    // A client that cannot get a place learns it before its body is read.
    model.predict.has_place()?;
    within(&context, async {
        if let Predict::Tensor(engine) = &model.predict {
            let tensors = model.spec.manifest.tensors()?;
            let mut called = tensors::read(&app, request, tensors).await?;
            query::uncertain(&mut called.parameters, TaskKind::Tensor)?;
            let wanted = tensors::wanted(&called.parameters, form, tensors)?;
            let done = app.service.compute(&model, engine, called.tensors, &context);
            let done = done.await?;
            drop(called.held);
            let done = tensors::chosen(&app.service, done, (wanted, form)).await?;
            let answer = match form {
                Form::Json => json(&app.service, done, started).await?,
                _ => tensors::arrays(&app.service, done, form).await?,
            };
            return Ok(answer.into_response());
        }
        let (pictures, parameters) = request::pictures(&app, request).await?;
        form.holds(pictures.count())?;
        if form == Form::Events {
            let caption = (pictures, query::captioning(&parameters)?);
            return Ok(words::events(
                &app,
                model.clone(),
                caption,
                started,
                context.clone(),
            ));
        }
        let asked = (pictures, &parameters, form);
        Ok(predicted(&app.service, &model, asked, &context, started)
            .await?
            .into_response())
    })
    .await
}

/// The forms in which a prediction of this task can be answered, the default first.
fn forms(task: TaskKind) -> &'static [Form] {
    match task {
        TaskKind::Classification => &[Form::Json],
        TaskKind::Tensor => &[Form::Json, Form::Npy, Form::Npz],
        TaskKind::Embedding | TaskKind::Regression => &[Form::Json, Form::Npy],
        TaskKind::Segmentation | TaskKind::ImageToImage => &[Form::Json, Form::Png, Form::Npy],
        TaskKind::Detection | TaskKind::Vae => &[Form::Json, Form::Png],
        TaskKind::Captioning => &[Form::Json, Form::Events],
    }
}

/// The answer to a prediction of pictures: parameters are read as the task has them, and what comes out is written in the
/// form that was asked for.
///
/// # Errors
/// [`Error::InvalidParameter`]; [`Error::NotAcceptable`] when the task has no such form; those of the service.
pub async fn predicted(
    service: &Service,
    model: &Arc<Model>,
    (pictures, parameters, form): (Pictures, &Parameters, Form),
    context: &Context,
    started: Instant,
) -> Result<Answer> {
    let mut parameters = parameters.clone();
    let certainty = query::uncertain(&mut parameters, model.spec.manifest.task)?;
    if certainty != Certainty::Unasked && form != Form::Json {
        return Err(Error::parameter(
            "uncertainty",
            "it is told in JSON alone; ask with Accept: application/json",
        ));
    }
    let asked = Asked {
        service,
        model,
        pictures,
        form,
        context,
        started,
    };
    asked.of_task(&parameters, certainty).await
}

/// The class of each pixel, `[height, width]`; where it may be of several, whether it is of each, `[K, height, width]`.
fn classes_as_npy(found: &Segmented) -> Result<Vec<u8>> {
    let [height, width] = found.mask.size;
    match found.overlapping {
        None => npy(&found.mask.size, &found.class_ids),
        Some(classes) => npy(&[classes, height, width], &found.each_class(classes)),
    }
}

/// Draws the objects that `model` finds; so much of a mask is tint.
fn drawn_objects(model: &Model, alpha: Fraction) -> Draw<detection::Prediction> {
    let keys = model.spec.manifest.output.detection.as_ref();
    let keypoints = keys.and_then(|keys| keys.keypoints.as_ref());
    let skeleton = keypoints.map_or(Vec::new(), |keypoints| keypoints.skeleton.clone());
    Box::new(move |thread, _, picture, found| {
        let skeleton = &skeleton;
        let view = render::ObjectView { skeleton, alpha };
        render::objects(thread, picture, found, view).map(Answer::png)
    })
}

/// Draws one output, on its picture where that was kept.
type Draw<O> = Box<dyn Fn(&PoolThread, Form, Option<Picture>, &O) -> Result<Answer> + Send>;

/// A prediction whose pictures were read.
struct Asked<'a> {
    service: &'a Service,
    model: &'a Arc<Model>,
    pictures: Pictures,
    form: Form,
    context: &'a Context,
    started: Instant,
}

impl Asked<'_> {
    /// The answer, with the parameters and in the form of the model's task.
    async fn of_task(self, parameters: &Parameters, certainty: Certainty) -> Result<Answer> {
        match &self.model.predict {
            Predict::Classification(engine) => {
                let options = query::classification(parameters)?;
                self.classified(engine, (&options, certainty)).await
            }
            Predict::Segmentation(engine) => {
                let view = query::segmentation(parameters)?;
                self.segmented(engine, view, certainty == Certainty::OfScores)
                    .await
            }
            Predict::Detection(engine) => self.detected(engine, query::detection(parameters)?).await,
            Predict::Captioning(engine) => {
                let options = query::captioning(parameters)?;
                self.answer::<Caption>(engine, &options, (Originals::Dropped, None))
                    .await
            }
            Predict::Vae(engine) => {
                parameters.none()?;
                let drawn: Draw<Reconstruction> =
                    Box::new(|thread, _, _, found| found.reconstruction.png(thread).map(Answer::png));
                self.answer::<Reconstruct>(engine, &(), (Originals::Dropped, Some(drawn)))
                    .await
            }
            Predict::Embedding(engine) => {
                parameters.none()?;
                let array: Draw<Embedding> = Box::new(|_, _, _, found| arrays::vector(found));
                self.answer::<Embed>(engine, &(), (Originals::Dropped, Some(array)))
                    .await
            }
            Predict::Regression(engine) => {
                parameters.none()?;
                let array: Draw<Numbers> = Box::new(|_, _, _, found| arrays::numbers(found));
                self.answer::<Regress>(engine, &(), (Originals::Dropped, Some(array)))
                    .await
            }
            Predict::ImageToImage(engine) => {
                self.translated(engine, query::image_to_image(parameters)?).await
            }
            Predict::Tensor(_) => Err(Error::UnsupportedForTask(
                "this model takes tensors, not images".into(),
            )),
        }
    }

    async fn classified(
        self,
        engine: &Engine<TicketOf<Classify>>,
        asked: (&classification::Options, Certainty),
    ) -> Result<Answer> {
        let done = self
            .service
            .classify(self.model, engine, self.pictures, asked, self.context);
        written(self.service, done.await?, self.form, None, self.started).await
    }

    async fn answer<Op>(
        self,
        engine: &Engine<Op::Queue>,
        options: &Op::Options,
        (originals, draw): (Originals, Option<Draw<Op::Output>>),
    ) -> Result<Answer>
    where
        Op: HasEngine<Input = ModelInput, Output: Written>,
    {
        let pictures = (self.pictures, originals);
        let done = self
            .service
            .predict::<Op>(self.model, engine, pictures, options, self.context);
        written(self.service, done.await?, self.form, draw, self.started).await
    }

    async fn segmented(
        self,
        engine: &Engine<TicketOf<Segment>>,
        view: MaskView,
        uncertainty: bool,
    ) -> Result<Answer> {
        let drawn: Draw<Segmented> = Box::new(move |thread, form, picture, found| match form {
            Form::Npy => classes_as_npy(found).map(Answer::npy),
            _ => render::segments(thread, picture, found, view).map(Answer::png),
        });
        let originals = match (self.form, view.render) {
            (Form::Png, MaskRender::Overlay) => Originals::DrawnOn,
            _ => Originals::Dropped,
        };
        let question = MaskQuestion {
            form: match self.form {
                Form::Npy => MaskForm::Array,
                Form::Png => MaskForm::Drawing,
                _ => MaskForm::Text,
            },
            uncertainty,
        };
        let pictures = (self.pictures, originals);
        let done = self
            .service
            .segment(self.model, engine, pictures, question, self.context)
            .await?;
        written(self.service, done, self.form, Some(drawn), self.started).await
    }

    async fn detected(
        self,
        engine: &Engine<TicketOf<Detect>>,
        (options, alpha): (detection::Options, Fraction),
    ) -> Result<Answer> {
        let originals = match self.form {
            Form::Png => Originals::DrawnOn,
            _ => Originals::Dropped,
        };
        let pictures = (self.pictures, originals);
        let done = self
            .service
            .detect(self.model, engine, pictures, &options, self.context)
            .await?;
        let drawn = drawn_objects(self.model, alpha);
        written(self.service, done, self.form, Some(drawn), self.started).await
    }

    async fn translated(
        self,
        engine: &Engine<TicketOf<Translate>>,
        resolution: Resolution,
    ) -> Result<Answer> {
        let form = match self.form {
            Form::Npy => Shown::Array,
            _ => Shown::Png,
        };
        let view = View { resolution, form };
        let done = self
            .service
            .translate(self.model, engine, self.pictures, view, self.context)
            .await?;
        let drawn: Draw<Translation> = Box::new(|_, _, _, found| arrays::picture(found));
        written(self.service, done, self.form, Some(drawn), self.started).await
    }
}

/// The predictions in the form that was asked for.
async fn written<O: Written>(
    service: &Service,
    mut done: Predicted<O>,
    form: Form,
    draw: Option<Draw<O>>,
    started: Instant,
) -> Result<Answer> {
    if form == Form::Json {
        return json(service, done, started).await;
    }
    let cannot = move || Error::NotAcceptable(format!("{} cannot show this answer", form.media_type()));
    let draw = draw.ok_or_else(cannot)?;
    let size = done.pictures.first().map_or((0, 0), Seen::size);
    let pixels = u64::from(size.0) * u64::from(size.1);
    let held = done.held.take();
    let drawn = service.write(Length::of_pixels(pixels), move |thread| {
        let original = done.pictures.pop().and_then(|seen| seen.original);
        let (picture, kept) = original.map(|kept| (kept.picture, kept.taken)).unzip();
        let output = done.outputs.first().ok_or_else(cannot)?;
        let answer = draw(thread, form, picture, output)?;
        Ok(answer.holding(held.into_iter().chain(kept)))
    });
    drawn.await
}
