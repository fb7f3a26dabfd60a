//! What a model has computed since the server started, in sums: for clients that ask how it was with their own requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How often something was, and how long it took in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub took: Duration,
}

impl Sum {
    fn add(&mut self, count: u64, took: Duration) {
        self.count += count;
        self.took = self.took.saturating_add(took);
    }
}

/// The predictions of a model: an item is a picture, or the tensors of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the last batch ended.
    pub last: Option<SystemTime>,
    /// Items that were computed, each with the time of its batch.
    pub computed: Sum,
    /// How long items waited before their batch began.
    pub queued: Sum,
    /// Items that were not computed: their deadline passed, or there was no place.
    pub failed: u64,
    /// Batches, by the number of their items.
    pub batches: BTreeMap<usize, Sum>,
}

/// Statistics that grow.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Statistics>);

impl Counts {
    fn change(&self, change: impl FnOnce(&mut Statistics)) {
        // Sums stay sums, whoever panics elsewhere.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn now(&self) -> Statistics {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn batch(&self, size: usize, compute: Duration) {
        self.change(|found| {
            let items = u32::try_from(size).unwrap_or(u32::MAX);
            found.last = Some(SystemTime::now());
            found.computed.add(items.into(), compute.saturating_mul(items));
            found.batches.entry(size).or_default().add(1, compute);
        });
    }

    pub(super) fn queued(&self, queue: Duration) {
        self.change(|found| found.queued.add(1, queue));
    }

    pub(super) fn failed(&self, items: usize) {
        self.change(|found| found.failed += items as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_count_by_their_batches() {
        let (counts, ms) = (Counts::default(), Duration::from_millis);
        counts.batch(3, ms(7));
        counts.batch(1, ms(2));
        counts.batch(3, ms(8));
        counts.queued(ms(1));
        counts.failed(2);
        let found = counts.now();
        assert!(found.last.is_some());
        let sum = |count, took| Sum {
            count,
            took: ms(took),
        };
        assert_eq!(
            (found.computed, found.queued, found.failed),
            (sum(7, 47), sum(1, 1), 2)
        );
        assert_eq!(found.batches, BTreeMap::from([(1, sum(1, 2)), (3, sum(2, 15))]));
    }
}
