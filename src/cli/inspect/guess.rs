//! What a module's answer may mean: tasks and contracts, the likeliest first. Each is held against the contract afterwards,
//! so a guess may be wrong, and the order decides only where two contracts fit.

use tch::Tensor;
use torch_bridge::Value;

use super::entrance::{Entrance, Taker};
use super::facts::{Facts, Part};
use super::guess_rows::{self, rows};
use super::probe::{Fed, Run};
use crate::error::Result;

/// Vectors of pictures have as many values at least.
const FEW: i64 = 64;

/// Entries of a dict that are named at most.
const MOST_NAMED: usize = 8;

/// A task with its `[output]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    /// As model.toml writes it.
    pub task: &'static str,
    /// Keys of `[output]` with their values, as TOML.
    pub keys: Vec<(&'static str, String)>,
    /// How pictures go in.
    pub pictures: Pictures,
    /// How many labels it needs, where that is known.
    pub classes: Option<i64>,
    /// What tells it, or what else it may be.
    pub why: String,
}

/// How pictures become the model's input, which its file does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pictures {
    /// From 0 to 1, less ImageNet's mean, by its deviation.
    ImageNet,
    /// From 0 to 1.
    Plain,
    /// From 0 to 1, whole, within a frame.
    Letterbox,
}

impl Guess {
    pub(super) fn new(task: &'static str, why: impl Into<String>) -> Self {
        Self {
            task,
            keys: Vec::new(),
            pictures: Pictures::ImageNet,
            classes: None,
            why: why.into(),
        }
    }

    /// Pictures and maps of pictures, whose values from black to white are those of `range`.
    pub(super) fn image(why: impl Into<String>, range: &str) -> Self {
        Self::new("image_to_image", why)
            .key("range", format!("\"{range}\""))
            .pictures(Pictures::Plain)
    }

    pub(super) fn key(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.keys.push((name, value.into()));
        self
    }

    pub(super) fn pictures(self, pictures: Pictures) -> Self {
        Self { pictures, ..self }
    }

    /// Whether its outputs have labels.
    pub(super) fn takes_labels(&self) -> bool {
        matches!(
            self.task,
            "classification" | "segmentation" | "detection" | "captioning"
        )
    }

    pub(super) fn classes(self, classes: i64) -> Self {
        Self {
            classes: Some(classes),
            ..self
        }
    }
}

/// What `forward` of pictures may be.
pub(super) fn of_pictures(run: &Run, entrance: &Entrance, inputs: [&Tensor; 2]) -> Result<Vec<Guess>> {
    let parts = Part::all_of([&run.output, &run.other], Some(inputs))?;
    Ok(match &run.output {
        Value::Tensor(_) => of_part(parts.first(), run, entrance),
        Value::Dict(_) => of_dict(&parts, run, entrance),
        Value::Tuple(_) | Value::List(_) => of_tuple(&parts, run, entrance),
        _ => Vec::new(),
    })
}

fn of_part(part: Option<&Part>, run: &Run, entrance: &Entrance) -> Vec<Guess> {
    let facts = part.and_then(|part| part.facts.as_ref());
    facts
        .map(|facts| of_tensor(facts, run, entrance))
        .unwrap_or_default()
}

/// One tensor.
fn of_tensor(facts: &Facts, run: &Run, entrance: &Entrance) -> Vec<Guess> {
    match facts.shape[..] {
        [_] => vec![Guess::new("regression", "forward answers one number a picture")],
        [_, values] => of_vector(facts, values, entrance),
        [_, _, _] => rows(facts, run),
        [_, channels, _, _] => of_maps(facts, channels, run, entrance),
        _ => Vec::new(),
    }
}

fn of_vector(facts: &Facts, values: i64, entrance: &Entrance) -> Vec<Guess> {
    let shown = format!("forward answers [B, {values}]");
    let embedding = || {
        Guess::new(
            "embedding",
            format!("{shown}, and no layer of it tells classes apart"),
        )
    };
    let classification = |activation: &str, why: &str| {
        let of_two = values == 1;
        Guess::new("classification", format!("{shown}{why}"))
            .key("activation", format!("\"{activation}\""))
            .classes(if of_two { 2 } else { values })
    };
    if facts.is_whole {
        return Vec::new();
    }
    if facts.is_unit && values > 1 && !facts.sums_to_one {
        let unit = Guess::new("embedding", format!("{shown}, vectors of length 1"));
        return vec![unit, classification("none", "")];
    }
    if values == 1 {
        let sigmoid = if facts.are_probabilities() {
            "none"
        } else {
            "sigmoid"
        };
        let binary = classification(sigmoid, ", one logit for two classes");
        let regression = Guess::new(
            "regression",
            format!(
                "{shown}, one number; of two classes that is task = \"classification\" with activation = \"{sigmoid}\""
            ),
        );
        return vec![regression, binary];
    }
    let classes = match (facts.are_probabilities(), facts.sums_to_one) {
        (true, true) => classification("none", ", probabilities already"),
        (true, false) => classification("none", ", each from 0 to 1 already"),
        (false, _) => classification(
            "softmax",
            ", logits; of classes that do not rule each other out it is \"sigmoid\"",
        ),
    };
    // A norm or a projection without a bias at the end is no layer that tells classes apart.
    let ends_in_classes = entrance
        .last
        .is_none_or(|last| last.mixes && last.has_bias && last.outputs == values);
    // The width of a network is what its layers take, too; no layer takes the classes.
    let is_width = values >= FEW && entrance.takers.contains(&Taker::Vector { values });
    let ends_in_head = entrance.last.is_none_or(|last| last.has_bias && last.mixes);
    let has_head = !is_width && (ends_in_classes || entrance.heads.contains(&values) && ends_in_head);
    if has_head || values < FEW || facts.are_probabilities() {
        vec![classes, embedding()]
    } else {
        vec![embedding(), classes]
    }
}

/// `[B, C, h, w]`.
fn of_maps(facts: &Facts, channels: i64, run: &Run, entrance: &Entrance) -> Vec<Guess> {
    let Fed::Pictures {
        size,
        channels: given,
        ..
    } = run.input
    else {
        return Vec::new();
    };
    let shown = format!("forward answers [B, {channels}, h, w]");
    let (rows, height) = (facts.shape[2], i64::from(size.0));
    let is_larger = rows > height;
    let range = if channels == 1 { "minmax" } else { "input" };
    let image = |why: &str| Guess::image(format!("{shown}{why}"), range);
    let segmentation = |activation: &str, why: &str| {
        Guess::new("segmentation", format!("{shown}{why}"))
            .key("activation", format!("\"{activation}\""))
            .classes(if channels == 1 { 2 } else { channels })
    };
    if facts.is_whole || rows < 2 {
        return Vec::new();
    }
    if channels == 1 {
        // A depth is never below 0, and goes beyond 1.
        let is_named = entrance.kinds.iter().any(|kind| kind.contains("Depth"));
        let is_depth = is_named || facts.range.0 >= 0.0 && facts.range.1 > 1.0;
        let activation = if facts.are_probabilities() {
            "none"
        } else {
            "sigmoid"
        };
        let mask = segmentation(
            activation,
            ", a mask; a map of numbers such as a depth is task = \"image_to_image\"",
        );
        let map = image(", a map of numbers; a mask is task = \"segmentation\"");
        return if is_depth || facts.follows_input || is_larger {
            vec![map, mask]
        } else {
            vec![mask, map]
        };
    }
    let activation = if facts.are_probabilities() && facts.sums_to_one {
        "none"
    } else {
        "softmax"
    };
    let masks = segmentation(
        activation,
        ", a mask of each class; of classes that overlap it is activation = \"sigmoid\"",
    );
    let is_picture = channels == 3 && (is_larger || facts.follows_input) && given > 0;
    if is_picture {
        vec![image(", a picture"), masks]
    } else if channels == 3 {
        vec![masks, image(", a picture")]
    } else {
        vec![masks]
    }
}

/// A dict: entries that libraries name alike, or each that fits a contract.
fn of_dict(parts: &[Part], run: &Run, entrance: &Entrance) -> Vec<Guess> {
    /// What libraries call the answer, and the task that has it.
    const KNOWN: [(&str, &str, &str); 5] = [
        ("image_embeds", "embedding", "is the vector of a picture"),
        ("pooler_output", "embedding", "is the vector of a picture"),
        ("embedding", "embedding", "is the vector of a picture"),
        ("predicted_depth", "image_to_image", "is a depth for each pixel"),
        ("reconstruction", "image_to_image", "is a picture"),
    ];
    let entry = |name: &str| parts.iter().find(|part| part.name.as_deref() == Some(name));
    if let (Some(logits), Some(_)) = (entry("logits"), entry("pred_boxes")) {
        return logits
            .facts
            .as_ref()
            .map(|logits| guess_rows::detr(logits, entrance))
            .unwrap_or_default();
    }
    if let Some(known) = entry("logits").or_else(|| entry("out")) {
        return of_part(Some(known), run, entrance);
    }
    if let Some((name, task, what)) = KNOWN.into_iter().find(|(name, ..)| entry(name).is_some()) {
        let why = format!("entry \"{name}\" {what}");
        let guess = match task {
            "image_to_image" if name == "predicted_depth" => Guess::image(why, "minmax"),
            "image_to_image" => Guess::image(why, "input"),
            _ => Guess::new(task, why),
        };
        return vec![guess.key("key", format!("\"{name}\""))];
    }
    // What queries say of classes and of masks means something together alone.
    let is_of_queries = |part: &Part| part.name.as_deref().is_some_and(|name| name.contains("queries"));
    if parts.iter().any(is_of_queries) {
        return Vec::new();
    }
    let chosen = parts
        .iter()
        .filter_map(|part| Some((part, part.name.as_deref()?)));
    let of_entry = |(part, name): (&Part, &str)| {
        let others = parts
            .iter()
            .filter_map(|other| other.name.clone().filter(|other| other != name));
        let others: Vec<String> = others.take(MOST_NAMED).collect();
        let note = if others.is_empty() {
            String::new()
        } else {
            format!("; there is {} too", others.join(", "))
        };
        let keyed = |guess: Guess| {
            let why = format!("entry \"{name}\": {}{note}", guess.why);
            Guess { why, ..guess }.key("key", format!("{name:?}"))
        };
        of_part(Some(part), run, entrance)
            .into_iter()
            .map(keyed)
            .collect::<Vec<_>>()
    };
    chosen.flat_map(of_entry).collect()
}

/// A tuple: the contracts of detectors, or each element that fits a contract, heads before features.
fn of_tuple(parts: &[Part], run: &Run, entrance: &Entrance) -> Vec<Guess> {
    let facts: Vec<Option<&Facts>> = parts.iter().map(|part| part.facts.as_ref()).collect();
    let dimensions: Vec<usize> = facts
        .iter()
        .map(|facts| facts.map_or(0, |facts| facts.shape.len()))
        .collect();
    match (&dimensions[..], &facts[..]) {
        ([3, 4, ..], [Some(rows), ..]) => return vec![guess_rows::with_prototypes(rows)],
        ([3, 3], [Some(one), Some(other)]) => return guess_rows::boxes_and_scores(one, other, entrance),
        // Ultralytics answers its rows first, and then the maps that they were made of.
        ([3, 0], _) if !parts[1].is_none => return of_part(parts.first(), run, entrance),
        _ => {}
    }
    let is_alone = parts.iter().filter(|part| !part.is_none).count() == 1;
    if is_alone {
        return of_part(parts.iter().find(|part| !part.is_none), run, entrance);
    }
    let is_head = |index: &usize| {
        let shape = facts[*index].map(|facts| facts.shape.as_slice());
        matches!(shape, Some([_, values]) if entrance.heads.contains(values))
    };
    let (heads, others): (Vec<usize>, Vec<usize>) = (0..parts.len()).partition(is_head);
    let of_element = |index: usize| {
        let keyed = |guess: Guess| {
            let why = format!("element {index} of {}: {}", parts.len(), guess.why);
            Guess { why, ..guess }.key("key", index.to_string())
        };
        of_part(parts.get(index), run, entrance)
            .into_iter()
            .map(keyed)
            .collect::<Vec<_>>()
    };
    heads.into_iter().chain(others).flat_map(of_element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shape: &[i64], range: (f64, f64)) -> Facts {
        Facts {
            shape: shape.to_vec(),
            range,
            sums_to_one: false,
            is_unit: false,
            follows_input: false,
            is_whole: false,
            score_rows: 0,
        }
    }

    fn run() -> Run {
        Run {
            input: Fed::Pictures {
                channels: 3,
                size: (64, 96),
                other_sizes: true,
            },
            output: Value::None,
            other: Value::None,
            batches: true,
        }
    }

    fn entrance(heads: &[i64], has_bias: bool) -> Entrance {
        Entrance::ending_in(heads, has_bias)
    }

    fn first(facts: &Facts, entrance: &Entrance) -> (&'static str, Option<String>) {
        let guess = of_tensor(facts, &run(), entrance).into_iter().next();
        let guess = guess.unwrap_or_else(|| Guess::new("tensor", ""));
        let activation = guess.keys.iter().find(|(name, _)| *name == "activation");
        (guess.task, activation.map(|(_, value)| value.clone()))
    }

    #[test]
    fn a_vector_is_classes_or_an_embedding_or_a_number() {
        let quoted = |word: &str| Some(format!("\"{word}\""));
        let head = entrance(&[1000], true);
        let logits = facts(&[1, 1000], (-3.0, 9.0));
        assert_eq!(first(&logits, &head), ("classification", quoted("softmax")));
        let probabilities = Facts {
            sums_to_one: true,
            ..facts(&[1, 1000], (0.0, 0.4))
        };
        assert_eq!(first(&probabilities, &head), ("classification", quoted("none")));
        // A projection without a bias, and a vector of length 1.
        assert_eq!(
            first(&facts(&[1, 512], (-1.0, 1.0)), &entrance(&[512], false)),
            ("embedding", None)
        );
        let unit = Facts {
            is_unit: true,
            ..facts(&[1, 128], (-0.5, 0.5))
        };
        assert_eq!(first(&unit, &entrance(&[128], true)), ("embedding", None));
        assert_eq!(first(&facts(&[1, 1], (3.0, 9.0)), &head).0, "regression");
        assert_eq!(first(&facts(&[1], (3.0, 9.0)), &head).0, "regression");
    }

    #[test]
    fn maps_are_masks_or_pictures() {
        let quoted = |word: &str| Some(format!("\"{word}\""));
        let none = entrance(&[], true);
        let shape = |channels, rows| [1, channels, rows, rows * 3 / 2];
        let masks = facts(&shape(21, 64), (-4.0, 4.0));
        assert_eq!(first(&masks, &none), ("segmentation", quoted("softmax")));
        assert_eq!(
            first(&facts(&shape(1, 64), (-4.0, 4.0)), &none),
            ("segmentation", quoted("sigmoid"))
        );
        assert_eq!(
            first(&facts(&shape(1, 64), (0.0, 0.9)), &none),
            ("segmentation", quoted("none"))
        );
        assert_eq!(
            first(&facts(&shape(1, 64), (0.5, 70.0)), &none).0,
            "image_to_image"
        );
        assert_eq!(
            first(&facts(&shape(3, 128), (0.0, 1.0)), &none).0,
            "image_to_image"
        );
        let denoised = Facts {
            follows_input: true,
            ..facts(&shape(3, 64), (0.0, 1.0))
        };
        assert_eq!(first(&denoised, &none).0, "image_to_image");
        assert_eq!(first(&facts(&[1, 3, 1, 1], (0.0, 1.0)), &none).0, "tensor");
    }
}
