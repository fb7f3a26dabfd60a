//! `[output]` of the tasks that answer neither classes nor words: their keys as types, their defaults and bounds.

use std::collections::HashSet;

use serde::Deserialize;

use super::reader::Section;

/// Numbers of a regression at most.
pub const MOST_NUMBERS: usize = 4096;

/// Characters of a number's name at most, and of its unit.
const MOST_NAME: usize = 64;

/// `[output]` of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingOutput {
    /// Whether vectors are answered with the length 1.
    pub normalise: bool,
}

pub(super) fn embedding(s: &mut Section<'_>) -> EmbeddingOutput {
    EmbeddingOutput {
        normalise: s.optional("normalise", "true or false").unwrap_or(false),
    }
}

/// `[output]` of a regression. A list that is not empty has an entry for each number, and those are as many in each list.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionOutput {
    /// What the numbers are; no two alike.
    pub names: Vec<String>,
    /// What they are counted in; an empty text where that is nothing.
    pub units: Vec<String>,
    /// What each of the module's numbers is multiplied by, none 0 …
    pub scale: Vec<f64>,
    /// … before this is added.
    pub offset: Vec<f64>,
}

impl RegressionOutput {
    /// How many numbers there are, where a list says so.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        self.counts()
            .into_iter()
            .map(|(_, count)| count)
            .find(|&count| count > 0)
    }

    fn counts(&self) -> [(&'static str, usize); 4] {
        [
            ("names", self.names.len()),
            ("units", self.units.len()),
            ("scale", self.scale.len()),
            ("offset", self.offset.len()),
        ]
    }
}

pub(super) fn regression(s: &mut Section<'_>) -> RegressionOutput {
    let texts = "a list of texts, one a number";
    let numbers = "a list of numbers, one for each that the module answers";
    let found = RegressionOutput {
        names: s.optional("names", texts).unwrap_or_default(),
        units: s.optional("units", texts).unwrap_or_default(),
        scale: s.optional("scale", numbers).unwrap_or_default(),
        offset: s.optional("offset", numbers).unwrap_or_default(),
    };
    let count = found.count().unwrap_or(0);
    for (key, length) in found.counts() {
        s.check(length == 0 || (length == count && length <= MOST_NUMBERS), key, || {
            format!("found {length}, expected as many as in the other lists, {count}, and at most {MOST_NUMBERS}")
        });
    }
    let is_name = |name: &String| (1..=MOST_NAME).contains(&name.chars().count());
    let alike: HashSet<String> = found.names.iter().map(|name| name.to_lowercase()).collect();
    let differ = alike.len() == found.names.len();
    s.check(differ && found.names.iter().all(is_name), "names", || {
        format!("expected names of 1 to {MOST_NAME} characters, no two alike")
    });
    let is_unit = |unit: &String| unit.chars().count() <= MOST_NAME;
    s.check(found.units.iter().all(is_unit), "units", || {
        format!("expected units of at most {MOST_NAME} characters")
    });
    // What is computed with is an f32.
    let is_finite = |value: &f64| (*value as f32).is_finite();
    let is_factor = |value: &f64| is_finite(value) && (*value as f32) != 0.0;
    s.check(found.scale.iter().all(is_factor), "scale", || {
        "expected finite 32-bit floats other than 0".into()
    });
    s.check(found.offset.iter().all(is_finite), "offset", || {
        "expected finite 32-bit floats".into()
    });
    found
}

/// `[output]` of a model from image to image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureOutput {
    /// Which values are black and white.
    pub range: Range,
}

/// Which values of what a module answers are black and white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Those that black and white have in its input.
    Input,
    /// The least and the greatest of each answer.
    MinMax,
    /// These, the first less than the second.
    Of([f32; 2]),
}

/// The `range` key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Word(String),
    Values([f32; 2]),
}

pub(super) fn picture(s: &mut Section<'_>) -> PictureOutput {
    let expected = "\"input\" (normalised as the input), \"minmax\" (for maps: the least and the greatest of each) or \
                    [black, white], such as [0, 1]";
    let said: Option<Said> = s.required("range", expected);
    let range = match &said {
        Some(Said::Word(word)) if word == "input" => Some(Range::Input),
        Some(Said::Word(word)) if word == "minmax" => Some(Range::MinMax),
        Some(Said::Values([black, white])) if (white - black).is_finite() && black < white => {
            Some(Range::Of([*black, *white]))
        }
        _ => None,
    };
    s.check(said.is_none() || range.is_some(), "range", || {
        format!("expected {expected}, finite and the first less than the second")
    });
    PictureOutput {
        range: range.unwrap_or(Range::MinMax),
    }
}
