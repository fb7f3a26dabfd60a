//! Classification: logits `[B, K]` to the best classes.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use utoipa::{IntoParams, ToSchema};

use super::{Breach, Item, Labels, Subject, Task};
use crate::engine::session::{Call, Session};
use crate::error::{Error, Result};
use crate::repository::manifest::Activation;

/// Parameters of a classification.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// How many classes to answer, best first; all of them if there are fewer.
    #[param(minimum = 1, default = 5)]
    pub top_k: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { top_k: 5 }
    }
}

impl Options {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn validate(&self) -> Result<()> {
        if self.top_k == 0 {
            return Err(Error::parameter(
                "top_k",
                "found 0, expected a whole number, at least 1",
            ));
        }
        Ok(())
    }
}

/// The best classes of one image.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Prediction {
    /// Best first.
    pub classes: Vec<Class>,
}

/// One class and its score.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Class {
    /// The index of the logit.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    #[schema(example = "Egyptian cat")]
    pub label: String,
    /// After the model's activation (softmax: a probability).
    pub score: f32,
}

/// The task itself.
pub(super) struct Classification;

impl Task for Classification {
    fn check(&self, session: &Session, subject: &Subject, size: usize) -> Result<(), Breach> {
        let input = subject.blank(size, session.device())?;
        let logits = session.forward(input)?;
        Ok(check(&logits, size, &subject.labels)?)
    }

    fn run(
        &self,
        session: &Session,
        subject: &Subject,
        items: &[Item],
    ) -> Result<Vec<Result<super::Prediction>>> {
        let logits = session.forward(subject.batch_of(items, session.device())?)?;
        let options = items.iter().map(options).collect::<Result<Vec<_>>>()?;
        let predictions = finish(&logits, subject, &options)?;
        Ok(predictions
            .into_iter()
            .map(|p| p.map(super::Prediction::Classification))
            .collect())
    }
}

fn options(item: &Item) -> Result<&Options> {
    match &item.options {
        super::Options::Classification(options) => Ok(options),
        _ => Err(Error::Internal("options of another task".into())),
    }
}

/// Whether `logits` are `[size, K]`, with one label for each of K where there are labels.
fn check(logits: &Tensor, size: usize, labels: &Labels) -> Result<(), String> {
    let shape = logits.size();
    let [batch, classes] = shape[..] else {
        return Err(format!("forward answered {shape:?}, expected logits [{size}, K]"));
    };
    if batch != size as i64 {
        return Err(format!(
            "forward answered {shape:?}, expected {size} rows: is the batch its first dimension?"
        ));
    }
    labels.name_each_of(usize::try_from(classes).unwrap_or(0))
}

/// Scores of logits `[B, K]`.
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub fn scores(logits: &Tensor, activation: Activation) -> Result<Tensor> {
    let logits = logits.f_to_kind(Kind::Float)?;
    Ok(match activation {
        Activation::Softmax => logits.f_softmax(-1, Kind::Float)?,
        Activation::Sigmoid => logits.f_sigmoid()?,
        Activation::None => logits,
    })
}

/// The `top_k` best classes of each row of `logits [B, K]`; the choice happens on the device.
fn finish(logits: &Tensor, subject: &Subject, options: &[&Options]) -> Result<Vec<Result<Prediction>>> {
    let classes = logits.size().last().copied().unwrap_or(0);
    let asked = options.iter().map(|o| o.top_k).max().unwrap_or(1);
    let k = classes.min(i64::try_from(asked).unwrap_or(i64::MAX));
    let scores = scores(logits, subject.manifest.output.activation)?;
    let (values, indices) = scores.f_topk(k, -1, true, true)?;
    let values: Vec<f32> = Vec::try_from(values.f_flatten(0, -1)?)?;
    let indices: Vec<i64> = Vec::try_from(indices.f_flatten(0, -1)?)?;
    let k = usize::try_from(k).unwrap_or(0).max(1);
    let rows = values.chunks(k).zip(indices.chunks(k)).zip(options);
    Ok(rows
        .map(|((values, indices), options)| row(values, indices, subject, options.top_k))
        .collect())
}

fn row(values: &[f32], indices: &[i64], subject: &Subject, top_k: usize) -> Result<Prediction> {
    if values.iter().any(|v| !v.is_finite()) {
        return Err(Error::InferenceFailed(
            "the model answered NaN or infinity".into(),
        ));
    }
    let class = |(&score, &index): (&f32, &i64)| {
        let class_id = usize::try_from(index).unwrap_or(0);
        Class {
            class_id,
            label: subject.labels.name(class_id),
            score,
        }
    };
    Ok(Prediction {
        classes: values.iter().zip(indices).take(top_k).map(class).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::manifest::Manifest;

    fn subject(activation: &str, labels: &[&str]) -> Subject {
        let text = format!(
            "task = \"classification\"\n[input]\nsize = [2, 2]\n[output]\nactivation = \"{activation}\""
        );
        let manifest = Manifest::parse(&text).expect("a right manifest");
        Subject::new(manifest, Labels::new(labels.iter().map(ToString::to_string)))
    }

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice2(rows)
    }

    #[test]
    fn each_row_gets_its_own_top_k_best_first() {
        let logits = logits(&[[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]]);
        let subject = subject("none", &["a", "b", "c"]);
        let rows =
            finish(&logits, &subject, &[&Options { top_k: 2 }, &Options { top_k: 9 }]).expect("finite");
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
        let rows = finish(&logits, &subject("softmax", &[]), &[&Options { top_k: 3 }]).expect("finite");
        let classes = &rows[0].as_ref().expect("finite").classes;
        assert!((classes[0].score - 0.5).abs() < 1e-6 && (classes[1].score - 0.25).abs() < 1e-6);
        assert_eq!(classes[0].label, "2", "without labels, the index");
    }

    #[test]
    fn a_row_that_is_not_finite_fails_alone() {
        let logits = logits(&[[f32::NAN, 0.0, 0.0], [1.0, 2.0, 3.0]]);
        let rows = finish(&logits, &subject("none", &[]), &[&Options::default(); 2]).expect("a batch");
        assert!(rows[0].is_err() && rows[1].is_ok());
    }

    #[test]
    fn what_is_no_logits_or_has_other_labels_is_refused() {
        let labels = Labels::new(["a", "b"].map(String::from));
        let (none, rows) = (Labels::default(), logits(&[[0.0; 3]; 2]));
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
