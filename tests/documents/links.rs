//! Links of a document to files, and to headings in them.

use std::fs;
use std::path::Path;

use crate::markdown::parts;

/// A link that leads to no other host.
#[derive(Debug, PartialEq)]
pub(crate) struct Link {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    target: String,
}

/// The links and pictures of a document, those in code apart.
pub(crate) fn links(document: &str) -> Vec<Link> {
    let (_, outside) = parts(document);
    let mut found = Vec::new();
    for (line, text) in outside {
        let text = without_code(text);
        for (at, _) in text.match_indices("](") {
            let rest = &text[at + 2..];
            let target = &rest[..rest.find(')').unwrap_or(rest.len())];
            if !target.contains("://") && !target.starts_with("mailto:") {
                let target = target.to_owned();
                found.push(Link { line, target });
            }
        }
    }
    found
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

impl Link {
    /// Whether there is what it leads to, seen from `document`.
    pub(crate) fn follow(&self, document: &Path) -> Result<(), String> {
        let (path, heading) = match self.target.split_once('#') {
            Some((path, heading)) => (path, Some(heading)),
            None => (self.target.as_str(), None),
        };
        let folder = document.parent().unwrap_or(Path::new(""));
        let file = if path.is_empty() {
            document.to_owned()
        } else {
            folder.join(path)
        };
        if !file.exists() {
            return Err(format!("there is no {}", self.target));
        }
        let Some(heading) = heading else { return Ok(()) };
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", self.target))?;
        if headings(&text).iter().any(|name| name == heading) {
            return Ok(());
        }
        Err(format!("no heading makes {}", self.target))
    }
}

/// The names of a document's headings in links: lower case, hyphens for spaces, and no punctuation.
fn headings(document: &str) -> Vec<String> {
    let (_, outside) = parts(document);
    let names = outside.into_iter().filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        let is_heading = line.starts_with('#') && title.starts_with(' ');
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        let name: String = title.trim().to_lowercase().chars().filter(kept).collect();
        is_heading.then(|| name.replace(' ', "-"))
    });
    names.collect()
}

#[test]
fn links_are_found_outside_of_code_and_followed() {
    let document = "[a](b.md#c) ![d](e.png) `[f](g)` [h](https://example.org)\n```sh\n[i](j)\n```\n";
    let targets: Vec<String> = links(document).into_iter().map(|link| link.target).collect();
    assert_eq!(targets, ["b.md#c", "e.png"]);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("one.md");
    fs::write(&file, "# Two words, `three`\n").expect("writable");
    let follows = |target: &str| {
        let link = Link {
            line: 1,
            target: target.into(),
        };
        link.follow(&file)
    };
    assert_eq!(follows("one.md#two-words-three"), Ok(()));
    assert_eq!(follows("#two-words-three"), Ok(()));
    assert!(follows("#two").is_err_and(|e| e.contains("no heading")));
    assert!(follows("two.md").is_err_and(|e| e.contains("there is no two.md")));
}
