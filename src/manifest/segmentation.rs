//! The keys of a segmenter under `[output]`, their defaults and bounds.

use serde::Deserialize;

use super::keys::{Activation, SegmentationOutput};
use super::reader::Section;

/// The `score_threshold` key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Thresholds {
    OfAll(f32),
    OfEach(Vec<f32>),
}

/// The keys of a segmenter whose logits become scores by `activation`.
pub(super) fn read(s: &mut Section<'_>, activation: Activation) -> SegmentationOutput {
    let multi_label: Option<bool> = s.optional("multi_label", "true or false");
    let is_softmax = activation == Activation::Softmax;
    s.check(multi_label != Some(true) || !is_softmax, "multi_label", || {
        "a softmax leaves each pixel one class; set activation = \"sigmoid\" for logits, \"none\" for probabilities".into()
    });
    let expected = "a number between 0 and 1, or a list with one for each class";
    let thresholds = match s.optional("score_threshold", expected) {
        None => Vec::new(),
        Some(Thresholds::OfAll(threshold)) => vec![threshold],
        Some(Thresholds::OfEach(thresholds)) => thresholds,
    };
    s.check(thresholds.is_empty() || !is_softmax, "score_threshold", || {
        "with a softmax the best class of a pixel is taken, whatever its score; it is for activation = \"sigmoid\" or \"none\""
            .into()
    });
    let is_within = |threshold: &f32| *threshold > 0.0 && *threshold < 1.0;
    s.check(thresholds.iter().all(is_within), "score_threshold", || {
        format!("found {thresholds:?}, expected {expected}")
    });
    SegmentationOutput {
        multi_label,
        thresholds,
    }
}
