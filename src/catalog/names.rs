//! Which folders are models, and under which names they are served.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Folders that systems make beside those of people: of macOS, Synology, QNAP, Windows, ext4 and Python.
const OF_SYSTEMS: [&str; 7] = [
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "__pycache__",
];

/// The folders in `dir` that hold a model.toml, by name; also those where it is no file, or cannot be looked for, so that it is
/// said what is wrong with them. Hidden ones are none: `.git`, or the `..data` to which Kubernetes links the files of a
/// ConfigMap. A folder that looks like a model and is none is warned of.
///
/// # Errors
/// [`Error::InvalidSettings`] when `dir` cannot be read, or is itself one model's.
pub(super) fn model_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let shown = dir.display();
    if dir.join("model.toml").is_file() {
        return Err(Error::InvalidSettings(format!(
            "{shown} is the folder of one model: it holds a model.toml; --models (LUCARNE_MODELS) wants the folder around it, and \
             in a container one model is mounted at {shown}/NAME"
        )));
    }
    let listing = std::fs::read_dir(dir).map_err(|e| {
        let cure = match e.kind() {
            ErrorKind::PermissionDenied => format!("let user {} read it", rustix::process::getuid().as_raw()),
            _ => "give it with --models DIR (LUCARNE_MODELS)".to_owned(),
        };
        Error::InvalidSettings(format!(
            "the folder of models {shown} cannot be read: {e}; {cure}"
        ))
    })?;
    let folders = listing.filter_map(|e| Some(e.ok()?.path()));
    let mut models = Vec::new();
    for folder in folders.filter(|p| !is_passed_over(p)) {
        let leads_nowhere = folder.is_symlink() && !folder.exists();
        let found = folder.join("model.toml").symlink_metadata();
        let has_none = found.is_err_and(|e| e.kind() == ErrorKind::NotFound);
        let name = folder.display();
        if leads_nowhere {
            tracing::warn!("{name} is no model: it is a link that leads nowhere");
        } else if folder.is_dir() && has_none {
            tracing::warn!("{name} is no model: it holds no model.toml; `lucarne inspect` writes one");
        } else if folder.is_dir() {
            models.push(folder);
        }
    }
    models.sort();
    Ok(models)
}

/// [`model_folders`] of a folder that is known, without a word on what is none.
///
/// # Errors
/// [`Error::NotReady`] when it cannot be read now.
pub(super) fn folders_of(dir: &Path) -> Result<Vec<PathBuf>> {
    let listing = std::fs::read_dir(dir).map_err(|e| {
        Error::NotReady(format!(
            "the folder of models {} cannot be read: {e}",
            dir.display()
        ))
    })?;
    let folders = listing.filter_map(|e| Some(e.ok()?.path()));
    let is_model = |folder: &PathBuf| {
        let found = folder.join("model.toml").symlink_metadata();
        folder.is_dir() && !is_passed_over(folder) && !found.is_err_and(|e| e.kind() == ErrorKind::NotFound)
    };
    let mut models: Vec<PathBuf> = folders.filter(is_model).collect();
    models.sort();
    Ok(models)
}

fn is_passed_over(dir: &Path) -> bool {
    let name = folder_name(dir);
    name.starts_with('.') || OF_SYSTEMS.contains(&name.as_str())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn found(dir: &Path) -> Vec<String> {
        let folders = model_folders(dir).expect("it can be read");
        folders.iter().map(|folder| folder_name(folder)).collect()
    }

    #[test]
    fn folders_of_systems_and_tools_are_no_models() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let hidden = [".git", ".ipynb_checkpoints", "..data", ".m"];
        for name in hidden.iter().chain(&OF_SYSTEMS).chain(&["m"]) {
            std::fs::create_dir(dir.path().join(name)).expect("writable");
            std::fs::write(dir.path().join(name).join("model.toml"), "").expect("writable");
        }
        std::fs::write(dir.path().join("notes.txt"), "").expect("writable");
        std::fs::create_dir(dir.path().join("empty")).expect("writable");
        assert_eq!(found(dir.path()), ["m"]);
    }

    #[test]
    fn the_folder_of_one_model_is_refused_and_told_so() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("model.toml"), "").expect("writable");
        let error = model_folders(dir.path())
            .expect_err("it is one model")
            .to_string();
        assert!(error.contains("is the folder of one model"), "{error}");
    }

    #[test]
    fn what_leads_nowhere_and_what_has_no_manifest_is_passed_over() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        symlink("nowhere", dir.path().join("a")).expect("writable");
        std::fs::create_dir(dir.path().join("b")).expect("writable");
        std::fs::write(dir.path().join("b").join("model.pt"), "").expect("writable");
        assert_eq!(found(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn models_that_kubernetes_links_are_found_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let dated = "..2026_11_27_08_00_00.123456789";
        for name in ["a", "b"] {
            let folder = dir.path().join(dated).join(name);
            std::fs::create_dir_all(&folder).expect("writable");
            std::fs::write(folder.join("model.toml"), "").expect("writable");
            symlink(format!("..data/{name}"), dir.path().join(name)).expect("writable");
        }
        symlink(dated, dir.path().join("..data")).expect("writable");
        assert_eq!(found(dir.path()), ["a", "b"]);
    }
}
