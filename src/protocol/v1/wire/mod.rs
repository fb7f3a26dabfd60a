//! What stands in JSON: one type for each of the core's, with its schema.

mod comparisons;
mod detections;
mod embeddings;
mod evidence;
mod explanations;
mod latents;
mod methods;
mod models;
mod names;
mod numbers;
mod pictures;
mod predictions;
mod rle;
mod serving;
mod sizes;
mod targets;
mod tensors;
mod uncertainties;
mod weights;

pub(super) use comparisons::MethodsCompared;
pub(super) use embeddings::Comparison;
pub(super) use explanations::{
    Explanation, Explanations, ImageExplanation, Passes, Visualization, Visualized,
};
pub(super) use latents::{Frames, PngFrame};
pub(super) use methods::{ExplainerList, LayerList, Manual, default_json};
pub(super) use models::{ModelInfo, ModelList};
pub(super) use predictions::{ImagePrediction, Prediction, Predictions};
pub(super) use sizes::ImageSize;
pub(super) use tensors::TensorCall;
