//! Spearman's rank correlation: Pearson's of ranks, where equal values share the mean of theirs.

/// The rank of each of `values`, from 0, the smallest first. What is not finite counts as less than everything.
pub(super) fn ranks(values: &[f32]) -> Vec<f64> {
    let value = |index: &usize| match values[*index] {
        value if value.is_finite() => value,
        _ => f32::NEG_INFINITY,
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| value(a).total_cmp(&value(b)));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for equal in order.chunk_by(|a, b| value(a) == value(b)) {
        let mean = from as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|index| ranks[*index] = mean);
        from += equal.len();
    }
    ranks
}

/// Pearson's correlation of two rows of as many numbers; nothing where one of them is the same everywhere.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let count = a.len().min(b.len()) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    let whole = (of_a * of_b).sqrt();
    (whole > 0.0).then(|| (both / whole).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, -1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(ranks(&[0.0, -0.0]), ranks(&[5.0, 5.0]));
        assert_eq!(ranks(&[1.0, f32::NAN, f32::INFINITY]), [2.0, 0.5, 0.5]);
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn correlations_are_of_order_alone() {
        let of = |a: &[f32], b: &[f32]| correlation(&ranks(a), &ranks(b));
        let rising = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(of(&rising, &[0.1, 0.2, 9.0, 9e9]), Some(1.0));
        assert_eq!(of(&rising, &[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        // 1 − 6 · Σd² / (n(n² − 1)), without ties: d = 0, 1, 1, 0.
        let found = of(&rising, &[1.0, 3.0, 2.0, 4.0]).expect("both vary");
        assert!((found - 0.8).abs() < 1e-12, "{found}");
        assert_eq!(of(&rising, &[1.0; 4]), None, "the same everywhere");
        assert_eq!(of(&[], &[]), None);
    }
}
