//! Which classes a classifier takes for which.

use std::collections::BTreeMap;

/// How often each class was answered for each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confusion {
    /// By (the class that is true, the class that was answered).
    counts: BTreeMap<(usize, usize), u64>,
    count: u64,
    in_first: u64,
    in_five: u64,
}

/// A class that was taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// The class that is true.
    pub truth: usize,
    /// The class that was answered.
    pub answer: usize,
    /// How often.
    pub count: u64,
}

impl Confusion {
    /// Takes a picture in: the class that is true, and the classes that were answered, best first.
    pub fn add(&mut self, truth: usize, answers: &[usize]) {
        let Some(first) = answers.first() else { return };
        *self.counts.entry((truth, *first)).or_default() += 1;
        self.count += 1;
        self.in_first += u64::from(*first == truth);
        self.in_five += u64::from(answers.iter().take(5).any(|answer| *answer == truth));
    }

    /// How many pictures there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The share whose first class is true.
    #[must_use]
    pub fn top_1(&self) -> f64 {
        self.in_first as f64 / self.count.max(1) as f64
    }

    /// The share of which one of the first five classes is true.
    #[must_use]
    pub fn top_5(&self) -> f64 {
        self.in_five as f64 / self.count.max(1) as f64
    }

    /// Every pair that was met, by the class that is true and then by the one that was answered.
    pub fn pairs(&self) -> impl Iterator<Item = Confused> {
        let pair = |(&(truth, answer), &count): (&(usize, usize), &u64)| Confused { truth, answer, count };
        self.counts.iter().map(pair)
    }

    /// The classes that were most often taken for another, at most so many.
    #[must_use]
    pub fn worst(&self, most: usize) -> Vec<Confused> {
        let mut wrong: Vec<Confused> = self.pairs().filter(|pair| pair.truth != pair.answer).collect();
        wrong.sort_by_key(|pair| (std::cmp::Reverse(pair.count), pair.truth, pair.answer));
        wrong.truncate(most);
        wrong
    }

    /// Of each class that is true of a picture: how many pictures, and how many of them were answered right.
    #[must_use]
    pub fn of_classes(&self) -> BTreeMap<usize, (u64, u64)> {
        let mut all = BTreeMap::new();
        for pair in self.pairs() {
            let (count, right) = all.entry(pair.truth).or_default();
            *count += pair.count;
            if pair.truth == pair.answer {
                *right += pair.count;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracies_and_the_worst_pairs_are_counted() {
        let mut found = Confusion::default();
        for (truth, answers) in [
            (0, vec![0, 1]),
            (0, vec![1, 0]),
            (0, vec![1, 2]),
            (2, vec![7, 6, 5, 4, 2]),
            (2, vec![7, 6, 5, 4, 3, 2]),
        ] {
            found.add(truth, &answers);
        }
        assert_eq!((found.count(), found.top_1(), found.top_5()), (5, 0.2, 0.6));
        let confused = |truth, answer, count| Confused { truth, answer, count };
        assert_eq!(found.worst(9), [confused(0, 1, 2), confused(2, 7, 2)]);
        assert_eq!(found.worst(1).len(), 1);
        assert_eq!(found.of_classes(), BTreeMap::from([(0, (3, 1)), (2, (2, 0))]));
    }
}
