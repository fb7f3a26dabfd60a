//! How probable a classifier holds each class, where one of them holds, and how sure it is.

use crate::error::{Error, Result};
use crate::manifest::{Activation, Temperature};
use crate::tasks::odds::{entropy_nats, log_softmax, relative_entropy};
use crate::tasks::spec::ModelSpec;

/// How logits become the probabilities of classes that exclude one another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    temperature: Temperature,
    /// What logits are multiplied by first.
    factor: f64,
}

/// How sure a model is of the class of one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uncertainty {
    /// Of the probabilities of all classes, in nats.
    pub entropy_nats: f64,
    /// The same as a part of ln K, 0 to 1.
    pub relative_entropy: f64,
    /// How much more probable the first class is than the second.
    pub margin: f64,
    /// How the first class holds out in other views of the picture, where that was asked for.
    pub spread: Option<Spread>,
}

/// The first class of a picture in several views of it, the untouched one among them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// How many views.
    pub views: usize,
    /// The mean probability of the class over them.
    pub score_mean: f64,
    /// The standard deviation of that probability, of these views as the whole population.
    pub score_std: f64,
    /// In how many views it is the first.
    pub agreeing: usize,
}

impl Likelihood {
    /// That of a model.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] where its scores are no probabilities of classes that exclude one another.
    pub fn of(spec: &ModelSpec) -> Result<Self> {
        let refused = |why: &str| {
            Err(Error::UnsupportedForTask(format!(
                "the scores of this model are no probabilities of classes that exclude one another: {why}"
            )))
        };
        let output = &spec.manifest.output;
        let of = |factor| Self {
            temperature: output.temperature,
            factor,
        };
        match output.activation {
            Activation::Softmax => Ok(of(1.0)),
            // One logit x has become [−x, x]; the softmax of their halves is the sigmoid of x.
            Activation::Sigmoid if spec.row() == Some(&[1]) && spec.labels.len() == 2 => Ok(of(0.5)),
            Activation::Sigmoid => {
                refused("output.activation is \"sigmoid\", by which each class holds or not for itself")
            }
            Activation::None => {
                refused("output.activation is \"none\", so that they are what the module answers")
            }
        }
    }

    /// The same at another temperature.
    #[must_use]
    pub fn at(self, temperature: Temperature) -> Self {
        Self { temperature, ..self }
    }

    /// The temperature.
    #[must_use]
    pub fn temperature(self) -> Temperature {
        self.temperature
    }

    /// What the softmax at temperature 1 is taken of.
    #[must_use]
    pub fn plain(self, logits: &[f32]) -> Vec<f64> {
        logits
            .iter()
            .map(|logit| f64::from(*logit) * self.factor)
            .collect()
    }

    /// The logarithm of the probability of each class.
    #[must_use]
    pub fn log_probabilities(self, logits: &[f32]) -> Vec<f64> {
        let mut scaled = self.plain(logits);
        for logit in &mut scaled {
            *logit /= self.temperature.get();
        }
        log_softmax(&scaled)
    }
}

impl Uncertainty {
    /// That of a picture, by the logarithms of the probabilities of its classes.
    #[must_use]
    pub fn of(log_probabilities: &[f64]) -> Self {
        let mut sorted = log_probabilities.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let probability = |place: usize| sorted.get(place).map_or(0.0, |log| log.exp());
        let entropy_nats = entropy_nats(log_probabilities);
        Self {
            entropy_nats,
            relative_entropy: relative_entropy(entropy_nats, log_probabilities.len()),
            margin: probability(0) - probability(1),
            spread: None,
        }
    }
}

impl Spread {
    /// That of several views of a picture, of which the first is the untouched one, by the logarithms of the probabilities of
    /// their classes; nothing where there is no view.
    #[must_use]
    pub fn of(views: &[Vec<f64>]) -> Option<Self> {
        let first = best(views.first()?)?;
        let scores: Vec<f64> = views
            .iter()
            .filter_map(|view| Some(view.get(first)?.exp()))
            .collect();
        let count = scores.len() as f64;
        let score_mean = scores.iter().sum::<f64>() / count;
        let variance = scores
            .iter()
            .map(|score| (score - score_mean).powi(2))
            .sum::<f64>()
            / count;
        Some(Self {
            views: views.len(),
            score_mean,
            score_std: variance.sqrt(),
            agreeing: views.iter().filter(|view| best(view) == Some(first)).count(),
        })
    }
}

/// The class that is most probable, the first of several alike.
fn best(log_probabilities: &[f64]) -> Option<usize> {
    let numbered = log_probabilities.iter().enumerate().rev();
    Some(numbered.max_by(|(_, a), (_, b)| a.total_cmp(b))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(output: &str, labels: &[&str]) -> ModelSpec {
        let text = format!("task = \"classification\"\n[input]\nsize = [2, 2]\n[output]\n{output}");
        let labels = Labels::new(labels.iter().map(ToString::to_string));
        ModelSpec::new(Manifest::parse(&text).expect("right"), labels)
    }

    #[test]
    fn one_logit_of_two_classes_is_a_distribution() {
        let spec = spec("activation = \"sigmoid\"\ntemperature = 2", &["bad", "good"]);
        spec.same_row(&[1, 1]).expect("the first");
        let of_one = Likelihood::of(&spec).expect("two classes");
        let probability = of_one.log_probabilities(&[-3.0, 3.0])[1].exp();
        let expected = 1.0 / (1.0 + (-1.5f64).exp());
        assert!((probability - expected).abs() < 1e-12, "{probability}");
    }

    #[test]
    fn scores_that_do_not_exclude_one_another_are_refused() {
        for output in ["activation = \"sigmoid\"", "activation = \"none\""] {
            let refused = Likelihood::of(&spec(output, &[])).expect_err(output);
            assert_eq!(refused.code(), "unsupported_for_task");
        }
    }

    #[test]
    fn an_uncertainty_is_that_of_its_probabilities() {
        let log = |odds: [f64; 3]| odds.map(f64::ln).to_vec();
        let found = Uncertainty::of(&log([0.2, 0.7, 0.1]));
        // −(0.2 ln 0.2 + 0.7 ln 0.7 + 0.1 ln 0.1)
        let expected = 0.801_818_552_543_337_2;
        assert!((found.entropy_nats - expected).abs() < 1e-9, "{found:?}");
        assert!((found.relative_entropy - expected / 3f64.ln()).abs() < 1e-9);
        assert!((found.margin - 0.5).abs() < 1e-12 && found.spread.is_none());
    }

    #[test]
    fn a_spread_is_of_the_untouched_view_s_first_class() {
        let log = |odds: [f64; 2]| odds.map(f64::ln).to_vec();
        let found = Spread::of(&[log([0.4, 0.6]), log([0.2, 0.8]), log([0.6, 0.4])]).expect("views");
        // Of 0.6, 0.8 and 0.4 the mean is 0.6, the variance (0 + 0.04 + 0.04) / 3.
        assert_eq!((found.views, found.agreeing), (3, 2));
        assert!((found.score_mean - 0.6).abs() < 1e-12);
        assert!(
            (found.score_std - (0.08f64 / 3.0).sqrt()).abs() < 1e-12,
            "{found:?}"
        );
        assert_eq!(Spread::of(&[]), None);
    }
}
