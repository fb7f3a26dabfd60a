//! Where did it look? Methods, targets and rendering of saliency maps, and feature visualisation.
//!
//! An [`Explainer`] owns the model as it was exported, opened when the first explanation is asked for, and runs on
//! a thread and a queue of its own. A method (one row of `table`) makes raw maps of what a [`Target`] means for the image
//! (`objective`); [`render`] lays them on the picture. Where references differ, captum is followed for attributions to the
//! input and pytorch-grad-cam for class activation maps.

mod attention;
mod cam;
mod cells;
mod chances;
mod channels;
mod colormap;
mod comparison;
mod default_layer;
mod element;
mod evidence;
mod explainer;
mod explanation;
mod gradients;
mod input;
mod inputs;
mod judge;
mod kinds;
mod known;
mod layers;
mod listing;
mod manual;
mod map;
mod masks;
mod method;
mod objective;
mod options;
mod order;
mod pace;
mod parameter;
mod passes;
mod perturbation;
mod quadrature;
mod ranks;
mod read;
pub mod render;
mod resolved;
mod sample;
mod sensitivity;
mod several;
mod sides;
mod smooth;
mod table;
mod target;
pub mod visualize;
mod weights;
mod work;

pub use cells::{Cells, Hints};
pub use colormap::Colormap;
pub use comparison::{AGREEMENT, Comparison, Made, Place};
pub use evidence::{Chance, Curve, Evidence, STEPS as STEPS_OF_EVIDENCE, Stability};
pub use explainer::{Explainer, Origin};
pub use explanation::Explanation;
pub use inputs::{Inputs, last_two};
pub use layers::{LayerMap, Layers};
pub use manual::{DefaultOf, Described, Manual, manual};
pub use map::{Map, Normalize, Resolution};
pub use method::{Family, Method};
pub use objective::{OfEmbedding, of_embedding, of_regression, without_place};
pub use options::{Channels, Options, Render, Smooth, View};
pub use parameter::{DefaultValue, Kind, Parameter};
pub use passes::passes;
pub use read::{defaults, parameters, read};
pub use resolved::ResolvedTarget;
pub use sample::Completeness;
pub use sensitivity::{INSENSITIVE, Randomised, Sensitivity, Stage, Untold};
pub use several::{MOST_METHODS, parameters_of_several, read_several};
pub use sides::Sides;
pub use table::{Cost, Costed, ROWS, Row, of_model, of_task, row};
pub use target::{ClassName, Target};
pub use work::{Describe, Description, Item, Several, Subject, Work};
