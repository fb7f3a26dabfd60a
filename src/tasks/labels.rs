//! The names of a model's outputs.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result, excerpt};
use crate::manifest;

/// What Windows calls Unicode is UTF-16.
const NO_UTF_8: &str = "it is no text in UTF-8, perhaps in UTF-16; save it as UTF-8";

/// Bytes of JSON that are read to tell that it is; a vocabulary is longer, and is none.
const MOST_JSON: usize = 1 << 20;

/// Why `text` is no list of one label a line, though it is a text.
fn other_form(text: &str) -> Option<String> {
    if text.contains('\0') {
        return Some(NO_UTF_8.into());
    }
    let is_short = text.len() <= MOST_JSON && text.starts_with(['{', '[']);
    if is_short && serde_json::from_str::<serde_json::Value>(text).is_ok() {
        return Some("it is JSON; write one label a line, in the order of the outputs".into());
    }
    let (number, line) = text
        .lines()
        .enumerate()
        .find(|(_, line)| line.trim().contains('\t'))?;
    let (number, line) = (number + 1, excerpt(line));
    Some(format!(
        "line {number} has several columns, {line:?}; leave the labels alone, one a line (cut -f 2)"
    ))
}

/// Labels in the order of the outputs; empty when the model has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Reads a file of one label a line; blank lines at the end do not count.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when it cannot be read, or holds none.
    pub fn read(file: &Path) -> Result<Self> {
        /// More than a million labels have.
        const MOST_BYTES: u64 = 64 << 20;
        let wrong = |why: String| Error::model(format!("{}: output.labels: {why}", file.display()));
        let text = manifest::read_text(file, MOST_BYTES).map_err(|e| {
            wrong(match e.kind() {
                ErrorKind::InvalidData => NO_UTF_8.into(),
                _ => format!("cannot be read: {e}"),
            })
        })?;
        // Editors of Windows begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if text.trim().is_empty() {
            return Err(wrong(
                "the file holds no label; write one a line, or leave the key out".into(),
            ));
        }
        other_form(text).map_or(Ok(()), |why| Err(wrong(why)))?;
        // Before it was a Unix, a Mac ended lines with a carriage return.
        let lines = text.trim_end().lines().flat_map(|line| line.trim().split('\r'));
        Ok(Self::new(lines.map(|line| line.trim().to_owned())))
    }

    /// These labels.
    pub fn new(labels: impl IntoIterator<Item = String>) -> Self {
        Self(labels.into_iter().collect())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the model has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The label of output `index`, or the index itself as text.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        self.0.get(index).cloned().unwrap_or_else(|| index.to_string())
    }

    /// Checks that there is one for each of a model's `classes`, unless there are none.
    ///
    /// # Errors
    /// What was found and what is expected, in words.
    pub fn name_each_of(&self, classes: usize) -> Result<(), String> {
        let labels = self.len();
        if self.is_empty() || labels == classes {
            return Ok(());
        }
        Err(format!(
            "forward answered {classes} classes, but output.labels has {labels} labels; they must be as many"
        ))
    }

    /// All of them, in the order of the outputs.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The first output with this label; see [`Labels::all`].
    #[must_use]
    pub fn find(&self, label: &str) -> Option<usize> {
        self.all(label).next()
    }

    /// Every output with this label: those that are written like it, or else those that differ from it in case alone.
    pub fn all(&self, label: &str) -> impl Iterator<Item = usize> {
        let label = label.trim();
        let is_written_so = self.0.iter().any(|candidate| candidate == label);
        let same = move |candidate: &str| match is_written_so {
            true => candidate == label,
            false => candidate.eq_ignore_ascii_case(label),
        };
        let numbered = self.0.iter().enumerate();
        numbered.filter_map(move |(index, candidate)| same(candidate).then_some(index))
    }

    /// The labels most like `label`, best first, for messages.
    #[must_use]
    pub fn nearest(&self, label: &str, count: usize) -> Vec<&str> {
        let mut scored: Vec<_> = self
            .0
            .iter()
            .map(|known| {
                (
                    strsim::jaro_winkler(&known.to_lowercase(), &label.to_lowercase()),
                    known.as_str(),
                )
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(count).map(|(_, known)| known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_label() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\u{feff}ant\r\nbee\r\n").expect("it is written");
        let labels = Labels::read(file.path()).expect("two labels");
        assert_eq!(labels.names(), ["ant", "bee"]);
    }

    #[test]
    fn labels_in_another_form_are_refused_with_the_cure() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("labels.txt");
        let utf_16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        for (bytes, expected) in [
            (utf_16("\u{feff}ant\nbee\n"), "save it as UTF-8"),
            (utf_16("ant\nbee\n"), "save it as UTF-8"),
            (b"{\"0\": [\"n01440764\", \"tench\"]}".to_vec(), "it is JSON"),
            (b"[\n \"ant\",\n \"bee\"\n]\n".to_vec(), "it is JSON"),
            (
                b"ant\nn01440764\ttench\n".to_vec(),
                "line 2 has several columns, \"n01440764\\ttench\"",
            ),
        ] {
            std::fs::write(&file, &bytes).expect("writable");
            let error = Labels::read(&file).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn lines_end_as_any_system_ends_them() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("labels.txt");
        for text in [
            "ant\nbee\n",
            "ant\r\nbee\r\n\r\n",
            "ant\rbee\r",
            "ant \nbee\n\n\n",
        ] {
            std::fs::write(&file, text).expect("writable");
            assert_eq!(
                Labels::read(&file).expect(text).names(),
                ["ant", "bee"],
                "{text:?}"
            );
        }
        // A word of a vocabulary may look like the beginning of JSON.
        std::fs::write(&file, "[PAD]\n{\n").expect("writable");
        assert_eq!(Labels::read(&file).expect("a vocabulary").names(), ["[PAD]", "{"]);
    }

    #[test]
    fn labels_are_found_by_name_and_named_by_index() {
        let labels = Labels::new(["tabby", "Egyptian cat", "tabby"].map(String::from));
        assert_eq!(labels.find("egyptian cat "), Some(1));
        assert_eq!(labels.find("tabby"), Some(0), "the first of two");
        assert_eq!(labels.all("Tabby").collect::<Vec<_>>(), [0, 2]);
        let polish = Labels::new(["polish", "Polish"].map(String::from));
        assert_eq!(polish.all("Polish").collect::<Vec<_>>(), [1], "written so");
        assert_eq!(labels.find("dog"), None);
        assert_eq!(labels.name(1), "Egyptian cat");
        assert_eq!(labels.name(7), "7");
        assert_eq!(labels.nearest("Egiptian cat", 1), ["Egyptian cat"]);
    }

    #[test]
    fn a_file_without_a_label_is_no_file_of_labels() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("labels.txt");
        for (text, right) in [("", false), (" \n\n", false), ("tabby\n", true)] {
            std::fs::write(&file, text).expect("writable");
            assert_eq!(Labels::read(&file).is_ok(), right, "{text:?}");
        }
    }
}
