//! Which version answers, and what model.toml wants to be loaded beside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, State, Wanted};
use super::load::Load;
use super::model::Model;
use super::rested::Rested;
use super::roster::Catalog;
use crate::error::{Error, Result};
use crate::manifest::{MOST_LOADED, age};

impl Catalog {
    /// The model that answers a request for `wanted` of the model `name`. One that rests is loaded first.
    ///
    /// # Errors
    /// As [`Catalog::get`].
    pub async fn answering(&self, name: &str, wanted: Wanted<'_>) -> Result<Arc<Model>> {
        self.awake(name).await?.answering(wanted)
    }

    /// The model `name` that serves, or this `version` of it, to be described. One that rests is loaded first.
    ///
    /// # Errors
    /// As [`Catalog::get`].
    pub async fn described(&self, name: &str, version: Option<&str>) -> Result<Arc<Model>> {
        self.awake(name).await?.get(version)
    }

    async fn awake(&self, name: &str) -> Result<Arc<Entry>> {
        let entry = self.entry(name)?;
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

    /// Loads the versions of a model that rests, once for all requests that come meanwhile.
    async fn wake(&self, entry: &Arc<Entry>) -> Result<()> {
        let _alone = entry.waking.lock().await;
        let name = &entry.name;
        let again = |error: &Error| {
            Error::NotReady(format!(
                "model `{name}` rested, and could not be loaded again: {error}"
            ))
        };
        let as_it_was = |rested: &Rested| {
            let may_be_tried = rested.may_be_tried();
            (rested.serving().to_owned(), rested.versions(), may_be_tried)
        };
        let Some((serving, versions, may_be_tried)) = entry.of_rested(as_it_was) else {
            return Ok(());
        };
        if let (false, State::Failed(error)) = (may_be_tried, entry.state()) {
            return Err(again(&error));
        }
        let loaded = self.load_into(entry, Load::to_serve(Some(&serving))).await;
        // It is held, so that it does not rest before the others are there.
        let _held = loaded.map_err(|error| {
            entry.fail_to_wake(&error);
            again(&error)
        })?;
        for version in versions.iter().filter(|version| **version != serving) {
            self.bring_to(entry, version).await;
        }
        Ok(())
    }

    /// Loads `version` beside what serves; what cannot be loaded says so in the log.
    async fn bring_to(&self, entry: &Arc<Entry>, version: &str) {
        if let Err(error) = self.load_into(entry, Load::beside(version)).await {
            entry.fail_beside(version, &error);
        }
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
            self.bring_to(entry, &version).await;
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
