//! The versions of a model on disk.

use std::path::{Path, PathBuf};

use super::Artifact;
use crate::error::{Error, Result};

/// A version of a model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name: the folder's number, or "1" where the file stands beside model.toml.
    pub name: String,
    /// The artifact.
    pub file: PathBuf,
}

/// The versions of the model in `dir`, oldest first: `1/model.pt`, `2/model.pt` …, or `model.pt` alone.
///
/// # Errors
/// [`Error::InvalidModel`] when there is none.
pub fn versions(dir: &Path, artifact: &Artifact) -> Result<Vec<Version>> {
    let mut numbered: Vec<u64> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number: &u64| dir.join(number.to_string()).join(&artifact.file).is_file())
        .collect();
    numbered.sort_unstable();
    let version = |number: u64| Version {
        name: number.to_string(),
        file: dir.join(number.to_string()).join(&artifact.file),
    };
    let plain = dir.join(&artifact.file);
    if !numbered.is_empty() {
        Ok(numbered.into_iter().map(version).collect())
    } else if plain.is_file() {
        Ok(vec![Version {
            name: "1".into(),
            file: plain,
        }])
    } else {
        Err(Error::InvalidModel {
            problems: vec![format!(
                "{}: [artifact] file: there is no such file, nor {} in a numbered folder; put the exported model there",
                plain.display(),
                Path::new("1").join(&artifact.file).display()
            )],
        })
    }
}
