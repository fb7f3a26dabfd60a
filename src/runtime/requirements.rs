//! What is asked of an artifact, and what comes of it.

use std::sync::Arc;

use tch::{Device, Tensor};
use torch_bridge::Value;

use super::program::Program;
use super::selected::Selection;
use crate::engine::Share;
use crate::error::Result;
use crate::manifest::{Precision, TaskKind};

/// What a model must offer, and how it is to compute.
pub struct Requirements<'a> {
    /// For messages.
    pub task: TaskKind,
    /// The methods that are called, at least one.
    pub methods: &'a [&'a str],
    /// A layer that the first of them must call.
    pub layer: Option<&'a str>,
    /// Where it computes.
    pub device: Device,
    /// The cores of a pass.
    pub share: Share,
    /// In what numbers it computes.
    pub precision: Precision,
    /// Whether `forward` may be compiled for batch sizes.
    pub specialise: bool,
    /// How many threads call it side by side.
    pub instances: usize,
    /// The largest batch.
    pub max_batch: usize,
    /// Which part of its answer is the model's.
    pub selection: Option<&'a Selection>,
    /// How two programs are compared, for [`Precision::Auto`].
    pub agreement: Option<&'a dyn Agreement>,
    /// Makes a batch of some size, where all that is called is `forward` of one batch of pictures.
    pub example: Option<&'a dyn Fn(usize) -> Result<Tensor>>,
    /// Holds what predicts against the module as it was exported.
    pub examine: Option<&'a Examine<'a>>,
}

/// Says how what predicts differs from the module that it was made from.
pub type Examine<'a> = dyn Fn(&Opened, &dyn Program) -> Result<()> + 'a;

/// How it is told whether two programs answer the same.
pub trait Agreement {
    /// The pictures on which they are compared, a batch.
    fn pictures(&self) -> &Tensor;

    /// The scores in what `forward` answers, as clients get them, so that a difference means the same for every model.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
    fn scores(&self, answer: &Value) -> Result<Vec<Tensor>>;
}

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

/// What predicts.
#[derive(Debug)]
pub struct Opened {
    /// It is shared by all instances on its device.
    pub program: Arc<dyn Program>,
    /// Parameters and buffers.
    pub parameters: u64,
    /// In what numbers it computes.
    pub precision: Precision,
    /// What was found, where both were tried.
    pub measured: Option<Measured>,
}
