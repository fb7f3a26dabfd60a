//! The files of a model's folder beside its artifact, which of its versions is meant, and whether they are those that they
//! were.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::trial;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Version};
use crate::tasks::Labels;

/// The version of this name; without one the newest.
pub(super) fn chosen<'a>(versions: &'a [Version], name: Option<&str>) -> Result<&'a Version> {
    let found = match name {
        Some(name) => versions.iter().find(|version| version.name == name),
        None => versions.last(),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = versions.iter().map(|version| version.name.as_str()).collect();
        let name = name.unwrap_or_default();
        Error::ModelNotFound(format!(
            "there is no version `{name}` on disk; there are {}",
            known.join(", ")
        ))
    })
}

/// The labels of this version: its own, else those of the folder.
pub(super) fn labels(dir: &Path, manifest: &Manifest, version: &Version) -> Result<Labels> {
    if let Some(keys) = &manifest.output.regression {
        return Ok(Labels::new(keys.names.iter().cloned()));
    }
    let Some(name) = &manifest.output.labels else {
        return Ok(Labels::default());
    };
    // A version may bring labels of its own.
    let own = version.file.with_file_name(name);
    let file = if own.is_file() { own } else { dir.join(name) };
    // They are published, so a link that leads out of the folder would publish any file.
    let real = |path: &Path| path.canonicalize().ok();
    if let (Some(real_file), Some(folder)) = (real(&file), real(dir))
        && !real_file.starts_with(&folder)
    {
        return Err(Error::model(format!(
            "{}: output.labels: the file lies outside of the model's folder; copy it into it",
            file.display()
        )));
    }
    Labels::read(&file)
}

/// Says which file an error is about, and makes every failure to load one of the model's.
pub(super) fn in_file(file: &Path, error: Error) -> Error {
    let problems = match error {
        Error::InvalidModel { problems } => problems,
        other => vec![other.to_string()],
    };
    Error::InvalidModel {
        problems: problems
            .into_iter()
            .map(|p| format!("{}: {p}", file.display()))
            .collect(),
    }
}

/// What tells files that were written to, replaced or removed since: of each its place, and what the system says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(PathBuf, [u64; 3], [i64; 2])>);

impl Stamp {
    /// Of the files that a trial of the model in `dir` depends on; what cannot be looked at is left out.
    pub(super) fn of(dir: &Path) -> Self {
        let mut files = Vec::new();
        // A folder that cannot be read fails to load.
        trial::list(dir, 1, &mut files).unwrap_or_default();
        files.sort();
        let stamped = |file: PathBuf| {
            let found = file.metadata().ok()?;
            let which = [found.dev(), found.ino(), found.len()];
            // Not when its status changed: one more link to it elsewhere does that.
            Some((file, which, [found.mtime(), found.mtime_nsec()]))
        };
        Self(files.into_iter().filter_map(stamped).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_to_or_replaced_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("model.pt");
        std::fs::write(&file, "one").expect("written");
        let first = Stamp::of(folder.path());
        assert_eq!(first, Stamp::of(folder.path()));
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, "two").expect("written");
        let second = Stamp::of(folder.path());
        assert_ne!(first, second);
        let other = folder.path().join(".other");
        std::fs::write(&other, "two").expect("written");
        std::fs::rename(&other, &file).expect("renamed");
        assert_ne!(second, Stamp::of(folder.path()));
    }
}
