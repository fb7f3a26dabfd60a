//! `lucarne check`: all that is wrong with a folder of models, at once, without a server.

use std::path::{Path, PathBuf};

use super::names::{folder_name, model_folders};
use super::trial::Trials;
use crate::error::{Error, Result};

/// What was found for one model folder.
#[derive(Debug)]
pub struct Finding {
    /// The folder's name.
    pub model: String,
    /// Empty when the model is right.
    pub problems: Vec<String>,
}

/// Tries every model in `dir` (or `dir` itself, if it is a model folder) as the server would, one after the other as they are
/// asked for.
///
/// # Errors
/// [`Error::InvalidSettings`] when `dir` cannot be read or holds no model.
pub fn check(dir: &Path, trials: &Trials) -> Result<impl Iterator<Item = Finding>> {
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
    let finding = |folder: PathBuf| Finding {
        model: folder_name(&folder),
        problems: problems(&folder, trials.run(&folder, None)),
    };
    Ok(folders.into_iter().map(finding))
}

/// What an attempt to load the model in `dir` found wrong with it.
pub fn problems(dir: &Path, attempt: Result<()>) -> Vec<String> {
    match attempt {
        Ok(()) => Vec::new(),
        Err(Error::InvalidModel { problems }) => problems,
        Err(other) => vec![format!("{}: {other}", dir.display())],
    }
}
