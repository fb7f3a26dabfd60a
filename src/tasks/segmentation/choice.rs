//! Of which class, or of which classes, a pixel is, by its logits.

use tch::Tensor;

use crate::error::Result;
use crate::manifest::{Activation, SegmentationOutput};
use crate::tasks::gist::stride;
use crate::tasks::spec::ModelSpec;

/// The class id of a pixel that the model did not see.
pub const UNSEEN: u8 = 255;

/// How the classes of a pixel are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Choice {
    /// The one with the largest logit.
    Best,
    /// Each whose logit is above its own.
    Above(Vec<f32>),
}

impl Choice {
    /// What is chosen of a sample of so many cells, by logits `[K, cells]`; where a cell may be of several classes, of each class.
    pub(super) fn of_cells(&self, logits: &[f32], cells: usize) -> Vec<u64> {
        let planes: Vec<&[f32]> = logits.chunks_exact(cells.max(1)).collect();
        // Of every class one number is looked at.
        let stride = stride(logits.len());
        match self {
            Self::Best => (0..cells)
                .step_by(stride)
                .map(|cell| {
                    let logit = |class: &usize| planes[*class][cell];
                    let best = (0..planes.len()).max_by(|a, b| logit(a).total_cmp(&logit(b)));
                    best.unwrap_or_default() as u64
                })
                .collect(),
            Self::Above(bounds) => {
                let of_class = planes.iter().zip(bounds);
                of_class
                    .flat_map(|(plane, bound)| {
                        let sample = plane.iter().step_by(stride);
                        sample.map(move |logit| u64::from(logit > bound))
                    })
                    .collect()
            }
        }
    }

    /// That of a model of so many classes.
    pub(crate) fn of(spec: &ModelSpec, classes: usize) -> Self {
        let bounds = |keys: &SegmentationOutput| (0..classes).map(|class| bound(spec, keys, class)).collect();
        let keys = spec.manifest.output.segmentation.as_ref();
        match (spec.overlapping(), keys) {
            (Some(_), Some(keys)) => Self::Above(bounds(keys)),
            _ => Self::Best,
        }
    }
}

/// What the logit of a class must be above: a sigmoid rises, so that the threshold itself goes back through it and the
/// temperature.
fn bound(spec: &ModelSpec, keys: &SegmentationOutput, class: usize) -> f32 {
    const HALF: f32 = 0.5;
    let threshold = match keys.thresholds[..] {
        [of_all] => of_all,
        _ => keys.thresholds.get(class).copied().unwrap_or(HALF),
    };
    let output = &spec.manifest.output;
    match output.activation {
        Activation::None => threshold,
        Activation::Sigmoid | Activation::Softmax => {
            let scaled = f64::from((threshold / (1.0 - threshold)).ln());
            (scaled * output.temperature.get()) as f32
        }
    }
}

/// Whether so many classes are what model.toml describes; learns whether a pixel may be of several.
pub(super) fn check(spec: &ModelSpec, classes: usize) -> Result<(), String> {
    let output = &spec.manifest.output;
    let keys = output.segmentation.clone().unwrap_or_default();
    let by_sigmoid = output.activation == Activation::Sigmoid && classes > 1;
    let labels = spec.labels.len();
    let (overlap, thresholds) = (keys.multi_label.unwrap_or(by_sigmoid), keys.thresholds.len());
    if classes >= usize::from(UNSEEN) {
        let most = UNSEEN - 1;
        return Err(format!(
            "forward answered {classes} classes, at most {most} can be told apart"
        ));
    }
    if thresholds > 1 && thresholds != classes {
        return Err(format!(
            "forward answered {classes} channels, but output.score_threshold has {thresholds} numbers"
        ));
    }
    if overlap {
        spec.labels.name_each_of(classes)?;
        spec.learn_overlapping(classes);
        return Ok(());
    }
    match classes {
        1 if labels == 0 || labels == 2 => Ok(()),
        1 => Err(format!(
            "one channel means two classes, but output.labels has {labels} labels; with multi_label = true under [output] it \
             is one class"
        )),
        _ if thresholds > 0 => Err(
            "output.score_threshold is for masks that overlap, or for one channel; set multi_label = true under [output]".into(),
        ),
        _ => spec.labels.name_each_of(classes),
    }
}

/// The logits of each class. One channel, where it is not a class alone, is that of the second of two: the first wins where
/// the score is not above the threshold, a half where nothing is said.
pub(crate) fn with_background(logits: &Tensor, spec: &ModelSpec) -> Result<Tensor> {
    if logits.size().get(1) != Some(&1) || spec.overlapping().is_some() {
        return Ok(logits.shallow_clone());
    }
    let keys = spec.manifest.output.segmentation.clone().unwrap_or_default();
    let even = f64::from(bound(spec, &keys, 0));
    Ok(Tensor::f_cat(
        &[logits.f_full_like(even)?, logits.shallow_clone()],
        1,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(output: &str, labels: &[&str]) -> ModelSpec {
        let text = format!("task = \"segmentation\"\n[input]\nsize = [8, 8]\n[output]\n{output}");
        let labels = Labels::new(labels.iter().map(ToString::to_string));
        ModelSpec::new(Manifest::parse(&text).expect("a segmenter"), labels)
    }

    #[test]
    fn one_channel_is_two_classes() {
        let one = Tensor::from_slice(&[-0.1f32, 0.4, 0.6, 1.5]).view([1, 1, 1, 4]);
        let best = |output: &str| {
            let both = with_background(&one, &spec(output, &[])).expect("two classes");
            Vec::<i64>::try_from(both.argmax(1, false).flatten(0, -1)).expect("indices")
        };
        assert_eq!(best("activation = \"sigmoid\""), [0, 1, 1, 1], "a logit above 0");
        assert_eq!(best(""), [0, 1, 1, 1], "that is the default");
        assert_eq!(
            best("activation = \"none\""),
            [0, 0, 1, 1],
            "a probability above 0.5"
        );
        // The sigmoid of 1.5 is 0.82, that of 0.6 is 0.65.
        assert_eq!(
            best("activation = \"sigmoid\"\nscore_threshold = 0.7"),
            [0, 0, 0, 1]
        );
    }

    #[test]
    fn with_a_sigmoid_more_than_one_channel_may_overlap() {
        let of = |output: &str, classes: usize| {
            let spec = spec(output, &[]);
            check(&spec, classes).map(|()| Choice::of(&spec, classes))
        };
        assert_eq!(of("activation = \"sigmoid\"", 1), Ok(Choice::Best));
        assert_eq!(
            of("activation = \"sigmoid\"", 2),
            Ok(Choice::Above(vec![0.0, 0.0]))
        );
        assert_eq!(
            of("activation = \"sigmoid\"\nmulti_label = false", 2),
            Ok(Choice::Best)
        );
        assert_eq!(
            of("activation = \"sigmoid\"\nmulti_label = true", 1),
            Ok(Choice::Above(vec![0.0]))
        );
        assert_eq!(of("activation = \"none\"", 2), Ok(Choice::Best));
        let probabilities = "activation = \"none\"\nmulti_label = true\nscore_threshold = [0.3, 0.6]";
        assert_eq!(of(probabilities, 2), Ok(Choice::Above(vec![0.3, 0.6])));
        assert!(
            of(probabilities, 3).is_err_and(|e| e.contains("3 channels, but output.score_threshold has 2"))
        );
        assert!(
            of("activation = \"none\"\nscore_threshold = 0.3", 2)
                .is_err_and(|e| e.contains("multi_label = true"))
        );
        let Ok(Choice::Above(bounds)) = of("activation = \"sigmoid\"\nscore_threshold = 0.8", 2) else {
            panic!("they overlap");
        };
        // log(0.8 / 0.2)
        assert!(
            bounds.iter().all(|bound| (bound - 4.0f32.ln()).abs() < 1e-6),
            "{bounds:?}"
        );
    }

    #[test]
    fn a_threshold_goes_back_through_the_temperature() {
        let spec = spec(
            "activation = \"sigmoid\"\nscore_threshold = 0.8\ntemperature = 2.5",
            &[],
        );
        check(&spec, 2).expect("they overlap");
        let Choice::Above(bounds) = Choice::of(&spec, 2) else {
            panic!("they overlap");
        };
        // σ(x / 2.5) > 0.8 where x > 2.5 · log(0.8 / 0.2)
        assert!((bounds[0] - 2.5 * 4.0f32.ln()).abs() < 1e-5, "{bounds:?}");
    }

    #[test]
    fn a_class_alone_has_one_label() {
        let both = |output: &str, labels: &[&str]| check(&spec(output, labels), 1);
        assert!(both("activation = \"sigmoid\"", &["road"]).is_err_and(|e| e.contains("multi_label = true")));
        assert_eq!(
            both("activation = \"sigmoid\"\nmulti_label = true", &["road"]),
            Ok(())
        );
        assert_eq!(both("activation = \"sigmoid\"", &["rest", "road"]), Ok(()));
    }
}
