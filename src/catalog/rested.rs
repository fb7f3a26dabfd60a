//! What rests of a model that nobody asked for: which of its versions were loaded, which of them answered, and what they counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::model::Model;
use crate::engine::observer::Observer;
use crate::manifest::age;

/// A client's request tries again to load a model that could not be loaded, after this time.
const BREATH: Duration = Duration::from_secs(1);

/// After this time the server does so itself; after twice as long the next time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);

/// The versions to load again at the next request, and when that last failed.
#[derive(Debug)]
pub(super) struct Rested {
    serving: String,
    /// Their observers, so that what they counted goes on where they come back.
    versions: BTreeMap<String, Kept>,
    failed: Option<Failed>,
}

struct Kept(#[expect(dead_code, reason = "it is held, not asked")] Arc<dyn Observer>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

/// When it could not be loaded again.
#[derive(Debug, Clone, Copy)]
struct Failed {
    last: Instant,
    pause: Duration,
}

impl Rested {
    /// Of versions that are taken out, of which `serving` answered.
    pub(super) fn of<'a>(serving: &Model, versions: impl Iterator<Item = &'a Arc<Model>>) -> Self {
        Self {
            serving: serving.version.clone(),
            versions: versions
                .map(|model| (model.version.clone(), Kept(model.observer())))
                .collect(),
            failed: None,
        }
    }

    /// The version that answered.
    pub(super) fn serving(&self) -> &str {
        &self.serving
    }

    /// Every version, oldest first.
    pub(super) fn versions(&self) -> Vec<String> {
        let mut versions: Vec<String> = self.versions.keys().cloned().collect();
        versions.sort_by_key(|version| age(version));
        versions
    }

    /// Forgets a version, and whether it knew it; the newest of those that are left is to answer where it did.
    pub(super) fn forget(&mut self, version: &str) -> bool {
        let knew = self.versions.remove(version).is_some();
        if self.serving == version
            && let Some(newest) = self.versions().pop()
        {
            self.serving = newest;
        }
        knew
    }

    /// Whether no version is left.
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// It could not be loaded again.
    pub(super) fn fail(&mut self) {
        let pause = self
            .failed
            .map_or(FIRST, |failed| (2 * failed.pause).min(LONGEST));
        self.failed = Some(Failed {
            last: Instant::now(),
            pause,
        });
    }

    /// Whether a request for it has it loaded.
    pub(super) fn may_be_tried(&self) -> bool {
        self.failed.is_none_or(|failed| failed.last.elapsed() >= BREATH)
    }

    /// Whether the server is to try again by itself: nobody may ask a server that is not ready.
    pub(super) fn is_due(&self) -> bool {
        self.failed
            .is_some_and(|failed| failed.last.elapsed() >= failed.pause)
    }
}
