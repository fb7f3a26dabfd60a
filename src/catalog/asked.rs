//! Which version answers, and what model.toml wants to be loaded beside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::entry::{Entry, State, Wanted};
use super::loads::to_its_end;
use super::model::Model;
use super::rested::Rested;
use super::roster::{Catalog, listed};
use crate::error::Result;
use crate::manifest::{MOST_LOADED, age};

impl Catalog {
    /// The model that answers a request for `wanted` of the model `name`. One that rests is loaded first.
    ///
    /// # Errors
    /// As [`Catalog::get`].
    pub async fn answering(&self, name: &str, wanted: Wanted<'_>) -> Result<Arc<Model>> {
        self.awake(name, wanted.version).await?.answering(wanted)
    }

    /// The model `name` that serves, or this `version` of it, to be described. One that rests is loaded first.
    ///
    /// # Errors
    /// As [`Catalog::get`].
    pub async fn described(&self, name: &str, version: Option<&str>) -> Result<Arc<Model>> {
        self.awake(name, version).await?.get(version)
    }

    async fn awake(&self, name: &str, version: Option<&str>) -> Result<Arc<Entry>> {
        let entry = self.entry(name)?;
        if let Some(version) = version.filter(|version| entry.is_resting() && !listed(&entry).has(version)) {
            // Whoever asks for what is not there does not load what is.
            return entry.get(Some(version)).map(|_| entry);
        }
        entry.touch();
        // A load that is under way has loaded all that belongs to it only when it is done.
        if entry.is_resting() || entry.waking.try_lock().is_err() {
            self.wake(&entry).await?;
        }
        Ok(entry)
    }

    /// Loads the model `name` as it was, if it rests, before it is changed.
    pub(crate) async fn rouse(&self, name: &str) {
        if let Ok(entry) = self.entry(name) {
            // A model that cannot be loaded is about to be replaced.
            drop(self.wake(&entry).await);
        }
    }

    /// Waits until `entry`, if it rests, is loaded as it was.
    async fn wake(&self, entry: &Arc<Entry>) -> Result<()> {
        let (loads, entry) = (self.loads.clone(), Arc::clone(entry));
        to_its_end(async move { loads.wake(&entry).await }).await
    }

    /// Nobody wakes the model `name` until what is returned is dropped: who takes it out is not to find it back.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`](crate::error::Error::ModelNotFound)
    pub async fn unwoken(&self, name: &str) -> Result<OwnedMutexGuard<()>> {
        let entry = self.entry(name)?;
        Ok(Arc::clone(&entry.waking).lock_owned().await)
    }

    /// The version that is to compute what `model` answered, to be compared with it.
    #[must_use]
    pub fn shadow(&self, model: &Model) -> Option<Arc<Model>> {
        self.entry(&model.name).ok()?.shadow(model)
    }

    /// The version of the model `name` that `said`, a number or a name, stands for.
    #[must_use]
    pub fn named(&self, name: &str, said: &str) -> String {
        let rules = self.entry(name).map(|entry| entry.rules()).unwrap_or_default();
        rules.resolve(said).to_owned()
    }

    /// Whether no pass is under way or waited for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let cores = self.cores();
        cores.in_use() == 0 && cores.waiting() == 0
    }

    /// Loads what model.toml wants beside the version of `entry` that serves. What cannot be loaded says so in the log; the
    /// version that serves goes on.
    pub(super) async fn settle(&self, entry: &Arc<Entry>) {
        let loaded: BTreeSet<String> = entry.loaded().iter().map(|model| model.version.clone()).collect();
        self.load_beside(entry, &loaded).await;
    }

    /// [`Catalog::settle`], with what is loaded already loaded anew: its files may be others now.
    pub(super) async fn renew(&self, entry: &Arc<Entry>) {
        let State::Ready(serving) = entry.state() else {
            return;
        };
        self.load_beside(entry, &BTreeSet::from([serving.version.clone()]))
            .await;
    }

    async fn load_beside(&self, entry: &Arc<Entry>, but: &BTreeSet<String>) {
        for version in wanted(entry, but) {
            self.loads.bring_to(entry, &version).await;
        }
    }

    /// Takes out what model.toml does not want.
    pub(super) fn conform(&self, name: &str) {
        let Ok(entry) = self.entry(name) else { return };
        let State::Ready(serving) = entry.state() else {
            return;
        };
        let wanted = serving.spec.manifest.versions.wanted(&serving.versions);
        for model in entry.loaded() {
            if model.version != serving.version && !wanted.contains(&model.version) {
                // Another may have taken it out already.
                drop(entry.remove(&model.version));
            }
        }
    }

    /// Takes out models that nobody asks for, and tries those again that could not be loaded when somebody did, as long as it is
    /// polled.
    pub async fn rest(&self) {
        /// How often it is looked.
        const INTERVAL: Duration = Duration::from_millis(500);
        loop {
            tokio::time::sleep(INTERVAL).await;
            for entry in self.entries() {
                entry.rest_if_idle();
                if entry.of_rested(Rested::is_due) == Some(true) {
                    // It has said what is wrong.
                    drop(self.wake(&entry).await);
                }
            }
        }
    }
}

/// What model.toml wants beside the versions `loaded`, oldest first.
fn wanted(entry: &Entry, loaded: &BTreeSet<String>) -> Vec<String> {
    let State::Ready(serving) = entry.state() else {
        return Vec::new();
    };
    let wanted = serving.spec.manifest.versions.wanted(&serving.versions);
    let mut wanted: Vec<String> = wanted
        .into_iter()
        .filter(|version| !loaded.contains(version))
        .collect();
    wanted.sort_by_key(|version| age(version));
    let room = MOST_LOADED.saturating_sub(loaded.len());
    if wanted.len() > room {
        let (model, count) = (&entry.name, wanted.len() - room);
        tracing::warn!(
            model,
            "{count} versions are not loaded: at most {MOST_LOADED} are at the same time"
        );
        wanted.drain(..count);
    }
    wanted
}
