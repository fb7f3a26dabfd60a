//! Classification: logits `[B, K]` to the best classes.

mod likelihood;

use std::num::NonZeroUsize;

use tch::{Kind, Tensor};

use super::gist::Gist;
use super::labels::Labels;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, answer};
use super::scaled::scaled;
use super::spec::ModelSpec;
use crate::error::Result;
use crate::image::ModelInput;
use crate::manifest::{Activation, Output};
use crate::runtime::Call;
use crate::runtime::staging::{all_finite, floats};
pub use likelihood::{Likelihood, Spread, Uncertainty};

/// A picture to its best classes.
#[derive(Debug, Clone, Copy)]
pub struct Classify;

/// What is asked of a classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many classes to answer, best first; all of them if there are fewer.
    pub top_k: NonZeroUsize,
    /// Whether the logits of all classes are answered as well.
    pub keeps_logits: bool,
}

impl Options {
    /// So many of the best classes, and nothing else.
    #[must_use]
    pub fn best(top_k: NonZeroUsize) -> Self {
        Self {
            top_k,
            keeps_logits: false,
        }
    }

    /// The same, with the logits of all classes.
    #[must_use]
    pub fn with_logits(self) -> Self {
        Self {
            keeps_logits: true,
            ..self
        }
    }
}

/// The best classes of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Best first.
    pub classes: Vec<Class>,
    /// `[K]`, before the temperature and the activation; empty where nobody asked for them.
    pub logits: Vec<f32>,
    /// How sure the model is, where that was asked for.
    pub uncertainty: Option<Uncertainty>,
}

/// One class and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// The index of the logit.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    pub label: String,
    /// After the model's activation (softmax: a probability).
    pub score: f32,
}

impl Operation for Classify {
    type Input = ModelInput;
    type Options = Options;
    type Output = Prediction;
    type Queue = TicketOf<Self>;

    fn gist(output: &Prediction) -> Option<Gist> {
        let mut numbers: Vec<_> = output
            .classes
            .iter()
            .map(|class| (class.class_id as u64, f64::from(class.score)))
            .collect();
        numbers.sort_unstable_by_key(|(class, _)| *class);
        Some(Gist {
            decided: output
                .classes
                .first()
                .map(|best| best.class_id as u64)
                .into_iter()
                .collect(),
            numbers,
        })
    }
}

impl Batched for Classify {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let answer = answer::<Self>(net, spec, batch)?;
        let logits = of_each_class(answer, &spec.labels)?;
        let options: Vec<Options> = batch.iter().map(|asked| asked.input.options).collect();
        finish(&logits, spec, &options)
    }
}

/// `forward(x[B, C, H, W]) → logits[B, K]`
pub(super) struct Logits;

impl Contract for Logits {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let logits = net.forward(spec.blank(size, net.device())?)?;
        check(&logits, size, &spec.labels, spec.manifest.output.activation)?;
        spec.same_row(&logits.size())?;
        // What cannot be read, such as a tensor without numbers, is refused here rather than at each request.
        finish(
            &of_each_class(logits, &spec.labels)?,
            spec,
            &vec![Options::best(NonZeroUsize::MIN); size],
        )?;
        Ok(())
    }
}

/// Whether `logits` are `[size, K]`, with one label for each of K where there are labels.
fn check(logits: &Tensor, size: usize, labels: &Labels, activation: Activation) -> Result<(), String> {
    let shape = logits.size();
    let [batch, classes] = shape[..] else {
        let cure = match shape.len() {
            1 => {
                "; a squeeze() without a dimension takes away a batch of one too: write squeeze(-1), or none"
            }
            _ => "",
        };
        return Err(format!(
            "forward answered {shape:?}, expected logits [{size}, K]{cure}"
        ));
    };
    if batch != size as i64 {
        return Err(format!(
            "forward answered {shape:?}, expected {size} rows: is the batch its first dimension?"
        ));
    }
    if classes == 0 {
        return Err(format!("forward answered {shape:?}: there is no class in it"));
    }
    if classes == 1 && activation == Activation::Softmax {
        return Err(format!(
            "forward answered {shape:?}: the softmax of one logit is always 1; say output.activation = \"sigmoid\", for two classes"
        ));
    }
    if classes == 1 && labels.len() == 2 && activation == Activation::Sigmoid {
        return Ok(());
    }
    labels.name_each_of(usize::try_from(classes).unwrap_or(0))
}

/// Logits `[B, K]`, one for each class. One with two labels is that of the second: the first has its opposite, so that a
/// sigmoid gives 1 minus the score.
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub(crate) fn of_each_class(logits: Tensor, labels: &Labels) -> Result<Tensor> {
    if logits.size().last() != Some(&1) || labels.len() != 2 {
        return Ok(logits);
    }
    Ok(Tensor::f_cat(&[logits.f_neg()?, logits], -1)?)
}

/// Scores of logits `[B, K]`, as model.toml's `[output]` says.
///
/// # Errors
/// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
pub fn scores(logits: &Tensor, output: &Output) -> Result<Tensor> {
    activated(
        &scaled(&logits.f_to_kind(Kind::Float)?, output.temperature)?,
        output.activation,
    )
}

/// Scores of logits `[B, K]` at temperature 1.
///
/// # Errors
/// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
pub(super) fn activated(logits: &Tensor, activation: Activation) -> Result<Tensor> {
    let logits = logits.f_to_kind(Kind::Float)?;
    Ok(match activation {
        Activation::Softmax => logits.f_softmax(-1, Kind::Float)?,
        Activation::Sigmoid => logits.f_sigmoid()?,
        Activation::None => logits,
    })
}

/// The `top_k` best classes of each row of `logits [B, K]`; the choice happens on the device.
fn finish(logits: &Tensor, spec: &ModelSpec, options: &[Options]) -> Result<Vec<Result<Prediction>>> {
    let classes = logits.size().last().copied().unwrap_or(0);
    let asked = options.iter().map(|o| o.top_k.get()).max().unwrap_or(1);
    let k = classes.min(i64::try_from(asked).unwrap_or(i64::MAX));
    // A sigmoid makes a probability of infinity.
    let largest = floats(&logits.f_amax([-1i64].as_slice(), false)?)?;
    let keeps_logits = options.iter().any(|asked| asked.keeps_logits);
    let kept = if keeps_logits { floats(logits)? } else { Vec::new() };
    let mut kept = kept.chunks(usize::try_from(classes).unwrap_or(0).max(1));
    let scores = scores(logits, &spec.manifest.output)?;
    let (values, indices) = scores.f_topk(k, -1, true, true)?;
    let values: Vec<f32> = Vec::try_from(values.f_flatten(0, -1)?)?;
    let indices: Vec<i64> = Vec::try_from(indices.f_flatten(0, -1)?)?;
    let k = usize::try_from(k).unwrap_or(0).max(1);
    let rows = values.chunks(k).zip(indices.chunks(k)).zip(options).zip(&largest);
    Ok(rows
        .map(|(((values, indices), options), largest)| {
            let logits = kept.next().filter(|_| options.keeps_logits).unwrap_or_default();
            all_finite(&[*largest], "the largest logit")?;
            all_finite(logits, "logits")?;
            Ok(Prediction {
                classes: row(values, indices, spec, options.top_k.get())?,
                logits: logits.to_vec(),
                uncertainty: None,
            })
        })
        .collect())
}

fn row(values: &[f32], indices: &[i64], spec: &ModelSpec, top_k: usize) -> Result<Vec<Class>> {
    all_finite(values, "scores")?;
    let class = |(&score, &index): (&f32, &i64)| {
        let class_id = usize::try_from(index).unwrap_or(0);
        Class {
            class_id,
            label: spec.labels.name(class_id),
            score,
        }
    };
    Ok(values.iter().zip(indices).take(top_k).map(class).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn top(k: usize) -> Options {
        Options::best(NonZeroUsize::new(k).expect("not 0"))
    }

    fn spec(activation: &str, labels: &[&str]) -> ModelSpec {
        let text = format!(
            "task = \"classification\"\n[input]\nsize = [2, 2]\n[output]\nactivation = \"{activation}\""
        );
        let manifest = Manifest::parse(&text).expect("a right manifest");
        ModelSpec::new(manifest, Labels::new(labels.iter().map(ToString::to_string)))
    }

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice2(rows)
    }

    #[test]
    fn each_row_gets_its_own_top_k_best_first() {
        let logits = logits(&[[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]]);
        let spec = spec("none", &["a", "b", "c"]);
        let rows = finish(&logits, &spec, &[top(2), top(9)]).expect("finite");
        let labels = |row: &Result<Prediction>| -> String {
            row.as_ref()
                .expect("finite")
                .classes
                .iter()
                .map(|c| c.label.clone())
                .collect()
        };
        assert_eq!(
            (labels(&rows[0]).as_str(), labels(&rows[1]).as_str()),
            ("bc", "cab")
        );
    }

    #[test]
    fn softmax_sums_to_one_and_matches_its_closed_form() {
        let logits = logits(&[[0.0, 1.0f32.ln(), 2.0f32.ln()]]);
        let rows = finish(&logits, &spec("softmax", &[]), &[top(3)]).expect("finite");
        let classes = &rows[0].as_ref().expect("finite").classes;
        assert!((classes[0].score - 0.5).abs() < 1e-6 && (classes[1].score - 0.25).abs() < 1e-6);
        assert_eq!(classes[0].label, "2", "without labels, the index");
    }

    #[test]
    fn a_temperature_divides_logits_before_the_activation_and_keeps_their_order() {
        let logits = logits(&[[0.0, 1.0, 2.0]]);
        let of = |lines: &str| {
            let text = format!("task = \"classification\"\n[input]\nsize = [2, 2]\n[output]\n{lines}");
            let spec = ModelSpec::new(Manifest::parse(&text).expect("right"), Labels::default());
            let mut rows = finish(&logits, &spec, &[top(3).with_logits()]).expect("finite");
            rows.remove(0).expect("finite")
        };
        let warm = of("temperature = 2");
        // exp(1) / (1 + exp(1/2) + exp(1)), and σ(2 / 4).
        let expected = 1f32.exp() / (1.0 + 0.5f32.exp() + 1f32.exp());
        assert!((warm.classes[0].score - expected).abs() < 1e-6, "{warm:?}");
        assert_eq!(warm.classes[0].class_id, 2);
        assert_eq!(
            warm.logits,
            [0.0, 1.0, 2.0],
            "they are told as the module answered them"
        );
        let sigmoid = of("activation = \"sigmoid\"\ntemperature = 4.0");
        let expected = 1.0 / (1.0 + (-0.5f32).exp());
        assert!((sigmoid.classes[0].score - expected).abs() < 1e-6, "{sigmoid:?}");
    }

    #[test]
    fn a_row_that_is_not_finite_fails_alone() {
        let logits = logits(&[[f32::NAN, 0.0, 0.0], [1.0, 2.0, 3.0]]);
        let rows = finish(&logits, &spec("none", &[]), &[top(5); 2]).expect("a batch");
        assert!(rows[0].is_err() && rows[1].is_ok());
    }

    #[test]
    fn one_logit_is_that_of_the_second_of_two_classes() {
        let labels = Labels::new(["bad", "good"].map(String::from));
        let one = Tensor::from_slice(&[0.3f32, -2.0]).view([2, 1]);
        assert_eq!(check(&one, 2, &labels, Activation::Sigmoid), Ok(()));
        let softmax = check(&one, 2, &labels, Activation::Softmax).expect_err("always 1");
        assert!(softmax.contains("sigmoid"), "{softmax}");
        let both = of_each_class(one, &labels).expect("two columns");
        let scores = scores(&both, &spec("sigmoid", &[]).manifest.output).expect("scores");
        let sums: Vec<f32> = scores
            .sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
            .try_into()
            .expect("rows");
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
        assert!(scores.double_value(&[0, 1]) > 0.5 && scores.double_value(&[1, 1]) < 0.5);
    }

    #[test]
    fn what_is_no_logits_or_has_other_labels_is_refused() {
        let labels = Labels::new(["a", "b"].map(String::from));
        let (none, rows) = (Labels::default(), logits(&[[0.0; 3]; 2]));
        let check = |rows: &Tensor, size, labels: &Labels| check(rows, size, labels, Activation::Softmax);
        assert_eq!(check(&rows, 2, &none), Ok(()));
        assert!(
            check(&rows, 1, &none)
                .expect_err("two rows")
                .contains("expected 1 rows")
        );
        assert!(
            check(&rows.unsqueeze(0), 2, &none)
                .expect_err("rank 3")
                .contains("[2, K]")
        );
        assert!(
            check(&rows, 2, &labels)
                .expect_err("3 classes, 2 labels")
                .contains("2 labels")
        );
    }
}
