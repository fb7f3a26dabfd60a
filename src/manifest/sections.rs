//! The sections of a model.toml: their keys, defaults and bounds.

use std::path::{Component, Path};
use std::time::Duration;

use super::detection;
use super::keys::{
    Activation, Artifact, Batching, CaptioningOutput, DetectionFormat, DetectionOutput, DeviceChoice,
    Explain, ImageInput, Instances, Output, Precision, TaskKind,
};
use super::outputs;
use super::reader::Section;
use super::segmentation;
use super::temperature::{self, Temperature};
use super::tensors::{Dtype, TensorInput, Tensors};
use crate::image::{Color, Fit, Interpolation, ResizeMode};

/// Inputs that may wait for a model at most.
const MOST_WAITING: usize = 65_536;

/// Threads of one instance at most.
const MOST_THREADS: usize = 1024;

pub(super) fn artifact(s: &mut Section<'_>) -> Artifact {
    let file: Option<String> = s.optional("file", "a file name such as \"model.pt\"");
    let is_name = |file: &String| Path::new(file).components().count() == 1 && !file.starts_with('.');
    s.check(file.as_ref().is_none_or(is_name), "file", || {
        let found = file.as_deref().unwrap_or_default();
        format!("found \"{found}\", expected a file name inside the model's folder, such as \"model.pt\"")
    });
    let format = s.optional("format", "\"torchscript\", \"exported\" or \"aoti\"");
    let sha256: Option<String> = s.optional("sha256", "64 hexadecimal digits");
    let sha256 = sha256.map(|digest| digest.to_ascii_lowercase());
    let is_digest = |d: &String| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit());
    s.check(sha256.as_ref().is_none_or(is_digest), "sha256", || {
        "expected 64 hexadecimal digits, as `sha256sum model.pt` prints them".into()
    });
    Artifact { file, format, sha256 }
}

/// A package is one compiled `forward` of tensors: not every task can do with that.
pub(super) fn check_packaged(
    root: &mut Section<'_>,
    task: Option<TaskKind>,
    output: &Output,
    instances: &Instances,
    tensors: Option<&Tensors>,
) {
    let is_torchvision = |d: &DetectionOutput| d.format == DetectionFormat::Torchvision;
    let has_other_methods = matches!(task, Some(TaskKind::Captioning | TaskKind::Vae));
    let fits = !has_other_methods && !output.detection.as_ref().is_some_and(is_torchvision);
    root.check(fits, "artifact.format", || {
        "found \"aoti\", which has `forward` of a batch alone; this model needs \"torchscript\" or \"exported\"".into()
    });
    root.check(
        instances.precision == Precision::F32,
        "instances.precision",
        || "a package has the precision that it was compiled with; leave this key out".into(),
    );
    let Some(tensors) = tensors else { return };
    // Compiled code reads its inputs as what it was compiled for, whatever they are.
    let is_fixed = |input: &TensorInput| input.spec.dtype != Dtype::F16 && !input.spec.has_open_inner_sizes();
    root.check(tensors.inputs.iter().all(is_fixed), "artifact.format", || {
        "found \"aoti\", which is compiled for fixed sizes and 32-bit floats; inputs of f16 or with open sizes beside the \
         batch need \"torchscript\" or \"exported\""
            .into()
    });
}

pub(super) fn image_input(s: &mut Section<'_>) -> Option<ImageInput> {
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
    let decoding = s
        .optional("decoding", "\"scaled\" or \"exact\"")
        .unwrap_or_default();
    let (scale, mean, std) = normalisation(s, channels);
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
        decoding,
    };
    Some(ImageInput {
        fit,
        scale,
        mean,
        std,
    })
}

/// The scale of a pixel, and what is subtracted and divided by in each of so many channels.
fn normalisation(s: &mut Section<'_>, channels: usize) -> (f64, Vec<f64>, Vec<f64>) {
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
    for (key, numbers) in [("mean", &mean), ("std", &std)] {
        s.check(numbers.len() == channels, key, || {
            format!("found {} numbers, expected {per_channel}", numbers.len())
        });
    }
    s.check(std.iter().all(|&v| v > 0.0), "std", || {
        "must be greater than 0 in every channel".into()
    });
    check_numbers(s, scale, &mean, &std);
    (scale, mean, std)
}

/// Checks that every pixel from 0 to 255 becomes a finite 32-bit float: `(scale · pixel − mean) / std`.
fn check_numbers(s: &mut Section<'_>, scale: f64, mean: &[f64], std: &[f64]) {
    // What is computed with is an f32.
    let is_finite = |value: f64| (value as f32).is_finite();
    let mut right = true;
    for (key, values) in [("scale", &[scale][..]), ("mean", mean), ("std", std)] {
        if let Some(found) = values.iter().find(|value| !is_finite(**value)) {
            right = false;
            s.check(false, key, || {
                format!("found {found:e}, expected a finite 32-bit float")
            });
        }
    }
    let pixel = |pixel: f64, (mean, std): (&f64, &f64)| {
        let (scaled, std) = ((scale * pixel) as f32, *std as f32);
        ((scaled - *mean as f32) / std).is_finite()
    };
    let holds = mean.iter().zip(std).all(|of| pixel(0.0, of) && pixel(255.0, of));
    // What is not greater than 0 is told of by itself.
    right &= std.iter().all(|&std| std > 0.0);
    s.check(!right || holds, "scale", || {
        "with this scale, mean and std a pixel from 0 to 255 is no finite 32-bit float: (scale · pixel − mean) / std".into()
    });
}

pub(super) fn output(s: &mut Section<'_>, task: Option<TaskKind>) -> Output {
    let is = |wanted: TaskKind| task == Some(wanted);
    // The others have no classes: labels and an activation would be read by nobody.
    let has_none = is(TaskKind::Embedding) || is(TaskKind::Regression) || is(TaskKind::ImageToImage);
    let (labels, activation) = if has_none {
        (None, None)
    } else {
        (
            labels(s),
            s.optional("activation", "\"softmax\", \"sigmoid\" or \"none\""),
        )
    };
    let of_task = activation.unwrap_or(if is(TaskKind::Detection) {
        Activation::None
    } else {
        Activation::Softmax
    });
    let has_scores = is(TaskKind::Classification) || is(TaskKind::Segmentation);
    let selects = has_none || has_scores;
    Output {
        labels,
        key: selects
            .then(|| {
                s.optional(
                    "key",
                    "the name of an entry such as \"logits\", or a place in a tuple such as 0",
                )
            })
            .flatten(),
        activation: of_task,
        temperature: match has_scores {
            true => temperature::read(s, of_task != Activation::None),
            false => Temperature::default(),
        },
        detection: is(TaskKind::Detection).then(|| detection::read(s, activation)),
        captioning: is(TaskKind::Captioning).then(|| captioning_output(s)),
        embedding: is(TaskKind::Embedding).then(|| outputs::embedding(s)),
        regression: is(TaskKind::Regression).then(|| outputs::regression(s)),
        picture: is(TaskKind::ImageToImage).then(|| outputs::picture(s)),
        segmentation: is(TaskKind::Segmentation).then(|| segmentation::read(s, of_task)),
    }
}

/// The name of the file of labels.
fn labels(s: &mut Section<'_>) -> Option<String> {
    let labels: Option<String> = s.optional("labels", "a file name such as \"labels.txt\"");
    let is_inside = |file: &String| {
        let mut parts = Path::new(file).components();
        parts.all(|part| matches!(part, Component::Normal(_)))
    };
    s.check(labels.as_ref().is_none_or(is_inside), "labels", || {
        "expected a file inside the model's folder, such as \"labels.txt\"".into()
    });
    labels
}

fn captioning_output(s: &mut Section<'_>) -> CaptioningOutput {
    let token = "a line of the labels file, such as \"<start>\"";
    CaptioningOutput {
        start_token: s
            .optional("start_token", token)
            .unwrap_or_else(|| "<start>".into()),
        end_token: s.optional("end_token", token).unwrap_or_else(|| "<end>".into()),
        max_length: s.count("max_length", 20, 512),
        attention_grid: s.optional("attention_grid", "[rows, columns], for instance [8, 8]"),
    }
}

pub(super) fn batching(s: &mut Section<'_>) -> Batching {
    let delay_ms: f64 = s
        .optional("max_delay_ms", "a number of milliseconds")
        .unwrap_or(0.0);
    s.check((0.0..=10_000.0).contains(&delay_ms), "max_delay_ms", || {
        format!("found {delay_ms}, expected 0 to 10000")
    });
    Batching {
        is_said: s.has("max_batch_size"),
        max_batch_size: s.count("max_batch_size", 16, 1024),
        max_delay: Duration::from_secs_f64(delay_ms.clamp(0.0, 10_000.0) / 1e3),
        queue_capacity: s.count("queue_capacity", 256, MOST_WAITING),
    }
}

pub(super) fn instances(s: &mut Section<'_>) -> Instances {
    let threads: usize = s
        .optional("threads", "a number of threads, 0 to share the cores")
        .unwrap_or(0);
    s.check(threads <= MOST_THREADS, "threads", || {
        format!("found {threads}, expected at most {MOST_THREADS}")
    });
    Instances {
        device: s
            .optional("device", "\"auto\", \"cpu\", \"cuda\" or \"cuda:1\"")
            .unwrap_or(DeviceChoice::Auto),
        count: s.count("count", 1, 64),
        threads,
        precision: s
            .optional("precision", "\"f32\", \"f16\", \"bf16\" or \"auto\"")
            .unwrap_or_default(),
        specialise: s.optional("specialise", "true or false").unwrap_or(true),
    }
}

pub(super) fn explain(s: &mut Section<'_>) -> Explain {
    let grid: Option<[u32; 2]> = s.optional("grid", "[rows, columns], for instance [14, 14]");
    let fits = grid.is_none_or(|sides| sides.iter().all(|side| (1..=8192).contains(side)));
    s.check(fits, "grid", || "each side must be from 1 to 8192".into());
    Explain {
        layer: s.optional("layer", "a layer path such as \"features.18\""),
        layout: s.optional("layout", "\"nchw\" or \"nhwc\""),
        grid,
        queue_capacity: s.count("queue_capacity", 64, MOST_WAITING),
    }
}
