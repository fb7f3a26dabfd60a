//! `lucarne check`: all that is wrong with a folder of models, at once, without a server.

use std::path::Path;

use super::loader::Loader;
use super::registry::model_folders;
use crate::error::{Error, Result};

/// What was found for one model folder.
#[derive(Debug)]
pub struct Finding {
    /// The folder's name.
    pub model: String,
    /// Empty when the model is right.
    pub problems: Vec<String>,
}

/// Loads every model in `dir` (or `dir` itself, if it is a model folder) as the server would.
///
/// # Errors
/// [`Error::InvalidSettings`] when `dir` cannot be read or holds no model.
pub fn check(dir: &Path, loader: &Loader) -> Result<Vec<Finding>> {
    let folders = if dir.join("model.toml").is_file() {
        vec![dir.canonicalize().unwrap_or_else(|_| dir.to_owned())]
    } else {
        model_folders(dir)?
    };
    if folders.is_empty() {
        let dir = dir.display();
        let text = format!("{dir} holds no model: a model is a folder with a model.toml");
        return Err(Error::InvalidSettings(text));
    }
    let finding = |folder: &std::path::PathBuf| Finding {
        model: folder
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default(),
        problems: match loader.load(folder) {
            Ok(_) => Vec::new(),
            Err(Error::InvalidModel { problems }) => problems,
            Err(other) => vec![format!("{}: {other}", folder.display())],
        },
    };
    Ok(folders.iter().map(finding).collect())
}
