//! What a model is for: one file a task, from the raw output on the device to a typed result.
//!
//! A task checks at load that the module keeps its contract (see the README's table), so that a request
//! only ever meets a model that answers in the right shape.

pub mod classification;
mod labels;

use std::sync::Arc;

use serde::Serialize;
use tch::Tensor;
use utoipa::ToSchema;

use crate::engine::Runner;
use crate::engine::session::Session;
use crate::engine::staging::Normalise;
use crate::error::{Error, Result};
use crate::image::Tile;
use crate::repository::manifest::{Manifest, TaskKind};
pub use labels::Labels;

/// One image for one prediction.
#[derive(Debug)]
pub struct Item {
    /// The model's input, before normalisation.
    pub tile: Tile,
    /// What the client asked for.
    pub options: Options,
}

/// The parameters of a prediction, by task.
#[derive(Debug, Clone)]
pub enum Options {
    /// For a classifier.
    Classification(classification::Options),
}

/// What was predicted for one image, by task.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Prediction {
    /// By a classifier.
    Classification(classification::Prediction),
}

/// What a task knows of its model, whichever thread runs it.
#[derive(Debug)]
pub struct Subject {
    /// Its model.toml.
    pub manifest: Manifest,
    /// Its labels, as many as it has outputs, or none.
    pub labels: Labels,
    /// From bytes to its input.
    pub normalise: Normalise,
}

impl Subject {
    /// A model as its manifest describes it.
    #[must_use]
    pub fn new(manifest: Manifest, labels: Labels) -> Self {
        let input = &manifest.input;
        let normalise = Normalise::new(input.scale, &input.mean, &input.std);
        Self {
            manifest,
            labels,
            normalise,
        }
    }

    /// One batch `[B, C, H, W]` from the pixels of `tiles`.
    ///
    /// # Errors
    /// As [`Normalise::batch`].
    pub fn batch(&self, tiles: &[&Tile], device: tch::Device) -> Result<Tensor> {
        let (height, width) = self.manifest.input.fit.size;
        let bytes: Vec<&[u8]> = tiles.iter().map(|tile| tile.data.as_slice()).collect();
        self.normalise
            .batch(&bytes, height as usize, width as usize, device)
    }

    /// A batch of `size` black images, as [`Subject::batch`] would make it.
    ///
    /// # Errors
    /// As [`Normalise::batch`].
    pub fn blank(&self, size: usize, device: tch::Device) -> Result<Tensor> {
        let (height, width) = self.manifest.input.fit.size;
        let tile = vec![0; height as usize * width as usize * self.normalise.channels()];
        self.normalise.batch(
            &vec![tile.as_slice(); size],
            height as usize,
            width as usize,
            device,
        )
    }
}

/// Runs batches of predictions on the thread that owns it.
#[derive(Debug)]
pub struct Predictor {
    session: Session,
    subject: Arc<Subject>,
}

impl Predictor {
    /// A predictor that has run once at every batch size from which libtorch could learn something.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when the module does not keep its task's contract.
    pub fn new(session: Session, subject: Arc<Subject>) -> Result<Self> {
        let predictor = Self { session, subject };
        for size in [1, predictor.subject.manifest.batching.max_batch_size] {
            predictor.warm_up(size)?;
        }
        Ok(predictor)
    }

    fn warm_up(&self, size: usize) -> Result<()> {
        let input = self.subject.blank(size, self.session.device())?;
        let shape = input.size();
        let refused = |problem: String| Error::InvalidModel {
            problems: vec![format!(
                "{}: forward of a batch {shape:?} {problem}",
                self.subject.manifest.artifact.file
            )],
        };
        match self.subject.manifest.task {
            TaskKind::Classification => {
                let output = self
                    .session
                    .forward(input)
                    .map_err(|e| refused(format!("failed: {e}")))?;
                classification::check(&output, size, &self.subject.labels).map_err(refused)
            }
        }
    }
}

impl Runner<Item, Prediction> for Predictor {
    fn run(&mut self, items: &[Item]) -> Result<Vec<Result<Prediction>>> {
        let tiles: Vec<&Tile> = items.iter().map(|item| &item.tile).collect();
        let batch = self.subject.batch(&tiles, self.session.device())?;
        match self.subject.manifest.task {
            TaskKind::Classification => {
                let options: Vec<_> = items
                    .iter()
                    .map(|item| match &item.options {
                        Options::Classification(options) => options,
                    })
                    .collect();
                let logits = self.session.forward(batch)?;
                let predictions = classification::finish(&logits, &self.subject, &options)?;
                Ok(predictions
                    .into_iter()
                    .map(|p| p.map(Prediction::Classification))
                    .collect())
            }
        }
    }
}
