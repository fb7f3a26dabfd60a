//! What a target was for an image.

use std::fmt;

use crate::tasks::detection::Bounds;

/// What was explained.
#[derive(Debug, Clone, PartialEq)]
pub enum ResolvedTarget {
    /// A class of the picture.
    Class {
        /// The class.
        class_id: usize,
        /// Its label.
        label: String,
        /// Its score after the model's activation.
        score: f32,
    },
    /// A class over some pixels.
    Region {
        /// The class.
        class_id: usize,
        /// Its label.
        label: String,
        /// The pixel `[x, y]` of the original that was asked for; none: the class's own mask.
        pixel: Option<[f64; 2]>,
        /// Cells of the logits' grid whose logits are summed.
        cells: usize,
    },
    /// A detected object.
    Object {
        /// Its index in the answer of a prediction.
        object: usize,
        /// The class.
        class_id: usize,
        /// Its label.
        label: String,
        /// Its score.
        score: f32,
        /// Where it is.
        bounds: Bounds,
    },
    /// A word of the caption.
    Word {
        /// Its index.
        word: usize,
        /// Its text.
        text: String,
        /// Its log-probability, given the words before it.
        log_prob: f32,
    },
    /// The whole caption.
    Caption {
        /// Its words.
        text: String,
        /// The log-probability of all tokens, the end among them.
        log_prob: f32,
    },
    /// An element of an output of named tensors.
    Element {
        /// The output's name.
        output: String,
        /// Its index in a row; empty for the only element that there is.
        index: Vec<i64>,
        /// Its value.
        value: f64,
    },
    /// What a VAE makes of the picture.
    Latent {
        /// `mu[3]`, `sum_mu` or `reconstruction`.
        latent: String,
        /// Its value: of latents the mean, of the reconstruction minus the mean squared error of the model's input.
        value: f32,
    },
    /// How like the reference the picture is.
    Similarity {
        /// The cosine of the two embeddings.
        similarity: f32,
    },
    /// One number of the picture's embedding.
    Dimension {
        /// Its index.
        dimension: usize,
        /// Its value, as it is answered.
        value: f32,
    },
    /// A number of a regression.
    Number {
        /// Its index.
        number: usize,
        /// Its name.
        name: String,
        /// Its value, as it is answered.
        value: f32,
        /// What it is counted in.
        unit: Option<String>,
    },
    /// A part of a picture that the model makes.
    Patch {
        /// The pixel `[x, y]` of the original, where one was asked for.
        pixel: Option<[f64; 2]>,
        /// The box in the original, where one was asked for.
        bounds: Option<Bounds>,
        /// The channel, where one was asked for; else the mean of all.
        channel: Option<usize>,
        /// Cells of the answer's grid that are looked at.
        cells: usize,
        /// The mean of the model's values there.
        value: f32,
    },
}

impl ResolvedTarget {
    /// What the model says of it, where that is one number.
    pub(super) fn score(&self) -> Option<f32> {
        match self {
            Self::Class { score, .. } | Self::Object { score, .. } => Some(*score),
            Self::Word { log_prob, .. } | Self::Caption { log_prob, .. } => Some(*log_prob),
            Self::Latent { value, .. } | Self::Dimension { value, .. } | Self::Number { value, .. } => {
                Some(*value)
            }
            Self::Similarity { similarity } => Some(*similarity),
            Self::Element { value, .. } => Some(*value as f32),
            Self::Region { .. } | Self::Patch { .. } => None,
        }
    }
}

impl fmt::Display for ResolvedTarget {
    /// A few words for a picture's label.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class { label, score, .. } | Self::Object { label, score, .. } => {
                write!(f, "{label} {score:.2}")
            }
            Self::Region { label, .. } => f.write_str(label),
            Self::Word { text, .. } | Self::Caption { text, .. } => f.write_str(text),
            Self::Element { output, index, value } => write!(f, "{output}{index:?} {value:.2}"),
            Self::Latent { latent, value } => write!(f, "{latent} {value:.2}"),
            Self::Similarity { similarity } => write!(f, "similarity {similarity:.2}"),
            Self::Number {
                name, value, unit, ..
            } => {
                write!(f, "{name} {value:.2} {}", unit.as_deref().unwrap_or_default())
            }
            Self::Patch {
                pixel: Some([x, y]),
                value,
                ..
            } => write!(f, "{x},{y}: {value:.2}"),
            Self::Patch { value, .. } => write!(f, "box: {value:.2}"),
            Self::Dimension { dimension, value } => write!(f, "dimension {dimension} {value:.2}"),
        }
    }
}
