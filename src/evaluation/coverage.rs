//! How well masks of classes lie on the true ones: the mean intersection over union (Everingham et al., "The Pascal Visual Object
//! Classes Challenge: A Retrospective", 2015, section 4.3): `IoU = TP / (TP + FP + FN)` of each class over the pixels of all
//! pictures, and the mean of the classes that are anywhere.

/// The id of a pixel whose class is not known: it counts nowhere.
pub const IGNORED: u8 = 255;

/// Ids of classes, each a byte.
const IDS: usize = 256;

/// Pixels by class, counted over all pictures: what each class's IoU is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Pixels of each class that are true and answered, that are true, and that are answered.
    counts: Vec<[u64; 3]>,
}

/// How well one class is covered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassCoverage {
    /// The class.
    pub class_id: usize,
    /// Pixels that are of it.
    pub pixels: u64,
    /// The intersection over union, 0 to 1.
    pub iou: f64,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            counts: vec![[0; 3]; IDS],
        }
    }
}

impl Coverage {
    /// Takes a picture in: the true class of each pixel, and the one that was answered. A pixel that the model did not see has the
    /// answer [`IGNORED`], which is no class, so it is missing from its own.
    pub fn add(&mut self, truth: &[u8], answer: &[u8]) {
        for (&truth, &answer) in truth.iter().zip(answer) {
            if truth == IGNORED {
                continue;
            }
            self.counts[usize::from(truth)][0] += u64::from(truth == answer);
            self.counts[usize::from(truth)][1] += 1;
            self.counts[usize::from(answer)][2] += 1;
        }
    }

    /// Takes what another has counted in.
    pub fn extend(&mut self, other: &Self) {
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            for (own, more) in own.iter_mut().zip(more) {
                *own += more;
            }
        }
    }

    /// The classes that are anywhere, true or answered, by id.
    #[must_use]
    pub fn classes(&self) -> Vec<ClassCoverage> {
        let of_class = |(class_id, &[both, truth, answer]): (usize, &[u64; 3])| {
            let either = truth + answer - both;
            (either > 0).then(|| ClassCoverage {
                class_id,
                pixels: truth,
                iou: both as f64 / either as f64,
            })
        };
        let classes = self.counts[..usize::from(IGNORED)].iter().enumerate();
        classes.filter_map(of_class).collect()
    }

    /// The mean intersection over union of these; nothing where there is none.
    #[must_use]
    pub fn mean_iou(&self) -> Option<f64> {
        let classes = self.classes();
        let sum = classes.iter().map(|class| class.iou).sum::<f64>();
        (!classes.is_empty()).then(|| sum / classes.len() as f64)
    }

    /// The share of pixels whose class was answered; nothing where none is known.
    #[must_use]
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let sum = |which: usize| self.counts.iter().map(|counts| counts[which]).sum::<u64>();
        let known = sum(1);
        (known > 0).then(|| sum(0) as f64 / known as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions_are_of_all_pictures_and_the_mean_of_the_classes_there_are() {
        let mut found = Coverage::default();
        found.add(&[0, 0, 1, 1], &[0, 1, 1, 1]);
        found.add(&[0, 255, 1, 1], &[0, 3, 255, 1]);
        // Of 0: both 2, either 3. Of 1: both 3, true 4, answered 4. 3 was answered where nothing is known.
        let of = |class_id, pixels, iou| ClassCoverage {
            class_id,
            pixels,
            iou,
        };
        assert_eq!(found.classes(), [of(0, 3, 2.0 / 3.0), of(1, 4, 3.0 / 5.0)]);
        let near = |found: Option<f64>, expected: f64| (found.expect("pixels") - expected).abs() < 1e-12;
        assert!(near(found.mean_iou(), (2.0 / 3.0 + 3.0 / 5.0) / 2.0));
        assert!(near(found.pixel_accuracy(), 5.0 / 7.0));
        let mut nothing = Coverage::default();
        nothing.add(&[255, 255], &[0, 1]);
        assert_eq!((nothing.mean_iou(), nothing.pixel_accuracy()), (None, None));
        let mut twice = found.clone();
        twice.extend(&found);
        assert_eq!(twice.mean_iou(), found.mean_iou());
        assert_eq!(twice.classes()[0].pixels, 6);
    }
}
