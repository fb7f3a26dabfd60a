//! Small made-up houses, each with the fault that a rule is there to find, or without one.

use std::collections::BTreeSet;

use crate::map;
use crate::modules::{Modules, Sources};
use crate::rules::{Fault, circles, forbidden_names, unsafe_roots};
use crate::table::{GUARDED, ROOMS};

mod names;
mod ways;

fn house(files: &[(&str, &str)]) -> Modules {
    let sources: Sources = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    Modules::parse(&sources).expect("the case is Rust")
}

/// Which file names what, without the rule.
fn told(faults: &BTreeSet<Fault>) -> Vec<String> {
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.file, fault.named))
        .collect()
}

/// What `text` in `file` names that it may not, in a house with a thing in every room.
fn forbidden_in(file: &str, text: &str) -> Vec<String> {
    let rooms = [
        ("error.rs", "pub struct Error;"),
        ("manifest/mod.rs", "pub struct Manifest;"),
        ("service/mod.rs", "pub mod predict;\npub fn serve() {}"),
        ("service/predict.rs", "pub struct Predicted;\npub fn list() {}"),
        ("protocol/mod.rs", "pub mod v1;\npub mod oip;"),
        ("protocol/oip/mod.rs", "pub struct Tensors;"),
        (file, text),
    ];
    let faults = forbidden_names(&house(&rooms));
    let of_file: BTreeSet<Fault> = faults
        .into_iter()
        .filter(|fault| fault.file == format!("src/{file}"))
        .collect();
    told(&of_file)
}

fn circles_in(files: &[(&str, &str)]) -> Vec<String> {
    told(&circles(&house(files)))
}

#[test]
fn a_crate_root_that_does_not_forbid_unsafe_is_found() {
    let faults = unsafe_roots(&house(&[
        (
            "lib.rs",
            "//! #![forbid(unsafe_code)]\n#![deny(unsafe_code)]\npub mod error;",
        ),
        ("main.rs", "#![forbid(unsafe_code)]\nfn main() {}"),
        ("error.rs", ""),
    ]));
    assert_eq!(told(&faults), ["src/lib.rs: no `#![forbid(unsafe_code)]`"]);
}

#[test]
fn a_message_says_where_what_why_and_how_to_mend_it() {
    let modules = house(&[
        ("error.rs", "use crate::config::Settings;"),
        ("config.rs", "pub struct Settings;"),
    ]);
    let faults: Vec<String> = forbidden_names(&modules).iter().map(Fault::to_string).collect();
    let [message] = &faults[..] else {
        panic!("one fault, not {faults:?}");
    };
    for part in [
        "src/error.rs names `crate::config::Settings` of `config`",
        "rule: `error` may name no other room",
        "mend: move the code",
        "change the row of `error` in tests/architecture/table.rs and in ARCHITECTURE.md",
    ] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

/// The table as a map would show it.
fn drawn() -> String {
    let mut map = String::from("| `util` | a row of another table |\n\n| room | may name |\n| --- | --- |\n");
    for room in &ROOMS {
        let names: Vec<String> = room
            .rooms
            .iter()
            .chain(room.guarded)
            .map(|name| format!("`{name}`"))
            .collect();
        map += &format!(
            "| `{}` | {}; a word on `[input]` |\n",
            room.name,
            names.join(", ")
        );
    }
    map + "| app, cli, main | everything |\n\n| `util` | a row of another table |\n"
}

#[test]
fn a_map_that_differs_from_the_table_is_found_row_by_row() {
    assert_eq!(map::differences(&drawn()), [""; 0]);
    for (right, wrong, told) in [
        (
            "| `engine` | `error`, `spans`;",
            "| `engine` | `error`, `spans`, `tch`;",
            "the row of `engine`",
        ),
        (
            "| `engine` | `error`, `spans`;",
            "| `engine` | error, `spans`;",
            "the row of `engine`",
        ),
        ("| `engine` |", "| engine |", "no row for `engine`"),
        (
            "| app, cli",
            "| `util` | `error` |\n| app, cli",
            "a row for `util`",
        ),
    ] {
        assert!(drawn().contains(right), "{right}");
        let found = map::differences(&drawn().replacen(right, wrong, 1));
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        assert!(found[0].contains(told), "{wrong}: {found:?}");
    }
}

/// A name that is no crate of ours would guard nothing.
#[test]
fn every_guarded_crate_is_a_dependency() {
    let manifest = std::fs::read_to_string(crate::root().join("Cargo.toml")).expect("the manifest");
    let dependencies = manifest.lines().skip_while(|line| *line != "[dependencies]");
    let dependencies = dependencies.skip(1).take_while(|line| !line.starts_with('['));
    let keys = dependencies.filter_map(|line| line.split([' ', '=', '.']).next());
    let crates: BTreeSet<String> = keys.map(|key| key.replace('-', "_")).collect();
    for name in GUARDED.into_iter().filter(|name| !name.contains("::")) {
        assert!(crates.contains(name), "{name}");
    }
}

#[test]
fn a_room_without_a_row_is_told_once() {
    let faults = forbidden_names(&house(&[("util/a.rs", ""), ("util/b.rs", "")]));
    assert_eq!(told(&faults), ["src/util/a.rs: the room `util`"]);
}

#[test]
fn a_source_that_is_no_rust_is_refused_by_name() {
    let sources = Sources::from([("engine/mod.rs".to_owned(), "fn (".to_owned())]);
    let Err(message) = Modules::parse(&sources) else {
        panic!("`fn (` was read");
    };
    assert!(
        message.starts_with("src/engine/mod.rs cannot be read"),
        "{message}"
    );
}
