//! What is explained: the small grammar of `target=`, parsed once for all methods. What it means for a model's output
//! is the task's matter; see [`super::objective`].

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::tasks::Labels;

/// A parsed `target=`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Target {
    /// Nothing, or `top` where no label is called so: the model's own best answer.
    #[default]
    Top,
    /// `all`: everything that the model found, a map each.
    All,
    /// `285`, `Egyptian cat`: a class. A number is for a detector the object of that index in its answer, for a VAE a
    /// latent, for an embedding a dimension, for a regression a number, also by name; for a captioner
    /// it is a word, by index or text; for a model of tensors an element, `logits[3]`.
    Class(ClassName),
    /// `box=x0,y0,x1,y1`: the object that overlaps most with it, in pixels of the original.
    Box([f64; 4]),
    /// `cat@mask`: the class over all of its own pixels.
    Mask(ClassName),
    /// `cat@pixel=x,y`: the class at one pixel of the original; `pixel=x,y`: the model's own there.
    Pixel(ClassName, [f64; 2]),
    /// `red@box=x0,y0,x1,y1`: the channel in a box of the original.
    Patch(ClassName, [f64; 4]),
    /// `word=3`: the word of that index in the caption.
    Word(usize),
    /// `caption`: all words together.
    Caption,
    /// `mu[3]`: one latent mean.
    Latent(usize),
    /// `sum_mu`: all latent means together.
    SumMu,
    /// `reconstruction`: how well the input is reconstructed.
    Reconstruction,
    /// `similarity`: how like a reference the picture is.
    Similarity,
}

/// A class, or the model's own choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassName {
    /// The one that the model says.
    Top,
    /// By a number: an id, unless it is the label of another class, too.
    Id(usize),
    /// By id, whatever the labels are: `id:2`.
    Exactly(usize),
    /// By label: as it is, or `label:2`.
    Label(String),
}

impl From<&str> for ClassName {
    fn from(text: &str) -> Self {
        let said = |kind: &str| text.trim().strip_prefix(kind).map(str::trim);
        if let Some(id) = said("id:").and_then(|id| id.parse().ok()) {
            return Self::Exactly(id);
        }
        if let Some(label) = said("label:").filter(|label| !label.is_empty()) {
            return Self::Label(label.to_owned());
        }
        match text.trim().parse() {
            Ok(id) => Self::Id(id),
            Err(_) if text.trim().is_empty() => Self::Top,
            Err(_) => Self::Label(text.trim().to_owned()),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let text = text.trim();
        let index =
            |text: &str, expected: &str| text.trim().parse().map_err(|_| format!("expected {expected}"));
        if let Some(corners) = text.strip_prefix("box=") {
            let corners = self::corners(corners)
                .ok_or("expected box=x0,y0,x1,y1 in pixels of the picture, x0 < x1 and y0 < y1")?;
            return Ok(Self::Box(corners));
        }
        if let Some(point) = text.strip_prefix("pixel=") {
            let point = numbers(point).ok_or("expected pixel=x,y in pixels of the picture")?;
            return Ok(Self::Pixel(ClassName::Top, point));
        }
        if let Some((channel, corners)) = text.rsplit_once("@box=") {
            let corners = self::corners(corners)
                .ok_or("expected CHANNEL@box=x0,y0,x1,y1 in pixels of the picture, x0 < x1 and y0 < y1")?;
            return Ok(Self::Patch(channel.into(), corners));
        }
        if let Some(word) = text.strip_prefix("word=") {
            return index(word, "word=N, the index of a word, from 0").map(Self::Word);
        }
        if let Some(latent) = text.strip_prefix("mu[").and_then(|t| t.strip_suffix(']')) {
            // Several numbers are the index of an element of an output that is called so.
            if !latent.contains(',') {
                return index(latent, "mu[K], the index of a latent, from 0").map(Self::Latent);
            }
        }
        if let Some((class, point)) = text.rsplit_once("@pixel=") {
            let point = numbers(point).ok_or("expected CLASS@pixel=x,y in pixels of the picture")?;
            return Ok(Self::Pixel(class.into(), point));
        }
        if let Some(class) = text.strip_suffix("@mask") {
            return Ok(Self::Mask(class.into()));
        }
        Ok(match text {
            "" => Self::Top,
            "all" | "words" => Self::All,
            "caption" => Self::Caption,
            "sum_mu" => Self::SumMu,
            "reconstruction" => Self::Reconstruction,
            "similarity" => Self::Similarity,
            _ => Self::Class(text.into()),
        })
    }
}

/// The corners of a box that has an area.
fn corners(text: &str) -> Option<[f64; 4]> {
    numbers(text).filter(|[x_min, y_min, x_max, y_max]| x_min < x_max && y_min < y_max)
}

impl Target {
    /// The same, with `top` understood as nothing unless a label is called so.
    #[must_use]
    pub fn among(&self, labels: &Labels) -> Self {
        match self {
            Self::Class(ClassName::Label(label)) if label == "top" && labels.find(label).is_none() => {
                Self::Top
            }
            other => other.clone(),
        }
    }
}

/// Exactly `N` finite numbers with commas between.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Option<Vec<f64>> = text
        .split(',')
        .map(|n| n.trim().parse().ok().filter(|n: &f64| n.is_finite()))
        .collect();
    numbers?.try_into().ok()
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("top"),
            Self::Id(id) => write!(f, "{id}"),
            Self::Exactly(id) => write!(f, "id:{id}"),
            Self::Label(label) => f.write_str(label),
        }
    }
}

impl ClassName {
    /// The class among `classes` that is meant; `None` for the model's own choice.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there is no such class; the message names the nearest labels.
    pub fn find(&self, labels: &Labels, classes: usize) -> Result<Option<usize>> {
        match self {
            Self::Top => Ok(None),
            Self::Id(id)
                if labels
                    .find(&id.to_string())
                    .is_some_and(|of_label| of_label != *id) =>
            {
                let of_label = labels.find(&id.to_string()).unwrap_or_default();
                Err(refused(format!(
                    "{id} is the id of class \"{}\", and the label of class {of_label}; say id:{id} or label:{id}",
                    labels.name(*id)
                )))
            }
            Self::Id(id) | Self::Exactly(id) if *id < classes => Ok(Some(*id)),
            Self::Id(id) | Self::Exactly(id) => {
                let last = classes.saturating_sub(1);
                Err(refused(format!(
                    "found class {id}, but the model has classes 0 to {last}"
                )))
            }
            Self::Label(label) => labelled(label, labels, classes).map(Some),
        }
    }
}

/// The class among `classes` that alone has this label.
fn labelled(label: &str, labels: &Labels, classes: usize) -> Result<usize> {
    /// So many classes of one label are named.
    const NAMED: usize = 5;
    let mut found = labels.all(label);
    let Some(first) = found.next() else {
        let cure = match labels.nearest(label, 3).as_slice() {
            [] => "the model has no labels; give a class id".to_owned(),
            _ if label.parse::<f64>().is_ok() => {
                let last = classes.saturating_sub(1);
                format!("the ids of the model's classes are 0 to {last}")
            }
            nearest => format!("the nearest are \"{}\"", nearest.join("\", \"")),
        };
        return Err(refused(format!("no label \"{label}\"; {cure}")));
    };
    let others: Vec<_> = found.take(NAMED).map(|id| format!("id:{id}")).collect();
    match others.is_empty() {
        true => Ok(first),
        false => Err(refused(format!(
            "several classes have the label \"{label}\"; say id:{first} or {}",
            others.join(" or ")
        ))),
    }
}

/// A target that cannot be explained, and why.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::parameter("target", message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<Target, String> {
        text.parse()
    }

    #[test]
    fn a_number_that_is_the_label_of_another_class_is_refused() {
        // In the order in which ImageFolder sorts folders.
        let labels = Labels::new(["0", "1", "10", "11", "2"].map(String::from));
        let find = |text: &str| ClassName::from(text).find(&labels, 5);
        assert_eq!(find("1"), Ok(Some(1)), "both readings are one");
        assert_eq!(find("3"), Ok(Some(3)), "no label");
        let refused = find("2").expect_err("two readings").to_string();
        assert!(
            refused.contains("id:2 or label:2") && refused.contains("\"10\""),
            "{refused}"
        );
        assert_eq!(find("id:2"), Ok(Some(2)));
        assert_eq!(find("label:2"), Ok(Some(4)));
        assert!(find("id:9").is_err() && find("label:9").is_err());
    }

    #[test]
    fn a_label_of_several_classes_is_refused_with_their_ids() {
        // ImageNet has a crane that flies and one that lifts.
        let labels = Labels::new(["crane", "bee", "crane", "Bee"].map(String::from));
        let find = |text: &str| ClassName::from(text).find(&labels, 4);
        let refused = find("crane").expect_err("two classes").to_string();
        assert!(refused.contains("id:0 or id:2"), "{refused}");
        assert_eq!(find("id:2"), Ok(Some(2)));
        assert_eq!(find("Bee"), Ok(Some(3)), "as it is written");
        assert!(find("BEE").is_err(), "either");
    }

    #[test]
    fn the_grammar_is_as_written() {
        let label = |text: &str| ClassName::Label(text.to_owned());
        for (text, expected) in [
            ("", Target::Top),
            ("285", Target::Class(ClassName::Id(285))),
            (" Egyptian cat ", Target::Class(label("Egyptian cat"))),
            ("box=1,2.5, 30,40", Target::Box([1.0, 2.5, 30.0, 40.0])),
            ("person@pixel=10,20", Target::Pixel(label("person"), [10.0, 20.0])),
            ("@pixel=10,20", Target::Pixel(ClassName::Top, [10.0, 20.0])),
            ("pixel=10,20", Target::Pixel(ClassName::Top, [10.0, 20.0])),
            (
                "red@box=1,2,3,4",
                Target::Patch(label("red"), [1.0, 2.0, 3.0, 4.0]),
            ),
            ("15@mask", Target::Mask(ClassName::Id(15))),
            ("word=3", Target::Word(3)),
            ("words", Target::All),
            ("caption", Target::Caption),
            ("mu[7]", Target::Latent(7)),
            ("sum_mu", Target::SumMu),
            ("reconstruction", Target::Reconstruction),
            ("similarity", Target::Similarity),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for (text, cure) in [
            ("box=1,2,3", "box=x0,y0,x1,y1"),
            ("box=1,2,3,inf", "box=x0,y0,x1,y1"),
            ("box=10,20,5,30", "x0 < x1"),
            ("red@box=1,2,3,2", "y0 < y1"),
            ("cat@pixel=1", "CLASS@pixel=x,y"),
            ("pixel=1,2,3", "pixel=x,y"),
            ("0@box=1,2,3", "CHANNEL@box=x0,y0,x1,y1"),
            ("word=first", "word=N"),
            ("mu[-1]", "mu[K]"),
        ] {
            assert!(parse(text).expect_err(text).contains(cure), "{text}");
        }
    }

    #[test]
    fn top_is_the_best_answer_unless_a_label_is_called_so() {
        let top = parse("top").expect("a target");
        assert_eq!(top.among(&Labels::default()), Target::Top);
        let clothes = Labels::new(["bag", "top"].map(String::from));
        assert_eq!(top.among(&clothes), Target::Class(ClassName::Label("top".into())));
    }

    #[test]
    fn a_class_that_is_not_there_is_refused_with_the_nearest() {
        let labels = Labels::new(["tabby", "Egyptian cat"].map(String::from));
        let find = |text: &str, labels: &Labels| ClassName::from(text).find(labels, 2);
        assert_eq!(find("TABBY", &labels), Ok(Some(0)));
        let wrong = find("egypt cat", &labels).expect_err("no such label");
        assert!(wrong.to_string().contains("\"Egyptian cat\""), "{wrong}");
        let wrong = find("2", &labels).expect_err("two classes");
        assert!(wrong.to_string().contains("classes 0 to 1"), "{wrong}");
        let wrong = find("cat", &Labels::default()).expect_err("no labels");
        assert!(wrong.to_string().contains("give a class id"), "{wrong}");
    }
}
