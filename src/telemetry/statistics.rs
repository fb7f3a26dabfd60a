//! What each version of a model has computed since it was loaded, in sums: for clients that ask how it was with their own requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
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

/// The predictions of a version of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
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
        // Sums stay sums, whatever panics elsewhere.
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

    pub(super) fn answered(&self, decode: Duration, queue: Duration, compute: Duration) {
        self.change(|found| {
            found.last = Some(SystemTime::now());
            found.decoded.add(1, decode);
            found.queued.add(1, queue);
            found.computed.add(1, compute);
        });
    }

    pub(super) fn failed(&self) {
        self.change(|found| found.failed += 1);
    }
}

/// A model and its version.
pub(super) type Key = (String, String);

/// The statistics of every version of a model that is loaded: they go when the version does.
#[derive(Debug, Default)]
pub(super) struct All(Mutex<BTreeMap<String, OfVersions>>);

type OfVersions = BTreeMap<String, Weak<Counts>>;

impl All {
    /// Those of one version, as long as somebody holds them.
    pub(super) fn of(&self, model: &str, version: &str) -> Arc<Counts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, versions| {
            versions.retain(|_, counts| counts.strong_count() > 0);
            !versions.is_empty()
        });
        let versions = all.entry(model.to_owned()).or_default();
        if let Some(counts) = versions.get(version).and_then(Weak::upgrade) {
            return counts;
        }
        let counts = Arc::default();
        versions.insert(version.to_owned(), Arc::downgrade(&counts));
        counts
    }

    /// Those of one version, where it is loaded.
    pub(super) fn known(&self, model: &str, version: &str) -> Option<Arc<Counts>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(model)?.get(version).and_then(Weak::upgrade)
    }

    /// All, as they are now.
    pub(super) fn now(&self) -> BTreeMap<Key, Statistics> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = all.iter().flat_map(|(model, versions)| {
            versions
                .iter()
                .map(move |(version, counts)| (model, version, counts))
        });
        let held = versions.filter_map(|(model, version, counts)| {
            Some(((model.clone(), version.clone()), counts.upgrade()?))
        });
        held.map(|(key, counts)| (key, counts.now())).collect()
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
        counts.answered(ms(4), ms(1), ms(8));
        counts.answered(ms(3), ms(2), ms(7));
        counts.failed();
        let found = counts.now();
        let sum = |count, took| Sum {
            count,
            took: ms(took),
        };
        assert!(found.last.is_some());
        assert_eq!((found.items, found.failed), (7, 1));
        assert_eq!(
            (found.decoded, found.queued, found.computed),
            (sum(2, 7), sum(2, 3), sum(2, 15))
        );
        assert_eq!(found.batches, BTreeMap::from([(1, sum(1, 2)), (3, sum(2, 15))]));
    }

    #[test]
    fn a_version_is_counted_as_long_as_it_is_loaded() {
        let all = All::default();
        let (old, new) = (all.of("m", "1"), all.of("m", "2"));
        old.failed();
        // As when it is loaded anew while it answers.
        let again = all.of("m", "1");
        assert_eq!(again.now().failed, 1);
        assert_eq!(all.now().len(), 2);
        drop((old, again));
        let left: Vec<String> = all.now().into_keys().map(|(_, version)| version).collect();
        assert_eq!(left, ["2"]);
        assert!(all.known("m", "1").is_none() && all.known("m", "2").is_some());
        drop(new);
        assert_eq!(all.of("m", "1").now(), Statistics::default());
    }
}
