//! model.toml: what the server must know of a model, as types that hold only what is right.
//!
//! Reading never stops at the first mistake: every problem of the file is reported in one go, each with the
//! key, what was found and what would be right. Unknown keys are mistakes.

mod detection;
mod file;
mod keys;
mod parse;
mod reader;
mod sections;
mod segmentation;
mod versions;

pub use detection::MOST_DETECTIONS;
pub use file::{open, read_text};
pub use keys::{
    Activation, Artifact, ArtifactFormat, Batching, CaptioningOutput, DetectionFormat, DetectionOutput,
    DeviceChoice, Dtype, Explain, ImageInput, Input, Instances, Keypoints, Layout, Manifest, Output,
    OutputKey, Precision, SegmentationOutput, TaskKind, TensorSpec,
};
pub use versions::{Version, packages, versions};

#[cfg(test)]
mod tests;
