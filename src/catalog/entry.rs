//! One model folder: its versions, each in a slot with a state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::model::Model;
use crate::error::{Error, Result, excerpt};

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
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    /// Whether the server is not ready without it.
    pub(super) required: bool,
    slots: RwLock<Slots>,
}

/// Versions by name, and the one that answers where none is asked for.
#[derive(Debug)]
struct Slots {
    serving: State,
    by_version: BTreeMap<String, Arc<Model>>,
}

impl Entry {
    pub(super) fn new(name: String, dir: PathBuf, required: bool) -> Self {
        Self {
            name,
            dir,
            required,
            slots: RwLock::new(Slots {
                serving: State::Loading,
                by_version: BTreeMap::new(),
            }),
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

    /// The model that answers for `version`; for none, the one that serves.
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
                State::Failed(_) => Err(Error::NotReady(format!(
                    "model `{name}` could not be loaded; GET /v1/models/{name} says why"
                ))),
            };
        };
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let loaded: Vec<&str> = slots.by_version.keys().map(String::as_str).collect();
        slots.by_version.get(version).cloned().ok_or_else(|| {
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
        let mut replaced = Vec::new();
        if serves
            && let State::Ready(old) = std::mem::replace(&mut slots.serving, State::Ready(Arc::clone(&model)))
        {
            replaced.extend(slots.by_version.remove(&old.version));
            replaced.push(old);
        }
        replaced.extend(slots.by_version.insert(version, model));
        // Dropped without the lock.
        drop(slots);
        drop(replaced);
    }

    /// Remembers why it could not be loaded. What serves goes on.
    pub(super) fn fail(&self, error: Error) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(slots.serving, State::Ready(_)) {
            slots.serving = State::Failed(error);
        }
    }

    /// Takes a version out; the newest of those that are left serves where it served.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`] when it is not loaded.
    pub(super) fn remove(&self, version: &str) -> Result<()> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let Some(removed) = slots.by_version.remove(version) else {
            let name = &self.name;
            let text = format!("model `{name}` has no version `{}` loaded", excerpt(version));
            return Err(Error::ModelNotFound(text));
        };
        let mut served = None;
        if matches!(&slots.serving, State::Ready(model) if model.version == version) {
            let number = |version: &String| version.parse::<u64>().unwrap_or(0);
            let newest = slots.by_version.iter().max_by_key(|(version, _)| number(version));
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
        let served = std::mem::replace(&mut slots.serving, State::Unloaded);
        let versions = std::mem::take(&mut slots.by_version);
        // Dropped without the lock.
        drop(slots);
        drop((served, versions));
    }

    /// Every model that is loaded.
    pub(super) fn loaded(&self) -> Vec<Arc<Model>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.by_version.values().cloned().collect()
    }

    /// What keeps it from answering, to be written behind its name.
    pub(super) fn obstacle(&self) -> Option<String> {
        let model = match self.state() {
            State::Ready(model) => model,
            // Who took it out knows.
            State::Unloaded => return None,
            State::Loading | State::Failed(_) => return Some(String::new()),
        };
        Some(match model.health()? {
            // What asks for more than there is fails alone: the machine's memory is not the model's to fill.
            Error::OutOfMemory(_) if model.device == "cpu" => return None,
            Error::OutOfMemory(_) => format!(" ({} is out of memory)", model.device),
            _ => format!(" ({} is lost; restart the server)", model.device),
        })
    }
}
