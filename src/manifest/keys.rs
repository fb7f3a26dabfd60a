//! The keys of a model.toml that is right, as types.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::outputs::{EmbeddingOutput, PictureOutput, RegressionOutput};
use super::serving::Serving;
use super::temperature::Temperature;
use super::tensors::Tensors;
use crate::error::{Error, Result};
use crate::image::Fit;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// `forward(x[B, C, H, W]) → logits[B, K]`
    Classification,
    /// `forward(x) → logits[B, K, h, w]`, or a dict with `out`, or one channel
    Segmentation,
    /// `forward(x) → boxes and scores`, in one of the [`DetectionFormat`]s
    Detection,
    /// `start(x) → (memory, state)`, `step(token, memory, state) → (logits, state, attention)`
    Captioning,
    /// `encode(x) → (mu, logvar)`, `decode(z) → x`
    Vae,
    /// `forward(x[B, C, H, W]) → vectors[B, D]`
    Embedding,
    /// `forward(x[B, C, H, W]) → numbers[B, K]`
    Regression,
    /// `forward(x[B, C, H, W]) → pictures[B, 3, h, w]`, or a map `[B, 1, h, w]`
    ImageToImage,
    /// `forward` of named tensors
    Tensor,
}

impl fmt::Display for TaskKind {
    /// As model.toml writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classification => "classification",
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
            Self::Captioning => "captioning",
            Self::Vae => "vae",
            Self::Embedding => "embedding",
            Self::Regression => "regression",
            Self::ImageToImage => "image_to_image",
            Self::Tensor => "tensor",
        })
    }
}

/// How a detector answers (B = batch, N = candidates, K = classes, P = keypoints; boxes in pixels of the model's input
/// where nothing else is said).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectionFormat {
    /// `forward(x) → (boxes[B, N, 4] as x0, y0, x1, y1, scores[B, N, K])`
    Dense,
    /// `forward(list of [C, H, W]) → (losses, list of {boxes, labels, scores})`, torchvision's scripted detectors; with
    /// `keypoints` and `keypoints_scores`, or `masks`, where they have them.
    Torchvision,
    /// `forward(x) → [B, 4 + K, N]`: centre x, centre y, width, height, class scores.
    Yolo,
    /// `forward(x) → [B, N, 5 + K]`: centre x, centre y, width, height, objectness, class scores.
    Yolov5,
    /// `forward(x) → [B, 4 + K + 3·P, N]`: as `yolo`, then x, y and visibility of each keypoint.
    YoloPose,
    /// `forward(x) → [B, 4 + K + 1, N]`: as `yolo`, then the angle in radians.
    YoloObb,
    /// `forward(x) → ([B, 4 + K + M, N], [B, M, h, w])`: as `yolo`, then what each of M prototypes gives to the mask.
    YoloSeg,
    /// `forward(x) → [B, N, 6]`: x0, y0, x1, y1, score, class of the objects themselves.
    EndToEnd,
    /// `forward(x) → {logits[B, N, K or K + 1], pred_boxes[B, N, 4]}`: centre x, centre y, width, height as parts of the
    /// input.
    Detr,
}

impl DetectionFormat {
    /// Whether overlaps are left to the server to suppress.
    #[must_use]
    pub fn leaves_overlaps(self) -> bool {
        !matches!(self, Self::Torchvision | Self::EndToEnd | Self::Detr)
    }
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OutputKey {
    /// The entry of a dict.
    Name(String),
    /// The element of a tuple, counted from 0.
    Index(usize),
}

impl std::fmt::Display for OutputKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

/// How logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Over the classes; the scores sum to 1.
    Softmax,
    /// Each class for itself.
    Sigmoid,
    /// Scores are the logits.
    None,
}

/// The `device` key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DeviceChoice {
    /// As `cuda` when there is a device that works, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// All CUDA devices, the instances in turn.
    AnyCuda,
    /// This CUDA device.
    Cuda(usize),
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::AnyCuda),
            other => other
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("`{other}` is no device")),
        }
    }
}

/// In what numbers a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// As it was exported.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16
    Bf16,
    /// bfloat16 where that is faster on this processor and answers the same, else as it was exported.
    Auto,
}

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactFormat {
    /// TorchScript.
    Torchscript,
    /// A program of torch.export.
    Exported,
    /// Either, with AOTInductor packages beside it, one a batch size, which predict; the file is what is explained.
    Aoti,
}

/// `[artifact]`
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The file's name inside the version's folder; `model.pt` or `model.pt2` where it has none.
    pub file: Option<String>,
    /// What it is; told by the file where it is left out.
    pub format: Option<ArtifactFormat>,
    /// Lower-case hex; checked when present.
    pub sha256: Option<String>,
}

/// `[input]`: how a picture becomes the model's input.
#[derive(Debug, Clone)]
pub struct ImageInput {
    /// Size, resize, colour.
    pub fit: Fit,
    /// Multiplies a byte before mean and std.
    pub scale: f64,
    /// One a channel.
    pub mean: Vec<f64>,
    /// One a channel, none zero.
    pub std: Vec<f64>,
}

/// `[output]`
#[derive(Debug, Clone)]
pub struct Output {
    /// File of labels, one a line.
    pub labels: Option<String>,
    /// Which part of what `forward` answers is the model's answer, where it is a dict or a tuple.
    pub key: Option<OutputKey>,
    /// How logits become scores.
    pub activation: Activation,
    /// What logits are divided by before it.
    pub temperature: Temperature,
    /// Keys that only a detector has.
    pub detection: Option<DetectionOutput>,
    /// Keys that only a captioner has.
    pub captioning: Option<CaptioningOutput>,
    /// Keys that only an embedding has.
    pub embedding: Option<EmbeddingOutput>,
    /// Keys that only a regression has.
    pub regression: Option<RegressionOutput>,
    /// Keys that only a model from image to image has.
    pub picture: Option<PictureOutput>,
    /// Keys that only a segmenter has.
    pub segmentation: Option<SegmentationOutput>,
}

/// `[output]` of a segmenter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SegmentationOutput {
    /// Whether a pixel may be of several classes; where it is not said, whether a sigmoid makes scores of more than one.
    pub multi_label: Option<bool>,
    /// A pixel whose score is above is of the class, between 0 and 1: of each class, of all, or none for a half.
    pub thresholds: Vec<f32>,
}

/// `[output]` of a detector; a request may override the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionOutput {
    /// How it answers.
    pub format: DetectionFormat,
    /// Objects below it are left out, 0 to 1.
    pub score_threshold: f32,
    /// Of two boxes of a class that overlap more (intersection over union), the lesser goes, 0 to 1.
    pub iou_threshold: f32,
    /// Objects in an answer at most.
    pub max_detections: usize,
    /// Whether a box is an object of every class that is sure enough, not of the best alone.
    pub multi_label: bool,
    /// What the keypoints of an object are, where they are named.
    pub keypoints: Option<Keypoints>,
}

/// The keypoints of each object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keypoints {
    /// How many, at least one.
    pub count: usize,
    /// The name of each; empty where they have none.
    pub names: Vec<String>,
    /// Which are joined by a line where they are drawn, by index.
    pub skeleton: Vec<[usize; 2]>,
}

/// `[output]` of a captioner, whose labels are its vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptioningOutput {
    /// The token that a caption starts from.
    pub start_token: String,
    /// The token that ends it.
    pub end_token: String,
    /// Words at most, the end among them.
    pub max_length: usize,
    /// Rows and columns of the cells that the attention is over, if it has any.
    pub attention_grid: Option<[usize; 2]>,
}

/// What goes into a model.
#[derive(Debug, Clone)]
pub enum Input {
    /// Pictures.
    Image(ImageInput),
    /// Tensors, and what comes out.
    Tensors(Tensors),
}

/// `[batching]`
#[derive(Debug, Clone)]
pub struct Batching {
    /// At least 1.
    pub max_batch_size: usize,
    /// Whether model.toml says so.
    pub is_said: bool,
    /// How long the oldest may wait for company.
    pub max_delay: Duration,
    /// Images that may wait, at least 1.
    pub queue_capacity: usize,
}

/// `[instances]`
#[derive(Debug, Clone)]
pub struct Instances {
    /// Where they compute.
    pub device: DeviceChoice,
    /// How many, at least 1.
    pub count: usize,
    /// Threads of each; 0 shares the cores.
    pub threads: usize,
    /// In what numbers they compute.
    pub precision: Precision,
    /// Whether `forward` is compiled for batch sizes, on the CPU.
    pub specialise: bool,
}

/// The axes of a layer's output of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[B, C, h, w]`
    Nchw,
    /// `[B, h, w, C]`
    Nhwc,
}

/// `[explain]`
#[derive(Debug, Clone)]
pub struct Explain {
    /// Default CAM layer; found by itself when absent.
    pub layer: Option<String>,
    /// The axes of layers that give four; found by themselves when absent.
    pub layout: Option<Layout>,
    /// Rows and columns of the cells that tokens stand for; found by themselves when absent.
    pub grid: Option<[u32; 2]>,
    /// Explanations that may wait, at least 1.
    pub queue_capacity: usize,
}

/// A model.toml that is right.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// What the model does.
    pub task: TaskKind,
    /// For people.
    pub description: String,
    /// Whether `/readyz` waits for this model.
    pub required: bool,
    /// `[artifact]`
    pub artifact: Artifact,
    /// `[input]`, or `[[inputs]]` and `[[outputs]]`
    pub input: Input,
    /// `[output]`
    pub output: Output,
    /// `[batching]`
    pub batching: Batching,
    /// `[instances]`
    pub instances: Instances,
    /// `[explain]`
    pub explain: Explain,
    /// `[versions]`
    pub versions: Serving,
    /// How long it keeps its memory with nobody asking for it, where that has an end.
    pub unload_after: Option<Duration>,
}

impl Manifest {
    /// How pictures go in.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] when the model takes none.
    pub fn image_input(&self) -> Result<&ImageInput> {
        match &self.input {
            Input::Image(input) => Ok(input),
            Input::Tensors(_) => Err(Error::UnsupportedForTask(
                "this model takes tensors, not images".into(),
            )),
        }
    }

    /// Which tensors go in and come out.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] when the model takes images.
    pub fn tensors(&self) -> Result<&Tensors> {
        match &self.input {
            Input::Tensors(tensors) => Ok(tensors),
            Input::Image(_) => Err(Error::UnsupportedForTask(
                "this model takes images, not tensors".into(),
            )),
        }
    }

    /// Whether requests for a model of tensors may share a batch, so that their first sizes are rows of it.
    #[must_use]
    pub fn shares_batches(&self) -> bool {
        self.batching.max_batch_size > 1 && self.tensors().is_ok_and(Tensors::is_batched)
    }
}
