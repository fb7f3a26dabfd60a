//! What two versions of a model are compared by.

/// Numbers that are compared of a dense answer, and places: an even sample, since it is taken on a thread that answers
/// requests.
const MOST: usize = 16_384;

/// How far apart places of so many are that are compared. It is odd, so that it falls on every column of a picture.
pub(super) fn stride(count: usize) -> usize {
    match count.div_ceil(MOST) {
        0 | 1 => 1,
        stride => stride | 1,
    }
}

/// What an answer comes down to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gist {
    /// What was decided, place by place: a class, the classes of the cells of a mask, a word. Empty where a task decides nothing.
    pub decided: Vec<u64>,
    /// The numbers behind it by what they are of, in that order: a score by its class, a coordinate by its axis.
    pub numbers: Vec<(u64, f64)>,
}

/// How far two answers are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// The share of what was decided that is the same in both, 0 to 1; nothing where neither decides anything.
    pub agreement: Option<f64>,
    /// The largest difference of a number that both have; 0 where they share none.
    pub difference: f64,
}

impl Gist {
    /// Bytes of one at most.
    pub const MOST_BYTES: u64 = (MOST * (size_of::<u64>() + size_of::<(u64, f64)>())) as u64;

    /// Of numbers in their order, of which nothing is decided.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        Self {
            decided: Vec::new(),
            numbers: (0..).zip(numbers).collect(),
        }
    }

    /// Of a sample of `values`, of which nothing is decided.
    pub(super) fn of_dense(values: &[f32]) -> Self {
        let sample = values.iter().step_by(stride(values.len()));
        Self::of(sample.map(|value| f64::from(*value)))
    }

    /// How far it is from `other`, of the same input.
    #[must_use]
    pub fn apart(&self, other: &Self) -> Apart {
        let same = self
            .decided
            .iter()
            .zip(&other.decided)
            .filter(|(a, b)| a == b)
            .count();
        let agreement = match self.decided.len().max(other.decided.len()) {
            0 => None,
            places => Some(same as f64 / places as f64),
        };
        let mut others = other.numbers.iter().peekable();
        let mut difference = 0.0_f64;
        for &(of, number) in &self.numbers {
            while others.next_if(|(other, _)| *other < of).is_some() {}
            if let Some(&(_, other)) = others.next_if(|(other, _)| *other == of) {
                // NaN is as far as can be from what is none.
                let apart = (number - other).abs();
                let is_same = number == other || (number.is_nan() && other.is_nan());
                difference = difference.max(match is_same {
                    true => 0.0,
                    false if apart.is_nan() => f64::INFINITY,
                    false => apart,
                });
            }
        }
        Apart {
            agreement,
            difference,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_decided_and_measured_is_compared() {
        let one = Gist {
            decided: vec![3, 1],
            numbers: vec![(1, 0.25), (3, 0.5)],
        };
        let other = Gist {
            decided: vec![3, 2, 4],
            numbers: vec![(2, 9.0), (3, 0.75)],
        };
        let apart = |agreement, difference| Apart {
            agreement,
            difference,
        };
        assert_eq!(one.apart(&one), apart(Some(1.0), 0.0));
        assert_eq!(one.apart(&other), apart(Some(1.0 / 3.0), 0.25));
        assert_eq!(other.apart(&one), apart(Some(1.0 / 3.0), 0.25));
        assert_eq!(Gist::default().apart(&one), apart(Some(0.0), 0.0));
    }

    #[test]
    fn a_dense_answer_is_sampled_in_every_column() {
        assert_eq!(Gist::of_dense(&[0.5; 100]).numbers.len(), 100);
        let (width, height) = (1024, 512);
        let stride = stride(width * height);
        assert!(width * height / stride <= MOST);
        let columns: std::collections::HashSet<usize> = (0..width * height)
            .step_by(stride)
            .map(|cell| cell % width)
            .collect();
        assert_eq!(columns.len(), width);
        assert_eq!(
            Gist::of_dense(&vec![0.5; width * height]).numbers.len(),
            (width * height).div_ceil(stride)
        );
    }

    #[test]
    fn what_is_not_finite_is_as_far_as_can_be_or_the_same() {
        let (nan, one, infinite) = (Gist::of([f64::NAN]), Gist::of([1.0]), Gist::of([f64::INFINITY]));
        assert_eq!(nan.apart(&nan).difference, 0.0);
        assert_eq!(infinite.apart(&infinite).difference, 0.0);
        assert_eq!(nan.apart(&one).difference, f64::INFINITY);
        assert_eq!(infinite.apart(&one).difference, f64::INFINITY);
    }
}
