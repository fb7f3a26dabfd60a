//! What a model is for: one file a task, from the raw output on the device to a typed result.
//!
//! A task checks at load that the module keeps its contract (see the README's table), so that a request
//! only ever meets a model that answers in the right shape.

mod beam;
pub mod captioning;
pub mod classification;
pub mod detection;
mod frame;
mod labels;
mod nms;
pub mod rle;
pub mod segmentation;
mod subject;
pub mod tensor;
pub mod vae;

use std::sync::Arc;

use serde::Serialize;
use tch::Tensor;
use torch_bridge::Value;
use utoipa::ToSchema;

use crate::engine::session::{Call, Session};
use crate::engine::{Runner, device};
use crate::error::{Error, Result};
use crate::image::Tile;
use crate::repository::manifest::{DetectionFormat, TaskKind};
pub use frame::Frame;
pub use labels::Labels;
pub use subject::Subject;

/// One input for one prediction.
#[derive(Debug)]
pub struct Item {
    /// What is computed on.
    pub input: Input,
    /// What the client asked for.
    pub options: Options,
}

/// What is computed on.
#[derive(Debug)]
pub enum Input {
    /// A picture, before normalisation.
    Image(Box<Tile>),
    /// A VAE's latent.
    Latent(Vec<f32>),
    /// Tensors, in the order of the model's inputs.
    Tensors(Vec<tensor::Values>),
}

impl Input {
    /// The picture, where a task takes pictures.
    fn image(&self) -> Result<&Tile> {
        match self {
            Self::Image(tile) => Ok(tile),
            _ => Err(Error::Internal("an image was expected".into())),
        }
    }
}

/// The operation and its parameters, by task.
#[derive(Debug, Clone)]
pub enum Options {
    /// Classify.
    Classification(classification::Options),
    /// Segment.
    Segmentation(segmentation::Options),
    /// Detect.
    Detection(detection::Options),
    /// Caption; words are sent as they are found where someone listens.
    Captioning(captioning::Options, Option<captioning::Listener>),
    /// One of a VAE's operations.
    Vae(vae::Operation),
    /// Run.
    Tensor,
}

impl Options {
    /// The same, with nobody who listens.
    #[must_use]
    pub fn without_listener(self) -> Self {
        match self {
            Self::Captioning(options, _) => Self::Captioning(options, None),
            other => other,
        }
    }
}

/// What was predicted, by task.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Prediction {
    /// By a classifier.
    Classification(classification::Prediction),
    /// By a segmenter.
    Segmentation(segmentation::Prediction),
    /// By a detector.
    Detection(detection::Prediction),
    /// By a captioner.
    Captioning(captioning::Prediction),
    /// By a VAE.
    Vae(vae::Prediction),
    /// By any other model.
    Tensor(tensor::Prediction),
}

/// How a module breaks its task's contract, in words.
struct Breach(String);

impl From<String> for Breach {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<Error> for Breach {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// What each task does with a session.
trait Task: Sync {
    /// The methods of the module that the task calls.
    fn methods(&self) -> &'static [&'static str] {
        &["forward"]
    }

    /// Runs a blank batch of `size`, and says how the answer breaks the task's contract, if it does.
    fn check(&self, session: &Session, subject: &Subject, size: usize) -> Result<(), Breach>;

    /// Computes one batch; one answer an item, in order.
    fn run(&self, session: &Session, subject: &Subject, items: &[Item]) -> Result<Vec<Result<Prediction>>>;
}

fn task(kind: TaskKind) -> &'static dyn Task {
    match kind {
        TaskKind::Classification => &classification::Classification,
        TaskKind::Segmentation => &segmentation::Segmentation,
        TaskKind::Detection => &detection::Detection,
        TaskKind::Captioning => &captioning::Captioning,
        TaskKind::Vae => &vae::Vae,
        TaskKind::Tensor => &tensor::TensorTask,
    }
}

/// The methods of the module that a task of this kind calls.
#[must_use]
pub fn methods(kind: TaskKind) -> &'static [&'static str] {
    task(kind).methods()
}

/// Whether all that is called is `forward` of one tensor, a batch of pictures.
#[must_use]
pub fn takes_one_batch(subject: &Subject) -> bool {
    let manifest = &subject.manifest;
    let detection = manifest.output.detection.as_ref();
    let takes_list = detection.is_some_and(|keys| keys.format == DetectionFormat::Torchvision);
    methods(manifest.task) == ["forward"] && manifest.image_input().is_ok() && !takes_list
}

/// What the first of [`methods`] is given for a batch of pictures: the batch, or a list of its pictures.
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub fn argument(subject: &Subject, batch: &Tensor) -> Result<Value> {
    match &subject.manifest.output.detection {
        Some(keys) => detection::argument(batch, keys.format),
        None => Ok(Value::Tensor(batch.shallow_clone())),
    }
}

/// Computes a blank batch of `size`, as predictions would.
///
/// # Errors
/// [`Error::InvalidModel`] when the module does not keep its task's contract.
pub fn exercise(session: &Session, subject: &Subject, size: usize) -> Result<()> {
    task(subject.manifest.task)
        .check(session, subject, size)
        .map_err(|Breach(problem)| Error::InvalidModel {
            problems: vec![format!("a blank batch of {size}: {problem}")],
        })
}

/// Runs batches of predictions on the thread that owns it.
#[derive(Debug)]
pub struct Predictor {
    session: Session,
    subject: Arc<Subject>,
}

impl Predictor {
    /// A predictor that has run at the smallest and the largest batch.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when the module does not keep its task's contract.
    pub fn new(session: Session, subject: Arc<Subject>) -> Result<Self> {
        let largest = subject.manifest.batching.max_batch_size;
        for size in if largest > 1 { vec![1, largest] } else { vec![1] } {
            exercise(&session, &subject, size)?;
        }
        Ok(Self { session, subject })
    }
}

impl Runner<Item, Prediction> for Predictor {
    fn run(&mut self, items: &[Item]) -> Result<Vec<Result<Prediction>>> {
        task(self.subject.manifest.task).run(&self.session, &self.subject, items)
    }

    fn is_lost(&self) -> bool {
        device::is_lost(self.session.device())
    }
}
