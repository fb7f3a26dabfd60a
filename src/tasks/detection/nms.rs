//! Class-wise non-maximum suppression, as torchvision's `batched_nms` does it.

use std::collections::HashMap;

/// A candidate object. The box is `[x0, y0, x1, y1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) corners: [f32; 4],
    pub(crate) class_id: usize,
    pub(crate) score: f32,
    /// Which of the model's boxes it is.
    pub(crate) row: usize,
}

/// Intersection over union; 0 where neither box has an area.
pub(crate) fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    let area = |c: &[f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    let intersection = side(0, 2) * side(1, 3);
    let union = area(a) + area(b) - intersection;
    if union > 0.0 { intersection / union } else { 0.0 }
}

/// Candidates that are compared at most, the best: as many as Ultralytics compares.
const MOST_CANDIDATES: usize = 30_000;

/// Keeps the best candidates, best first: of two of a class that overlap by more than `iou_threshold`, the lesser
/// goes; `most` at the most.
pub(super) fn suppress(mut candidates: Vec<Candidate>, iou_threshold: f32, most: usize) -> Vec<Candidate> {
    // A stable sort: of equal scores the first stays first, so that the answer is always the same.
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MOST_CANDIDATES);
    let mut kept: Vec<Candidate> = Vec::new();
    let mut by_class: HashMap<usize, Vec<[f32; 4]>> = HashMap::new();
    for candidate in candidates {
        let of_class = by_class.entry(candidate.class_id).or_default();
        if !of_class
            .iter()
            .any(|corners| iou(corners, &candidate.corners) > iou_threshold)
        {
            of_class.push(candidate.corners);
            kept.push(candidate);
            if kept.len() == most {
                break;
            }
        }
    }
    kept
}

/// The best of them, best first.
pub(super) fn best(mut candidates: Vec<Candidate>, most: usize) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(most);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(x: f32, class_id: usize, score: f32) -> Candidate {
        Candidate {
            corners: [x, 0.0, x + 10.0, 10.0],
            class_id,
            score,
            row: 0,
        }
    }

    #[test]
    fn overlap_is_intersection_over_union() {
        assert_eq!(iou(&[0., 0., 2., 2.], &[1., 0., 3., 2.]), 2.0 / 6.0);
        assert_eq!(iou(&[0., 0., 1., 1.], &[2., 2., 3., 3.]), 0.0);
        assert_eq!(
            iou(&[1., 1., 1., 1.], &[1., 1., 1., 1.]),
            0.0,
            "no area, no overlap"
        );
    }

    #[test]
    fn the_lesser_of_two_of_a_class_goes_and_other_classes_stay() {
        let candidates = vec![
            candidate(0.0, 1, 0.5),
            candidate(1.0, 1, 0.9),
            candidate(0.5, 2, 0.4),
            candidate(30.0, 1, 0.3),
        ];
        let kept = suppress(candidates.clone(), 0.5, 10);
        assert_eq!(kept, [candidates[1], candidates[2], candidates[3]]);
        assert_eq!(
            suppress(candidates.clone(), 0.99, 10).len(),
            4,
            "little overlaps that much"
        );
        assert_eq!(suppress(candidates, 0.5, 1).len(), 1);
    }
}
