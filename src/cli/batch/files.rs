//! Which pictures are meant, and what their answers are called.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use crate::error::{Error, Result};

/// What is looked for in a folder. The last three cannot be read, and are named as such.
const ENDINGS: [&str; 20] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "pnm", "pbm", "pgm",
    "ppm", "pam", "qoi", "heic", "avif", "jxl",
];

/// Writes a file beside and renames it, so that half of one is never found.
pub(super) fn write_whole(file: &Path, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
    let half = file.with_extension("part");
    std::fs::write(&half, bytes)?;
    std::fs::rename(&half, file)
}

/// The files that `said` means, each a file, a folder with pictures in it, or a pattern such as `photos/**/*.jpg`; in the order in which
/// they are said, those of a folder or a pattern by name, each once.
///
/// # Errors
/// [`Error::InvalidSettings`] where one means nothing.
pub(in crate::cli) fn expanded(said: &[String]) -> Result<Vec<PathBuf>> {
    let mut known = HashSet::new();
    let mut files = Vec::new();
    for one in said {
        let found = of_one(one)?;
        if found.is_empty() {
            return Err(Error::InvalidSettings(format!(
                "{one}: there is no such file, and no file that it means"
            )));
        }
        files.extend(found.into_iter().filter(|file| known.insert(file.clone())));
    }
    Ok(files)
}

fn of_one(said: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(said);
    if path.is_dir() {
        return below(path);
    }
    // A file whose name looks like a pattern is that file.
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    matching(said)
}

/// The pictures in a folder and the folders in it; links to folders are not followed.
pub(in crate::cli) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::InvalidSettings(e.to_string()))?;
        // A link that leads nowhere is a picture that cannot be read.
        if !entry.file_type().is_dir() && is_picture(entry.path()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let found = glob::glob(pattern).map_err(|e| Error::InvalidSettings(format!("{pattern}: {e}")))?;
    let files = found.filter_map(std::result::Result::ok);
    Ok(files.filter(|file| file.is_file()).collect())
}

fn is_picture(file: &Path) -> bool {
    let ending = file
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// Those of `files` that do not lie in the folder of answers, where they would be answers of an earlier run.
///
/// # Errors
/// [`Error::InvalidSettings`] where none is left.
pub(super) fn beside(files: &[PathBuf], answers: &Path) -> Result<Vec<PathBuf>> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let answers_at = whole(answers);
    let left: Vec<PathBuf> = files
        .iter()
        .filter(|file| !whole(file).starts_with(&answers_at))
        .cloned()
        .collect();
    match left.is_empty() {
        false => Ok(left),
        true => Err(Error::InvalidSettings(format!(
            "--output {}: the pictures lie in it; give a folder of its own",
            answers.display()
        ))),
    }
}

/// A name for the answer of each file: its own with this ending, or, where two would be the same, its path below the folder of answers.
pub(super) fn names(files: &[PathBuf], ending: &str) -> Vec<PathBuf> {
    let own = |file: &PathBuf| {
        file.file_name()
            .map(PathBuf::from)
            .unwrap_or_default()
            .with_extension("")
    };
    let mut seen = HashSet::new();
    let is_clear = files.iter().all(|file| seen.insert(own(file)));
    let name = |file: &PathBuf| {
        let name: PathBuf = match is_clear {
            true => own(file),
            false => file
                .components()
                .filter(|part| matches!(part, Component::Normal(_)))
                .collect(),
        };
        let mut name = name.into_os_string();
        name.push(format!(".{ending}"));
        PathBuf::from(name)
    };
    files.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_patterns_are_found_once_and_in_order() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["b.jpg", "a.JPG", "notes.txt", "deep/c.png", "odd[1].png"] {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
            std::fs::write(file, "").expect("writable");
        }
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let found = |said: &[String]| -> Vec<String> {
            let files = expanded(said).expect("files");
            let name = |file: &PathBuf| {
                file.strip_prefix(dir.path())
                    .expect("inside")
                    .to_string_lossy()
                    .into_owned()
            };
            files.iter().map(name).collect()
        };
        assert_eq!(found(&[at("")]), ["a.JPG", "b.jpg", "deep/c.png", "odd[1].png"]);
        assert_eq!(
            found(&[at("**/*.png"), at("deep/c.png")]),
            ["deep/c.png", "odd[1].png"]
        );
        assert_eq!(found(&[at("odd[1].png")]), ["odd[1].png"]);
        assert_eq!(found(&[at("notes.txt")]), ["notes.txt"]);
        assert!(expanded(&[at("*.gif")]).is_err() && expanded(&[at("a[")]).is_err());
    }

    #[test]
    fn answers_of_an_earlier_run_are_no_pictures() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.png", "maps/a.png"] {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
            std::fs::write(file, "").expect("writable");
        }
        let all = below(dir.path()).expect("readable");
        assert_eq!(all.len(), 2);
        let left = beside(&all, &dir.path().join("maps")).expect("one");
        assert_eq!(left, [dir.path().join("a.png")]);
        assert!(beside(&all, dir.path()).is_err());
    }

    #[test]
    fn answers_have_names_of_their_own() {
        let of = |files: &[&str]| -> Vec<String> {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            names(&files, "png")
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(of(&["x/a.jpg", "y/b.jpg"]), ["a.png", "b.png"]);
        assert_eq!(of(&["x/a.jpg", "y/a.jpg"]), ["x/a.jpg.png", "y/a.jpg.png"]);
        assert_eq!(of(&["a.jpg", "a.png"]), ["a.jpg.png", "a.png.png"]);
    }
}
