//! One model folder: its versions, each in a slot with a state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use super::draw::Draw;
use super::model::Model;
use super::rested::Rested;
use crate::error::{Error, Result, excerpt};
use crate::manifest::{Serving, age};

/// The life of a model.
#[derive(Debug, Clone)]
pub enum State {
    /// On its way.
    Loading,
    /// Answers.
    Ready(Arc<Model>),
    /// Could not be loaded, and why.
    Failed(Error),
    /// Was taken out, on purpose.
    Unloaded,
    /// Was not asked for and gave its memory back; the next request loads it.
    Resting,
}

/// Which of a model's versions is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// A version, or a name of one.
    pub version: Option<&'a str>,
    /// The client's routing key, which decides between the versions where the request names none.
    pub key: Option<&'a [u8]>,
}

/// The folder of a model with the versions of it that are loaded, of which at most one serves.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    /// Whether the server is not ready without it.
    pub(super) required: bool,
    /// Held while it is loaded for a request.
    pub(super) waking: Arc<tokio::sync::Mutex<()>>,
    /// Whether the server starts, and versions that are to be loaded beside the one that serves are still being loaded.
    pub(super) settling: AtomicBool,
    slots: RwLock<Slots>,
    asked: Mutex<Instant>,
    of_canary: Draw,
    of_shadow: Draw,
}

/// Versions by name, and the one that answers where none is asked for.
#[derive(Debug)]
struct Slots {
    serving: State,
    by_version: BTreeMap<String, Arc<Model>>,
    /// What model.toml said when a version was loaded last.
    rules: Arc<Serving>,
    /// Why versions could not be loaded beside the one that serves.
    failures: BTreeMap<String, String>,
    /// Of a model that rests, also where it could not be loaded again.
    rested: Option<Rested>,
}

impl Entry {
    pub(super) fn new(name: String, dir: PathBuf, required: bool) -> Self {
        Self {
            name,
            dir,
            required,
            waking: Arc::default(),
            settling: AtomicBool::new(false),
            slots: RwLock::new(Slots {
                serving: State::Loading,
                by_version: BTreeMap::new(),
                rules: Arc::default(),
                failures: BTreeMap::new(),
                rested: None,
            }),
            asked: Mutex::new(Instant::now()),
            of_canary: Draw::default(),
            of_shadow: Draw::default(),
        }
    }

    /// The state of what answers where no version is asked for.
    pub(super) fn state(&self) -> State {
        self.slots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .serving
            .clone()
    }

    /// The model that answers a request for `wanted`: for a version that one; for none the one that serves, or the canary
    /// for its share.
    ///
    /// # Errors
    /// As [`Entry::get`].
    pub(super) fn answering(&self, wanted: Wanted<'_>) -> Result<Arc<Model>> {
        if wanted.version.is_none()
            && let Some(canary) = self.canary(wanted.key)
        {
            return Ok(canary);
        }
        self.get(wanted.version)
    }

    /// The canary, if it is loaded and its turn has come.
    fn canary(&self, key: Option<&[u8]>) -> Option<Arc<Model>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let part = slots.rules.canary.as_ref()?;
        let model = slots.by_version.get(&part.version)?;
        let takes = self.of_canary.takes(part.share, &self.name, key);
        takes.then(|| Arc::clone(model))
    }

    /// The version that computes what `model` answered as well, if `model` is the one that serves and its turn has come.
    pub(super) fn shadow(&self, model: &Model) -> Option<Arc<Model>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let part = slots.rules.shadow.as_ref()?;
        let shadow = slots.by_version.get(&part.version)?;
        let State::Ready(serving) = &slots.serving else {
            return None;
        };
        let is_served = serving.version == model.version && shadow.version != model.version;
        let takes = is_served && self.of_shadow.takes(part.share, &self.name, None);
        takes.then(|| Arc::clone(shadow))
    }

    /// The model that answers for `version`, a number or a name; for none, the one that serves.
    ///
    /// # Errors
    /// [`Error::NotReady`] while it loads or when it cannot, [`Error::ModelNotFound`] when there is no such version.
    pub(super) fn get(&self, version: Option<&str>) -> Result<Arc<Model>> {
        let name = &self.name;
        let Some(version) = version else {
            return match self.state() {
                State::Ready(model) => Ok(model),
                State::Loading => Err(Error::NotReady(format!(
                    "model `{name}` is loading; try again soon"
                ))),
                State::Unloaded => Err(Error::NotReady(format!(
                    "model `{name}` was unloaded; load it again"
                ))),
                State::Resting => Err(Error::NotReady(format!(
                    "model `{name}` is resting; a request for a prediction loads it"
                ))),
                State::Failed(_) => Err(Error::NotReady(format!(
                    "model `{name}` could not be loaded; GET /v1/models/{name} says why"
                ))),
            };
        };
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let loaded: Vec<&str> = slots.by_version.keys().map(String::as_str).collect();
        let found = slots.by_version.get(slots.rules.resolve(version));
        found.cloned().ok_or_else(|| {
            Error::ModelNotFound(format!(
                "model `{name}` has no version `{}` loaded; loaded are {}",
                excerpt(version),
                loaded.join(", ")
            ))
        })
    }

    /// Puts `model` in its version's slot, and lets it serve if `serves`. What was replaced ends with its last request.
    pub(super) fn put(&self, model: Arc<Model>, serves: bool) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let version = model.version.clone();
        let rules = &model.spec.manifest.versions;
        let mut replaced = Vec::new();
        if serves
            && let State::Ready(old) = std::mem::replace(&mut slots.serving, State::Ready(Arc::clone(&model)))
        {
            if !rules.keeps(&old.version, &model.versions) {
                replaced.extend(slots.by_version.remove(&old.version));
            }
            replaced.push(old);
        }
        slots.rules = Arc::new(rules.clone());
        slots.rested = None;
        slots.failures.remove(&version);
        replaced.extend(slots.by_version.insert(version, model));
        let canary = slots.rules.canary.as_ref().map(|part| &part.version);
        if let State::Ready(serving) = &slots.serving
            && canary == Some(&serving.version)
        {
            let (model, version) = (&self.name, &serving.version);
            tracing::warn!(
                model,
                version,
                "the canary is the version that answers anyway: it says nothing"
            );
        }
        // Dropped without the lock.
        drop(slots);
        drop(replaced);
    }

    /// Remembers why `version`, which model.toml wants, could not be loaded.
    pub(super) fn fail_beside(&self, version: &str, error: &Error) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.failures.insert(version.to_owned(), error.to_string());
    }

    /// Why versions could not be loaded beside the one that serves.
    pub(super) fn failures(&self) -> BTreeMap<String, String> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.failures.clone()
    }

    /// Remembers why it could not be loaded. What serves goes on, and what rests can still be loaded as it was.
    pub(super) fn fail(&self, error: Error) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(slots.serving, State::Ready(_)) && slots.rested.is_none() {
            slots.serving = State::Failed(error);
        }
    }

    /// Remembers why what rested could not be loaded again, which is tried again.
    pub(super) fn fail_to_wake(&self, error: &Error) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(rested) = &mut slots.rested {
            rested.fail();
            slots.serving = State::Failed(error.clone());
        }
    }

    /// Takes a version out; the newest of those that are left serves where it served.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`] when it is not loaded.
    pub(super) fn remove(&self, version: &str) -> Result<()> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(rested) = &mut slots.rested
            && rested.forget(version)
        {
            if rested.is_empty() {
                slots.rested = None;
                slots.serving = State::Unloaded;
            }
            return Ok(());
        }
        let Some(removed) = slots.by_version.remove(version) else {
            let name = &self.name;
            let text = format!("model `{name}` has no version `{}` loaded", excerpt(version));
            return Err(Error::ModelNotFound(text));
        };
        let mut served = None;
        if matches!(&slots.serving, State::Ready(model) if model.version == version) {
            // A shadow answers only where there is nothing else.
            let shadow = slots.rules.shadow.as_ref().map(|part| &part.version);
            let rank = |version: &String| (Some(version) != shadow, age(version));
            let newest = slots.by_version.iter().max_by_key(|(version, _)| rank(version));
            let next = newest.map(|(_, model)| State::Ready(Arc::clone(model)));
            served = Some(std::mem::replace(
                &mut slots.serving,
                next.unwrap_or(State::Unloaded),
            ));
        }
        // Dropped without the lock.
        drop(slots);
        drop((removed, served));
        Ok(())
    }

    /// Lets a version that is loaded serve; what served before stays beside it.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`] when it is not loaded.
    pub(super) fn serve(&self, version: &str) -> Result<()> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let Some(model) = slots.by_version.get(version).cloned() else {
            let name = &self.name;
            return Err(Error::ModelNotFound(format!(
                "model `{name}` has no version `{}` loaded",
                excerpt(version)
            )));
        };
        let served = std::mem::replace(&mut slots.serving, State::Ready(model));
        // Dropped without the lock.
        drop(slots);
        drop(served);
        Ok(())
    }

    /// Takes every version out.
    pub(super) fn withdraw(&self) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.rested = None;
        let served = std::mem::replace(&mut slots.serving, State::Unloaded);
        let versions = std::mem::take(&mut slots.by_version);
        // Dropped without the lock.
        drop(slots);
        drop((served, versions));
    }

    /// Remembers that it was asked for.
    pub(super) fn touch(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Asks what rests of it, where it rests.
    pub(super) fn of_rested<T>(&self, ask: impl FnOnce(&Rested) -> T) -> Option<T> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.rested.as_ref().map(ask)
    }

    /// Whether the next request loads it.
    pub(super) fn is_resting(&self) -> bool {
        self.of_rested(|_| ()).is_some()
    }

    /// Takes every version out until somebody asks, if nobody has for as long as model.toml says and nobody uses one.
    pub(super) fn rest_if_idle(&self) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let State::Ready(model) = &slots.serving else {
            return;
        };
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = model
            .spec
            .manifest
            .unload_after
            .is_some_and(|after| asked.elapsed() >= after);
        // One handle is that of its slot; one more that of what serves.
        let own = |version: &Arc<Model>| 1 + usize::from(Arc::ptr_eq(version, model));
        let is_used = |version: &Arc<Model>| Arc::strong_count(version) > own(version);
        if !is_over || slots.by_version.values().any(is_used) {
            return;
        }
        let rested = Rested::of(model, slots.by_version.values());
        slots.rested = Some(rested);
        let served = std::mem::replace(&mut slots.serving, State::Resting);
        let versions = std::mem::take(&mut slots.by_version);
        // Dropped without the lock.
        drop(slots);
        tracing::info!(
            model = self.name,
            "nobody asks for the model: it is unloaded until somebody does"
        );
        drop((served, versions));
    }

    /// What model.toml said when a version was loaded last.
    pub(super) fn rules(&self) -> Arc<Serving> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&slots.rules)
    }

    /// The names of its versions that are loaded or rest, oldest first.
    pub(super) fn versions(&self) -> Vec<String> {
        if let Some(versions) = self.of_rested(Rested::versions) {
            return versions;
        }
        self.loaded().iter().map(|model| model.version.clone()).collect()
    }

    /// Every version that is loaded, oldest first.
    pub(super) fn loaded(&self) -> Vec<Arc<Model>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut loaded: Vec<_> = slots.by_version.values().cloned().collect();
        drop(slots);
        loaded.sort_by_key(|model| age(&model.version));
        loaded
    }

    /// What keeps it from answering, to be written behind its name.
    pub(super) fn obstacle(&self) -> Option<String> {
        let model = match self.state() {
            State::Ready(model) => model,
            // The one was taken out on purpose; a request for the other loads it.
            State::Unloaded | State::Resting => return None,
            State::Loading | State::Failed(_) => return Some(String::new()),
        };
        // Else a canary's keys would change their side as soon as it is there.
        if self.settling.load(Ordering::Acquire) {
            return Some(" (other versions are loading)".into());
        }
        Some(match model.health()? {
            // What asks for more than there is fails alone: the machine's memory is not the model's to fill.
            Error::OutOfMemory(_) if model.device == "cpu" => return None,
            Error::OutOfMemory(_) => format!(" ({} is out of memory)", model.device),
            _ => format!(" ({} is lost; restart the server)", model.device),
        })
    }
}
