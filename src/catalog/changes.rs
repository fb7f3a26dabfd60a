//! What clients may change of a catalog, by the names that they say: nothing of it is taken for a path.

use std::path::PathBuf;
use std::sync::Arc;

use super::files::on_disk;
use super::load::Load;
use super::model::Model;
use super::names::{folder_name, folders_of};
use super::roster::Catalog;
use crate::engine::context::Progress;
use crate::error::{Error, Result, excerpt};

impl Catalog {
    /// Loads `version` of the model `name`, of a folder that may have come since, and lets it answer. Without one that is the
    /// version that model.toml serves, else the newest; what model.toml wants beside it is loaded, too, and the rest taken out.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`] where there is no such folder, or no such version in it; as [`Catalog::replace`].
    pub async fn bring(&self, name: &str, version: Option<&str>, progress: &Progress) -> Result<Arc<Model>> {
        let dir = self.folder(name)?;
        if let Some(version) = version {
            self.has_on_disk(name, version)?;
        }
        self.rouse(name).await;
        let what = Load::to_serve(version).telling(progress);
        let model = match self.entry(name) {
            Ok(entry) => self.loads.load_into(&entry, what).await?,
            Err(_) => self.add_version(dir, what).await?,
        };
        if version.is_none() {
            self.conform(name);
            self.renew(&self.entry(name)?).await;
        }
        Ok(model)
    }

    /// [`Catalog::bring`] beside what answers, which goes on.
    ///
    /// # Errors
    /// As [`Catalog::bring`].
    pub async fn bring_beside(&self, name: &str, version: &str) -> Result<Arc<Model>> {
        self.has_on_disk(name, version)?;
        self.rouse(name).await;
        match self.entry(name) {
            Ok(entry) => self.loads.load_into(&entry, Load::beside(version)).await,
            Err(_) => self.bring(name, Some(version), &Progress::default()).await,
        }
    }

    /// Lets `version` of the model `name`, which is loaded, answer where none is asked for.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]
    pub fn serve(&self, name: &str, version: &str) -> Result<()> {
        self.entry(name)?.serve(version)
    }

    /// Takes every version of the model `name` out. Requests that are under way end on theirs.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]
    pub fn withdraw(&self, name: &str) -> Result<()> {
        self.entry(name)?.withdraw();
        Ok(())
    }

    /// The versions in the folder of the model `name`, oldest first.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]; [`Error::InvalidModel`] for a folder that is wrong.
    pub fn on_disk(&self, name: &str) -> Result<Vec<String>> {
        on_disk(&self.folder(name)?).map(|(_, versions)| versions)
    }

    fn has_on_disk(&self, name: &str, version: &str) -> Result<()> {
        let versions = self.on_disk(name)?;
        if versions.iter().any(|known| known == version) {
            return Ok(());
        }
        Err(Error::ModelNotFound(format!(
            "the folder of model `{name}` has no version `{}`; it has {}",
            excerpt(version),
            versions.join(", ")
        )))
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        match self.entry(name) {
            Ok(entry) => Ok(entry.dir.clone()),
            Err(unknown) => {
                let folders = self.root().map(folders_of).transpose()?;
                let mut folders = folders.into_iter().flatten();
                folders.find(|dir| folder_name(dir) == name).ok_or(unknown)
            }
        }
    }
}
