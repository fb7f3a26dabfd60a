//! Which folders are models, and under which names they are served.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The folders in `dir` that hold a model.toml, by name; also those where it is no file, or cannot be looked for, so that it is
/// said what is wrong with them.
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
        .filter(|p| match p.join("model.toml").symlink_metadata() {
            Ok(_) => true,
            Err(error) => p.is_dir() && error.kind() != ErrorKind::NotFound,
        })
        .collect();
    folders.sort();
    Ok(folders)
}

/// The name of a folder, whatever it is.
pub(super) fn folder_name(dir: &Path) -> String {
    dir.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The name under which a folder is served: letters, digits, `_`, `-` and `.`.
///
/// # Errors
/// [`Error::InvalidModel`] when it has others.
pub(super) fn model_name(dir: &Path) -> Result<String> {
    let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(Error::model(format!(
            "{}: a model's folder is named with letters, digits, _, - and .",
            dir.display()
        )));
    }
    Ok(name.to_owned())
}
