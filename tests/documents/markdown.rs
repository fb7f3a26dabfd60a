//! What of Markdown the other files read: fenced blocks, and the lines around them.

/// A fenced block.
#[derive(Debug, PartialEq)]
pub(crate) struct Block<'a> {
    /// The line of its opening fence, from 1.
    pub(crate) line: usize,
    pub(crate) language: &'a str,
    pub(crate) text: String,
    /// The comment in the line before it.
    pub(crate) comment: Option<&'a str>,
    /// Whether it stands directly behind another block, with blank lines between them at most.
    pub(crate) is_behind_a_block: bool,
}

/// A line outside of the blocks, numbered from 1.
pub(crate) type Line<'a> = (usize, &'a str);

/// The blocks of a document and the lines outside of them.
pub(crate) fn parts(document: &str) -> (Vec<Block<'_>>, Vec<Line<'_>>) {
    let (mut blocks, mut outside) = (Vec::new(), Vec::new());
    let mut open: Option<Block<'_>> = None;
    let mut before = "";
    let mut is_behind_a_block = false;
    for (index, line) in document.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (open.take(), fence) {
            (Some(block), Some(_)) => {
                blocks.push(block);
                (before, is_behind_a_block) = ("", true);
            }
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, Some(language)) => {
                open = Some(Block {
                    line: index + 1,
                    language: language.trim(),
                    text: String::new(),
                    comment: comment(before),
                    is_behind_a_block,
                });
            }
            (None, None) => {
                outside.push((index + 1, line));
                before = line;
                is_behind_a_block = is_behind_a_block && line.trim().is_empty();
            }
        }
    }
    (blocks, outside)
}

fn comment(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inner.trim())
}

#[test]
fn blocks_are_told_from_the_lines_around_them() {
    let document = "# One\n\n<!-- why -->\n```sh\na\n  b\n```\n\n```json\n{}\n```\ntwo\n```\nc\n```\n";
    let (blocks, outside) = parts(document);
    let seen: Vec<_> = blocks
        .iter()
        .map(|b| {
            (
                b.line,
                b.language,
                b.text.as_str(),
                b.comment,
                b.is_behind_a_block,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (4, "sh", "a\n  b\n", Some("why"), false),
            (9, "json", "{}\n", None, true),
            (13, "", "c\n", None, false),
        ]
    );
    let outside: Vec<&str> = outside.into_iter().map(|(_, line)| line).collect();
    assert_eq!(outside, ["# One", "", "<!-- why -->", "", "two"]);
}
