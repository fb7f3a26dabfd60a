//! Pictures in folders that are named after their class.

use std::path::{Path, PathBuf};

use super::batch::below;
use crate::error::{Error, Result, excerpt};
use crate::tasks::ModelSpec;

/// Pictures of a folder at most: what is kept of each must have room.
pub(super) const MOST_PICTURES: usize = 1_000_000;

/// Folders that are wrong and are named.
const MOST_NAMED: usize = 10;

/// A picture whose class is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    /// Its file.
    pub(super) file: PathBuf,
    /// The index of the logit.
    pub(super) class_id: usize,
    /// Its place among those of its folder, from 0.
    pub(super) place: usize,
}

impl AsRef<Path> for Labelled {
    fn as_ref(&self) -> &Path {
        &self.file
    }
}

/// How many classes a classifier has.
///
/// # Errors
/// [`Error::Internal`] where nobody has checked what it answers.
pub(super) fn class_count(spec: &ModelSpec) -> Result<usize> {
    let classes = match spec.row() {
        // One logit is of two classes.
        Some([1]) => Some(spec.labels.len().max(1)),
        Some([classes]) => usize::try_from(*classes).ok(),
        _ => None,
    };
    classes.ok_or_else(|| Error::Internal("a classifier of no classes".into()))
}

/// The pictures in the folders of `dir`, each of which is named after a class: its label, or its id. By the folders' names, and in
/// them by the files'.
///
/// # Errors
/// [`Error::InvalidSettings`], which names the folders whose class is not known or not clear, pictures beside the folders, and a
/// folder without any.
pub(super) fn labelled(dir: &Path, spec: &ModelSpec) -> Result<Vec<Labelled>> {
    let wrong = |why: String| Error::InvalidSettings(format!("{}: {why}", dir.display()));
    let classes = class_count(spec)?;
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| wrong(e.to_string()))? {
        let entry = entry.map_err(|e| wrong(e.to_string()))?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with('.') && entry.path().is_dir() {
            folders.push((name, entry.path()));
        }
    }
    folders.sort();
    let (mut pictures, mut strange) = (Vec::new(), Vec::new());
    for (name, folder) in folders {
        match class_of(&name.to_string_lossy(), spec, classes) {
            Ok(class_id) => {
                let files = below(&folder)?.into_iter().enumerate();
                pictures.extend(files.map(|(place, file)| Labelled {
                    file,
                    class_id,
                    place,
                }));
            }
            Err(why) => strange.push(why),
        }
        if pictures.len() > MOST_PICTURES {
            return Err(wrong(format!(
                "more than {MOST_PICTURES} pictures; give a part of them"
            )));
        }
    }
    if !strange.is_empty() {
        let more = strange.len().saturating_sub(MOST_NAMED);
        strange.truncate(MOST_NAMED);
        let more = if more > 0 {
            format!("\n  and {more} more")
        } else {
            String::new()
        };
        return Err(wrong(format!(
            "folders must be named after a label of the model, or its id:\n  {}{more}",
            strange.join("\n  ")
        )));
    }
    match pictures.is_empty() {
        true => Err(wrong(
            "there is no picture in a folder that is named after its class".into(),
        )),
        false => Ok(pictures),
    }
}

/// The class that a folder is named after, or why there is none.
fn class_of(name: &str, spec: &ModelSpec, classes: usize) -> Result<usize, String> {
    let mut meant: Vec<usize> = spec.labels.all(name).collect();
    let id = name
        .parse::<usize>()
        .ok()
        .filter(|id| *id < classes && id.to_string() == name);
    meant.extend(id);
    meant.sort_unstable();
    meant.dedup();
    match meant[..] {
        [class_id] => Ok(class_id),
        [] => {
            let near = spec
                .labels
                .nearest(name, 1)
                .first()
                .map(|label| format!("; did you mean \"{label}\"?"));
            Err(format!(
                "\"{}\" is no label, and no id below {classes}{}",
                excerpt(name),
                near.unwrap_or_default()
            ))
        }
        _ => {
            let ids: Vec<String> = meant.iter().take(MOST_NAMED).map(ToString::to_string).collect();
            Err(format!(
                "\"{}\" may be any of the classes {}; a class that shares its name needs a folder with its id",
                excerpt(name),
                ids.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(labels: &[&str]) -> ModelSpec {
        let text = "task = \"classification\"\n[input]\nsize = [2, 2]";
        let labels = Labels::new(labels.iter().map(ToString::to_string));
        ModelSpec::new(Manifest::parse(text).expect("right"), labels)
    }

    #[test]
    fn a_name_is_a_label_or_an_id_and_no_more_than_one() {
        let spec = spec(&["cat", "crane", "crane", "1", "Dog"]);
        let of = |name: &str| class_of(name, &spec, 5);
        assert_eq!(of("cat"), Ok(0));
        assert_eq!(of("dog"), Ok(4), "case alone");
        assert_eq!(of("2"), Ok(2));
        assert!(of("crane").is_err_and(|why| why.contains("1, 2")));
        assert!(
            of("1").is_err_and(|why| why.contains("1, 3")),
            "an id and a label"
        );
        assert!(of("5").is_err_and(|why| why.contains("no id below 5")));
        assert!(of("01").is_err() && of("crate").is_err_and(|why| why.contains("crane")));
    }
}
