//! The files of a model's folder beside its artifact, and which of its versions is meant.

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::{self, Manifest, Version};
use crate::tasks::Labels;

/// What model.toml in `dir` says, and the names of the versions there, oldest first.
///
/// # Errors
/// [`Error::InvalidModel`] for a folder that is wrong.
pub(super) fn on_disk(dir: &Path) -> Result<(Manifest, Vec<String>)> {
    let manifest = Manifest::read(dir)?;
    let versions = manifest::versions(dir, &manifest.artifact)?;
    Ok((
        manifest,
        versions.into_iter().map(|version| version.name).collect(),
    ))
}

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
