//! What the load programs tell of many measurements.

/// The middle one of `numbers`, of which there is at least one.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
