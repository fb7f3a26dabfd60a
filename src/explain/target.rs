//! What is explained: the small grammar of `target=`, parsed once, and its meaning for a model's output.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::tasks::{Labels, Subject, classification};

/// A parsed `target=`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "String")]
pub enum Target {
    /// The model's own best answer.
    #[default]
    Top,
    /// A class, by id.
    ClassId(usize),
    /// A class, by label.
    Label(String),
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        let text = text.trim();
        match text.parse() {
            Ok(id) => Self::ClassId(id),
            Err(_) if text.is_empty() || text == "top" => Self::Top,
            Err(_) => Self::Label(text.to_owned()),
        }
    }
}

/// What was explained.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ResolvedTarget {
    /// The class.
    pub class_id: usize,
    /// Its label.
    #[schema(example = "Egyptian cat")]
    pub label: String,
    /// Its score after the model's activation.
    pub score: f32,
}

impl Target {
    /// The class among `classes` that is meant; `None` for the best one.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there is no such class; the message names the nearest labels.
    pub fn class(&self, labels: &Labels, classes: usize) -> Result<Option<usize>> {
        match self {
            Self::Top => Ok(None),
            Self::ClassId(id) if *id < classes => Ok(Some(*id)),
            Self::ClassId(id) => {
                let last = classes.saturating_sub(1);
                let message = format!("found class {id}, but the model has classes 0 to {last}");
                Err(Error::parameter("target", message))
            }
            Self::Label(label) => labels.find(label).map(Some).ok_or_else(|| {
                let cure = match labels.nearest(label, 3).as_slice() {
                    [] => "the model has no labels; give a class id".to_owned(),
                    nearest => format!("the nearest are \"{}\"", nearest.join("\", \"")),
                };
                Error::parameter("target", format!("no label \"{label}\"; {cure}"))
            }),
        }
    }

    /// The scalar to differentiate, a logit of `logits [1, K]` before softmax, and what it is.
    ///
    /// # Errors
    /// As [`Target::class`].
    pub fn resolve(&self, logits: &Tensor, subject: &Subject) -> Result<(Tensor, ResolvedTarget)> {
        let row = logits.f_select(0, 0)?;
        let classes = usize::try_from(row.size1()?).unwrap_or(0);
        let class_id = match self.class(&subject.labels, classes)? {
            Some(id) => id,
            None => usize::try_from(i64::try_from(row.f_argmax(0, false)?)?).unwrap_or(0),
        };
        let index = class_id as i64;
        let scores = classification::scores(&row.f_detach()?, subject.manifest.output.activation)?;
        let resolved = ResolvedTarget {
            class_id,
            label: subject.labels.name(class_id),
            score: f32::try_from(scores.f_select(0, index)?)?,
        };
        Ok((row.f_select(0, index)?, resolved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_knows_ids_labels_and_nothing() {
        let parse = |text: &str| Target::from(text.to_owned());
        assert_eq!(parse("285"), Target::ClassId(285));
        assert_eq!(parse(" Egyptian cat "), Target::Label("Egyptian cat".into()));
        assert_eq!((parse(""), parse("top")), (Target::Top, Target::Top));
    }

    #[test]
    fn a_target_that_is_not_there_is_refused_with_the_nearest() {
        let labels = Labels::new(["tabby", "Egyptian cat"].map(String::from));
        assert_eq!(Target::Label("TABBY".into()).class(&labels, 2), Ok(Some(0)));
        let wrong = Target::Label("egypt cat".into())
            .class(&labels, 2)
            .expect_err("no such label");
        assert!(wrong.to_string().contains("\"Egyptian cat\""), "{wrong}");
        let wrong = Target::ClassId(2).class(&labels, 2).expect_err("two classes");
        assert!(wrong.to_string().contains("classes 0 to 1"), "{wrong}");
        let wrong = Target::Label("cat".into())
            .class(&Labels::default(), 2)
            .expect_err("no labels");
        assert!(wrong.to_string().contains("give a class id"), "{wrong}");
    }
}
