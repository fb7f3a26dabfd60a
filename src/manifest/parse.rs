//! From the text of a model.toml to a [`Manifest`], or to all of its problems.

use std::path::Path;
use std::time::Duration;

use super::file::read_text;
use super::keys::{ArtifactFormat, DetectionFormat, Input, Manifest, TaskKind};
use super::reader::Section;
use super::sections;
use super::serving::serving;
use super::tensors::tensors;
use crate::error::{Error, Result, excerpt};
use crate::image::ResizeMode;

/// Bytes of the largest batch at most; of pictures as 32-bit floats.
const MOST_INPUT_BYTES: u64 = 1 << 30;

/// Bytes of a model.toml at most.
const MOST_BYTES: u64 = 1 << 20;

/// Problems that are told of one file.
const MOST_PROBLEMS: usize = 50;

const TASKS: &str = "one of \"classification\", \"segmentation\", \"detection\", \"captioning\", \"vae\", \
                     \"embedding\", \"regression\", \"image_to_image\", \"tensor\"";

impl Manifest {
    /// Reads `dir/model.toml`.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] with every problem of the file.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join("model.toml");
        let problem = |text: String| Error::model(format!("{}: {text}", file.display()));
        let text = read_text(&file, MOST_BYTES).map_err(|e| problem(format!("cannot be read: {e}")))?;
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
        let table: toml::Table = toml::from_str(text).map_err(|e| vec![not_toml(text, &e)])?;
        let mut problems = Vec::new();
        let mut root = Section::root(table, &mut problems);
        let task = root.required("task", TASKS);
        let description = root.optional("description", "text").unwrap_or_default();
        let required = root.optional("required", "true or false").unwrap_or(true);
        let artifact = root.section("artifact", sections::artifact);
        let input = if task == Some(TaskKind::Tensor) {
            tensors(&mut root).map(Input::Tensors)
        } else {
            root.section("input", sections::image_input).map(Input::Image)
        };
        let output = root.section("output", |s| sections::output(s, task));
        let batching = root.section("batching", sections::batching);
        let instances = root.section("instances", sections::instances);
        let explain = root.section("explain", sections::explain);
        let versions = root.section("versions", serving);
        let unload_after = unload_after(&mut root);
        let of_one = input.as_ref().map(bytes_of_one);
        if let Some((bytes, what)) = of_one {
            let largest = bytes.saturating_mul(batching.max_batch_size as u64);
            root.check(largest <= MOST_INPUT_BYTES, "batching.max_batch_size", || {
                let (found, most) = (batching.max_batch_size, MOST_INPUT_BYTES / bytes);
                format!("found {found}; of {what} a batch of more than {most} is too large")
            });
        }
        let turned = output.detection.as_ref().map(|keys| keys.format) == Some(DetectionFormat::YoloObb);
        if let (true, Some(Input::Image(input))) = (turned, &input) {
            root.check(input.fit.mode != ResizeMode::Stretch, "input.resize", || {
                "found \"stretch\", which makes a rectangle that stands askew into none; `yolo_obb` needs \"letterbox\", \
                 \"shorter_side\" or \"none\""
                    .into()
            });
        }
        if artifact.format == Some(ArtifactFormat::Aoti) {
            let tensors = match &input {
                Some(Input::Tensors(tensors)) => Some(tensors),
                _ => None,
            };
            sections::check_packaged(&mut root, task, &output, &instances, tensors);
        }
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
                versions,
                unload_after,
            }),
            _ => Err(told(problems)),
        }
    }
}

/// How long a model that nobody asks for stays in memory.
fn unload_after(root: &mut Section<'_>) -> Option<Duration> {
    /// A year.
    const MOST: u64 = 365 * 24 * 3600;
    let expected = format!("a number of seconds from 1 to {MOST}");
    let seconds: u64 = root.optional("unload_after_s", &expected)?;
    root.check((1..=MOST).contains(&seconds), "unload_after_s", || {
        format!("found {seconds}, expected {expected}")
    });
    Some(Duration::from_secs(seconds))
}

/// Bytes of one of a batch, and what it is.
fn bytes_of_one(input: &Input) -> (u64, String) {
    match input {
        Input::Image(input) => {
            let (height, width) = input.fit.size;
            let bytes = u64::from(height) * u64::from(width) * input.mean.len() as u64 * 4;
            (bytes, format!("pictures of {height}×{width}"))
        }
        Input::Tensors(tensors) => (tensors.bytes(), format!("inputs of {} bytes", tensors.bytes())),
    }
}

/// What is not TOML and where, without the line itself, which may be of any length.
fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let why = excerpt(error.message());
    format!("is not TOML: line {line}, column {column}: {why}")
}

/// As many as are told, and how many more there are.
fn told(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    if more > 0 {
        problems.truncate(MOST_PROBLEMS);
        problems.push(format!("and {more} more problems"));
    }
    problems
}
