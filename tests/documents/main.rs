//! The documents against the program: every command that a reader would type is run, every answer that is shown is
//! compared with the one that comes, and every link is followed.
//!
//! Each block of the language `sh` runs in a shell of its own (`bash -euo pipefail`), so that it can be pasted alone. The
//! blocks of one document run in their order, in one temporary folder with links to the folders of the repository.
//! `http://127.0.0.1:8080` stands for a server over `models/`, `target/release/lucarne` for the program under test.
//!
//! A block of the language `json` or `text` directly behind it shows the answer. There `…` stands for anything: within a
//! text or a line, as the last element of a list for more of them, as the name of a member for more members. Numbers
//! may differ by [`answers::TOLERANCE`], and `timing_ms` is not compared.
//!
//! A block that cannot be run has the reason in the line before it: `<!-- not run: it wants docker -->`. A command in a block
//! of another language, which would never be run, is refused.

mod answers;
mod commands;
mod links;
mod markdown;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use commands::{Command, commands};
use server::{Server, link_folders};

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file below `folder`, with its path from there; hidden folders and what cargo builds apart.
fn documents_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("the folder can be read");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            found.extend(documents_below(&path));
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(document: &Path) -> String {
    fs::read_to_string(document).expect("a document can be read")
}

/// How a document is called in a message.
fn name(document: &Path) -> String {
    let relative = document.strip_prefix(root()).unwrap_or(document);
    relative.display().to_string()
}

/// What is wrong with the commands of one document, and how many were run.
fn run_all(document: &Path, server: &Server) -> (usize, Vec<String>) {
    let name = name(document);
    let folder = tempfile::tempdir().expect("a temporary folder");
    link_folders(root(), folder.path());
    let (mut ran, mut wrong) = (0, Vec::new());
    for command in commands(&read(document)) {
        let outcome = command.and_then(|command: Command| {
            if command.is_run() {
                ran += 1;
                command.run(folder.path(), server)?;
            }
            Ok(())
        });
        if let Err(problem) = outcome {
            wrong.push(format!("{name}:{problem}"));
        }
    }
    (ran, wrong)
}

#[test]
fn every_command_runs_and_answers_as_shown() {
    let server = Server::start(&root().join("models"));
    let mut documents = documents_below(&root().join("docs"));
    documents.push(root().join("README.md"));
    let (mut ran, mut wrong) = (0, Vec::new());
    for document in documents {
        let (its_ran, its_wrong) = run_all(&document, &server);
        ran += its_ran;
        wrong.extend(its_wrong);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    assert!(ran >= 55, "only {ran} commands were found");
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents_below(root());
    let mut followed = 0;
    let mut wrong = Vec::new();
    for document in &documents {
        for link in links::links(&read(document)) {
            followed += 1;
            if let Err(problem) = link.follow(document) {
                wrong.push(format!("{}:{}: {problem}", name(document), link.line));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(followed >= 50, "only {followed} links were found");
}
