//! Predictions of pictures as tensors.

use std::sync::Arc;

use super::outputs::Answered;
use super::tensor::Tensor;
use crate::catalog::{HasEngine, Model, Predict};
use crate::engine::{Context, Engine};
use crate::error::{Error, Result};
use crate::image::{Length, ModelInput, PoolThread, Taken};
use crate::reading::{Parameters, query};
use crate::service::{MaskForm, MaskQuestion, Originals, Pictures, Predicted, Service};
use crate::tasks::captioning::Caption;
use crate::tasks::classification::{self, Classify};
use crate::tasks::embedding::Embed;
use crate::tasks::image_to_image::{Form, View};
use crate::tasks::regression::Regress;
use crate::tasks::vae::Reconstruct;

/// Tensors, and the memory that they take.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) tensors: Vec<Tensor>,
    pub(super) held: Vec<Taken>,
}

impl Tensors {
    pub(super) fn extend(&mut self, more: Self) {
        self.tensors.extend(more.tensors);
        self.held.extend(more.held);
    }

    /// What came of a request, as tensors; they are made on the pool.
    pub(super) async fn of<O: Answered>(service: &Service, mut done: Predicted<O>) -> Result<Self> {
        let held: Vec<Taken> = done.held.take().into_iter().collect();
        let bytes = held.iter().map(Taken::bytes).sum();
        let work = move |_: &PoolThread| O::tensors(done.outputs, &done.model.spec);
        Self::made(service, (bytes, held), work).await
    }

    /// Tensors that `work` makes on the pool, of about so many bytes, for which memory is held.
    pub(super) async fn made(
        service: &Service,
        (bytes, held): (u64, impl IntoIterator<Item = Taken>),
        work: impl FnOnce(&PoolThread) -> Result<Vec<Tensor>> + Send + 'static,
    ) -> Result<Self> {
        let made = service.pool().run_for(Length::of_bytes(bytes), work);
        Ok(Self {
            tensors: made.await?,
            held: held.into_iter().collect(),
        })
    }
}

/// For a task whose predictions have no parameters of their own.
///
/// # Errors
/// [`Error::InvalidParameter`], which says where such things are said.
pub(super) fn without(parameters: &Parameters) -> Result<()> {
    parameters.none_left(
        "predictions of this model have no such parameter; those of explanations go with `explain`, and the best classes are \
         asked for by outputs[].parameters.classification",
    )
}

/// What the model predicts of `pictures`.
///
/// # Errors
/// [`Error::InvalidParameter`] for parameters that the task has not; those of the service.
pub(super) async fn predicted(
    service: &Service,
    model: &Arc<Model>,
    pictures: Pictures,
    parameters: &Parameters,
    context: &Context,
) -> Result<Tensors> {
    let asked = Asked {
        service,
        model,
        pictures,
        context,
    };
    match &model.predict {
        Predict::Classification(engine) => {
            without(parameters)?;
            // Every class has its place in the tensor.
            let options = classification::Options::best(std::num::NonZeroUsize::MAX);
            asked.answer::<Classify>(engine, &options).await
        }
        Predict::Segmentation(engine) => {
            without(parameters)?;
            let pictures = (asked.pictures, Originals::Dropped);
            let done = service.segment(
                model,
                engine,
                pictures,
                MaskQuestion::plain(MaskForm::Array),
                context,
            );
            Tensors::of(service, done.await?).await
        }
        Predict::Detection(engine) => {
            let (options, _) = query::detection(parameters)?;
            let pictures = (asked.pictures, Originals::Dropped);
            let done = service.detect(model, engine, pictures, &options, context);
            Tensors::of(service, done.await?).await
        }
        Predict::Captioning(engine) => {
            let options = query::captioning(parameters)?;
            asked.answer::<Caption>(engine, &options).await
        }
        Predict::Vae(engine) => asked.plain::<Reconstruct>(engine, parameters).await,
        Predict::Embedding(engine) => asked.plain::<Embed>(engine, parameters).await,
        Predict::Regression(engine) => asked.plain::<Regress>(engine, parameters).await,
        Predict::ImageToImage(engine) => {
            let view = View {
                resolution: query::image_to_image(parameters)?,
                form: Form::Array,
            };
            let done = service.translate(model, engine, asked.pictures, view, context);
            Tensors::of(service, done.await?).await
        }
        Predict::Tensor(_) => Err(Error::Internal("pictures for a model of tensors".into())),
    }
}

/// Pictures, and the model and request that they are for.
struct Asked<'a> {
    service: &'a Service,
    model: &'a Arc<Model>,
    pictures: Pictures,
    context: &'a Context,
}

impl Asked<'_> {
    /// Of a task without parameters.
    async fn plain<Op>(self, engine: &Engine<Op::Queue>, parameters: &Parameters) -> Result<Tensors>
    where
        Op: HasEngine<Input = ModelInput, Options = (), Output: Answered>,
    {
        without(parameters)?;
        self.answer::<Op>(engine, &()).await
    }

    async fn answer<Op>(self, engine: &Engine<Op::Queue>, options: &Op::Options) -> Result<Tensors>
    where
        Op: HasEngine<Input = ModelInput, Output: Answered>,
    {
        let pictures = (self.pictures, Originals::Dropped);
        let done = self
            .service
            .predict::<Op>(self.model, engine, pictures, options, self.context);
        Tensors::of(self.service, done.await?).await
    }
}
