//! What a module's answer may mean: tasks and contracts, the likeliest first. Each is held against the contract afterwards,
//! so a guess may be wrong, and the order decides only where two contracts fit.

use tch::Tensor;
use torch_bridge::Value;

use super::entrance::Entrance;
use super::facts::{Facts, Part};
use super::guess::{Guess, Range};
use super::guess_rows;
use super::guess_tensor::of_tensor;
use super::probe::Run;
use crate::error::Result;

/// Entries of a dict that are named at most.
const MOST_NAMED: usize = 8;

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
    // The authors of DETR say `pred_logits`, transformers `logits`.
    let of_queries = entry("logits").or_else(|| entry("pred_logits"));
    if let (Some(logits), Some(_)) = (of_queries, entry("pred_boxes")) {
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
            "image_to_image" if name == "predicted_depth" => Guess::image(why, Range::MinMax),
            "image_to_image" => Guess::image(why, Range::Input),
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
    use torch_bridge::Generator;

    use super::*;
    use crate::cli::inspect::probe::Fed;

    #[test]
    fn a_detector_of_queries_is_told_by_the_names_of_its_authors_and_of_transformers() {
        let noise = |size: &[i64]| {
            Generator::new(1)
                .and_then(|mut generator| generator.normal(size))
                .expect("noise")
        };
        for name in ["logits", "pred_logits"] {
            let answer = || {
                let entry = |name: &str, tensor| (Value::String(name.to_owned()), Value::Tensor(tensor));
                Value::Dict(vec![
                    entry(name, noise(&[1, 10, 5])),
                    entry("pred_boxes", noise(&[1, 10, 4]).sigmoid()),
                ])
            };
            let run = Run {
                input: Fed::Pictures {
                    channels: 3,
                    size: (64, 96),
                    other_sizes: true,
                },
                output: answer(),
                other: answer(),
                batches: true,
            };
            let picture = noise(&[1, 3, 64, 96]);
            let guesses = of_pictures(&run, &Entrance::ending_in(&[5, 4], true), [&picture, &picture])
                .expect("numbers");
            let first = guesses.first().expect("a guess");
            assert_eq!(first.task, "detection", "{name}");
            assert!(
                first.keys.contains(&("format", "\"detr\"".to_owned())),
                "{name}: {first:?}"
            );
        }
    }
}
