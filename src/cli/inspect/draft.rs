//! The text of a model.toml.

use std::path::Path;

use super::guess::{Guess, Pictures};
use super::probe::{Fed, Run};
use super::seen::{Numbers, Seen};
use crate::manifest::Dtype;
use crate::tasks::Labels;

/// Files that may hold the labels of a model, beside it.
const LABELS: [&str; 6] = [
    "labels.txt",
    "classes.txt",
    "class_names.txt",
    "names.txt",
    "vocabulary.txt",
    "vocab.txt",
];

/// Sides of pictures that nobody cuts from larger ones, nor takes for those of ImageNet, at most.
const SMALL: u32 = 64;

/// Where comments begin.
const COMMENTS: usize = 27;

/// The file of labels beside `file` that has one for each of `classes`, if there is one.
pub(super) fn labels_beside(file: &Path, classes: Option<i64>) -> Option<(&'static str, Labels)> {
    let read = |name: &'static str| Some((name, Labels::read(&file.with_file_name(name)).ok()?));
    let fits = |(_, labels): &(&str, Labels)| classes.is_none_or(|classes| labels.len() as i64 == classes);
    LABELS.into_iter().filter_map(read).find(fits)
}

/// A line with a comment behind it.
fn line(text: &mut String, key: &str, comment: &str) {
    let width = COMMENTS.max(key.len() + 1);
    let comment = if comment.is_empty() {
        String::new()
    } else {
        format!("# {comment}")
    };
    text.push_str(format!("{key:<width$}{comment}").trim_end());
    text.push('\n');
}

fn head(task: &str, why: &str, file: &Path) -> String {
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut text = String::new();
    line(&mut text, &format!("task = \"{task}\""), why);
    line(&mut text, "description = \"…\"", "");
    line(&mut text, "\n[artifact]", "");
    line(&mut text, &format!("file = {}", toml::Value::String(name)), "");
    text
}

/// A model of pictures that may be so, and what its first layers have seen.
pub(super) fn of_pictures(
    file: &Path,
    run: &Run,
    (guess, seen): (&Guess, Option<&Seen>),
    labels: Option<&str>,
) -> String {
    let mut text = head(guess.task, &guess.why, file);
    input(&mut text, run, guess, seen);
    let has_output = labels.is_some() || !guess.keys.is_empty();
    if has_output {
        line(&mut text, "\n[output]", "");
    }
    if let Some(labels) = labels {
        line(
            &mut text,
            &format!("labels = \"{labels}\""),
            "one a line, in the order of the outputs",
        );
    }
    for (name, value) in &guess.keys {
        line(&mut text, &format!("{name} = {value}"), "");
    }
    text
}

/// The same for a module that does not keep the rows of a batch apart.
pub(super) fn alone(mut text: String) -> String {
    line(&mut text, "\n[batching]", "");
    line(
        &mut text,
        "max_batch_size = 1",
        "the module does not keep the rows of a batch apart",
    );
    text
}

fn input(text: &mut String, run: &Run, guess: &Guess, seen: Option<&Seen>) {
    let (channels, size, other_sizes) = match &run.input {
        Fed::Pictures {
            channels,
            size,
            other_sizes,
        } => (*channels, *size, *other_sizes),
        Fed::List { channels, size } => (*channels, *size, true),
        Fed::Tensors(_) => return,
    };
    line(text, "\n[input]", "");
    let others = if other_sizes {
        "it runs with others too: say what the model was trained on"
    } else {
        "it runs with no other that was tried; --size tries the one that it was trained on"
    };
    let (height, width) = size;
    line(
        text,
        &format!("size = [{height}, {width}]"),
        &format!("height, width; {others}"),
    );
    let how = "as the training did: shorter_side, stretch, letterbox or none";
    match guess.pictures {
        Pictures::ImageNet if guess.task == "classification" && height == width => {
            line(text, "resize = \"shorter_side\"", how);
            if height > SMALL {
                // What torchvision's recipes cut 224 pixels from.
                let whole = (f64::from(height) * 256.0 / 224.0).round();
                line(text, &format!("resize_to = {whole}"), "");
            }
        }
        Pictures::Letterbox => line(text, "resize = \"letterbox\"", how),
        Pictures::ImageNet | Pictures::Plain => line(text, "resize = \"stretch\"", how),
    }
    if channels == 1 {
        line(text, "color = \"gray\"", "");
    }
    let usual = match guess.pictures {
        Pictures::ImageNet if height.max(width) > SMALL => Numbers::ImageNet,
        _ => Numbers::Plain,
    };
    normalisation(text, channels, usual, seen);
}

/// `mean` and `std`, by what the first layers have seen, else the usual ones.
fn normalisation(text: &mut String, channels: u32, usual: Numbers, seen: Option<&Seen>) {
    let told = seen.and_then(Seen::numbers);
    let numbers = told.unwrap_or(usual);
    let is_of_imagenet = numbers == Numbers::ImageNet && channels == 3;
    let whose = if is_of_imagenet { "ImageNet's; " } else { "" };
    let why = match (seen, told) {
        (Some(seen), Some(_)) => format!("the first batch norm has seen {seen}"),
        (Some(seen), None) => {
            format!("as the training did: the first batch norm has seen {seen}, which several ways give")
        }
        _ => "as the training did, which the file does not tell".to_owned(),
    };
    let (mean, std) = numbers.mean_and_std(channels);
    line(text, &format!("mean = {mean:?}"), &format!("{whose}{why}"));
    line(text, &format!("std = {std:?}"), "");
}

/// A named tensor of model.toml.
pub(super) struct Named {
    /// Its name.
    pub name: String,
    /// As model.toml writes it.
    pub dtype: Dtype,
    /// With −1 for any size.
    pub shape: Vec<i64>,
}

/// A model of tensors.
pub(super) fn of_tensors(file: &Path, why: &str, inputs: &[Named], outputs: &[Named]) -> String {
    let mut text = head("tensor", why, file);
    for (table, tensors) in [("inputs", inputs), ("outputs", outputs)] {
        for tensor in tensors {
            line(&mut text, &format!("\n[[{table}]]"), "");
            line(
                &mut text,
                &format!("name = {}", toml::Value::String(tensor.name.clone())),
                "",
            );
            line(&mut text, &format!("dtype = \"{}\"", tensor.dtype.name()), "");
            line(&mut text, &format!("shape = {:?}", tensor.shape), "");
        }
    }
    text
}
