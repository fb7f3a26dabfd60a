//! What a folder of answers is of: a question, and the picture of each answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::write_whole;
use crate::error::{Error, Result, excerpt};

/// Where it stands: the question, then a line for each answer with its name and its picture.
const NAME: &str = ".lucarne";

/// Takes a folder for the answers to `question` about these pictures, each with the name of its answer.
///
/// # Errors
/// [`Error::InvalidSettings`] where it has those to another question, or of another picture by this name, or cannot be written.
pub(super) fn claim<'a>(
    folder: &Path,
    question: &str,
    pictures: impl Iterator<Item = (&'a PathBuf, &'a PathBuf)>,
) -> Result<()> {
    let wrong = |why: String| Error::InvalidSettings(format!("--output {}: {why}", folder.display()));
    let file = folder.join(NAME);
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let mut lines = found.lines();
    if let Some(other) = lines.next().filter(|line| *line != question) {
        return Err(wrong(format!(
            "it has the answers to another question, `{}`; give another folder, or remove this one",
            excerpt(other)
        )));
    }
    let known = lines.filter_map(|line| line.split_once('\t'));
    let mut known: BTreeMap<String, String> = known.map(|(name, of)| (name.into(), of.into())).collect();
    for (picture, name) in pictures {
        let (name, of) = (in_line(&name.to_string_lossy()), whole(picture));
        if let Some(other) = known.insert(name.clone(), of.clone())
            && other != of
        {
            return Err(wrong(format!(
                "its {} is the answer of {}, not of {}; give another folder",
                excerpt(&name),
                excerpt(&other),
                excerpt(&of)
            )));
        }
    }
    let known = known.into_iter().map(|(name, of)| format!("{name}\t{of}\n"));
    let text = format!("{question}\n{}", known.collect::<String>());
    write_whole(&file, text).map_err(|e| wrong(e.to_string()))
}

/// The path of a picture, whatever folder the command is run in.
fn whole(picture: &Path) -> String {
    let path = picture.canonicalize();
    in_line(&path.as_deref().unwrap_or(picture).to_string_lossy())
}

fn in_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_of_one_question_and_of_the_pictures_that_it_was_claimed_for() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let claimed = |question: &str, picture: &str, name: &str| {
            let (picture, name) = (PathBuf::from(picture), PathBuf::from(name));
            claim(dir.path(), question, std::iter::once((&picture, &name))).map_err(|e| e.to_string())
        };
        assert_eq!(claimed("m 1", "day1/a.jpg", "a.png"), Ok(()));
        assert_eq!(claimed("m 1", "day1/b.jpg", "b.png"), Ok(()));
        assert_eq!(claimed("m 1", "day1/a.jpg", "a.png"), Ok(()), "it goes on");
        let refused = claimed("m 1", "day2/a.jpg", "a.png").expect_err("it would keep the answer of day 1");
        assert!(refused.contains("day1/a.jpg, not of day2/a.jpg"), "{refused}");
        let refused = claimed("m 2", "day1/a.jpg", "a.png").expect_err("another version");
        assert!(refused.contains("`m 1`"), "{refused}");
        assert_eq!(
            claimed("m 1", "day1/b.jpg", "b.png"),
            Ok(()),
            "what was refused changed nothing"
        );
    }
}
