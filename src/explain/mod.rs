//! Where did it look? Methods, targets and rendering of saliency maps, and feature visualisation.
//!
//! [`Explainer`] owns an unfrozen copy of the model, loaded when the first explanation is asked for, and runs on
//! a thread and a queue of its own. A [`Method`] makes raw maps of what a [`Target`] means for the image (`objective`);
//! [`render`] lays them on the picture. Where references differ, captum is followed for attributions to the input and
//! pytorch-grad-cam for class activation maps.

mod cam;
mod channels;
mod colormap;
mod explainer;
mod gradients;
mod input;
mod layers;
mod listing;
mod manual;
mod map;
mod masks;
mod method;
mod objective;
mod options;
mod passes;
mod perturbation;
mod quadrature;
pub mod render;
mod smooth;
mod study;
mod target;
pub mod visualize;

use serde::Serialize;
use utoipa::ToSchema;

use crate::image::Tile;
pub use colormap::Colormap;
pub use explainer::{Explainer, Origin};
pub use layers::{LayerMap, Layers};
pub use manual::{Manual, manual};
pub use map::{Map, Normalize, Resolution};
pub use method::{Family, Method};
pub use options::{Options, Render};
pub use passes::{Listener, Passes, Patience};
pub use study::Completeness;
pub use target::{ResolvedTarget, Target};

/// What an [`Explainer`] is asked.
#[derive(Debug)]
pub enum Request {
    /// Maps for one image.
    Explain(Box<Item>),
    /// A picture of what a channel or a class answers to.
    Visualize(Box<visualize::Item>),
    /// Which layers have a map?
    Layers,
    /// Which methods have what they need?
    Abilities,
}

/// One image for one explanation.
#[derive(Debug)]
pub struct Item {
    /// The model's input, before normalisation.
    pub tile: Tile,
    /// What was asked for.
    pub ask: Options,
    /// Who waits for it.
    pub patience: Patience,
}

/// What an [`Explainer`] answers.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Explain`]: one for each target at each layer.
    Explanations(Vec<Explanation>),
    /// To [`Request::Visualize`].
    Visualization(Box<visualize::Visualization>),
    /// To [`Request::Layers`].
    Layers(Layers),
    /// To [`Request::Abilities`].
    Abilities(Vec<Method>),
}

/// A saliency map and what it is of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// How it was made.
    pub method: Method,
    /// The layer whose activation was looked at, where the method looks at one; several with commas between, if fused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "features.18")]
    pub layer: Option<String>,
    /// What was explained.
    pub target: ResolvedTarget,
    /// The method's own result.
    pub map: Map,
    /// Whether the map says nothing: it is zero everywhere, or not finite.
    pub degenerate: bool,
    /// Why the map is degenerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degenerate_reason: Option<&'static str>,
    /// Of integrated gradients: whether the attribution adds up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completeness: Option<Completeness>,
    /// Of methods of many passes: how many were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passes: Option<Passes>,
    /// Whether the budget ended before the method did.
    pub stopped_early: bool,
    /// What whoever reads the map should know of the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<&'static str>,
}
