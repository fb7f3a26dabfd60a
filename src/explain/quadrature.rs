//! Gauss–Legendre quadrature on 0..=1, for integrated gradients.

use std::f64::consts::PI;

/// `n` points in rising order, and their weights: exact for polynomials up to degree 2n − 1.
///
/// Roots of the Legendre polynomial by Newton's method from Chebyshev's guesses (Numerical Recipes, section 4.6).
pub(super) fn gauss_legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
    let root = |index: usize| {
        let mut x = (PI * (index as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        // Newton's steps shrink quadratically: a handful reaches the last digit.
        for _ in 0..100 {
            let (value, derivative) = legendre(n, x);
            slope = derivative;
            let step = value / derivative;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    // The largest root comes first; 0..=1 is half as long as −1..=1.
    (0..n)
        .rev()
        .map(root)
        .map(|(x, weight)| (0.5 * (1.0 + x), 0.5 * weight))
        .unzip()
}

/// The Legendre polynomial of degree `n` at `x`, and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (0.0, 1.0);
    for degree in 0..n {
        let degree = degree as f64;
        (before, value) = (
            value,
            ((2.0 * degree + 1.0) * x * value - degree * before) / (degree + 1.0),
        );
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for n in [1usize, 2, 5, 50, 300] {
            let (points, weights) = gauss_legendre(n);
            assert!(
                points.windows(2).all(|pair| pair[0] < pair[1]) && points[0] > 0.0 && points[n - 1] < 1.0
            );
            // ∫ x^k = 1/(k + 1).
            for k in [0, 1, 2 * n - 1] {
                let sum: f64 = points
                    .iter()
                    .zip(&weights)
                    .map(|(x, w)| w * x.powi(k as i32))
                    .sum();
                assert!(
                    (sum - 1.0 / (k as f64 + 1.0)).abs() < 1e-12,
                    "n = {n}, k = {k}: {sum}"
                );
            }
        }
    }
}
