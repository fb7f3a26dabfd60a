//! What tasks with methods of their own have beside pictures: captioners and autoencoders.

use tch::{Kind, Tensor};
use torch_bridge::{Module, Value};

use super::draft::labels_beside;
use super::entrance::Entrance;
use super::guess::{Guess, Pictures};
use super::probe::{Fed, Prober, Run, keeps_aspect};
use crate::error::Result;

/// Names of the tokens that captions begin with, and end with.
const STARTS: [&str; 6] = ["<start>", "<sos>", "<bos>", "<s>", "[CLS]", "startseq"];
const ENDS: [&str; 6] = ["<end>", "<eos>", "</s>", "[SEP]", "endseq", "<stop>"];

/// The method that pictures go into: that of a captioner, of an autoencoder, else `forward`.
pub(super) fn first(module: &Module) -> &'static str {
    let has = |name: &str| module.method(name).is_ok();
    let pairs = [("start", "step"), ("encode", "decode")];
    let other = pairs.into_iter().find(|(first, then)| has(first) && has(then));
    other.map_or("forward", |(first, _)| first)
}

/// A run of the first method of a captioner or an autoencoder, and what it is; nothing for other modules.
pub(super) fn of_methods(prober: &Prober<'_>, file: &std::path::Path) -> Result<Option<(Run, Guess)>> {
    let module = prober.module;
    let first = first(module);
    if first == "start" {
        let run = prober.pictures(first, &Entrance::of(module, first)?, &keeps_aspect)?;
        return Ok(run.map(|run| {
            let guess = captioner(prober, &run, file);
            (run, guess)
        }));
    }
    if first == "encode" {
        let guess = Guess::new("vae", "the module encodes and decodes").pictures(Pictures::Plain);
        let comes_back = |encoded: &Value, size| is_decoded(prober, encoded, size);
        let run = prober.pictures(first, &Entrance::of(module, first)?, &comes_back)?;
        return Ok(run.map(|run| (run, guess)));
    }
    Ok(None)
}

/// Whether the mean of what was encoded is decoded to a picture of this size.
fn is_decoded(prober: &Prober<'_>, encoded: &Value, (height, width): (u32, u32)) -> bool {
    let Some(mean) = encoded.tensors().first().map(|mean| mean.shallow_clone()) else {
        return false;
    };
    let size = match prober.call("decode", &[Value::Tensor(mean)]) {
        Some(Value::Tensor(decoded)) => decoded.size(),
        _ => return false,
    };
    matches!(size[..], [.., rows, columns] if (rows, columns) == (i64::from(height), i64::from(width)))
}

fn captioner(prober: &Prober<'_>, run: &Run, file: &std::path::Path) -> Guess {
    let guess = Guess::new("captioning", "the module starts and steps").pictures(Pictures::ImageNet);
    let Some((words, cells)) = step(prober, run) else {
        return guess;
    };
    let labels = labels_beside(file, Some(words));
    let mut guess = guess.classes(words);
    for (key, known) in [("start_token", STARTS), ("end_token", ENDS)] {
        let has = |token: &&str| {
            labels
                .as_ref()
                .is_some_and(|(_, labels)| labels.names().iter().any(|name| name == token))
        };
        if let Some(token) = known.into_iter().find(has) {
            guess = guess.key(key, format!("\"{token}\""));
        }
    }
    match (cells, &run.input) {
        (Some(cells), Fed::Pictures { size, .. }) => match grid(cells, *size) {
            Some((rows, columns)) => guess.key("attention_grid", format!("[{rows}, {columns}]")),
            None => guess,
        },
        _ => guess,
    }
}

/// How many words a step chooses from, and over how many cells its attention is.
fn step(prober: &Prober<'_>, run: &Run) -> Option<(i64, Option<i64>)> {
    let Value::Tuple(started) = &run.output else {
        return None;
    };
    let [memory, state] = &started[..] else {
        return None;
    };
    let token = Value::Tensor(Tensor::zeros([1], (Kind::Int64, tch::Device::Cpu)));
    let answer = prober.call("step", &[token, memory.shallow_clone(), state.shallow_clone()])?;
    let Value::Tuple(parts) = answer else { return None };
    let last = |value: Option<&Value>| match value {
        Some(Value::Tensor(tensor)) => tensor.size().last().copied(),
        _ => None,
    };
    Some((last(parts.first())?, last(parts.get(2))))
}

/// Rows and columns of so many cells with the aspect of the picture.
fn grid(cells: i64, (height, width): (u32, u32)) -> Option<(i64, i64)> {
    let aspect = f64::from(height) / f64::from(width);
    let fits =
        |rows: &i64| cells % rows == 0 && (*rows as f64 / (cells / rows) as f64 / aspect - 1.0).abs() < 0.1;
    (1..=cells).find(fits).map(|rows| (rows, cells / rows))
}
