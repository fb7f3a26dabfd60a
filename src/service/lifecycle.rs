//! Models that come and go as clients say.

use std::sync::Arc;

use super::state::Service;
use crate::catalog::{Model, to_its_end};
use crate::config::ModelControl;
use crate::engine::context::{Event, Progress};
use crate::error::{Error, Result, excerpt};
use crate::manifest::{Which, age};

/// What is wrong with a model, said to the client that asked for it.
fn not_loaded(error: Error) -> Error {
    match error {
        Error::InvalidModel { .. } => Error::NotLoaded(error.to_string()),
        other => other,
    }
}

/// A line of the log for an act of an administrator; the line of its request names the administrator.
fn told(act: &str, name: &str, version: Option<&str>, error: Option<&Error>) {
    let (name, version) = (excerpt(name), version.map(excerpt).unwrap_or_default());
    let outcome = error.map_or("done", Error::code);
    tracing::info!(target: "audit", act, model = %name, version = %version, outcome);
}

impl Service {
    /// Loads `version` of the model `name`, a number or a name, anew from its folder, and lets it answer. Without one, what
    /// model.toml wants. It tells when it waits for another change of the model, tries it, and loads it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where models are not loaded by clients; [`Error::ModelNotFound`]; [`Error::NotLoaded`] when it
    /// cannot be: what answered before goes on.
    pub async fn load(&self, name: &str, version: Option<&str>, progress: &Progress) -> Result<Arc<Model>> {
        self.may_change()?;
        progress.tell(Event::Stage("waiting"));
        let (version, progress) = (version.map(str::to_owned), progress.clone());
        self.in_turn(name, async move |service, name| {
            service.bring(&name, version.as_deref(), &progress).await
        })
        .await
    }

    /// Waits until nobody else changes the model `name`, and makes `change` of it whole, whether its client waits or not.
    async fn in_turn<T, F>(&self, name: &str, change: impl FnOnce(Self, String) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let turn = self.turns().of(name).await;
        let changed = change(self.clone(), name.to_owned());
        to_its_end(async move {
            let _turn = turn;
            changed.await
        })
        .await
    }

    async fn bring(&self, name: &str, version: Option<&str>, progress: &Progress) -> Result<Arc<Model>> {
        let version = version.map(|said| self.catalog().named(name, said));
        let version = version.as_deref();
        let loaded = self
            .catalog()
            .bring(name, version, progress)
            .await
            .map_err(not_loaded);
        told("load", name, version, loaded.as_ref().err());
        loaded
    }

    /// Loads the versions of the model `name` that `which` says, beside those that are loaded already, lets the newest of them
    /// answer, and takes the others out. The one newest is loaded anew, as by [`Service::load`], which does it all without `which`.
    ///
    /// # Errors
    /// As [`Service::load`]; then nothing has changed.
    pub async fn load_versions(&self, name: &str, which: Option<&Which>) -> Result<()> {
        let Some(which) = which else {
            return self.load(name, None, &Progress::default()).await.map(drop);
        };
        self.may_change()?;
        let which = which.clone();
        self.in_turn(name, async move |service, name| {
            service.bring_versions(&name, &which).await
        })
        .await
    }

    async fn bring_versions(&self, name: &str, which: &Which) -> Result<()> {
        let catalog = self.catalog();
        catalog.rouse(name).await;
        let on_disk = catalog.on_disk(name).map_err(not_loaded)?;
        let wanted = which.of(&on_disk);
        let Some(newest) = wanted.iter().max_by_key(|version| age(version)) else {
            return Err(Error::ModelNotFound(format!(
                "the folder of model `{name}` has no version"
            )));
        };
        // They are held until all are there, so that none rests meanwhile.
        let _held = if wanted.len() == 1 {
            vec![self.bring(name, Some(newest), &Progress::default()).await?]
        } else {
            let fresh = self.load_beside(name, &wanted).await?;
            catalog.serve(name, newest)?;
            fresh
        };
        let loaded = catalog.versions(name)?;
        for version in loaded.iter().filter(|version| !wanted.contains(version)) {
            self.withdraw(name, Some(version))?;
        }
        Ok(())
    }

    /// Loads those of `wanted` that are not loaded, or none.
    async fn load_beside(&self, name: &str, wanted: &[String]) -> Result<Vec<Arc<Model>>> {
        let loaded = self.catalog().versions(name).unwrap_or_default();
        let mut fresh: Vec<Arc<Model>> = Vec::new();
        for version in wanted.iter().filter(|version| !loaded.contains(version)) {
            let brought = self
                .catalog()
                .bring_beside(name, version)
                .await
                .map_err(not_loaded);
            told("load", name, Some(version), brought.as_ref().err());
            match brought {
                Ok(model) => fresh.push(model),
                Err(error) => {
                    for model in fresh {
                        self.withdraw(name, Some(&model.version))?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(fresh)
    }

    /// Takes `version` of the model `name` out, or all without one. Requests that are under way end on it. Where somebody else is
    /// changing the model, it waits until that is done.
    ///
    /// # Errors
    /// [`Error::Forbidden`] as for [`Service::load`]; [`Error::ModelNotFound`].
    pub async fn unload(&self, name: &str, version: Option<&str>) -> Result<()> {
        self.may_change()?;
        let _turn = self.turns().of(name).await;
        let _unwoken = self.catalog().unwoken(name).await.ok();
        self.withdraw(name, version)
    }

    fn withdraw(&self, name: &str, version: Option<&str>) -> Result<()> {
        let version = version.map(|said| self.catalog().named(name, said));
        let version = version.as_deref();
        let unloaded = match version {
            Some(version) => self.catalog().unload(name, version),
            None => self.catalog().withdraw(name),
        };
        told("unload", name, version, unloaded.as_ref().err());
        unloaded
    }

    /// Whether clients load and unload models here.
    ///
    /// # Errors
    /// [`Error::Forbidden`], which says how they may.
    pub fn may_change(&self) -> Result<()> {
        match self.control() {
            ModelControl::Explicit => Ok(()),
            ModelControl::None | ModelControl::Poll => Err(Error::Forbidden(
                "models are not loaded and unloaded by clients here; start the server with --model-control explicit \
                 (LUCARNE_MODEL_CONTROL)"
                    .into(),
            )),
        }
    }
}
