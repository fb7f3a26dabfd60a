//! Captioning: `start(x) → (memory, state)`, `step(token[N], memory, state) → (logits[N, V], state, attention[N, P])`.
//!
//! The server searches: greedy or with beams, all captions of a batch in step, each row of a step a live beginning
//! of one of them. Memory and state may be any nest of tensors with the rows in dimension 0; after each step their
//! rows are picked anew, as the beams go on.

mod beam;
mod decoder;

use std::sync::Arc;

use tch::{Device, Tensor};

use super::bounds::within;
use super::gist::Gist;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, pictures};
use super::row_count::check_rows;
use super::spec::ModelSpec;
use crate::engine::context::{Context, Event};
use crate::error::{Error, Result};
use crate::image::ModelInput;
use crate::manifest::CaptioningOutput;
use crate::runtime::Call;
use crate::runtime::staging::{all_finite, finite, floats};
use beam::{Hypothesis, Next, Rules, Search};
pub(crate) use decoder::Decoder;

/// A picture to a caption; its words are told as soon as they are certain.
#[derive(Debug, Clone, Copy)]
pub struct Caption;

/// What is asked of a captioning, within its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    beams: usize,
    max_length: Option<usize>,
    length_penalty: f64,
    attention: bool,
}

impl Options {
    /// `beams`: beginnings that the search keeps, 1 is greedy. `max_length`: words at most, the end among them; else as
    /// model.toml says. `length_penalty`: a caption's score is its log-probability over its length to this power.
    /// `attention`: whether each word bears its attention map.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn new(
        beams: usize,
        max_length: Option<usize>,
        length_penalty: f64,
        attention: bool,
    ) -> Result<Self> {
        Ok(Self {
            beams: within("beams", beams, 1, 32)?,
            max_length: max_length
                .map(|found| within("max_length", found, 1, 512))
                .transpose()?,
            length_penalty: within("length_penalty", length_penalty, 0.0, 4.0)?,
            attention,
        })
    }

    /// Words of a caption at most, where the request says so.
    #[must_use]
    pub fn max_length(&self) -> Option<usize> {
        self.max_length
    }
}

/// The caption of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// One caption.
    pub captions: Vec<Captioned>,
}

/// A caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Captioned {
    /// Its words, without the end.
    pub text: String,
    /// The log-probability of all tokens, the end among them.
    pub log_prob: f64,
    /// Whether it ended by itself, not at the longest length.
    pub complete: bool,
    /// Its tokens; the end, if it was reached, is the last.
    pub tokens: Vec<Token>,
}

/// A token of a caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its line in the vocabulary.
    pub token_id: usize,
    /// Its text.
    pub text: String,
    /// Its log-probability, given those before it.
    pub log_prob: f32,
    /// Where the model looked when it chose it, if it says.
    pub attention: Option<Attention>,
}

/// The weights of one word over the cells of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// `[rows, columns]`
    pub shape: [usize; 2],
    /// Row-major.
    pub data: Vec<f32>,
}

impl Operation for Caption {
    type Input = ModelInput;
    type Options = Options;
    type Output = Prediction;
    type Queue = TicketOf<Self>;

    fn gist(output: &Prediction) -> Option<Gist> {
        let tokens = || output.captions.iter().flat_map(|caption| &caption.tokens);
        Some(Gist {
            decided: tokens().map(|token| token.token_id as u64).collect(),
            ..Gist::of(tokens().map(|token| f64::from(token.log_prob)))
        })
    }
}

impl Batched for Caption {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let vocabulary = Vocabulary::of(spec)?;
        let mut captions: Vec<Running<'_>> = batch
            .iter()
            .map(|asked| Running::new(&asked.input.options, asked.context, &vocabulary))
            .collect();
        let mut decoder = Decoder::start(net, pictures::<Self>(net, spec, batch)?)?;
        let looks = search_all(&mut decoder, &mut captions, &vocabulary)?;
        let finished = captions.into_iter().map(|caption| {
            let caption = caption.finish(&vocabulary, &looks)?;
            Ok(Prediction {
                captions: vec![caption],
            })
        });
        Ok(finished.collect())
    }
}

/// `start(x) → (memory, state)`, `step(token[N], memory, state) → (logits[N, V], state, attention[N, P])`
pub(super) struct Steps;

impl Contract for Steps {
    fn methods(&self) -> &'static [&'static str] {
        &["start", "step"]
    }

    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let vocabulary = Vocabulary::of(spec)?;
        let input = spec.blank(size, net.device())?;
        let mut decoder = Decoder::start(net, input)?;
        let step = decoder.step(&vec![vocabulary.start; size])?;
        let (shape, words) = (step.log_probs.size(), spec.labels.len());
        if shape != [size as i64, words as i64] {
            let expected = format!("[{size}, {words}]: one for each label");
            return Err(format!("step answered logits {shape:?}, expected {expected}").into());
        }
        let (attention, grid) = (step.attention.map(|a| a.size()), vocabulary.keys.attention_grid);
        match (attention.as_deref(), grid) {
            (Some([_, cells]), Some([rows, columns])) if *cells != (rows * columns) as i64 => Err(format!(
                "step answered attention over {cells} cells, but output.attention_grid is [{rows}, {columns}]"
            )
            .into()),
            (None, Some(_)) => {
                let breach = "output.attention_grid is given, but step answers no attention";
                Err(breach.to_owned().into())
            }
            _ => Ok(()),
        }
    }
}

/// The attention of every step, `[rows, P]` each; shared by all captions of a batch.
type Looks = Vec<Option<Arc<Vec<f32>>>>;

/// Steps until no caption is live.
fn search_all(
    decoder: &mut Decoder<'_>,
    captions: &mut [Running<'_>],
    vocabulary: &Vocabulary<'_>,
) -> Result<Looks> {
    let mut looks = Looks::new();
    let widest = captions.iter().map(|c| c.rules.beams).max().unwrap_or(1);
    let wants_attention = captions.iter().any(|c| c.attention) && vocabulary.keys.attention_grid.is_some();
    let mut tokens = vec![vocabulary.start; captions.len()];
    while !tokens.is_empty() {
        let step = decoder.step(&tokens)?;
        check_rows("step", &step.log_probs, tokens.len())?;
        looks.push(match step.attention.filter(|_| wants_attention) {
            Some(attention) => Some(Arc::new(finite(&attention, "attention")?)),
            None => None,
        });
        let mut next = likeliest(&step.log_probs, widest)?.into_iter();
        let mut parents = Vec::new();
        tokens.clear();
        let mut first = 0;
        for caption in captions.iter_mut() {
            let rows = caption.search.live().len();
            let own: Vec<_> = next.by_ref().take(rows).collect();
            if rows > 0 {
                let came_from = caption.search.advance(&own, first);
                parents.extend(came_from.into_iter().map(|row| (first + row) as i64));
                tokens.extend(
                    caption
                        .search
                        .live()
                        .iter()
                        .filter_map(|h| h.tokens.last().copied()),
                );
                caption.tell(vocabulary);
            }
            first += rows;
        }
        if !tokens.is_empty() {
            decoder.pick(&parents)?;
        }
    }
    Ok(looks)
}

/// The `count` likeliest tokens of each row, best first.
fn likeliest(log_probs: &Tensor, count: usize) -> Result<Vec<Vec<Next>>> {
    let words = log_probs.size().last().copied().unwrap_or(0);
    let k = words.min(count as i64).max(1);
    let (values, indices) = log_probs.f_topk(k, -1, true, true)?;
    let values = floats(&values)?;
    // A word that must not come has minus infinity, and never all of them.
    let best: Vec<f32> = values
        .iter()
        .step_by(usize::try_from(k).unwrap_or(1))
        .copied()
        .collect();
    all_finite(&best, "the log-probabilities of the likeliest words")?;
    let indices = Vec::<i64>::try_from(indices.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?)?;
    let k = usize::try_from(k).unwrap_or(1);
    let row = |(values, indices): (&[f32], &[i64])| {
        indices
            .iter()
            .zip(values)
            .map(|(&i, &v)| (usize::try_from(i).unwrap_or(0), v))
            .collect()
    };
    Ok(values.chunks(k).zip(indices.chunks(k)).map(row).collect())
}

/// One caption of a batch, while it is searched.
struct Running<'a> {
    rules: Rules,
    search: Search,
    attention: bool,
    context: &'a Context,
    told: usize,
}

impl<'a> Running<'a> {
    fn new(options: &Options, context: &'a Context, vocabulary: &Vocabulary<'_>) -> Self {
        let rules = Rules {
            beams: options.beams,
            max_length: options.max_length.unwrap_or(vocabulary.keys.max_length),
            length_penalty: options.length_penalty,
            end: vocabulary.end,
        };
        Self {
            rules,
            search: Search::new(rules),
            attention: options.attention,
            context,
            told: 0,
        }
    }

    /// Sends the words that have become certain.
    fn tell(&mut self, vocabulary: &Vocabulary<'_>) {
        let certain = self.search.certain();
        for (index, &token) in certain.iter().enumerate().skip(self.told) {
            if token != vocabulary.end {
                let text = vocabulary.text(token);
                self.context.progress.tell(Event::Word { index, text });
            }
        }
        self.told = certain.len();
    }

    fn finish(self, vocabulary: &Vocabulary<'_>, looks: &Looks) -> Result<Captioned> {
        let (rules, wants) = (self.rules, self.attention);
        let best = self
            .search
            .into_best()
            .ok_or_else(|| Error::Internal("a search without an end".into()))?;
        let complete = best.tokens.last() == Some(&rules.end);
        let words = best
            .tokens
            .iter()
            .filter(|&&token| token != rules.end)
            .map(|&token| vocabulary.text(token));
        let text = words.collect::<Vec<_>>().join(" ");
        let token = |index: usize| Token {
            token_id: best.tokens[index],
            text: vocabulary.text(best.tokens[index]),
            log_prob: best.log_probs[index],
            attention: wants.then(|| vocabulary.attention(&best, index, looks)).flatten(),
        };
        Ok(Captioned {
            text,
            log_prob: best.total,
            complete,
            tokens: (0..best.tokens.len()).map(token).collect(),
        })
    }
}

/// The words, and the tokens that are none.
pub(crate) struct Vocabulary<'a> {
    spec: &'a ModelSpec,
    pub(crate) keys: &'a CaptioningOutput,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'a> Vocabulary<'a> {
    pub(crate) fn of(spec: &'a ModelSpec) -> Result<Self> {
        let keys = spec.manifest.output.captioning.as_ref();
        let keys = keys.ok_or_else(|| Error::Internal("a captioner without its keys".into()))?;
        let find = |key: &str, token: &str| {
            let position = spec.labels.names().iter().position(|label| label == token);
            position.ok_or_else(|| {
                Error::model(if spec.labels.is_empty() {
                    "output.labels: a captioner wants its vocabulary, one word a line, in a file beside the module: \
                     labels = \"vocab.txt\""
                        .to_owned()
                } else {
                    format!("output.{key}: the labels have no line \"{token}\"; they are the vocabulary")
                })
            })
        };
        Ok(Self {
            start: find("start_token", &keys.start_token)?,
            end: find("end_token", &keys.end_token)?,
            spec,
            keys,
        })
    }

    fn text(&self, token: usize) -> String {
        self.spec.labels.name(token)
    }

    /// What the model looked at when it emitted a token.
    fn attention(&self, hypothesis: &Hypothesis, index: usize, looks: &Looks) -> Option<Attention> {
        let [rows, columns] = self.keys.attention_grid?;
        let cells = rows * columns;
        let row = hypothesis.rows[index];
        let look = looks.get(index)?.as_ref()?;
        self.attention_map(look.get(row * cells..(row + 1) * cells)?)
    }

    /// The weights over all cells as a map; nothing where no grid is known.
    pub(crate) fn attention_map(&self, weights: &[f32]) -> Option<Attention> {
        let shape = self
            .keys
            .attention_grid
            .filter(|[rows, columns]| rows * columns == weights.len())?;
        Some(Attention {
            shape,
            data: weights.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
