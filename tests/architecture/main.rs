//! Holds ARCHITECTURE.md against the sources: who may name whom, no circles within a room, no `unsafe`.
#![expect(unreachable_pub, reason = "a test program has no outside")]

mod cases;
mod circles;
mod map;
mod modules;
mod names;
mod rules;
mod table;
mod test_code;
mod tokens;
mod uses;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use modules::{Modules, Sources};
use rules::{Fault, circles, forbidden_names, unsafe_roots};
use table::{ROOMS, SERIALIZE, room_of};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts below `folder`, with `/` between the names of a path.
fn read(folder: &Path, prefix: &str, sources: &mut Sources) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        let below = format!("{prefix}{name}");
        if path.is_dir() {
            read(&path, &format!("{below}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(below, fs::read_to_string(&path).expect("a source can be read"));
        }
    }
}

fn sources() -> Sources {
    let mut sources = Sources::new();
    read(&root().join("src"), "", &mut sources);
    sources
}

fn house() -> Modules {
    Modules::parse(&sources()).expect("the sources are Rust")
}

#[track_caller]
fn assert_none(faults: &BTreeSet<Fault>) {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_file_is_declared_by_the_module_above_it() {
    let sources = sources();
    let is_declared = |path: &str| {
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        let (above, name) = stem.rsplit_once('/').unwrap_or(("lib", stem));
        let declares = |file: &str| {
            sources.get(file).is_some_and(|text| {
                text.lines().any(|line| {
                    let line = line.trim_start();
                    line.starts_with(&format!("mod {name};")) || line.ends_with(&format!(" mod {name};"))
                })
            })
        };
        declares(&format!("{above}.rs")) || declares(&format!("{above}/mod.rs"))
    };
    let roots = ["lib.rs", "main.rs"];
    let orphans: Vec<&String> = sources
        .keys()
        .filter(|path| !roots.contains(&path.as_str()) && !is_declared(path))
        .collect();
    assert!(orphans.is_empty(), "not compiled: {orphans:?}");
}

#[test]
fn rooms_name_only_whom_they_may() {
    assert_none(&forbidden_names(&house()));
}

#[test]
fn files_of_a_room_form_no_circle() {
    assert_none(&circles(&house()));
}

#[test]
fn only_the_bridge_is_unsafe() {
    assert_none(&unsafe_roots(&house()));
}

#[test]
fn every_room_of_the_table_is_in_the_house() {
    let rooms: BTreeSet<String> = house().files.iter().map(|file| room_of(&file.module)).collect();
    let missing: Vec<&str> = ROOMS
        .iter()
        .map(|room| room.name)
        .filter(|name| !rooms.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "src/ has no {missing:?}: take the rows out of tests/architecture/table.rs and ARCHITECTURE.md"
    );
}

#[test]
fn the_table_in_the_map_is_the_one_held_here() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map");
    let differences = map::differences(&map);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_table_keeps_the_wire_above_service_and_torch_below_it() {
    let service = ROOMS.iter().position(|room| room.name == "service");
    let service = service.expect("service has a row");
    let wire = ["axum", "tower_http", "utoipa", "utoipa_axum", SERIALIZE];
    for room in ROOMS[..=service].iter().filter(|room| room.name != "config") {
        assert!(
            !room.guarded.iter().any(|name| wire.contains(name)),
            "{}",
            room.name
        );
    }
    for room in &ROOMS[service..] {
        let names = room.rooms.iter().chain(room.guarded);
        let torch: Vec<_> = names
            .filter(|name| ["tch", "torch_bridge", "runtime"].contains(*name))
            .collect();
        assert!(
            torch.is_empty(),
            "`{}` may name {torch:?}: it is above `service`",
            room.name
        );
    }
}

#[test]
fn a_room_names_only_rooms_that_stand_before_it() {
    for (index, room) in ROOMS.iter().enumerate() {
        for other in room.rooms {
            assert!(
                ROOMS[..index].iter().any(|before| before.name == *other),
                "the row of `{}` names `{other}`, which stands above it: the rooms would form a circle",
                room.name
            );
        }
    }
}
