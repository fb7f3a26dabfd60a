//! model.toml: what the server must know of a model, as types that hold only what is right.
//!
//! Reading never stops at the first mistake: every problem of the file is reported in one go, each with the
//! key, what was found and what would be right. Unknown keys are mistakes.

mod detection;
mod file;
mod keys;
mod number;
mod outputs;
mod parse;
mod reader;
mod sections;
mod segmentation;
mod serving;
mod temperature;
mod tensors;
mod versions;

pub use detection::MOST_DETECTIONS;
pub use file::{open, read_text};
pub use keys::{
    Activation, Artifact, ArtifactFormat, Batching, CaptioningOutput, DetectionFormat, DetectionOutput,
    DeviceChoice, Explain, ImageInput, Input, Instances, Keypoints, Layout, Manifest, Output, OutputKey,
    Precision, SegmentationOutput, TaskKind,
};
pub use number::age;
pub use outputs::{EmbeddingOutput, MOST_NUMBERS, PictureOutput, Range, RegressionOutput};
pub use serving::{MOST_LOADED, Part, Serving, Which};
pub use temperature::Temperature;
pub use tensors::{Dtype, TensorInput, TensorSpec, Tensors};
pub use versions::{Version, packages, versions};

#[cfg(test)]
mod tests;
