//! The versions of a model on disk.

use std::path::{Path, PathBuf};

use super::keys::Artifact;
use super::number::number;
use crate::error::{Error, Result};

/// A version of a model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name: the folder's number, or "1" where the file stands beside model.toml.
    pub name: String,
    /// The artifact.
    pub file: PathBuf,
}

/// What a file may be called where model.toml does not say.
const NAMES: [&str; 2] = ["model.pt", "model.pt2"];

/// The versions of the model in `dir`, oldest first: `1/model.pt`, `2/model.pt` …, or `model.pt` alone.
///
/// # Errors
/// [`Error::InvalidModel`] when there is none, or when two files of a version could be meant.
pub fn versions(dir: &Path, artifact: &Artifact) -> Result<Vec<Version>> {
    let names: Vec<&str> = artifact.file.as_deref().map_or(NAMES.to_vec(), |name| vec![name]);
    let mut numbered: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Some(number) = entry.file_name().to_str().and_then(number) else {
            continue;
        };
        if let Some(file) = file_in(&dir.join(number.to_string()), &names)? {
            numbered.push((number, file));
        }
    }
    numbered.sort_unstable();
    if !numbered.is_empty() {
        let version = |(number, file): (u64, PathBuf)| Version {
            name: number.to_string(),
            file,
        };
        return Ok(numbered.into_iter().map(version).collect());
    }
    if let Some(file) = file_in(dir, &names)? {
        return Ok(vec![Version {
            name: "1".into(),
            file,
        }]);
    }
    let plain = dir.join(names[0]);
    Err(Error::model(if plain.symlink_metadata().is_ok() {
        format!("{}: [artifact] file: it is no regular file", plain.display())
    } else {
        format!(
            "{}: [artifact] file: there is no such file, nor {} in a numbered folder; put the exported model there",
            plain.display(),
            Path::new("1").join(names[0]).display()
        )
    }))
}

/// The file in `folder` that has one of `names`.
fn file_in(folder: &Path, names: &[&str]) -> Result<Option<PathBuf>> {
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| folder.join(name))
        .filter(|file| file.is_file())
        .collect();
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(Some(file)),
        Err(none) if none.is_empty() => Ok(None),
        Err(_) => Err(Error::model(format!(
            "{}: [artifact] file: there are {}; say which one is meant",
            folder.display(),
            names.join(" and ")
        ))),
    }
}

/// The AOTInductor packages beside the artifact `file`, by batch size: `model.b8.pt2` is that of `model.pt` for 8.
#[must_use]
pub fn packages(file: &Path) -> Vec<(usize, PathBuf)> {
    let prefix = format!("{}.b", file.file_stem().unwrap_or_default().to_string_lossy());
    let size = |path: &Path| -> Option<usize> {
        let name = path.file_name()?.to_str()?;
        let digits = name.strip_prefix(&prefix)?.strip_suffix(".pt2")?;
        digits.parse().ok().filter(|size| *size > 0)
    };
    let folder = file
        .parent()
        .into_iter()
        .filter_map(|folder| folder.read_dir().ok());
    let mut packages: Vec<_> = folder
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| Some((size(&path)?, path)))
        .collect();
    packages.sort();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ArtifactFormat;

    #[test]
    fn versions_are_numbered_folders_with_the_file_in_them() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["1", "10", "2", "+1", "01", ".3", "v4", "@eaDir"] {
            std::fs::create_dir(dir.path().join(name)).expect("writable");
            std::fs::write(dir.path().join(name).join("model.pt"), "").expect("writable");
        }
        std::fs::create_dir(dir.path().join("11")).expect("writable");
        for stray in ["12", "._model.pt", ".DS_Store", "Thumbs.db"] {
            std::fs::write(dir.path().join(stray), "").expect("writable");
        }
        let artifact = Artifact {
            file: Some("model.pt".into()),
            format: Some(ArtifactFormat::Torchscript),
            sha256: None,
        };
        let found = versions(dir.path(), &artifact).expect("versions");
        let names: Vec<&str> = found.iter().map(|version| version.name.as_str()).collect();
        assert_eq!(names, ["1", "2", "10"]);
    }
}
