//! Holds ARCHITECTURE.md's table of who may name whom against the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, the rooms of ours it may name, and the crates of the outside that only some rooms may name.
struct Room {
    name: &'static str,
    ours: &'static [&'static str],
    guarded: &'static [&'static str],
}

/// Crates that only some rooms may name.
const GUARDED: [&str; 6] = [
    "tch",
    "torch_bridge",
    "axum",
    "tower_http",
    "prometheus_client",
    "turbojpeg",
];

const ROOMS: [Room; 13] = [
    Room {
        name: "error",
        ours: &[],
        guarded: &[],
    },
    Room {
        name: "config",
        ours: &["error"],
        guarded: &[],
    },
    Room {
        name: "image",
        ours: &["error"],
        guarded: &["turbojpeg"],
    },
    Room {
        name: "repository::manifest",
        ours: &["error", "image"],
        guarded: &[],
    },
    Room {
        name: "engine",
        ours: &["error", "repository::manifest"],
        guarded: &["tch", "torch_bridge"],
    },
    Room {
        name: "tasks",
        ours: &["error", "repository::manifest", "image", "engine"],
        guarded: &["tch", "torch_bridge"],
    },
    Room {
        name: "explain",
        ours: &["error", "repository::manifest", "image", "engine", "tasks"],
        guarded: &["tch", "torch_bridge"],
    },
    Room {
        name: "repository",
        ours: &[
            "error",
            "repository::manifest",
            "image",
            "engine",
            "tasks",
            "explain",
        ],
        guarded: &["tch", "torch_bridge"],
    },
    Room {
        name: "telemetry",
        ours: &["error", "config", "engine"],
        guarded: &["prometheus_client"],
    },
    Room {
        name: "http",
        ours: &[
            "error",
            "config",
            "image",
            "repository::manifest",
            "repository",
            "engine",
            "tasks",
            "explain",
            "telemetry",
        ],
        guarded: &["axum", "tower_http"],
    },
    Room {
        name: "app",
        ours: &EVERY_ROOM,
        guarded: &GUARDED,
    },
    Room {
        name: "cli",
        ours: &EVERY_ROOM,
        guarded: &GUARDED,
    },
    Room {
        name: "main",
        ours: &EVERY_ROOM,
        guarded: &GUARDED,
    },
];

const EVERY_ROOM: [&str; 12] = [
    "error",
    "config",
    "image",
    "repository::manifest",
    "repository",
    "engine",
    "tasks",
    "explain",
    "telemetry",
    "http",
    "app",
    "cli",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The room of a path such as `repository/manifest/reader.rs` or `crate::repository::manifest::Manifest`.
fn room_of(segments: &[&str]) -> String {
    match segments {
        ["repository", second, ..] if second.trim_end_matches(".rs") == "manifest" => {
            "repository::manifest".into()
        }
        [first, ..] => first.trim_end_matches(".rs").to_owned(),
        [] => String::new(),
    }
}

/// Every `crate::…` and every guarded crate that the code of `text` names; comments do not count.
fn named(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let path = &code[at + "crate::".len()..];
        let end = path
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(path.len());
        let segments: Vec<&str> = path[..end].split("::").filter(|s| !s.is_empty()).collect();
        assert!(
            !segments.is_empty(),
            "write `use crate::room::…`, one room a line, so that this test can read it"
        );
        names.insert(room_of(&segments));
    }
    for guarded in GUARDED {
        let uses = code
            .match_indices(&format!("{guarded}::"))
            .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
        if uses {
            names.insert(format!("the crate {guarded}"));
        }
    }
    names
}

#[test]
fn rooms_name_only_whom_they_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the sources were found");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).expect("below src");
        let segments: Vec<&str> = relative.iter().map(|s| s.to_str().expect("UTF-8")).collect();
        let name = room_of(&segments);
        if name == "lib" {
            continue;
        }
        let room = ROOMS.iter().find(|room| room.name == name);
        let room = room.unwrap_or_else(|| panic!("{name} is no room of ARCHITECTURE.md's table"));
        for other in named(&fs::read_to_string(&file).expect("a source can be read")) {
            let ours = room.ours.contains(&other.as_str()) || other == name;
            let outside = other
                .strip_prefix("the crate ")
                .is_some_and(|guarded| room.guarded.contains(&guarded));
            if !ours && !outside {
                wrong.push(format!("{}: {name} may not name {other}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_in_the_map_is_the_one_held_here() {
    let map =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("the map");
    for room in ROOMS.iter().filter(|room| room.ours.len() < EVERY_ROOM.len()) {
        let line = map
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", room.name)));
        let line = line.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {}", room.name));
        for name in room.ours.iter().chain(room.guarded) {
            assert!(
                line.contains(&format!("`{name}`")),
                "the row of {} does not name {name}: {line}",
                room.name
            );
        }
    }
}

#[test]
fn only_the_bridge_is_unsafe() {
    for root in ["src/lib.rs", "src/main.rs"] {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(root)).expect("a crate root");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root}");
    }
}

#[test]
fn the_reader_of_this_test_sees_paths_and_skips_comments() {
    let text = "// use crate::http::x;\nuse crate::repository::manifest::{A, B};\nlet e: crate::error::Error;\nuse tch::Tensor;\nlet x = branch::y;";
    let names: Vec<String> = named(text).into_iter().collect();
    assert_eq!(names, ["error", "repository::manifest", "the crate tch"]);
}
