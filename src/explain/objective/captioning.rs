//! A word: its log-probability after the words before it. The caption is the greedy one of the untouched image; for
//! every other copy the decoder is made to say it again (teacher forcing), word by word.

use std::sync::Arc;

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::runtime::Call;
use crate::runtime::staging::floats;
use crate::tasks::ModelSpec;
use crate::tasks::captioning::{Attention, Decoder, Vocabulary};

struct OfWords {
    spec: Arc<ModelSpec>,
    /// The caption, its end included.
    tokens: Vec<usize>,
    wanted: Vec<Wanted>,
    /// Of each token, where the model says that it looked.
    looks: Vec<Option<Attention>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Word(usize),
    Caption,
}

impl OfWords {
    /// `[n, tokens]`
    fn log_probs(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        let vocabulary = Vocabulary::of(&self.spec)?;
        let mut decoder = Decoder::resume(net, output.shallow_clone())?;
        let rows = decoder.rows()?;
        let mut previous = vocabulary.start;
        let mut columns = Vec::with_capacity(self.tokens.len());
        for &token in &self.tokens {
            let step = decoder.step(&vec![previous; rows])?;
            columns.push(step.log_probs.f_select(1, token as i64)?);
            previous = token;
        }
        Ok(Tensor::f_stack(&columns, 1)?)
    }
}

impl Objective for OfWords {
    fn scores(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        let log_probs = self.log_probs(net, output)?;
        let column = |wanted: &Wanted| -> Result<Tensor> {
            Ok(match wanted {
                Wanted::Word(index) => log_probs.f_select(1, *index as i64)?,
                Wanted::Caption => log_probs.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?,
            })
        };
        let columns = self.wanted.iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_stack(&columns, 1)?)
    }

    fn confidences(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        Ok(self.scores(net, output)?.f_exp()?)
    }

    fn attention(&self) -> Result<Vec<Attention>> {
        let of = |wanted: &Wanted| match wanted {
            Wanted::Word(index) => self.looks[*index].clone().ok_or_else(|| {
                Error::UnsupportedForTask(
                    "this captioner answers no attention, or its model.toml has no output.attention_grid"
                        .into(),
                )
            }),
            Wanted::Caption => Err(refused("attention explains a word at a time: words, or word=N")),
        };
        self.wanted.iter().map(of).collect()
    }
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let vocabulary = Vocabulary::of(untouched.spec)?;
    let said = say(untouched.net, output, &vocabulary)?;
    let text = |index: usize| untouched.spec.labels.name(said.tokens[index]);
    let words = said.tokens.len() - usize::from(said.tokens.last() == Some(&vocabulary.end));
    let texts: Vec<String> = (0..words).map(text).collect();
    let caption = texts.join(" ");
    let wanted = choose(target, &texts, said.tokens.len(), &caption)?;
    let resolved = |wanted: &Wanted| match *wanted {
        Wanted::Word(word) => ResolvedTarget::Word {
            word,
            text: text(word),
            log_prob: said.log_probs[word],
        },
        Wanted::Caption => ResolvedTarget::Caption {
            text: caption.clone(),
            log_prob: said.log_probs.iter().sum(),
        },
    };
    Ok(Resolved {
        targets: wanted.iter().map(resolved).collect(),
        objective: Box::new(OfWords {
            spec: Arc::clone(untouched.spec),
            tokens: said.tokens,
            wanted,
            looks: said.looks,
        }),
    })
}

/// A caption and how it came about.
struct Said {
    tokens: Vec<usize>,
    log_probs: Vec<f32>,
    looks: Vec<Option<Attention>>,
}

/// The greedy caption of one image.
fn say(net: &dyn Call, output: &Value, vocabulary: &Vocabulary<'_>) -> Result<Said> {
    let mut decoder = Decoder::resume(net, output.shallow_clone())?;
    let mut said = Said {
        tokens: Vec::new(),
        log_probs: Vec::new(),
        looks: Vec::new(),
    };
    let mut previous = vocabulary.start;
    while said.tokens.len() < vocabulary.keys.max_length && previous != vocabulary.end {
        let step = decoder.step(&[previous])?;
        let (best, token) = step.log_probs.f_select(0, 0)?.f_max_dim(0, false)?;
        previous = usize::try_from(i64::try_from(token)?).unwrap_or(0);
        said.tokens.push(previous);
        said.log_probs.push(f32::try_from(best)?);
        let look = step.attention.map(|attention| floats(&attention)).transpose()?;
        said.looks
            .push(look.and_then(|look| vocabulary.attention_map(&look)));
    }
    Ok(said)
}

fn choose(target: &Target, texts: &[String], tokens: usize, caption: &str) -> Result<Vec<Wanted>> {
    let words = texts.len();
    let said = || format!("the caption is \"{caption}\"");
    if words == 0 {
        return Err(Error::NothingDetected(
            "the model says nothing about this image, so there is no word to explain".into(),
        ));
    }
    match target {
        Target::Top | Target::All => Ok((0..words).map(Wanted::Word).collect()),
        Target::Caption => Ok(vec![Wanted::Caption]),
        Target::Word(index) | Target::Class(ClassName::Id(index)) if *index < tokens => {
            Ok(vec![Wanted::Word(*index)])
        }
        Target::Word(index) | Target::Class(ClassName::Id(index)) => Err(refused(format!(
            "there is no word {index}; {}, words 0 to {}",
            said(),
            words - 1
        ))),
        Target::Class(ClassName::Label(word)) => {
            // A word of the vocabulary may have spaces.
            let index = texts.iter().position(|said| said == word);
            let index =
                index.ok_or_else(|| refused(format!("the word \"{word}\" is not said; {}", said())))?;
            Ok(vec![Wanted::Word(index)])
        }
        _ => Err(refused(
            "a captioner explains `words`, `word=N`, a word that it says, or the `caption`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_space_is_one_word() {
        let texts = ["New York", "skyline"].map(str::to_owned);
        let said = |word: &str| {
            let chosen = choose(
                &Target::Class(ClassName::Label(word.into())),
                &texts,
                3,
                "New York skyline",
            );
            chosen.ok().map(|wanted| wanted == [Wanted::Word(1)])
        };
        assert_eq!(said("skyline"), Some(true));
        assert_eq!(said("New York"), Some(false));
        assert_eq!(said("York"), None);
    }
}
