//! What is served: every model folder with its state. A model that cannot be loaded never stops the others.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::loader::{Loader, Model};
use super::manifest::Manifest;
use crate::error::{Error, Result};

/// The life of a model.
#[derive(Debug, Clone)]
pub enum State {
    /// On its way.
    Loading,
    /// Answers.
    Ready(Arc<Model>),
    /// Could not be loaded, and why.
    Failed(Error),
}

/// One model folder.
#[derive(Debug)]
pub struct Entry {
    /// The folder's name.
    pub name: String,
    dir: PathBuf,
    required: bool,
    state: RwLock<State>,
}

impl Entry {
    /// Its state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What keeps it from answering, to be written behind its name.
    fn trouble(&self) -> Option<String> {
        let State::Ready(model) = self.state() else {
            return Some(String::new());
        };
        let trouble = model.predict.trouble().or_else(|| model.explain.trouble())?;
        Some(match trouble {
            Error::OutOfMemory(_) => format!(" ({} is out of memory)", model.device),
            _ => format!(" ({} is lost; restart the server)", model.device),
        })
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Every model folder, by name.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Vec<Entry>,
}

impl Registry {
    /// The model folders in `dir`: its folders that hold a model.toml, by name. Nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when `dir` cannot be read.
    pub fn scan(dir: &Path) -> Result<Self> {
        Ok(Self::of(model_folders(dir)?))
    }

    /// These model folders. Nothing is loaded yet.
    pub fn of(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let entry = |dir: PathBuf| Entry {
            name: dir
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default(),
            // A manifest that cannot be read fails to load, and then it is required that someone mends it.
            required: Manifest::read(&dir).map_or(true, |m| m.required),
            dir,
            state: RwLock::new(State::Loading),
        };
        Self {
            entries: folders.into_iter().map(entry).collect(),
        }
    }

    /// Loads what [`Registry::scan`] found, one after the other.
    pub fn load_all(&self, loader: &Loader) {
        for entry in &self.entries {
            match loader.load(&entry.dir) {
                Ok(model) => entry.set(State::Ready(Arc::new(model))),
                Err(error) => {
                    tracing::error!(model = entry.name, %error, "model cannot be loaded; the others go on");
                    entry.set(State::Failed(error));
                }
            }
        }
    }

    /// Every model, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The model `name`, if it answers.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`], which names the nearest; [`Error::NotReady`] while it loads or when it cannot.
    pub fn get(&self, name: &str) -> Result<Arc<Model>> {
        match self.entry(name)?.state() {
            State::Ready(model) => Ok(model),
            State::Loading => Err(Error::NotReady(format!(
                "model `{name}` is loading; try again soon"
            ))),
            State::Failed(_) => Err(Error::NotReady(format!(
                "model `{name}` could not be loaded; GET /v1/models/{name} says why"
            ))),
        }
    }

    /// The model `name`, whatever its state.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]
    pub fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| {
                let near = |e: &&Entry| strsim::jaro_winkler(&e.name, name);
                let nearest = self.entries.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
                let hint = nearest.map_or("none is served".into(), |e| {
                    format!("the nearest is `{}`", e.name)
                });
                Error::ModelNotFound(format!("no model `{name}`; {hint}; GET /v1/models lists all"))
            })
    }

    /// Whether every required model answers.
    ///
    /// # Errors
    /// [`Error::NotReady`], which names those that do not.
    pub fn ready(&self) -> Result<()> {
        let names: Vec<String> = self
            .entries
            .iter()
            .filter(|e| e.required)
            .filter_map(|e| Some(format!("{}{}", e.name, e.trouble()?)))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::NotReady(format!("not ready: {}", names.join(", "))))
    }

    /// Closes every model's queues: what was admitted is still answered.
    pub fn close(&self) {
        for entry in &self.entries {
            if let State::Ready(model) = entry.state() {
                model.predict.close();
                model.explain.close();
            }
        }
    }
}

/// The folders in `dir` that hold a model.toml, by name.
///
/// # Errors
/// [`Error::InvalidSettings`] when `dir` cannot be read.
pub(super) fn model_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let listing = std::fs::read_dir(dir).map_err(|e| {
        let dir = dir.display();
        Error::InvalidSettings(format!(
            "the model folder {dir} cannot be read: {e}; give it with --models DIR"
        ))
    })?;
    let mut folders: Vec<PathBuf> = listing
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.join("model.toml").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}
