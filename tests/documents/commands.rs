//! The commands of a document, with the answers that it shows.

use std::path::Path;
use std::process::{Command as Process, Output, Stdio};

use serde_json::Value;

use crate::answers::{difference, missing_line};
use crate::markdown::{Block, parts};
use crate::server::{PROGRAM, Server, WITHOUT_SPINNING};

/// Seconds that a block may take: far more than any does, on a machine that is busy.
const PATIENCE_S: &str = "300";

/// Languages of commands besides `sh`: nothing here runs them.
const OTHER_SHELLS: [&str; 7] = [
    "bash",
    "console",
    "sh-session",
    "shell",
    "shellsession",
    "terminal",
    "zsh",
];

/// First words of a command, whatever its block is called.
const PROGRAMS: [&str; 5] = ["$", "curl", "lucarne", "make", "target/release/lucarne"];

/// A block of the language `sh`.
#[derive(Debug)]
pub(crate) struct Command {
    line: usize,
    script: String,
    shown: Shown,
    why_not_run: Option<String>,
}

/// The answer that a document shows.
#[derive(Debug)]
enum Shown {
    Nothing,
    Json(Value),
    Text(String),
}

/// The commands of a document in their order, or what is wrong with them, beginning with the line.
pub(crate) fn commands(document: &str) -> Vec<Result<Command, String>> {
    let (blocks, _) = parts(document);
    let mut commands = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        if block.language == "sh" {
            let behind = blocks.get(index + 1).filter(|next| next.is_behind_a_block);
            commands.push(Command::of(block, behind));
        } else if let Some(problem) = hidden(block) {
            commands.push(Err(problem));
        }
    }
    commands
}

/// What is wrong with a block that is not called `sh`, and shows a command that nobody would run.
fn hidden(block: &Block<'_>) -> Option<String> {
    let (line, name) = (block.line, block.language);
    let language = name.split_whitespace().next().unwrap_or_default();
    let language = language.to_ascii_lowercase();
    if language == "sh" || OTHER_SHELLS.contains(&language.as_str()) {
        return Some(format!(
            "{line}: nobody runs a block of the language `{name}`; call it sh alone"
        ));
    }
    let first = block.text.split_whitespace().next().unwrap_or_default();
    let is_text = matches!(language.as_str(), "" | "text");
    // Behind a command it is what that answers.
    let is_command = is_text && !block.is_behind_a_block && PROGRAMS.contains(&first);
    is_command.then(|| format!("{line}: nobody runs this command, `{first} …`; call its block sh"))
}

impl Command {
    fn of(block: &Block<'_>, behind: Option<&Block<'_>>) -> Result<Self, String> {
        let line = block.line;
        let why_not_run = match block.comment.and_then(|comment| comment.strip_prefix("not run")) {
            None => None,
            Some(reason) => match reason.trim_start_matches(':').trim() {
                "" => return Err(format!("{line}: say why: <!-- not run: it wants docker -->")),
                reason => Some(reason.to_owned()),
            },
        };
        let calls_make = |line: &str| line.split_whitespace().any(|word| word == "make");
        if why_not_run.is_none() && block.text.lines().any(calls_make) {
            let cure =
                "a block that calls make would build within a build; write <!-- not run: … --> before it";
            return Err(format!("{line}: {cure}"));
        }
        let shown = match behind {
            Some(shown) if shown.language == "json" => {
                let json = serde_json::from_str(&shown.text);
                Shown::Json(
                    json.map_err(|e| format!("{}: the answer that is shown is no JSON: {e}", shown.line))?,
                )
            }
            Some(shown) if shown.language == "text" => Shown::Text(shown.text.clone()),
            _ => Shown::Nothing,
        };
        Ok(Self {
            line,
            script: block.text.clone(),
            shown,
            why_not_run,
        })
    }

    /// Whether it is meant to be run.
    pub(crate) fn is_run(&self) -> bool {
        self.why_not_run.is_none()
    }

    /// Runs it in `folder`, and compares the answer.
    pub(crate) fn run(&self, folder: &Path, server: &Server) -> Result<(), String> {
        let output = Process::new("timeout")
            .args([PATIENCE_S, "bash", "-euo", "pipefail", "-c", &self.text(server)])
            .envs(WITHOUT_SPINNING)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| self.problem(&format!("timeout and bash cannot be run: {e}")))?;
        self.judge(&output).map_err(|problem| self.problem(&problem))
    }

    /// The script as it is run. What it leaves in the background ends with it.
    fn text(&self, server: &Server) -> String {
        // A refusal is a failure, unless the document shows it.
        let fails = match self.shown {
            Shown::Json(_) => "",
            Shown::Nothing | Shown::Text(_) => "--fail-with-body",
        };
        let script = self
            .script
            .replace("http://127.0.0.1:8080", &server.url)
            .replace("target/release/lucarne", PROGRAM);
        format!(
            "trap 'jobs -p | xargs --no-run-if-empty kill || true' EXIT\n\
             curl() {{ command curl --silent --show-error {fails} \"$@\"; }}\n{script}"
        )
    }

    fn judge(&self, output: &Output) -> Result<(), String> {
        let [found, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        if !output.status.success() {
            return Err(format!("{}\n{}{errors}", output.status, beginning(&found)));
        }
        match &self.shown {
            Shown::Nothing => Ok(()),
            Shown::Json(shown) => {
                let answer = serde_json::from_str(&found);
                let found: Value =
                    answer.map_err(|e| format!("the answer is no JSON: {e}\n{}", beginning(&found)))?;
                difference(shown, &found, "answer").map_or(Ok(()), Err)
            }
            Shown::Text(shown) => match missing_line(shown, &found) {
                Some(line) => Err(format!(
                    "the line «{line}» is not in its place in\n{}",
                    beginning(&found)
                )),
                None => Ok(()),
            },
        }
    }

    fn problem(&self, problem: &str) -> String {
        format!("{}: {problem}\nof\n{}", self.line, self.script)
    }
}

/// As much of an output as helps to see what went wrong.
fn beginning(output: &str) -> String {
    output.chars().take(2000).collect()
}

#[test]
fn a_block_that_is_not_run_says_why() {
    let only = |document: &str| commands(document).remove(0);
    let marked =
        only("<!-- not run: it wants docker -->\n```sh\nmake image\n```\n").expect("it has a reason");
    assert!(!marked.is_run());
    assert!(only("<!-- not run: -->\n```sh\ntrue\n```\n").is_err_and(|e| e.starts_with("2: say why")));
    assert!(only("```sh\nCUDA=1 make setup\n```\n").is_err_and(|e| e.contains("calls make")));
    assert!(only("```sh\ntrue\n```\n\n```json\n{\n```\n").is_err_and(|e| e.starts_with("5: ")));
    assert!(only("```sh\ntrue\n```\n").is_ok_and(|command| command.is_run()));
}

#[test]
fn only_the_block_directly_behind_is_the_answer() {
    let shows = |between: &str| {
        let document = format!("```sh\ntrue\n```\n{between}\n```text\none\n```\n");
        matches!(
            commands(&document).remove(0),
            Ok(Command {
                shown: Shown::Text(_),
                ..
            })
        )
    };
    assert!(shows("") && !shows("and then"));
}

#[test]
fn a_command_that_nobody_would_run_is_refused() {
    let refused = |document: &str| -> Vec<String> {
        let commands = commands(document).into_iter();
        commands.filter_map(Result::err).collect()
    };
    for language in ["bash", "console", "shell", "zsh", "Bash", "sh title=one"] {
        let found = refused(&format!("one\n```{language}\ntrue\n```\n"));
        assert!(
            found.len() == 1 && found[0].starts_with("2: "),
            "{language}: {found:?}"
        );
    }
    for command in [
        "curl http://127.0.0.1:8080/",
        "lucarne serve",
        "make page",
        "$ true",
    ] {
        for language in ["text", ""] {
            let found = refused(&format!("```{language}\n{command}\n```\n"));
            assert!(
                found.len() == 1 && found[0].starts_with("1: "),
                "{language} {command}: {found:?}"
            );
        }
        let shown = refused(&format!("```sh\ntrue\n```\n\n```text\n{command}\n```\n"));
        assert!(shown.is_empty(), "{command}: {shown:?}");
    }
    for other in ["```text\ncurls of hair\n```\n", "```python\nmake = 1\n```\n"] {
        assert!(refused(other).is_empty(), "{other}");
    }
}
