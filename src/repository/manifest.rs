//! model.toml: what the server must know of a model, as types that hold only what is right.
//!
//! Reading never stops at the first mistake: every problem of the file is reported in one go, each with the
//! key, what was found and what would be right. Unknown keys are mistakes.

mod reader;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::image::{Color, Fit, Interpolation, ResizeMode};
use reader::Section;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// `forward(x[B, C, H, W]) → logits[B, K]`
    Classification,
}

/// How logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// CUDA when there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// This CUDA device.
    Cuda(usize),
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("`{other}` is no device")),
        }
    }
}

/// `[artifact]`
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The file's name inside the version's folder.
    pub file: String,
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
    /// How logits become scores.
    pub activation: Activation,
}

/// `[batching]`
#[derive(Debug, Clone)]
pub struct Batching {
    /// At least 1.
    pub max_batch_size: usize,
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
}

/// `[explain]`
#[derive(Debug, Clone)]
pub struct Explain {
    /// Default CAM layer; found by itself when absent.
    pub layer: Option<String>,
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
    /// `[input]`
    pub input: ImageInput,
    /// `[output]`
    pub output: Output,
    /// `[batching]`
    pub batching: Batching,
    /// `[instances]`
    pub instances: Instances,
    /// `[explain]`
    pub explain: Explain,
}

impl Manifest {
    /// Reads `dir/model.toml`.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] with every problem of the file.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join("model.toml");
        let problem = |text: String| Error::InvalidModel {
            problems: vec![format!("{}: {text}", file.display())],
        };
        let text = std::fs::read_to_string(&file).map_err(|e| problem(format!("cannot be read: {e}")))?;
        Self::parse(&text).map_err(|problems| Error::InvalidModel {
            problems: problems
                .into_iter()
                .map(|p| format!("{}: {p}", file.display()))
                .collect(),
        })
    }

    /// Reads the text of a model.toml.
    ///
    /// # Errors
    /// One line for each problem.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let table: toml::Table = toml::from_str(text).map_err(|e| vec![format!("is not TOML: {e}")])?;
        let mut problems = Vec::new();
        let mut root = Section::root(table, &mut problems);
        let task = root.required("task", "one of \"classification\"");
        let description = root.optional("description", "text").unwrap_or_default();
        let required = root.optional("required", "true or false").unwrap_or(true);
        let artifact = root.section("artifact", artifact);
        let input = root.section("input", image_input);
        let output = root.section("output", output);
        let batching = root.section("batching", batching);
        let instances = root.section("instances", instances);
        let explain = root.section("explain", explain);
        root.finish();
        match (task, input) {
            (Some(task), Some(input)) if problems.is_empty() => Ok(Self {
                task,
                description,
                required,
                artifact,
                input,
                output,
                batching,
                instances,
                explain,
            }),
            _ => Err(problems),
        }
    }
}

fn artifact(s: &mut Section<'_>) -> Artifact {
    let file: String = s
        .optional("file", "a file name such as \"model.pt\"")
        .unwrap_or_else(|| "model.pt".into());
    s.check(
        Path::new(&file).components().count() == 1 && !file.starts_with('.'),
        "file",
        || format!("found \"{file}\", expected a file name inside the model's folder, such as \"model.pt\""),
    );
    let format: String = s
        .optional("format", "\"torchscript\"")
        .unwrap_or_else(|| "torchscript".into());
    s.check(format == "torchscript", "format", || {
        format!("found \"{format}\", expected \"torchscript\"")
    });
    let sha256: Option<String> = s.optional("sha256", "64 hexadecimal digits");
    let sha256 = sha256.map(|digest| digest.to_ascii_lowercase());
    let is_digest = |d: &String| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit());
    s.check(sha256.as_ref().is_none_or(is_digest), "sha256", || {
        "expected 64 hexadecimal digits, as `sha256sum model.pt` prints them".into()
    });
    Artifact { file, sha256 }
}

fn image_input(s: &mut Section<'_>) -> Option<ImageInput> {
    let size: Option<[u32; 2]> = s.required("size", "[height, width], for instance [224, 224]");
    let mode = s.optional(
        "resize",
        "\"shorter_side\", \"stretch\", \"letterbox\" or \"none\"",
    );
    let resize_to: Option<u32> = s.optional("resize_to", "a number of pixels, for instance 256");
    let interpolation = s.optional("interpolation", "\"nearest\", \"bilinear\" or \"bicubic\"");
    let color = s
        .optional("color", "\"rgb\", \"bgr\" or \"gray\"")
        .unwrap_or(Color::Rgb);
    let letterbox_fill = s
        .optional("letterbox_fill", "a gray value from 0 to 255")
        .unwrap_or(114);
    let channels = if color == Color::Gray { 1 } else { 3 };
    let per_channel = format!("a list of {channels} numbers, one a channel");
    let scale = s
        .optional("scale", "a number, for instance 0.00392156862745098 (1/255)")
        .unwrap_or(1.0 / 255.0);
    let mean: Vec<f64> = s
        .optional("mean", &per_channel)
        .unwrap_or_else(|| vec![0.0; channels]);
    let std: Vec<f64> = s
        .optional("std", &per_channel)
        .unwrap_or_else(|| vec![1.0; channels]);
    s.check(mean.len() == channels, "mean", || {
        format!("found {} numbers, expected {per_channel}", mean.len())
    });
    s.check(std.len() == channels, "std", || {
        format!("found {} numbers, expected {per_channel}", std.len())
    });
    s.check(std.iter().all(|&v| v > 0.0), "std", || {
        "must be greater than 0 in every channel".into()
    });
    s.check(
        size.is_none_or(|size| size.iter().all(|&side| (1..=8192).contains(&side))),
        "size",
        || "each side must be from 1 to 8192".into(),
    );
    let fits = resize_to.is_none_or(|to| (1..=8192).contains(&to));
    s.check(fits, "resize_to", || "must be from 1 to 8192".into());
    let fit = Fit {
        size: size.map(|[height, width]| (height, width))?,
        mode: mode.unwrap_or(ResizeMode::ShorterSide),
        resize_to,
        interpolation: interpolation.unwrap_or(Interpolation::Bilinear),
        color,
        letterbox_fill,
    };
    Some(ImageInput {
        fit,
        scale,
        mean,
        std,
    })
}

fn output(s: &mut Section<'_>) -> Output {
    Output {
        labels: s.optional("labels", "a file name such as \"labels.txt\""),
        activation: s
            .optional("activation", "\"softmax\", \"sigmoid\" or \"none\"")
            .unwrap_or(Activation::Softmax),
    }
}

fn batching(s: &mut Section<'_>) -> Batching {
    let delay_ms: f64 = s
        .optional("max_delay_ms", "a number of milliseconds")
        .unwrap_or(0.0);
    s.check((0.0..=10_000.0).contains(&delay_ms), "max_delay_ms", || {
        format!("found {delay_ms}, expected 0 to 10000")
    });
    Batching {
        max_batch_size: s.at_least_one("max_batch_size", 16),
        max_delay: Duration::from_secs_f64(delay_ms.clamp(0.0, 10_000.0) / 1e3),
        queue_capacity: s.at_least_one("queue_capacity", 256),
    }
}

fn instances(s: &mut Section<'_>) -> Instances {
    Instances {
        device: s
            .optional("device", "\"auto\", \"cpu\", \"cuda\" or \"cuda:1\"")
            .unwrap_or(DeviceChoice::Auto),
        count: s.at_least_one("count", 1),
        threads: s
            .optional("threads", "a number of threads, 0 to share the cores")
            .unwrap_or(0),
    }
}

fn explain(s: &mut Section<'_>) -> Explain {
    Explain {
        layer: s.optional("layer", "a layer path such as \"features.18\""),
        queue_capacity: s.at_least_one("queue_capacity", 16),
    }
}

/// A version of a model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name: the folder's number, or "1" where the file stands beside model.toml.
    pub name: String,
    /// The artifact.
    pub file: PathBuf,
}

/// The versions of the model in `dir`, oldest first: `1/model.pt`, `2/model.pt` …, or `model.pt` alone.
///
/// # Errors
/// [`Error::InvalidModel`] when there is none.
pub fn versions(dir: &Path, artifact: &Artifact) -> Result<Vec<Version>> {
    let mut numbered: Vec<u64> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number: &u64| dir.join(number.to_string()).join(&artifact.file).is_file())
        .collect();
    numbered.sort_unstable();
    let version = |number: u64| Version {
        name: number.to_string(),
        file: dir.join(number.to_string()).join(&artifact.file),
    };
    let plain = dir.join(&artifact.file);
    if !numbered.is_empty() {
        Ok(numbered.into_iter().map(version).collect())
    } else if plain.is_file() {
        Ok(vec![Version {
            name: "1".into(),
            file: plain,
        }])
    } else {
        Err(Error::InvalidModel {
            problems: vec![format!(
                "{}: [artifact] file: there is no such file, nor {} in a numbered folder; put the exported model there",
                plain.display(),
                Path::new("1").join(&artifact.file).display()
            )],
        })
    }
}

#[cfg(test)]
mod tests;
