//! The average precision of a detector, as COCO counts it and pycocotools 2.0 computes it (`COCOeval` with `iouType="bbox"` or
//! `"segm"`, area `all`, at most 100 objects a class and picture): at ten overlaps from 0.5 to 0.95, the precision at 101 recalls,
//! each the best at that recall or beyond; the mean over classes that have objects. An object that is a crowd is neither found nor
//! missed.

use std::collections::BTreeMap;

use super::region::{Edges, Region};

/// How many overlaps are asked for.
const OVERLAPS: usize = 10;

/// At how many recalls the precision is looked up.
const RECALLS: usize = 101;

/// Objects of a class in a picture that count, the surest first.
const MOST_OBJECTS: usize = 100;

/// An object that is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth<R = Edges> {
    /// Its class.
    pub class_id: usize,
    /// Where it is.
    pub region: R,
    /// Whether it is a crowd: what lies in it counts neither as right nor as wrong.
    pub is_crowd: bool,
}

/// An object that was answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected<R = Edges> {
    /// Its class.
    pub class_id: usize,
    /// How sure the model is.
    pub score: f64,
    /// Where it is.
    pub region: R,
}

/// What became of an object that was answered; a bit an overlap.
#[derive(Debug, Clone, Copy)]
struct Judged {
    score: f64,
    is_right: u16,
    is_ignored: u16,
}

/// The objects of a class.
#[derive(Debug, Clone, Default)]
struct OfClass {
    judged: Vec<Judged>,
    /// How many there are, crowds aside.
    truths: usize,
}

/// What was counted so far, picture by picture.
#[derive(Debug, Clone, Default)]
pub struct AveragePrecision {
    classes: BTreeMap<usize, OfClass>,
}

/// Average precisions, 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Precisions {
    /// The mean over overlaps from 0.5 to 0.95 and classes; nothing where there is no object.
    pub of_all: Option<f64>,
    /// The mean over classes at the overlap 0.5.
    pub at_half: Option<f64>,
    /// By class, of those that have objects: over all overlaps, and at 0.5.
    pub of_classes: BTreeMap<usize, (f64, f64)>,
}

impl AveragePrecision {
    /// Takes a picture in, and says how many of its objects were not found at the overlap 0.5, and how many that were answered are
    /// none.
    pub fn add<R: Region>(&mut self, truths: &[Truth<R>], detected: &[Detected<R>]) -> (usize, usize) {
        let mut ids: Vec<usize> = truths.iter().map(|truth| truth.class_id).collect();
        ids.extend(detected.iter().map(|found| found.class_id));
        ids.sort_unstable();
        ids.dedup();
        let (mut missed, mut wrong) = (0, 0);
        for class_id in ids {
            let mut truths: Vec<&Truth<R>> =
                truths.iter().filter(|truth| truth.class_id == class_id).collect();
            // As pycocotools has them: what is ignored comes last.
            truths.sort_by_key(|truth| truth.is_crowd);
            let mut found: Vec<&Detected<R>> = detected
                .iter()
                .filter(|found| found.class_id == class_id)
                .collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            found.truncate(MOST_OBJECTS);
            let judged = judge(&truths, &found);
            let there = truths.iter().filter(|truth| !truth.is_crowd).count();
            let right = judged
                .iter()
                .filter(|one| one.is_right & !one.is_ignored & 1 == 1)
                .count();
            missed += there - right;
            wrong += judged
                .iter()
                .filter(|one| (one.is_right | one.is_ignored) & 1 == 0)
                .count();
            let class = self.classes.entry(class_id).or_default();
            class.truths += there;
            class.judged.extend(judged);
        }
        (missed, wrong)
    }

    /// The average precisions of what was taken in.
    #[must_use]
    pub fn precisions(&self) -> Precisions {
        let with_truths = self.classes.iter().filter(|(_, class)| class.truths > 0);
        let of_class = |(id, class): (&usize, &OfClass)| {
            let at: Vec<f64> = (0..OVERLAPS).map(|overlap| class.precision(overlap)).collect();
            (*id, (at.iter().sum::<f64>() / OVERLAPS as f64, at[0]))
        };
        let of_classes: BTreeMap<usize, (f64, f64)> = with_truths.map(of_class).collect();
        let mean = |which: fn(&(f64, f64)) -> f64| {
            let sum: f64 = of_classes.values().map(which).sum();
            (!of_classes.is_empty()).then(|| sum / of_classes.len() as f64)
        };
        Precisions {
            of_all: mean(|of| of.0),
            at_half: mean(|of| of.1),
            of_classes,
        }
    }
}

/// The overlap of an index, as NumPy's `linspace(0.5, 0.95, 10)` has it.
fn overlap(index: usize) -> f64 {
    match index {
        9 => 0.95,
        _ => 0.5 + index as f64 * ((0.95 - 0.5) / 9.0),
    }
}

/// Gives each object that was answered, the surest first, the one of its class that it overlaps most with and that is not given
/// yet, at each overlap.
fn judge<R: Region>(truths: &[&Truth<R>], found: &[&Detected<R>]) -> Vec<Judged> {
    let judged = |found: &&Detected<R>| Judged {
        score: found.score,
        is_right: 0,
        is_ignored: 0,
    };
    let mut all: Vec<Judged> = found.iter().map(judged).collect();
    let overlaps: Vec<Vec<f64>> = found
        .iter()
        .map(|found| {
            truths
                .iter()
                .map(|truth| found.region.overlap(&truth.region, truth.is_crowd))
                .collect()
        })
        .collect();
    for index in 0..OVERLAPS {
        let mut given = vec![false; truths.len()];
        for (own, judged) in overlaps.iter().zip(&mut all) {
            let Some(best) = best_of(own, truths, &given, overlap(index)) else {
                continue;
            };
            given[best] = true;
            judged.is_right |= 1 << index;
            if truths[best].is_crowd {
                judged.is_ignored |= 1 << index;
            }
        }
    }
    all
}

/// The object with the largest of these overlaps that is not given yet, at `least`; one that is no crowd goes before one that is.
fn best_of<R>(overlaps: &[f64], truths: &[&Truth<R>], given: &[bool], least: f64) -> Option<usize> {
    let mut best: Option<usize> = None;
    let mut largest = least.min(1.0 - 1e-10);
    for (index, truth) in truths.iter().enumerate() {
        if given[index] && !truth.is_crowd {
            continue;
        }
        if truth.is_crowd && best.is_some_and(|best| !truths[best].is_crowd) {
            break;
        }
        if overlaps[index] >= largest {
            (best, largest) = (Some(index), overlaps[index]);
        }
    }
    best
}

impl OfClass {
    /// The mean precision over the recalls at an overlap, of a class that has objects.
    fn precision(&self, overlap: usize) -> f64 {
        let mut all: Vec<&Judged> = self.judged.iter().collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        let (mut right, mut wrong) = (0.0, 0.0);
        // Recall and precision after each object that counts.
        let mut curve: Vec<(f64, f64)> = Vec::with_capacity(all.len());
        for one in all.into_iter().filter(|one| one.is_ignored >> overlap & 1 == 0) {
            match one.is_right >> overlap & 1 {
                1 => right += 1.0,
                _ => wrong += 1.0,
            }
            curve.push((right / self.truths as f64, right / (right + wrong)));
        }
        // From behind: no precision is less than one at a larger recall.
        let mut best = 0.0f64;
        for (_, precision) in curve.iter_mut().rev() {
            best = best.max(*precision);
            *precision = best;
        }
        let at = |index: usize| {
            let recall = index as f64 * 0.01;
            let place = curve.partition_point(|(reached, _)| *reached < recall);
            curve.get(place).map_or(0.0, |(_, precision)| *precision)
        };
        (0..RECALLS).map(at).sum::<f64>() / RECALLS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(class_id: usize, bounds: [f64; 4]) -> Truth {
        Truth {
            class_id,
            region: bounds,
            is_crowd: false,
        }
    }

    fn found(class_id: usize, score: f64, bounds: [f64; 4]) -> Detected {
        Detected {
            class_id,
            score,
            region: bounds,
        }
    }

    const SQUARE: [f64; 4] = [0.0, 0.0, 10.0, 10.0];
    const FAR: [f64; 4] = [50.0, 50.0, 60.0, 60.0];

    #[test]
    fn a_wrong_object_between_two_right_ones_costs_what_a_hand_computes() {
        let mut all = AveragePrecision::default();
        let detected = [
            found(0, 0.9, SQUARE),
            found(0, 0.8, [20.0, 0.0, 30.0, 10.0]),
            found(0, 0.7, FAR),
        ];
        let errors = all.add(&[truth(0, SQUARE), truth(0, FAR)], &detected);
        assert_eq!(errors, (0, 1));
        // Up to the recall 0.5, which is 51 of the recalls, the precision is 1; beyond it 2/3.
        let expected = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
        let precisions = all.precisions();
        assert!(
            (precisions.at_half.expect("objects") - expected).abs() < 1e-12,
            "{precisions:?}"
        );
        assert!(
            (precisions.of_all.expect("objects") - expected).abs() < 1e-12,
            "exact boxes at every overlap"
        );
    }

    #[test]
    fn an_overlap_counts_up_to_its_own_threshold() {
        let mut all = AveragePrecision::default();
        // Eight of ten columns: an overlap of 0.8, enough for 0.5 to 0.8, seven of ten.
        all.add(&[truth(3, SQUARE)], &[found(3, 0.5, [0.0, 0.0, 8.0, 10.0])]);
        let precisions = all.precisions();
        assert!(
            (precisions.of_all.expect("objects") - 0.7).abs() < 1e-12,
            "{precisions:?}"
        );
        assert_eq!(precisions.at_half, Some(1.0));
    }

    #[test]
    fn what_lies_in_a_crowd_is_neither_right_nor_wrong() {
        let crowd = Truth {
            is_crowd: true,
            ..truth(0, [40.0, 40.0, 100.0, 100.0])
        };
        let mut all = AveragePrecision::default();
        let detected = [
            found(0, 0.9, FAR),
            found(0, 0.85, [70.0, 70.0, 80.0, 80.0]),
            found(0, 0.8, SQUARE),
        ];
        assert_eq!(all.add(&[crowd, truth(0, SQUARE)], &detected), (0, 0));
        assert_eq!(all.precisions().at_half, Some(1.0));
    }

    #[test]
    fn an_object_is_found_once_and_a_class_without_objects_is_left_out() {
        let mut all = AveragePrecision::default();
        let twice = [
            found(0, 0.9, SQUARE),
            found(0, 0.8, SQUARE),
            found(7, 0.9, SQUARE),
        ];
        assert_eq!(all.add(&[truth(0, SQUARE), truth(0, FAR)], &twice), (1, 2));
        let precisions = all.precisions();
        assert_eq!(precisions.of_classes.keys().copied().collect::<Vec<_>>(), [0]);
        // One of two is found: the precision is 1 up to the recall 0.5, and 0 beyond it.
        assert!(
            (precisions.at_half.expect("objects") - 51.0 / 101.0).abs() < 1e-12,
            "{precisions:?}"
        );
        assert_eq!(AveragePrecision::default().precisions().of_all, None);
    }
}
