//! Predictions: inputs of one operation, through the queue of a model that does it.

use std::sync::Arc;
use std::time::Duration;

use super::decode::{Originals, Pictures};
use super::spent::Spent;
use super::state::Service;
use crate::catalog::Model;
use crate::engine::{Context, Engine, Places};
use crate::error::Result;
use crate::image::{ModelInput, Picture, Placement};
use crate::tasks::tensor::{Compute, NamedTensor, arrange};
use crate::tasks::{Operation, Request};

/// What came of the inputs of one request, in their order.
#[derive(Debug)]
pub struct Predicted<O> {
    /// The model that answered.
    pub model: Arc<Model>,
    /// Each picture of the request; none where the inputs are no pictures.
    pub pictures: Vec<Seen>,
    /// One for each input.
    pub outputs: Vec<O>,
    /// What it cost.
    pub spent: Spent,
}

/// A picture that a model saw.
#[derive(Debug)]
pub struct Seen {
    /// The upright original, where it was kept.
    pub original: Option<Picture>,
    /// Where the model's input lies on it.
    pub placement: Placement,
}

impl Seen {
    /// (width, height) of the upright original.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.placement.original()
    }
}

impl Service {
    /// Decodes `pictures` and computes `Op` on each with the model's `engine`.
    ///
    /// # Errors
    /// Those of admission, of decoding, and of the computation.
    pub async fn predict<Op: Operation<Input = ModelInput>>(
        &self,
        model: &Arc<Model>,
        engine: &Engine<Op::Queue>,
        (pictures, originals): (Pictures, Originals),
        options: &Op::Options,
        context: &Context,
    ) -> Result<Predicted<Op::Output>> {
        let fit = &model.spec.manifest.image_input()?.fit;
        let places = engine.admit(pictures.count())?;
        let decoded = self.decode(pictures, fit, originals).await?;
        let (mut seen, mut inputs) = (Vec::new(), Vec::new());
        for image in decoded.images {
            seen.push(Seen {
                original: image.original,
                placement: image.input.placement,
            });
            inputs.push(image.input);
        }
        let predicted = compute::<Op>(model, engine, (places, inputs), options, (decoded.took, context));
        Ok(Predicted {
            pictures: seen,
            ..predicted.await?
        })
    }

    /// Computes a model of tensors on the tensors of one request.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) when they do not fit its inputs; those of
    /// admission and of the computation.
    pub async fn compute(
        &self,
        model: &Arc<Model>,
        engine: &Engine<<Compute as Operation>::Queue>,
        tensors: Vec<NamedTensor>,
        context: &Context,
    ) -> Result<Predicted<<Compute as Operation>::Output>> {
        let inputs = vec![arrange(tensors, &model.spec.manifest.input)?];
        let places = engine.admit(1)?;
        compute::<Compute>(model, engine, (places, inputs), &(), (Duration::ZERO, context)).await
    }
}

/// Computes `inputs`, as many as there are places.
pub(super) async fn compute<Op: Operation>(
    model: &Arc<Model>,
    engine: &Engine<Op::Queue>,
    (places, inputs): (Places<Op::Queue>, Vec<Op::Input>),
    options: &Op::Options,
    (decode, context): (Duration, &Context),
) -> Result<Predicted<Op::Output>> {
    let request = |input| Request::<Op> {
        input,
        options: options.clone(),
    };
    let requests = inputs.into_iter().map(request).collect();
    let completed = engine.submit(places, requests, context).await?;
    Ok(Predicted {
        model: Arc::clone(model),
        pictures: Vec::new(),
        spent: Spent::new(decode, &completed),
        outputs: completed.into_iter().map(|completed| completed.output).collect(),
    })
}
