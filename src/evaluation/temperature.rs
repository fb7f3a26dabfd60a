//! The temperature at which a classifier's probabilities are the best: that of the least negative log-likelihood (Guo et al., arXiv
//! 1706.04599, section 4.2).
//!
//! In β = 1 / T the negative log-likelihood `mean(log Σ_k exp(β z_k) − β z_y)` is convex: a logarithm of a sum of exponentials of
//! what is linear, less what is linear. Its slope, `mean(Σ_k p_k z_k − z_y)`, never falls, so that its zero is found by halving.

use crate::manifest::Temperature;
use crate::tasks::classification::Likelihood;

/// What a model answered for a picture, and what is true.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `[K]`, before the temperature and the activation.
    pub logits: Vec<f32>,
    /// The class that is true, less than K.
    pub truth: usize,
}

/// What came of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fitted {
    /// The best.
    Best(Temperature),
    /// The best lies beyond the bounds of a temperature, so that these pictures say nothing of it: all are right, or the model tells
    /// them apart no better than by chance.
    Beyond,
}

/// The mean negative log-likelihood of the truths, in nats.
#[must_use]
pub fn negative_log_likelihood(samples: &[Sample], likelihood: Likelihood) -> f64 {
    let of_one = |sample: &Sample| -likelihood.log_probabilities(&sample.logits)[sample.truth];
    samples.iter().map(of_one).sum::<f64>() / samples.len().max(1) as f64
}

/// The temperature at which the truths are the most likely.
#[must_use]
pub fn fit(samples: &[Sample], likelihood: Likelihood) -> Fitted {
    /// Halvings of the logarithm of the range, which is less than 10 wide: beyond the digits of what is written.
    const HALVINGS: u32 = 40;
    let (mut low, mut high) = (Temperature::LEAST.ln(), Temperature::MOST.ln());
    let at = |log: f64| {
        Temperature::new(log.exp().clamp(Temperature::LEAST, Temperature::MOST)).unwrap_or_default()
    };
    let slope = |log: f64| slope(samples, likelihood.at(at(log)));
    // In β the slope never falls, so in T it never rises: above 0 below the best, below 0 above it.
    if slope(low) <= 0.0 || slope(high) >= 0.0 {
        return Fitted::Beyond;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Fitted::Best(at(f64::midpoint(low, high)))
}

/// How steeply the negative log-likelihood rises with 1 / T.
fn slope(samples: &[Sample], likelihood: Likelihood) -> f64 {
    let of_one = |sample: &Sample| {
        let plain = likelihood.plain(&sample.logits);
        let log_probabilities = likelihood.log_probabilities(&sample.logits);
        let expected: f64 = plain
            .iter()
            .zip(&log_probabilities)
            .map(|(logit, log)| logit * log.exp())
            .sum();
        expected - plain[sample.truth]
    };
    samples.iter().map(of_one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::{Labels, ModelSpec};

    fn likelihood() -> Likelihood {
        let text = "task = \"classification\"\n[input]\nsize = [2, 2]";
        let spec = ModelSpec::new(Manifest::parse(text).expect("right"), Labels::default());
        Likelihood::of(&spec).expect("a softmax")
    }

    fn samples(of: &[([f32; 2], usize, usize)]) -> Vec<Sample> {
        let one = |(logits, truth, times): &([f32; 2], usize, usize)| {
            let logits = logits.to_vec();
            vec![
                Sample {
                    logits,
                    truth: *truth
                };
                *times
            ]
        };
        of.iter().flat_map(one).collect()
    }

    #[test]
    fn a_model_that_says_a_sixteenth_and_is_wrong_a_quarter_of_the_times_is_cooled_to_that() {
        // All have the logits (ln 15, 0); three of four are of the first class. The best is where the softmax is (3/4, 1/4):
        // ln 15 / T = ln 3.
        let made = samples(&[([15f32.ln(), 0.0], 0, 3), ([15f32.ln(), 0.0], 1, 1)]);
        let Fitted::Best(found) = fit(&made, likelihood()) else {
            panic!("there is one");
        };
        let expected = 15f64.ln() / 3f64.ln();
        assert!(
            (found.get() - expected).abs() < 1e-5,
            "found {found:?}, expected {expected}"
        );
        let at = |temperature: f64| {
            let temperature = Temperature::new(temperature).expect("within the bounds");
            negative_log_likelihood(&made, likelihood().at(temperature))
        };
        assert!(at(expected) < at(expected * 1.01) && at(expected) < at(expected * 0.99));
        // −(¾ ln ¾ + ¼ ln ¼)
        assert!((at(expected) - 0.562_335_144_618_808_3).abs() < 1e-6);
    }

    #[test]
    fn one_that_is_too_modest_is_made_surer() {
        let made = samples(&[([0.1, 0.0], 0, 9), ([0.1, 0.0], 1, 1)]);
        let Fitted::Best(found) = fit(&made, likelihood()) else {
            panic!("there is one");
        };
        assert!((found.get() - 0.1 / 9f64.ln()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn without_a_wrong_answer_or_a_right_one_there_is_no_best() {
        assert_eq!(fit(&samples(&[([2.0, 0.0], 0, 5)]), likelihood()), Fitted::Beyond);
        assert_eq!(fit(&samples(&[([2.0, 0.0], 1, 5)]), likelihood()), Fitted::Beyond);
        assert_eq!(fit(&samples(&[([1.0, 1.0], 0, 5)]), likelihood()), Fitted::Beyond);
    }
}
