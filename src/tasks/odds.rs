//! Probabilities of classes that exclude one another, from their logits, in 64 bits.

/// The logarithm of the softmax of `logits`: of each, itself less the logarithm of the sum of all exponentials.
#[must_use]
pub fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    // The largest goes first: beside a large one the logarithm of the sum would be lost.
    let rest = sum.ln();
    logits.iter().map(|logit| logit - largest - rest).collect()
}

/// The entropy of a distribution in nats, `−Σ p ln p` (Shannon, "A Mathematical Theory of Communication", 1948, §6), by the
/// logarithms of its probabilities.
#[must_use]
pub fn entropy_nats(log_probabilities: &[f64]) -> f64 {
    let terms = log_probabilities.iter().map(|log| log.exp() * log);
    // Of a probability of 0 the term is 0, not a product with infinity.
    let sum: f64 = terms.filter(|term| !term.is_nan()).sum();
    if sum < 0.0 { -sum } else { 0.0 }
}

/// `entropy_nats` as a part of the largest that so many classes have, ln K: 0 to 1.
#[must_use]
pub fn relative_entropy(entropy_nats: f64, classes: usize) -> f64 {
    match classes {
        0 | 1 => 0.0,
        classes => (entropy_nats / (classes as f64).ln()).clamp(0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_sums_to_one_whatever_the_logits_are() {
        for logits in [vec![0.0, 2f64.ln()], vec![-1e4, 1e4], vec![1e30, -1e30, 1e30]] {
            let sum: f64 = log_softmax(&logits).iter().map(|log| log.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{logits:?}: {sum}");
        }
        assert!((log_softmax(&[0.0, 2f64.ln()])[1] - (2.0f64 / 3.0).ln()).abs() < 1e-12);
    }

    #[test]
    fn the_entropy_of_an_even_choice_is_ln_k_and_that_of_a_certain_one_is_0() {
        let even = entropy_nats(&log_softmax(&[3.0; 8]));
        assert!((even - 8f64.ln()).abs() < 1e-12 && (relative_entropy(even, 8) - 1.0).abs() < 1e-12);
        let certain = entropy_nats(&log_softmax(&[0.0, 1e30]));
        assert!(certain == 0.0 && certain.is_sign_positive());
        // −(¾ ln ¾ + ¼ ln ¼)
        let quarter = entropy_nats(&log_softmax(&[3f64.ln(), 0.0]));
        assert!((quarter - 0.562_335_144_618_808_3).abs() < 1e-12, "{quarter}");
    }
}
