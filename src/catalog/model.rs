//! A model that answers.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::thread::LoaderThread;
use crate::engine::observer::Observer;
use crate::engine::{Engine, Work};
use crate::error::{Error, Result};
use crate::explain;
use crate::manifest::Precision;
use crate::runtime;
use crate::tasks::classification::Classify;
use crate::tasks::detection::Detect;
use crate::tasks::embedding::Embed;
use crate::tasks::image_to_image::Translate;
use crate::tasks::regression::Regress;
use crate::tasks::segmentation::Segment;
use crate::tasks::{ModelSpec, TicketOf, captioning, tensor, vae};

/// What bfloat16 was found to be beside f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Milliseconds of a picture in f32.
    pub f32_ms: f64,
    /// Milliseconds of a picture in bfloat16.
    pub bf16_ms: f64,
    /// The largest difference of a score.
    pub difference: f64,
}

impl From<runtime::Measured> for Measured {
    fn from(found: runtime::Measured) -> Self {
        let runtime::Measured {
            f32_ms,
            bf16_ms,
            difference,
        } = found;
        Self {
            f32_ms,
            bf16_ms,
            difference,
        }
    }
}

/// A version of a model, ready to answer. The last handle on it retires it.
#[derive(Debug)]
pub struct Model {
    /// The folder's name.
    pub name: String,
    /// The version that answers.
    pub version: String,
    /// Every version on disk when it was loaded, oldest first.
    pub versions: Vec<String>,
    /// What it is and how it is fed.
    pub spec: Arc<ModelSpec>,
    /// Where it computes.
    pub device: String,
    /// Threads of each instance.
    pub threads: usize,
    /// Parameters and buffers.
    pub parameters: u64,
    /// In what numbers predictions are computed.
    pub precision: Precision,
    /// What was measured, where both f32 and bfloat16 were tried.
    pub measured: Option<Measured>,
    /// Predictions.
    pub predict: Predict,
    /// Explanations, on a queue and a thread of their own.
    pub explain: Engine<explain::Work>,
    /// Waits for the workers when the model is retired.
    pub(super) retiring: LoaderThread,
}

/// The engine of a model's predictions, by its task.
#[derive(Debug)]
pub enum Predict {
    /// Of a classifier.
    Classification(Engine<TicketOf<Classify>>),
    /// Of a segmenter.
    Segmentation(Engine<TicketOf<Segment>>),
    /// Of a detector.
    Detection(Engine<TicketOf<Detect>>),
    /// Of a captioner.
    Captioning(Engine<TicketOf<captioning::Caption>>),
    /// Of a VAE.
    Vae(Engine<vae::Work>),
    /// Of an embedding.
    Embedding(Engine<TicketOf<Embed>>),
    /// Of a regression.
    Regression(Engine<TicketOf<Regress>>),
    /// Of a model from image to image.
    ImageToImage(Engine<TicketOf<Translate>>),
    /// Of a model of tensors.
    Tensor(Engine<TicketOf<tensor::Compute>>),
}

/// What holds of an engine whatever it computes.
trait AnyEngine {
    fn has_place(&self) -> Result<()>;
    fn health(&self) -> Option<Error>;
    fn close(&self);
    fn retire(&self) -> Vec<JoinHandle<()>>;
    fn observer(&self) -> Arc<dyn Observer>;
}

impl<W: Work> AnyEngine for Engine<W> {
    fn has_place(&self) -> Result<()> {
        self.admit(1).map(drop)
    }

    fn health(&self) -> Option<Error> {
        Engine::health(self)
    }

    fn close(&self) {
        Engine::close(self);
    }

    fn retire(&self) -> Vec<JoinHandle<()>> {
        Engine::retire(self)
    }

    fn observer(&self) -> Arc<dyn Observer> {
        Engine::observer(self)
    }
}

impl Predict {
    fn engine(&self) -> &dyn AnyEngine {
        match self {
            Self::Classification(engine) => engine,
            Self::Segmentation(engine) => engine,
            Self::Detection(engine) => engine,
            Self::Captioning(engine) => engine,
            Self::Vae(engine) => engine,
            Self::Embedding(engine) => engine,
            Self::Regression(engine) => engine,
            Self::ImageToImage(engine) => engine,
            Self::Tensor(engine) => engine,
        }
    }

    /// Whether a request would find a place now, so that a client that would not learns it before its body is read.
    ///
    /// # Errors
    /// As [`Engine::admit`].
    pub fn has_place(&self) -> Result<()> {
        self.engine().has_place()
    }
}

impl Model {
    /// The engine of a VAE.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] when the model is none.
    pub fn vae(&self) -> Result<&Engine<vae::Work>> {
        match &self.predict {
            Predict::Vae(engine) => Ok(engine),
            _ => Err(self.does_not("a VAE")),
        }
    }

    /// The engine of an embedding.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] when the model is none.
    pub fn embedding(&self) -> Result<&Engine<TicketOf<Embed>>> {
        match &self.predict {
            Predict::Embedding(engine) => Ok(engine),
            _ => Err(self.does_not("a model of the task embedding")),
        }
    }

    fn does_not(&self, who_does: &str) -> Error {
        Error::UnsupportedForTask(format!(
            "model `{}` is of the task {}; only {who_does} does this",
            self.name, self.spec.manifest.task
        ))
    }

    /// What is wrong with a device that it computes on, if anything is.
    #[must_use]
    pub fn health(&self) -> Option<Error> {
        // An explanation that was too large says nothing of predictions.
        let of_explanations = self.explain.health();
        let lost = of_explanations.filter(|error| matches!(error, Error::DeviceLost(_)));
        self.predict.engine().health().or(lost)
    }

    /// The observer that counts its predictions.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        self.predict.engine().observer()
    }

    /// No more admissions; what was admitted is still answered.
    pub(super) fn close(&self) {
        self.predict.engine().close();
        self.explain.close();
    }

    /// Closes the queues and hands over the workers.
    pub(super) fn retire(&self) -> Vec<JoinHandle<()>> {
        let mut workers = self.predict.engine().retire();
        workers.extend(self.explain.retire());
        workers
    }
}

impl Drop for Model {
    /// The last request that used the model ends on a thread that must not wait for the workers.
    fn drop(&mut self) {
        self.retiring.retire(self.retire());
    }
}
