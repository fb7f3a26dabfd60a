//! Which tensor of what a program answers is the model's: the value of a dict under its key, or an element of a tuple.

use torch_bridge::Value;

use super::wrapped::Around;
use crate::error::{Error, Result};
use crate::manifest::{OutputKey, TaskKind};

/// Names of a dict's entries at most, in a message.
const NAMED: usize = 16;

/// Which part of what `forward` answers is the model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What model.toml says.
    key: Option<OutputKey>,
    /// Names under which libraries answer it.
    known: &'static [&'static str],
}

impl Selection {
    /// That of a model of this task; nothing where the task itself reads a dict or a tuple.
    #[must_use]
    pub fn of(task: TaskKind, key: Option<OutputKey>) -> Option<Self> {
        let known: &[&str] = match task {
            // As transformers call what their heads for regression answer, too.
            TaskKind::Classification | TaskKind::Regression => &["logits"],
            // torchvision's, transformers'.
            TaskKind::Segmentation => &["out", "logits"],
            // transformers': of Swin2SR, of depth estimators.
            TaskKind::ImageToImage => &["reconstruction", "predicted_depth"],
            // transformers': of CLIP and its kin, and of backbones.
            TaskKind::Embedding => &["image_embeds", "pooler_output"],
            _ if key.is_some() => &[],
            _ => return None,
        };
        Some(Self { key, known })
    }

    /// Takes it out of an answer. What is a single tensor, or has one alone, needs no key.
    fn take(&self, answer: Value) -> Result<Value> {
        match (answer, &self.key) {
            (Value::Dict(entries), key) => self.entry(entries, key.as_ref()),
            (Value::Tuple(parts) | Value::List(parts), Some(OutputKey::Index(index))) => {
                let count = parts.len();
                parts.into_iter().nth(*index).ok_or_else(|| {
                    refused(&format!(
                        "found {index}, but forward answers {count} values; count from 0"
                    ))
                })
            }
            (Value::Tuple(parts) | Value::List(parts), None) => only_tensor(parts),
            (answer, None) => Ok(answer),
            (answer, Some(key)) => {
                let by_place = match answer {
                    Value::Tuple(_) | Value::List(_) => {
                        "; say the place in it, counting from 0, without quotes"
                    }
                    _ => "",
                };
                let kind = answer.kind();
                Err(refused(&format!(
                    "found {key}, but forward answers a {kind}{by_place}"
                )))
            }
        }
    }

    fn entry(&self, entries: Vec<(Value, Value)>, key: Option<&OutputKey>) -> Result<Value> {
        let name = |key: &Value| match key {
            Value::String(name) => Some(name.clone()),
            _ => None,
        };
        let names: Vec<String> = entries.iter().filter_map(|(key, _)| name(key)).collect();
        let wanted = match key {
            Some(OutputKey::Name(wanted)) => Some(wanted.clone()),
            Some(OutputKey::Index(_)) => None,
            None if entries.len() == 1 => names.first().cloned(),
            None => {
                let is_there = |known: &&&str| names.iter().any(|name| name == **known);
                self.known.iter().find(is_there).map(|known| (*known).to_owned())
            }
        };
        let mut all = entries.into_iter();
        let found = all.find(|(key, _)| wanted.is_some() && name(key) == wanted);
        found.map(|(_, value)| value).ok_or_else(|| {
            let some: Vec<String> = names
                .iter()
                .take(NAMED)
                .map(|name| format!("\"{name}\""))
                .collect();
            refused(&format!(
                "forward answers a dict; say which of its entries is the answer: {}",
                some.join(", ")
            ))
        })
    }
}

/// The only tensor among `parts`: networks with auxiliary heads, such as torchvision's scripted GoogLeNet, answer `(logits,
/// None, None)`.
fn only_tensor(parts: Vec<Value>) -> Result<Value> {
    let count = parts.len();
    let mut tensors = parts.into_iter().filter(|part| !matches!(part, Value::None));
    match (tensors.next(), tensors.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(refused(&format!(
            "forward answers {count} values; say which of them is the answer, counting from 0"
        ))),
    }
}

fn refused(text: &str) -> Error {
    Error::model(format!("output.key: {text}"))
}

impl Around for Selection {
    fn after(&self, answer: Value) -> Result<Value> {
        self.take(answer)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn tensor(size: i64) -> Value {
        Value::Tensor(Tensor::zeros([size], (Kind::Float, Device::Cpu)))
    }

    fn dict(names: &[(&str, i64)]) -> Value {
        let entry = |&(name, size): &(&str, i64)| (Value::from(name), tensor(size));
        Value::Dict(names.iter().map(entry).collect())
    }

    fn taken(task: TaskKind, key: Option<OutputKey>, answer: Value) -> Result<i64, String> {
        let selection = Selection::of(task, key).expect("one tensor is its answer");
        let value = selection.take(answer).map_err(|error| error.to_string())?;
        let tensor = value.into_tensor().map_err(|error| error.to_string())?;
        Ok(tensor.size()[0])
    }

    #[test]
    fn the_answer_is_found_by_its_key_or_a_known_name_or_alone() {
        use TaskKind::{Classification, Segmentation};
        let name = |name: &str| Some(OutputKey::Name(name.into()));
        let two = || dict(&[("features", 512), ("logits", 10)]);
        assert_eq!(taken(Classification, None, two()), Ok(10));
        assert_eq!(taken(Classification, name("features"), two()), Ok(512));
        assert_eq!(taken(Segmentation, None, dict(&[("out", 3), ("aux", 4)])), Ok(3));
        assert_eq!(taken(Classification, None, dict(&[("scores", 7)])), Ok(7));
        assert_eq!(taken(Classification, None, tensor(5)), Ok(5));
        let heads = || Value::Tuple(vec![tensor(512), tensor(10)]);
        assert_eq!(taken(Classification, Some(OutputKey::Index(1)), heads()), Ok(10));
        let auxiliary = Value::Tuple(vec![tensor(10), Value::None, Value::None]);
        assert_eq!(taken(Classification, None, auxiliary), Ok(10));
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_what_there_is() {
        use TaskKind::Classification;
        let refused = |key, answer| taken(Classification, key, answer).expect_err("refused");
        let unknown = refused(None, dict(&[("a", 1), ("b", 2)]));
        assert!(
            unknown.contains("output.key") && unknown.contains("\"a\", \"b\""),
            "{unknown}"
        );
        let wrong = refused(Some(OutputKey::Name("c".into())), dict(&[("a", 1), ("b", 2)]));
        assert!(wrong.contains("\"a\", \"b\""), "{wrong}");
        let heads = || Value::Tuple(vec![tensor(512), tensor(10)]);
        assert!(refused(None, heads()).contains("answers 2 values"));
        assert!(refused(Some(OutputKey::Index(2)), heads()).contains("count from 0"));
        assert!(refused(Some(OutputKey::Index(0)), tensor(3)).contains("answers a"));
    }
}
