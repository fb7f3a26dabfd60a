//! What is asked of an artifact, and what comes of it.

use std::sync::Arc;

use tch::{Device, Tensor};

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
    /// Makes a batch of some size, where all that is called is `forward` of one batch of pictures.
    pub example: Option<&'a dyn Fn(usize) -> Result<Tensor>>,
}

/// What predicts.
#[derive(Debug)]
pub struct Opened {
    /// It is shared by all instances on its device.
    pub program: Arc<dyn Program>,
    /// Parameters and buffers.
    pub parameters: u64,
}
