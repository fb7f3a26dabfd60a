//! What a model has computed since the server started, in sums: for clients that ask how it was with their own requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The predictions of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The version that answered last.
    pub version: String,
    /// When the last request was answered.
    pub last: Option<SystemTime>,
    /// Pictures that were computed, or tensors of requests.
    pub items: u64,
    /// How long the pictures of requests were decoded and fitted.
    pub decoded: Sum,
    /// How long requests waited for their batch; of several pictures the slowest.
    pub queued: Sum,
    /// How long the batches of requests took; of several pictures the slowest.
    pub computed: Sum,
    /// Requests that had no place, or whose pictures were not all computed.
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
            found.items += size as u64;
            found.batches.entry(size).or_default().add(1, compute);
        });
    }

    pub(super) fn answered(&self, version: &str, decode: Duration, queue: Duration, compute: Duration) {
        self.change(|found| {
            found.last = Some(SystemTime::now());
            if found.version != version {
                version.clone_into(&mut found.version);
            }
            found.decoded.add(1, decode);
            found.queued.add(1, queue);
            found.computed.add(1, compute);
        });
    }

    pub(super) fn failed(&self) {
        self.change(|found| found.failed += 1);
    }
}

/// The statistics of every model that was loaded.
#[derive(Debug, Default)]
pub(super) struct All(Mutex<BTreeMap<String, Arc<Counts>>>);

impl All {
    /// Those of one model, from now on.
    pub(super) fn of(&self, model: &str) -> Arc<Counts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = all.get(model) {
            return Arc::clone(counts);
        }
        Arc::clone(all.entry(model.to_owned()).or_default())
    }

    /// Those of one model, where it was loaded.
    pub(super) fn known(&self, model: &str) -> Option<Statistics> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(model).map(|counts| counts.now())
    }

    /// All, as they are now.
    pub(super) fn now(&self) -> BTreeMap<String, Statistics> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(model, counts)| (model.clone(), counts.now()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_batches_are_counted_apart() {
        let (counts, ms) = (Counts::default(), Duration::from_millis);
        counts.batch(3, ms(7));
        counts.batch(1, ms(2));
        counts.batch(3, ms(8));
        counts.answered("1", ms(4), ms(1), ms(8));
        counts.answered("2", ms(3), ms(2), ms(7));
        counts.failed();
        let found = counts.now();
        let sum = |count, took| Sum {
            count,
            took: ms(took),
        };
        assert!(found.last.is_some());
        assert_eq!(found.version, "2");
        assert_eq!((found.items, found.failed), (7, 1));
        assert_eq!(
            (found.decoded, found.queued, found.computed),
            (sum(2, 7), sum(2, 3), sum(2, 15))
        );
        assert_eq!(found.batches, BTreeMap::from([(1, sum(1, 2)), (3, sum(2, 15))]));
    }
}
