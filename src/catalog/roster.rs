//! Every model by its name, and the operations on them. A model that cannot be loaded never stops the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::entry::{Entry, State};
use super::load::{Load, load_tried};
use super::loader::Loader;
use super::loads::Loads;
use super::model::Model;
use super::names::{folder_name, model_folders};
use super::thread::LoaderThread;
use crate::engine;
use crate::engine::cores::Cores;
use crate::error::{Error, Result, excerpt};
use crate::manifest::{Manifest, Serving};
use crate::runtime::process::machine_memory;

/// With less memory, models are not tried and loaded side by side: that may take more than there is.
const PLENTY: u64 = 1 << 30;

/// The models that the server knows, in whatever state, and the thread that loads and retires them.
#[derive(Debug)]
pub struct Catalog {
    /// The folder of model folders, where they are of one.
    root: Option<PathBuf>,
    entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    pub(super) loads: Loads,
}

/// A model and its state.
#[derive(Debug)]
pub struct Listed {
    /// The folder's name.
    pub name: String,
    /// Of the version that answers.
    pub state: State,
    /// Every version that is loaded, oldest first.
    pub loaded: Vec<Arc<Model>>,
    /// The names of those, and of those that rest.
    pub versions: Vec<String>,
    /// What model.toml says of its versions.
    pub rules: Arc<Serving>,
    /// Why versions that it wants could not be loaded.
    pub failures: BTreeMap<String, String>,
}

impl Listed {
    /// Whether `version`, a number or a name, is loaded or rests.
    #[must_use]
    pub fn has(&self, version: &str) -> bool {
        let wanted = self.rules.resolve(version);
        self.versions.iter().any(|known| known == wanted)
    }
}

impl Catalog {
    /// The model folders in `dir`: its folders that hold a model.toml, by name. Nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when `dir` cannot be read, or is itself one model's.
    pub fn scan(dir: &Path, loader: Loader) -> Result<Self> {
        let folders = model_folders(dir)?;
        if folders.is_empty() {
            let dir = dir.display();
            tracing::error!(
                "no model is served: {dir} holds none; a model is a folder in it with a model.toml"
            );
        }
        let mut catalog = Self::of(folders, loader)?;
        catalog.root = Some(dir.to_owned());
        Ok(catalog)
    }

    /// These model folders. Nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when the loader's thread cannot be started.
    pub fn of(folders: impl IntoIterator<Item = PathBuf>, loader: Loader) -> Result<Self> {
        let entries = folders.into_iter().map(|dir| {
            let entry = entry(dir);
            (entry.name.clone(), Arc::new(entry))
        });
        Ok(Self {
            root: None,
            entries: RwLock::new(entries.collect()),
            loads: Loads {
                loader: Arc::new(loader),
                thread: LoaderThread::start()?,
            },
        })
    }

    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().cloned().collect()
    }

    /// Loads the newest version of every model folder; those that cannot be loaded say why in [`Catalog::list`]. They are
    /// tried side by side, and each is loaded as soon as it has passed: one that hangs holds up nobody. Where memory is scarce
    /// they are tried and loaded one after the other. `failed` is told the name of each that cannot be loaded at once.
    ///
    /// # Errors
    /// [`Error::NotReady`] when the catalog was shut down meanwhile.
    pub async fn load_all(&self, failed: impl Fn(&str, &Error)) -> Result<()> {
        let failed = &failed;
        let is_scarce = machine_memory() < PLENTY;
        let side_by_side = if is_scarce {
            1
        } else {
            (self.loads.loader.cores().count() / 2).max(2)
        };
        let trials = Arc::new(Semaphore::new(side_by_side));
        let loads = self.entries().into_iter().map(|entry| {
            let (Loads { loader, thread }, trials) = (self.loads.clone(), Arc::clone(&trials));
            async move {
                let mut permit = trials.acquire_owned().await.ok();
                let tried = || {
                    if !is_scarce {
                        permit.take();
                    }
                };
                match load_tried(&loader, (&entry, Load::to_serve(None)), &thread, tried, |model| {
                    model
                })
                .await?
                {
                    Ok(model) => {
                        entry.settling.store(true, Ordering::Release);
                        entry.put(Arc::new(model), true);
                        self.settle(&entry).await;
                        entry.settling.store(false, Ordering::Release);
                    }
                    Err(error) => {
                        failed(&entry.name, &error);
                        entry.fail(error);
                    }
                }
                Ok(())
            }
        });
        join_all(loads).await.into_iter().collect()
    }

    /// Takes the model folder `dir` in, and loads its newest version.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when it cannot be loaded; then it is not taken in.
    pub async fn add(&self, dir: PathBuf) -> Result<Arc<Model>> {
        self.add_version(dir, Load::to_serve(None)).await
    }

    pub(super) async fn add_version(&self, dir: PathBuf, what: Load<'_>) -> Result<Arc<Model>> {
        let entry = Arc::new(entry(dir));
        let model = self.loads.load_into(&entry, what).await?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = entries.insert(entry.name.clone(), entry);
        drop(entries);
        drop(replaced);
        Ok(model)
    }

    /// Loads `version` of the model `name` (the newest without one) anew from its folder, and lets it answer from then on.
    /// Requests that are under way end on what they began with.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]; [`Error::InvalidModel`] when it cannot be loaded: what answered before goes on.
    pub async fn replace(&self, name: &str, version: Option<&str>) -> Result<Arc<Model>> {
        let entry = self.entry(name)?;
        self.loads.load_into(&entry, Load::to_serve(version)).await
    }

    /// Loads `version` of the model `name` beside the one that answers: it answers where it is asked for by its version.
    ///
    /// # Errors
    /// As [`Catalog::replace`].
    pub async fn load(&self, name: &str, version: &str) -> Result<Arc<Model>> {
        let entry = self.entry(name)?;
        self.loads.load_into(&entry, Load::beside(version)).await
    }

    /// Takes the model `name` out and forgets it.
    pub(super) fn forget(&self, name: &str) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = entries.remove(name);
        drop(entries);
        drop(forgotten);
    }

    pub(super) fn cores(&self) -> &Cores {
        self.loads.loader.cores()
    }

    /// The folder of model folders, where they are of one.
    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Takes `version` of the model `name` out. Requests that are under way end on it; the newest version that is left
    /// answers from then on.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`] when it is not loaded.
    pub fn unload(&self, name: &str, version: &str) -> Result<()> {
        self.entry(name)?.remove(version)
    }

    /// Every model, by name.
    pub fn list(&self) -> Vec<Listed> {
        self.entries().iter().map(|entry| listed(entry)).collect()
    }

    /// The model `name`, whatever its state.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`], which names the nearest.
    pub fn find(&self, name: &str) -> Result<Listed> {
        self.entry(name).map(|entry| listed(&entry))
    }

    /// The model that answers for `name`, in this `version` where one is asked for.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]; [`Error::NotReady`] while it loads or when it cannot.
    pub fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<Model>> {
        self.entry(name)?.get(version)
    }

    /// The versions of the model `name` that are loaded or rest, oldest first.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]
    pub fn versions(&self, name: &str) -> Result<Vec<String>> {
        Ok(self.entry(name)?.versions())
    }

    /// The model folder of this name.
    pub(super) fn entry(&self, name: &str) -> Result<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(name) {
            return Ok(Arc::clone(entry));
        }
        /// What is less alike is no slip of the pen.
        const ALIKE: f64 = 0.7;
        let near = |known: &&String| strsim::jaro_winkler(known, name);
        // What is longer than any name is like none.
        const LONGEST: usize = 256;
        let known = entries.keys().filter(|_| name.len() <= LONGEST);
        let nearest = known.max_by(|a, b| near(a).total_cmp(&near(b)));
        let hint = match nearest {
            None if entries.is_empty() => "none is served; ".into(),
            None => String::new(),
            Some(known) if near(&known) >= ALIKE => format!("the nearest is `{known}`; "),
            Some(_) => String::new(),
        };
        Err(Error::ModelNotFound(format!(
            "no model `{}`; {hint}GET /v1/models lists all",
            excerpt(name)
        )))
    }

    /// How long the oldest pass has taken that has not ended, of any model.
    #[must_use]
    pub fn longest_pass(&self) -> Duration {
        self.loads.loader.cores().longest()
    }

    /// Whether every required model answers.
    ///
    /// # Errors
    /// [`Error::NotReady`], which names those that do not.
    pub fn ready(&self) -> Result<()> {
        let entries = self.entries();
        if entries.is_empty() {
            return Err(Error::NotReady(
                "no model is served: the folder of models holds none".into(),
            ));
        }
        let required = entries.iter().filter(|entry| entry.required);
        let names: Vec<String> = required
            .filter_map(|entry| Some(format!("{}{}", entry.name, entry.obstacle()?)))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::NotReady(format!("not ready: {}", names.join(", "))))
    }

    /// Closes every queue, answers what was admitted, and waits until every worker has ended.
    pub fn shut_down(&self) {
        let models: Vec<Arc<Model>> = self.entries().iter().flat_map(|entry| entry.loaded()).collect();
        models.iter().for_each(|model| model.close());
        self.loads.thread.stop();
        // What was being loaded meanwhile is closed, too.
        for model in self.entries().iter().flat_map(|entry| entry.loaded()) {
            engine::join(model.retire());
        }
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn entry(dir: PathBuf) -> Entry {
    // A manifest that cannot be read fails to load, and then it is required that someone mends it.
    let required = Manifest::read(&dir).map_or(true, |manifest| manifest.required);
    Entry::new(folder_name(&dir), dir, required)
}

pub(super) fn listed(entry: &Entry) -> Listed {
    Listed {
        name: entry.name.clone(),
        state: entry.state(),
        loaded: entry.loaded(),
        versions: entry.versions(),
        rules: entry.rules(),
        failures: entry.failures(),
    }
}
