//! Predictions: inputs of one operation, through the queue of a model that does it.

use std::sync::Arc;
use std::time::Duration;

use super::decode::{Kept, Originals, Pictures};
use super::mask_question::{MaskForm, MaskQuestion};
use super::spent::Spent;
use super::state::Service;
use crate::catalog::{HasEngine, Model};
use crate::engine::{Context, Engine, Places, Work};
use crate::error::Result;
use crate::image::{Length, ModelInput, Placement, PoolThread, Taken};
use crate::tasks::detection::{self, Detect};
use crate::tasks::image_to_image::{self, Resolution, Translate, View};
use crate::tasks::segmentation::{self, Segment};
use crate::tasks::tensor::{Compute, NamedTensor, Values, arrange, check_rows};
use crate::tasks::{Allowance, Operation, Request};

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
    /// The memory that the outputs take, if it was counted.
    pub held: Option<Taken>,
}

/// Pictures that were decoded, with places for them.
pub(super) struct Looked<W: Work> {
    pub(super) places: Places<W>,
    pub(super) seen: Vec<Seen>,
    pub(super) inputs: Vec<ModelInput>,
    pub(super) took: Duration,
}

/// A picture that a model saw.
#[derive(Debug)]
pub struct Seen {
    /// The upright original, where it was kept.
    pub original: Option<Kept>,
    /// Where the model's input lies on it.
    pub placement: Placement,
}

impl Seen {
    /// (width, height) of the upright original.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.placement.original()
    }

    fn pixels(&self) -> u64 {
        u64::from(self.size().0) * u64::from(self.size().1)
    }
}

/// Bytes of the text of masks that are answered for these pictures at most: half a byte a pixel is more than a smooth
/// outline takes.
fn text_of_masks(seen: &[Seen]) -> u64 {
    const LEAST: u64 = 4 << 20;
    LEAST + seen.iter().map(Seen::pixels).sum::<u64>() / 2
}

/// Bytes that a request holds already, for the pictures that it keeps.
fn own(seen: &[Seen]) -> u64 {
    let kept = seen.iter().filter_map(|seen| seen.original.as_ref());
    kept.map(|kept| kept.taken.bytes()).sum()
}

impl Service {
    /// Decodes `pictures` and computes `Op` on each with the model's `engine`.
    ///
    /// # Errors
    /// Those of admission, of decoding, and of the computation.
    pub async fn predict<Op: HasEngine<Input = ModelInput>>(
        &self,
        model: &Arc<Model>,
        engine: &Engine<Op::Queue>,
        pictures: (Pictures, Originals),
        options: &Op::Options,
        context: &Context,
    ) -> Result<Predicted<Op::Output>> {
        let looked = self.look(model, engine, pictures).await?;
        let inputs = (looked.places, looked.inputs);
        let predicted = self.computed::<Op>(model, engine, inputs, options, (looked.took, context));
        Ok(Predicted {
            pictures: looked.seen,
            ..predicted.await?
        })
    }

    /// [`Service::predict`] of a segmenter, with all that the form `drawn` needs, and what of that is work at the size of the
    /// originals: on the pool, with no core held for it.
    ///
    /// # Errors
    /// As [`Service::predict`]; [`Error::AnswerTooLarge`](crate::error::Error::AnswerTooLarge);
    /// [`Error::UnsupportedForTask`](crate::error::Error::UnsupportedForTask) where how sure it is cannot be told.
    pub async fn segment(
        &self,
        model: &Arc<Model>,
        engine: &Engine<<Segment as Operation>::Queue>,
        pictures: (Pictures, Originals),
        asked: MaskQuestion,
        context: &Context,
    ) -> Result<Predicted<segmentation::Prediction>> {
        /// A class id a pixel, and its runs.
        const BYTES_A_PIXEL: u64 = 2;
        /// A colour a pixel, how many classes it is of, and the PNG.
        const DRAWN: u64 = 3 + 1 + 3;
        let drawn = asked.form;
        if asked.uncertainty {
            segmentation::tells_uncertainty(&model.spec)?;
        }
        let looked = self.look(model, engine, pictures).await?;
        let largest = looked.seen.iter().map(Seen::pixels).max().unwrap_or(0);
        let text = text_of_masks(&looked.seen);
        // Before the logits are there: they wait for their turn, and are memory, too. One image is finished after the other,
        // and of each only the runs are kept where nobody wants the classes.
        let bytes = match (model.spec.overlapping(), drawn) {
            (None, MaskForm::Text) => largest.saturating_mul(BYTES_A_PIXEL),
            (None, _) => largest.saturating_mul(2 * BYTES_A_PIXEL),
            // Masks that overlap have no common bound; twice, as the answer is a text of its own.
            (Some(_), MaskForm::Text) => largest.saturating_mul(BYTES_A_PIXEL) + 2 * text,
            (Some(_), MaskForm::Drawing) => largest.saturating_mul(BYTES_A_PIXEL + DRAWN) + text,
            (Some(classes), MaskForm::Array) => {
                largest.saturating_mul(BYTES_A_PIXEL + 2 * classes as u64) + text
            }
        };
        let held = self.hold(bytes, own(&looked.seen)).await?;
        let inputs = (looked.places, looked.inputs);
        let done = self
            .computed::<Segment>(model, engine, inputs, &(), (looked.took, context))
            .await?;
        let (spec, context) = (Arc::clone(&model.spec), context.clone());
        let mut allowance =
            Allowance::of_bytes(text, "raise output.score_threshold, or send a smaller picture");
        let finish = move |thread: &PoolThread, one: segmentation::Segmented| {
            let mut finished = one.finish(thread, &spec.labels, &mut allowance, &context)?;
            if drawn == MaskForm::Text {
                finished.class_ids = Vec::new();
            }
            if asked.uncertainty {
                finished.uncertainty = Some(one.uncertainty(thread, &context)?);
            }
            Ok(finished)
        };
        let outputs = self.finished(done.outputs, Length::of_pixels(largest), finish);
        Ok(Predicted {
            model: done.model,
            pictures: looked.seen,
            outputs: outputs.await?,
            spent: done.spent,
            held: Some(held),
        })
    }

    /// [`Service::predict`] of a detector. Masks of objects are work at the size of the originals: they are made on the pool,
    /// with no core held for them.
    ///
    /// # Errors
    /// As [`Service::predict`]; [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) for options that the model
    /// does not have; [`Error::AnswerTooLarge`](crate::error::Error::AnswerTooLarge).
    pub async fn detect(
        &self,
        model: &Arc<Model>,
        engine: &Engine<<Detect as Operation>::Queue>,
        pictures: (Pictures, Originals),
        options: &detection::Options,
        context: &Context,
    ) -> Result<Predicted<detection::Prediction>> {
        options.check(&model.spec)?;
        let looked = self.look(model, engine, pictures).await?;
        let total = looked.seen.iter().map(Seen::pixels).sum::<u64>();
        let text = text_of_masks(&looked.seen);
        let held = if model.spec.has_masks() {
            // Twice: the answer is a text of its own.
            Some(self.hold(2 * text, own(&looked.seen)).await?)
        } else {
            None
        };
        let inputs = (looked.places, looked.inputs);
        let done = self
            .computed::<Detect>(model, engine, inputs, options, (looked.took, context))
            .await?;
        let outputs = if held.is_some() {
            let context = context.clone();
            let mut allowance = Allowance::of_bytes(
                text,
                "ask for a higher `score_threshold` or fewer `max_detections`, or send a smaller picture",
            );
            let finish = move |thread: &PoolThread, one: detection::Detected| {
                one.finish(thread, &mut allowance, &context)
            };
            self.finished(done.outputs, Length::of_pixels(total), finish)
                .await?
        } else {
            done.outputs
                .into_iter()
                .map(detection::Detected::without_masks)
                .collect()
        };
        Ok(Predicted {
            model: done.model,
            pictures: looked.seen,
            outputs,
            spent: done.spent,
            held,
        })
    }

    /// [`Service::predict`] of a model from image to image. Work at the size of the answers is done on the pool, with no
    /// core held for it.
    ///
    /// # Errors
    /// As [`Service::predict`]; [`Error::AnswerTooLarge`](crate::error::Error::AnswerTooLarge).
    pub async fn translate(
        &self,
        model: &Arc<Model>,
        engine: &Engine<<Translate as Operation>::Queue>,
        pictures: Pictures,
        view: View,
        context: &Context,
    ) -> Result<Predicted<image_to_image::Prediction>> {
        /// Memory for each number that the model says, and for each pixel that is answered: samples, PNG, base64 and JSON,
        /// or as many numbers twice.
        const BYTES_A_NUMBER: u64 = 4;
        const BYTES_A_PIXEL: u64 = 24;
        let looked = self.look(model, engine, (pictures, Originals::Dropped)).await?;
        let numbers = model
            .spec
            .picture_numbers()
            .saturating_mul(looked.seen.len() as u64);
        let pixels = match view.resolution {
            Resolution::Native => numbers,
            Resolution::Original => looked.seen.iter().map(Seen::pixels).sum(),
        };
        let bytes = numbers
            .saturating_mul(BYTES_A_NUMBER)
            .saturating_add(pixels.saturating_mul(BYTES_A_PIXEL));
        let held = self.hold(bytes, 0).await?;
        let inputs = (looked.places, looked.inputs);
        let done = self
            .computed::<Translate>(model, engine, inputs, &(), (looked.took, context))
            .await?;
        let (spec, context) = (Arc::clone(&model.spec), context.clone());
        let finish = move |thread: &PoolThread, one: image_to_image::Translated| {
            one.finish(thread, &spec, view, &context)
        };
        let outputs = self.finished(done.outputs, Length::of_pixels(pixels), finish);
        Ok(Predicted {
            model: done.model,
            pictures: looked.seen,
            outputs: outputs.await?,
            spent: done.spent,
            held: Some(held),
        })
    }

    /// Each of `outputs` after what is work at the size of its picture: on the pool, in its turn, with no core held for it.
    async fn finished<T: Send + 'static, O: Send + 'static>(
        &self,
        outputs: Vec<T>,
        length: Length,
        mut finish: impl FnMut(&PoolThread, T) -> Result<O> + Send + 'static,
    ) -> Result<Vec<O>> {
        let all = move |thread: &PoolThread| {
            let outputs = outputs.into_iter();
            outputs.map(|one| finish(thread, one)).collect::<Result<Vec<_>>>()
        };
        self.pool().run_for(length, all).await
    }

    /// Takes places for `pictures`, and decodes them.
    async fn look<W: Work>(
        &self,
        model: &Arc<Model>,
        engine: &Engine<W>,
        pictures: (Pictures, Originals),
    ) -> Result<Looked<W>> {
        let count = pictures.0.count();
        self.look_with(model, engine.admit(count)?, pictures).await
    }

    /// Decodes `pictures`, for which there are `places`.
    pub(super) async fn look_with<W: Work>(
        &self,
        model: &Arc<Model>,
        places: Places<W>,
        (pictures, originals): (Pictures, Originals),
    ) -> Result<Looked<W>> {
        let fit = &model.spec.manifest.image_input()?.fit;
        let decoded = self.decode(pictures, fit, originals).await?;
        let (mut seen, mut inputs) = (Vec::new(), Vec::new());
        for image in decoded.images {
            seen.push(Seen {
                original: image.original,
                placement: image.input.placement,
            });
            inputs.push(image.input);
        }
        Ok(Looked {
            places,
            seen,
            inputs,
            took: decoded.took,
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
        let (manifest, specs) = (&model.spec.manifest, model.spec.manifest.tensors()?);
        let inputs = vec![self.arranged(model, tensors).await?];
        if manifest.shares_batches() {
            check_rows(&inputs[0], specs)?;
        }
        let places = engine.admit(1)?;
        self.computed::<Compute>(model, engine, (places, inputs), &(), (Duration::ZERO, context))
            .await
    }
}

impl Service {
    /// What the inputs of `model` are by the tensors of a request.
    ///
    /// # Errors
    /// As [`arrange`].
    pub(super) async fn arranged(
        &self,
        model: &Arc<Model>,
        tensors: Vec<NamedTensor>,
    ) -> Result<Vec<Values>> {
        let work = tensors.iter().map(NamedTensor::work).sum();
        let model = Arc::clone(model);
        let arrange = move || arrange(tensors, model.spec.manifest.tensors()?);
        self.pool().run_over(work, arrange).await
    }

    /// Computes `inputs`, as many as there are places.
    pub(super) async fn computed<Op: HasEngine>(
        &self,
        model: &Arc<Model>,
        engine: &Engine<Op::Queue>,
        (places, inputs): (Places<Op::Queue>, Vec<Op::Input>),
        options: &Op::Options,
        (decode, context): (Duration, &Context),
    ) -> Result<Predicted<Op::Output>> {
        let (inputs, followed) = self.followed::<Op>(model, inputs, options).await?;
        let requests = Request::<Op>::of_each(inputs, options, &model.spec);
        let submitted = engine.submit_rows(places, requests, context).await;
        let completed =
            submitted.inspect_err(|_| self.metrics().not_predicted(&model.name, &model.version))?;
        if let Some(followed) = followed {
            followed.compare(&completed);
        }
        let spent = Spent::new(decode, &completed);
        self.metrics().predicted(
            (&model.name, &model.version),
            spent.decode,
            spent.queue,
            spent.compute,
        );
        Ok(Predicted {
            model: Arc::clone(model),
            pictures: Vec::new(),
            spent,
            outputs: completed.into_iter().map(|completed| completed.output).collect(),
            held: None,
        })
    }
}
