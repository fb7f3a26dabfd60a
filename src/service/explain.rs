//! Explanations: saliency maps of pictures, pictures of channels, and what a model can be asked.

use std::sync::Arc;

use bytes::Bytes;

use super::decode::{Kept, Originals, Pictures, about, at};
use super::spent::Spent;
use super::state::Service;
use crate::catalog::Model;
use crate::engine::{Context, Failed};
use crate::error::{Error, Result, counted};
use crate::explain::visualize::{self, Visualization};
use crate::explain::{
    Describe, Description, Explanation, Inputs, Item, Manual, Options, Subject, Target, last_two, manual,
    of_embedding, of_regression, passes, row, without_place,
};
use crate::image::{Fit, ModelInput, Placement};
use crate::manifest::{Input, TaskKind, TensorInput};
use crate::tasks::tensor::NamedTensor;

/// The pictures of one request for explanations.
#[derive(Debug)]
pub struct Asked {
    /// What is explained.
    pub pictures: Pictures,
    /// The file of the picture that their embeddings are compared with.
    pub reference: Option<Bytes>,
}

impl From<Pictures> for Asked {
    fn from(pictures: Pictures) -> Self {
        Self {
            pictures,
            reference: None,
        }
    }
}

/// The maps of the pictures of one request, in their order.
#[derive(Debug)]
pub struct Explained {
    /// The model that was explained.
    pub model: Arc<Model>,
    /// What was asked for.
    pub options: Options,
    /// Each picture with its maps.
    pub images: Vec<ExplainedImage>,
    /// What it cost.
    pub spent: Spent,
}

/// An attribution to an input of a model of tensors.
#[derive(Debug)]
pub struct Attributed {
    /// The model that was explained.
    pub model: Arc<Model>,
    /// The name of the input.
    pub input: String,
    /// Its values have the shape of the input.
    pub explanation: Explanation,
    /// What it cost.
    pub spent: Spent,
}

/// One picture with all its maps, target by target, layer by layer.
#[derive(Debug)]
pub struct ExplainedImage {
    /// The upright original, where it was kept.
    pub original: Option<Kept>,
    /// Where the model's input lies on it.
    pub placement: Placement,
    /// At least one.
    pub explanations: Vec<Explanation>,
}

impl Service {
    /// Decodes `pictures` and makes the maps of each.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] and [`Error::InvalidParameter`] for what the task or the labels rule out, before a
    /// place is taken; those of admission, of decoding, and of the computation.
    pub async fn explain(
        &self,
        model: &Arc<Model>,
        (Asked { pictures, reference }, originals): (Asked, Originals),
        options: Options,
        context: &Context,
    ) -> Result<Explained> {
        let fit = &model.spec.manifest.image_input()?.fit;
        self.may_explain(model, &options, (pictures.count(), reference.is_some()))?;
        let most_maps = self.limits().maps / pictures.count();
        let several = pictures.count() > 1;
        let places = model.explain.admit(pictures.count())?;
        let decoded = self.decode(pictures, fit, originals).await?;
        let reference = self.decode_reference(reference, fit).await?.map(Arc::new);
        let (mut seen, mut items) = (Vec::new(), Vec::new());
        for image in decoded.images {
            seen.push((image.original, image.input.placement));
            items.push(Item {
                subject: Subject::Picture(image.input),
                options: options.clone(),
                reference: reference.clone(),
                most_maps,
            });
        }
        let completed = model
            .explain
            .submit::<Item, Vec<Explanation>>(places, items, context)
            .await
            .map_err(|Failed { index, error }| if several { at(index, error) } else { error })?;
        let spent = Spent::new(decoded.took, &completed);
        let images = seen.into_iter().zip(completed);
        let images = images.map(|((original, placement), completed)| ExplainedImage {
            original,
            placement,
            explanations: completed.output,
        });
        Ok(Explained {
            images: images.collect(),
            model: Arc::clone(model),
            options,
            spent,
        })
    }

    /// The picture that embeddings are compared with, as the model sees it.
    pub(super) async fn decode_reference(
        &self,
        reference: Option<Bytes>,
        fit: &Fit,
    ) -> Result<Option<ModelInput>> {
        let Some(file) = reference else { return Ok(None) };
        let picture = Pictures::new(vec![file], 1)?;
        let decoded = self.decode(picture, fit, Originals::Dropped).await;
        let decoded = decoded.map_err(|e| about("the reference", e))?;
        Ok(decoded.images.into_iter().next().map(|image| image.input))
    }

    /// Refuses what is known to be wrong or too much without a look at so many inputs, perhaps with a reference.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`], [`Error::InvalidParameter`].
    pub fn may_explain(
        &self,
        model: &Model,
        options: &Options,
        (inputs, has_reference): (usize, bool),
    ) -> Result<()> {
        check(model, options, has_reference)?;
        match model.spec.manifest.task {
            TaskKind::Tensor => Ok(()),
            _ => self.check_size(model, options, inputs),
        }
    }

    /// Refuses what is known to be too much without a look at the pictures.
    fn check_size(&self, model: &Model, options: &Options, images: usize) -> Result<()> {
        let most_maps = self.limits().maps;
        let maps = images * options.layers.len().max(1);
        if maps > most_maps {
            return Err(Error::parameter(
                "layer",
                format!(
                    "{} at these layers are {}, at most {most_maps} in one request (max_maps)",
                    counted(images, "image"),
                    counted(maps, "map")
                ),
            ));
        }
        let (height, width) = model.spec.manifest.image_input()?.fit.size;
        self.check_passes(options, (height as usize, width as usize), images)
    }

    /// Refuses what takes too many passes through the model, for inputs of `(height, width)`.
    fn check_passes(&self, options: &Options, size: (usize, usize), images: usize) -> Result<()> {
        let most_maps = self.limits().maps / images.max(1);
        let of_each = passes(options, size, most_maps);
        self.allow_passes("method", images.saturating_mul(of_each))
    }

    /// Refuses more passes than a request may take; the parameter `name` is what asks for most of them.
    pub(super) fn allow_passes(&self, name: &str, passes: usize) -> Result<()> {
        let most_passes = self.limits().passes;
        if passes > most_passes {
            return Err(Error::parameter(
                name,
                format!(
                    "with these parameters it takes {passes} passes through the model, at most {most_passes} in one \
                     request (max_passes)"
                ),
            ));
        }
        Ok(())
    }

    /// The attribution of an element of an output to one of the inputs of a model of tensors.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] and [`Error::InvalidParameter`] for what cannot be explained, before a place is taken;
    /// those of admission and of the computation.
    pub async fn explain_tensors(
        &self,
        model: &Arc<Model>,
        tensors: Vec<NamedTensor>,
        options: Options,
        context: &Context,
    ) -> Result<Attributed> {
        check(model, &options, false)?;
        let specs = model.spec.manifest.tensors()?;
        let inputs = Inputs::new(
            self.arranged(model, tensors).await?,
            &options,
            specs,
            row(options.method).family.has_gradients(),
        )?;
        self.check_passes(&options, inputs.size(), 1)?;
        let input = specs.inputs[inputs.place()].spec.name.clone();
        let item = Item {
            subject: Subject::Tensors(inputs),
            options,
            reference: None,
            most_maps: 1,
        };
        let (explanations, spent): (Vec<Explanation>, _) = one(model, item, context).await?;
        let missing = || Error::Internal("an explanation without a map".into());
        Ok(Attributed {
            model: Arc::clone(model),
            input,
            explanation: explanations.into_iter().next().ok_or_else(missing)?,
            spent,
        })
    }

    /// The picture that a channel or a class answers to most.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] for a model that takes no pictures or has no such class, [`Error::InvalidParameter`], both
    /// before a place is taken; those of admission and of the computation.
    pub async fn visualize(
        &self,
        model: &Arc<Model>,
        options: visualize::Options,
        context: &Context,
    ) -> Result<(Visualization, Spent)> {
        // It has no picture to lay anything on, but it is one: a model of tensors cannot be asked.
        model.spec.manifest.image_input()?;
        options.check(model.spec.manifest.task)?;
        one(model, options, context).await
    }

    /// The layers of a model and the methods that it supports.
    ///
    /// # Errors
    /// Those of admission and of the layer walk.
    pub async fn describe(&self, model: &Arc<Model>, context: &Context) -> Result<Description> {
        one(model, Describe, context)
            .await
            .map(|(description, _)| description)
    }

    /// What is to be known of each method that a model supports.
    ///
    /// # Errors
    /// As [`Service::describe`].
    pub async fn explainers(&self, model: &Arc<Model>, context: &Context) -> Result<Vec<Manual>> {
        let description = self.describe(model, context).await?;
        let manifest = &model.spec.manifest;
        let size = match &manifest.input {
            Input::Image(input) => (input.fit.size.0 as usize, input.fit.size.1 as usize),
            Input::Tensors(tensors) => {
                let first = usize::from(tensors.is_batched());
                let floats = |input: &&TensorInput| input.spec.dtype.is_float();
                let explained = tensors.inputs.iter().find(floats).or(tensors.inputs.first());
                explained.map_or((1, 1), |input| last_two(&input.example[first..]))
            }
        };
        let methods = description.methods.iter();
        Ok(methods
            .map(|row| manual(row, manifest.task, size, &description.layers))
            .collect())
    }
}

/// Asks the explainer one thing.
async fn one<I, O>(model: &Arc<Model>, input: I, context: &Context) -> Result<(O, Spent)>
where
    crate::explain::Work: From<crate::engine::Ticket<I, O>>,
{
    let places = model.explain.admit(1)?;
    let completed = model.explain.submit(places, vec![input], context).await?;
    let spent = Spent::new(std::time::Duration::ZERO, &completed);
    let answer = completed.into_iter().next();
    let missing = || Error::Internal("one input has no answer".into());
    Ok((answer.ok_or_else(missing)?.output, spent))
}

/// Refuses what is known to be wrong without a look at the picture.
pub(super) fn check(model: &Model, options: &Options, has_reference: bool) -> Result<()> {
    let task = model.spec.manifest.task;
    if !row(options.method).explains(task) {
        let method = options.method.name();
        let text = format!("{method} does not explain models of the task {task}");
        return Err(Error::UnsupportedForTask(text));
    }
    let labels = &model.spec.labels;
    if let (TaskKind::Classification, false, Target::Class(class)) =
        (task, labels.is_empty(), options.target.among(labels))
    {
        class.find(labels, labels.len())?;
    }
    if let (TaskKind::ImageToImage, Target::Top) = (task, options.target.among(labels)) {
        return Err(without_place());
    }
    if let (TaskKind::Regression, false) = (task, labels.is_empty()) {
        of_regression(&options.target.among(labels), labels, labels.len())?;
    }
    if task == TaskKind::Embedding {
        of_embedding(&options.target.among(labels), has_reference)?;
    } else if has_reference {
        return Err(Error::UnsupportedForTask(format!(
            "a reference is what embeddings are compared with, and the model `{}` is of the task {task}; leave it out",
            model.name
        )));
    }
    Ok(())
}
