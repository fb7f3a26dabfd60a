//! What a task knows of its model, whichever thread runs it.

use std::sync::OnceLock;

use tch::{Device, Tensor};
use torch_bridge::Value;

use super::labels::Labels;
use super::row_count::check_rows;
use crate::error::{Error, Result};
use crate::image::{Content, ModelInput};
use crate::manifest::{Input, Manifest};
use crate::runtime::Selection;
use crate::runtime::staging::{Normalise, Row};

/// The manifest and the labels of a model, and how its pictures are normalised.
#[derive(Debug)]
pub struct ModelSpec {
    /// Its model.toml.
    pub manifest: Manifest,
    /// Its labels; empty when it has none.
    pub labels: Labels,
    /// From bytes to its input, where it takes pictures.
    normalise: Option<Normalise>,
    /// The sizes of a VAE's latent without the batch.
    latent_shape: OnceLock<Vec<i64>>,
    /// Set where a detector's objects have masks.
    has_masks: OnceLock<()>,
    /// `[C, h, w]` of what a model from image to image answers.
    picture_shape: OnceLock<[i64; 3]>,
    /// How many classes a segmenter has whose pixels may be of several.
    overlapping: OnceLock<usize>,
    /// The sizes of what `forward` answers for one picture, where they never change.
    row: OnceLock<Vec<i64>>,
}

impl ModelSpec {
    /// A model as its manifest describes it.
    #[must_use]
    pub fn new(manifest: Manifest, labels: Labels) -> Self {
        let normalise = match &manifest.input {
            Input::Image(input) => Some(Normalise::new(input.scale, &input.mean, &input.std)),
            Input::Tensors(_) => None,
        };
        Self {
            manifest,
            labels,
            normalise,
            latent_shape: OnceLock::new(),
            has_masks: OnceLock::new(),
            picture_shape: OnceLock::new(),
            overlapping: OnceLock::new(),
            row: OnceLock::new(),
        }
    }

    /// Whether what `forward` answered for a batch has the sizes, but for the batch, that it had when the contract was checked;
    /// the first time they are remembered.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] where a model answers now so and now so: its labels would be those of something else.
    pub(super) fn same_row(&self, shape: &[i64]) -> Result<()> {
        let row = shape.get(1..).unwrap_or_default();
        let known = self.row.get_or_init(|| row.to_vec());
        if known == row {
            return Ok(());
        }
        Err(Error::InferenceFailed(format!(
            "forward answered {shape:?}, but a batch of {known:?} when the model was loaded"
        )))
    }

    /// [`ModelSpec::same_row`] of an answer, where the contract of the task fixes its sizes.
    ///
    /// # Errors
    /// Those of [`ModelSpec::same_row`].
    pub(crate) fn check_row(&self, answer: &Value) -> Result<()> {
        if self.row.get().is_none() {
            return Ok(());
        }
        self.same_row(&answer.shallow_clone().into_tensor()?.size())
    }

    /// The same of the answer for one picture, which has one row.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] where it has others.
    pub(crate) fn check_one_row(&self, answer: &Value) -> Result<()> {
        self.check_row(answer)?;
        if self.row.get().is_none() {
            return Ok(());
        }
        check_rows("forward", &answer.shallow_clone().into_tensor()?, 1)
    }

    /// Remembers that a detector's objects have masks, which the module shows when its contract is checked.
    pub(super) fn learn_masks(&self) {
        self.has_masks.get_or_init(|| ());
    }

    /// Whether a detector's objects have masks.
    #[must_use]
    pub fn has_masks(&self) -> bool {
        self.has_masks.get().is_some()
    }

    /// Remembers the shape of what a model from image to image answers, which it shows when its contract is checked.
    pub(super) fn learn_picture(&self, shape: [i64; 3]) {
        self.picture_shape.get_or_init(|| shape);
    }

    /// How many numbers a model from image to image answers.
    #[must_use]
    pub fn picture_numbers(&self) -> u64 {
        let sides = self.picture_shape.get().copied().unwrap_or_default();
        sides.iter().map(|side| side.unsigned_abs()).product()
    }

    /// Remembers how many classes a segmenter has whose pixels may be of several, which the module shows when its contract
    /// is checked.
    pub(super) fn learn_overlapping(&self, classes: usize) {
        self.overlapping.get_or_init(|| classes);
    }

    /// How many classes a segmenter has, if a pixel may be of several.
    #[must_use]
    pub fn overlapping(&self) -> Option<usize> {
        self.overlapping.get().copied()
    }

    /// Which part of what `forward` answers is the model's answer.
    #[must_use]
    pub fn selection(&self) -> Option<Selection> {
        Selection::of(self.manifest.task, self.manifest.output.key.clone())
    }

    /// Remembers the sizes of the latent, which the module shows when its contract is checked.
    pub(super) fn learn_latent(&self, shape: &[i64]) {
        self.latent_shape.get_or_init(|| shape.to_vec());
    }

    /// The sizes of the latent without the batch; empty for what is no VAE.
    pub(super) fn latent_shape(&self) -> &[i64] {
        self.latent_shape.get().map_or(&[], Vec::as_slice)
    }

    /// The sizes of the latent without the batch; empty for what is no VAE.
    #[must_use]
    pub fn latent_sizes(&self) -> Vec<usize> {
        let sizes = self.latent_shape().iter();
        sizes.map(|&size| usize::try_from(size).unwrap_or(0)).collect()
    }

    /// The sizes of what `forward` answers for one picture, where they never change.
    #[must_use]
    pub fn row(&self) -> Option<&[i64]> {
        self.row.get().map(Vec::as_slice)
    }

    /// `[C, h, w]` of what a model from image to image answers.
    #[must_use]
    pub fn picture_shape(&self) -> Option<[i64; 3]> {
        self.picture_shape.get().copied()
    }

    /// How many values a latent has.
    #[must_use]
    pub fn latent_size(&self) -> usize {
        usize::try_from(self.latent_shape().iter().product::<i64>()).unwrap_or(0)
    }

    /// One batch `[B, C, H, W]` from `model_inputs`.
    ///
    /// # Errors
    /// As [`Normalise::batch`]; also for a model that takes no pictures.
    pub fn batch(&self, model_inputs: &[&ModelInput], device: Device) -> Result<Tensor> {
        fn row<'a>(model_input: &&'a ModelInput) -> Row<'a> {
            match &model_input.content {
                Content::Pixels(pixels) => Row::Pixels(pixels),
                Content::Prepared(samples) => Row::Prepared(samples),
            }
        }
        self.stage(&model_inputs.iter().map(row).collect::<Vec<_>>(), device)
    }

    /// A batch of `size` black images, as [`ModelSpec::batch`] would make it.
    ///
    /// # Errors
    /// As [`ModelSpec::batch`].
    pub fn blank(&self, size: usize, device: Device) -> Result<Tensor> {
        self.plain(0, size, device)
    }

    /// A white image, as [`ModelSpec::batch`] would make it.
    ///
    /// # Errors
    /// As [`ModelSpec::batch`].
    pub fn white(&self, device: Device) -> Result<Tensor> {
        self.plain(u8::MAX, 1, device)
    }

    /// A picture of noise, always the same, as [`ModelSpec::batch`] would make it.
    ///
    /// # Errors
    /// As [`ModelSpec::batch`].
    pub fn noise(&self, device: Device) -> Result<Tensor> {
        // Knuth's linear congruential generator; its high bits are the random ones.
        let mut state = 0u64;
        let byte = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        let noise: Vec<u8> = (0..self.input_bytes()?).map(byte).collect();
        self.stage(&[Row::Pixels(&noise)], device)
    }

    /// A batch of `size` images whose bytes are all `value`.
    fn plain(&self, value: u8, size: usize, device: Device) -> Result<Tensor> {
        let model_input = vec![value; self.input_bytes()?];
        self.stage(&vec![Row::Pixels(&model_input); size], device)
    }

    /// Bytes of one picture as the model sees it.
    fn input_bytes(&self) -> Result<usize> {
        let (height, width) = self.manifest.image_input()?.fit.size;
        let channels = self.normalise.as_ref().map_or(0, Normalise::channels);
        Ok(height as usize * width as usize * channels)
    }

    fn stage(&self, rows: &[Row<'_>], device: Device) -> Result<Tensor> {
        let (height, width) = self.manifest.image_input()?.fit.size;
        let normalise = self
            .normalise
            .as_ref()
            .ok_or_else(|| Error::Internal("no pictures here".into()))?;
        normalise.batch(rows, height as usize, width as usize, device)
    }
}
