//! `lucarne check`: all that is wrong with a folder of models, at once, without a server.

use std::path::{Path, PathBuf};

use super::files::on_disk;
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
        problems: match problems(&folder, trials.run(&folder, None)) {
            problems if problems.is_empty() => of_others(&folder, trials),
            problems => problems,
        },
    };
    Ok(folders.into_iter().map(finding))
}

/// What is wrong with the versions that model.toml wants beside the one that serves.
fn of_others(folder: &Path, trials: &Trials) -> Vec<String> {
    let others = || -> Result<Vec<String>> {
        let (manifest, on_disk) = on_disk(folder)?;
        let serves = manifest.versions.serve.as_ref().or(on_disk.last());
        let wanted = manifest.versions.wanted(&on_disk);
        Ok(wanted
            .into_iter()
            .filter(|version| Some(version) != serves)
            .collect())
    };
    let attempt = |version: String| {
        let found = problems(folder, trials.run(folder, Some(&version)));
        found
            .into_iter()
            .map(move |problem| format!("version {version}: {problem}"))
    };
    match others() {
        Ok(others) => others.into_iter().flat_map(attempt).collect(),
        Err(error) => problems(folder, Err(error)),
    }
}

/// What an attempt to load the model in `dir` found wrong with it.
pub fn problems(dir: &Path, attempt: Result<()>) -> Vec<String> {
    match attempt {
        Ok(()) => Vec::new(),
        Err(Error::InvalidModel { problems }) => problems,
        Err(other) => vec![format!("{}: {other}", dir.display())],
    }
}
