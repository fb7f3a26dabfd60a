//! Suppression of rectangles that stand askew, as Ultralytics does it: two are compared as Gaussians, by the
//! probabilistic IoU (Llerena et al., arXiv 2106.06072), and one goes where any better one is too like it, be that one
//! kept or not (Fast NMS, arXiv 1904.02689).

use super::nms::Candidate;

/// Rectangles that are compared at most, the best. Whether one stays hangs on better ones alone, so that a bound changes
/// an answer only where fewer objects than asked for are among so many.
const MOST_COMPARED: usize = 5_000;

/// As in Ultralytics.
const EPSILON: f32 = 1e-7;

/// A rectangle as a Gaussian: the centre, and the covariance [[a, c], [c, b]].
#[derive(Clone, Copy)]
struct Gaussian {
    centre: [f32; 2],
    a: f32,
    b: f32,
    c: f32,
}

impl Gaussian {
    /// Of centre x, centre y, width, height, angle.
    fn of([x, y, width, height, angle]: [f32; 5]) -> Self {
        let (along, across) = (width * width / 12.0, height * height / 12.0);
        let (sin, cos) = angle.sin_cos();
        Self {
            centre: [x, y],
            a: along * cos * cos + across * sin * sin,
            b: along * sin * sin + across * cos * cos,
            c: (along - across) * cos * sin,
        }
    }

    /// 1 − the Hellinger distance of two.
    fn likeness(&self, other: &Self) -> f32 {
        let (a, b, c) = (self.a + other.a, self.b + other.b, self.c + other.c);
        let (x, y) = (self.centre[0] - other.centre[0], self.centre[1] - other.centre[1]);
        let determinant = a * b - c * c;
        let of_centres = (a * y * y + b * x * x) / (determinant + EPSILON) * 0.25
            - (c * x * y) / (determinant + EPSILON) * 0.5;
        let own = |g: &Self| (g.a * g.b - g.c * g.c).max(0.0);
        let of_shapes =
            (determinant / (4.0 * (own(self) * own(other)).sqrt() + EPSILON) + EPSILON).ln() * 0.5;
        let distance = (of_centres + of_shapes).clamp(EPSILON, 100.0);
        1.0 - (1.0 - (-distance).exp() + EPSILON).sqrt()
    }

    /// Whether the centres alone are so far apart that the likeness is below what `most` allows.
    fn is_far_from(&self, other: &Self, most: f32) -> bool {
        // The first term is at least the squared distance over four times the sum of the largest variances, which are at
        // most the traces.
        let square: f32 = (0..2)
            .map(|axis| (self.centre[axis] - other.centre[axis]).powi(2))
            .sum();
        square > 4.0 * most * (self.a + self.b + other.a + other.b)
    }
}

/// Keeps the best candidates, best first: one goes whose likeness with any better one of its class is `threshold` or
/// more. `rectangles` has centre x, centre y, width, height and angle of each of `candidates`.
pub(super) fn suppress(
    candidates: Vec<Candidate>,
    rectangles: &[[f32; 5]],
    threshold: f32,
    most: usize,
) -> Vec<Candidate> {
    let mut sorted: Vec<(Candidate, Gaussian)> = candidates
        .into_iter()
        .zip(rectangles)
        .map(|(candidate, rectangle)| (candidate, Gaussian::of(*rectangle)))
        .collect();
    sorted.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    sorted.truncate(MOST_COMPARED);
    // The distance at which the likeness is the threshold, and a little more for rounding; a threshold of 0 has none.
    let far = -(1.0 - (1.0 - threshold).powi(2)).ln() * 1.01 + 0.01;
    let mut kept = Vec::new();
    for (index, (candidate, gaussian)) in sorted.iter().enumerate() {
        let goes = sorted[..index].iter().any(|(better, other)| {
            better.class_id == candidate.class_id
                && !gaussian.is_far_from(other, far)
                && gaussian.likeness(other) >= threshold
        });
        if !goes {
            kept.push(*candidate);
            if kept.len() == most {
                break;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(one: [f32; 5], other: [f32; 5]) -> f32 {
        Gaussian::of(one).likeness(&Gaussian::of(other))
    }

    #[test]
    fn likeness_is_ultralytics_probiou() {
        // ultralytics 8.4.190, batch_probiou in 32 bits.
        for (one, other, expected) in PROBIOU {
            let found = likeness(one, other);
            assert!((found - expected).abs() < 2e-4, "{found} and {expected}");
        }
    }

    const PROBIOU: [([f32; 5], [f32; 5], f32); 4] = [
        ([50., 50., 40., 10., 0.5], [53., 51., 38., 11., 0.6], 0.818_880),
        ([50., 50., 40., 10., 0.5], [70., 60., 40., 10., 0.5], 0.383_558),
        ([50., 50., 30., 30., 0.0], [52., 49., 20., 60., 1.2], 0.621_077),
        ([10., 10., 100., 4., -0.7], [12., 12., 90., 5., 2.3], 0.265_633),
    ];

    #[test]
    fn one_goes_for_a_better_one_that_goes_itself() {
        let rectangle = |x: f32| [x, 0.0, 40.0, 10.0, 0.5];
        let candidate = |row: usize, class_id: usize, score: f32| Candidate {
            corners: [0.0; 4],
            class_id,
            score,
            row,
        };
        let candidates = vec![
            candidate(0, 1, 0.9),
            candidate(1, 1, 0.8),
            candidate(2, 1, 0.7),
            candidate(3, 2, 0.6),
        ];
        let rectangles = [0.0, 6.0, 12.0, 0.0].map(rectangle);
        let first_and_third = likeness(rectangles[0], rectangles[2]);
        let threshold = likeness(rectangles[0], rectangles[1]);
        assert!(first_and_third < threshold);
        let kept = suppress(candidates, &rectangles, threshold, 10);
        assert_eq!(kept.iter().map(|c| c.row).collect::<Vec<_>>(), [0, 3]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_far_is_unlike(
            x in -200.0_f32..200.0, y in -200.0_f32..200.0, w in 1.0_f32..90.0, h in 1.0_f32..90.0,
            angle in -1.0_f32..3.0, threshold in 0.01_f32..0.99,
        ) {
            let (one, other) = (Gaussian::of([0.0, 0.0, 40.0, 12.0, 0.3]), Gaussian::of([x, y, w, h, angle]));
            let far = -(1.0 - (1.0 - threshold).powi(2)).ln() * 1.01 + 0.01;
            if one.is_far_from(&other, far) {
                proptest::prop_assert!(one.likeness(&other) < threshold);
            }
        }
    }
}
