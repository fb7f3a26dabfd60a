//! What an explainer is asked, each with the answer that it gets.

use std::sync::Arc;

use super::comparison::Made;
use super::explanation::Explanation;
use super::inputs::Inputs;
use super::layers::Layers;
use super::options::Options;
use super::table::Row;
use super::visualize::{self, Visualization};
use crate::engine::{Pending, Ticket, Work as Waits};
use crate::error::Error;
use crate::image::ModelInput;

/// What is explained.
#[derive(Debug)]
pub enum Subject {
    /// A picture, as the model's input before normalisation.
    Picture(ModelInput),
    /// The inputs of a model of tensors.
    Tensors(Inputs),
}

/// One picture, or one row of tensors, for one explanation.
#[derive(Debug)]
pub struct Item {
    /// What is explained.
    pub subject: Subject,
    /// What was asked for.
    pub options: Options,
    /// What an embedding is compared with, before normalisation, too.
    pub reference: Option<Arc<ModelInput>>,
    /// How many maps there may be, of all targets and layers.
    pub most_maps: usize,
}

/// One picture for an explanation by each of several methods.
#[derive(Debug)]
pub struct Several {
    /// What is explained.
    pub picture: ModelInput,
    /// What was asked for, a method each, in order.
    pub options: Vec<Options>,
    /// What an embedding is compared with, before normalisation, too.
    pub reference: Option<Arc<ModelInput>>,
}

/// Asks what of the model can be explained.
#[derive(Debug, Clone, Copy)]
pub struct Describe;

/// What of a model can be explained.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its layers.
    pub layers: Layers,
    /// The methods that have what they need.
    pub methods: Vec<&'static Row>,
}

/// What waits for an explainer.
#[derive(Debug)]
pub enum Work {
    /// One map for each target at each layer.
    Explain(Box<Ticket<Item, Vec<Explanation>>>),
    /// One map for each method, as many as the budget allows, at least one.
    Compare(Box<Ticket<Several, Vec<Made>>>),
    /// A picture of what a channel or a class answers to.
    Visualize(Ticket<visualize::Options, Visualization>),
    /// Which layers have a map, and which methods have what they need.
    Describe(Ticket<Describe, Description>),
}

impl Waits for Work {
    fn pending(&self) -> &Pending {
        match self {
            Self::Explain(ticket) => ticket.pending(),
            Self::Compare(ticket) => ticket.pending(),
            Self::Visualize(ticket) => ticket.pending(),
            Self::Describe(ticket) => ticket.pending(),
        }
    }

    fn pending_mut(&mut self) -> &mut Pending {
        match self {
            Self::Explain(ticket) => ticket.pending_mut(),
            Self::Compare(ticket) => ticket.pending_mut(),
            Self::Visualize(ticket) => ticket.pending_mut(),
            Self::Describe(ticket) => ticket.pending_mut(),
        }
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Explain(ticket) => ticket.refuse(error),
            Self::Compare(ticket) => ticket.refuse(error),
            Self::Visualize(ticket) => ticket.refuse(error),
            Self::Describe(ticket) => ticket.refuse(error),
        }
    }
}

impl From<Ticket<Item, Vec<Explanation>>> for Work {
    fn from(ticket: Ticket<Item, Vec<Explanation>>) -> Self {
        Self::Explain(Box::new(ticket))
    }
}

impl From<Ticket<Several, Vec<Made>>> for Work {
    fn from(ticket: Ticket<Several, Vec<Made>>) -> Self {
        Self::Compare(Box::new(ticket))
    }
}

impl From<Ticket<visualize::Options, Visualization>> for Work {
    fn from(ticket: Ticket<visualize::Options, Visualization>) -> Self {
        Self::Visualize(ticket)
    }
}

impl From<Ticket<Describe, Description>> for Work {
    fn from(ticket: Ticket<Describe, Description>) -> Self {
        Self::Describe(ticket)
    }
}
