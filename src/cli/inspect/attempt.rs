//! A model.toml in a folder of its own, beside the module and its labels, held against the contract as `check` does.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::app;
use crate::catalog::{Trials, problems};
use crate::config::Settings;
use crate::error::{Error, Result};

/// The folder of a model that is tried; it is gone with this.
pub(super) struct Workbench {
    folder: PathBuf,
    trials: Trials,
    _around: TempDir,
}

impl Workbench {
    /// A folder with `file` in it, and the labels that lie beside it.
    pub(super) fn new(file: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::InvalidSettings(format!("a temporary folder: {e}"));
        let around = TempDir::with_prefix("lucarne-inspect-").map_err(failed)?;
        let folder = around.path().join("model");
        std::fs::create_dir(&folder).map_err(failed)?;
        let file = file.canonicalize().map_err(failed)?;
        let name = file.file_name().unwrap_or_default();
        symlink(&file, folder.join(name)).map_err(failed)?;
        let trials = Trials {
            // What is thrown away need not be remembered.
            cache: None,
            ..app::trials(&Settings::default())
        };
        Ok(Self {
            folder,
            trials,
            _around: around,
        })
    }

    /// The model's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is wrong with this model.toml; nothing where it passes.
    pub(super) fn problems(&self, manifest: &str, labels: Option<&Path>) -> Result<Vec<String>> {
        let failed = |e: std::io::Error| Error::InvalidSettings(format!("a temporary folder: {e}"));
        std::fs::write(self.folder.join("model.toml"), manifest).map_err(failed)?;
        if let Some(labels) = labels {
            let beside = self.folder.join(labels.file_name().unwrap_or_default());
            // A link would lead out of the folder.
            std::fs::copy(labels, beside).map_err(failed)?;
        }
        let shown = format!("{}/", self.folder.display());
        let found = problems(&self.folder, self.trials.run(&self.folder, None));
        Ok(found
            .into_iter()
            .map(|problem| problem.replace(&shown, ""))
            .collect())
    }
}
