//! The rules of ARCHITECTURE.md, held against sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use syn::{AttrStyle, Meta};

use crate::circles::Graph;
use crate::modules::{Found, Modules, Target};
use crate::names::{Kind, Name, names};
use crate::table::{SERIALIZE, UNBOUND, guarded_by, is_protocol, may_name, room_of, row};

/// What breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub file: String,
    /// What is named there.
    pub named: String,
    /// What does not allow it.
    pub rule: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            named,
            rule,
            mend,
        } = self;
        write!(f, "{file} names {named}\n    rule: {rule}\n    mend: {mend}")
    }
}

/// Where a room names what its row does not allow, and files of rooms without a row.
pub fn forbidden_names(modules: &Modules) -> BTreeSet<Fault> {
    let mut faults = BTreeSet::new();
    let mut without = BTreeSet::new();
    for file in &modules.files {
        let room = room_of(&file.module);
        if row(&room).is_none() && !UNBOUND.contains(&room.as_str()) && room != PROTOCOL {
            if without.insert(room.clone()) {
                faults.insert(without_row(&file.path, &room));
            }
            continue;
        }
        let mut named = BTreeMap::new();
        for name in names(&file.module, &file.syntax) {
            for other in rooms_and_guarded(modules, &name) {
                named.entry(other).or_insert_with(|| name.path.join("::"));
            }
        }
        let forbidden = named.into_iter().filter(|(other, _)| !may_name(&room, other));
        faults.extend(forbidden.map(|(other, path)| forbidden_name(&file.path, &room, &other, &path)));
    }
    faults
}

/// The rooms that a name leads through, and the guarded names at its end.
fn rooms_and_guarded(modules: &Modules, name: &Name) -> BTreeSet<String> {
    let Found { target, through } = modules.resolve(&name.module, &name.path);
    let mut others: BTreeSet<String> = through.iter().map(|module| room_of(module)).collect();
    match target {
        Target::Module(module) | Target::Item(module) => {
            others.insert(room_of(&module));
        }
        // A single word in code is something of the language, such as `Vec`.
        Target::Outside(path) if path.len() > 1 || name.kind != Kind::Code => {
            others.extend(guarded_by(&path).into_iter().map(str::to_owned));
        }
        Target::Outside(_) => {}
    }
    others
}

fn without_row(file: &str, room: &str) -> Fault {
    Fault {
        file: format!("src/{file}"),
        named: format!("the room `{room}`"),
        rule: "every room has a row in the table".into(),
        mend: format!("move the file into a room of the table, or give `{room}` a row in {TABLES}"),
    }
}

/// The room of `protocol/mod.rs`, which has no row: it only declares the protocols.
const PROTOCOL: &str = "protocol";

const TABLES: &str = "tests/architecture/table.rs and in ARCHITECTURE.md";

fn forbidden_name(file: &str, room: &str, other: &str, path: &str) -> Fault {
    let (rule, mend) = if is_protocol(room) && is_protocol(other) {
        (
            format!("`{room}` names no other protocol"),
            "move what both protocols need into `service` or `transport`".into(),
        )
    } else if other == SERIALIZE || other.starts_with("utoipa") {
        (
            format!("`{room}` knows no wire format"),
            "move the serialised form and its schema into a type of `protocol`, made from the value of this room".into(),
        )
    } else {
        (
            format!("`{room}` may name {}", allowed(room)),
            format!(
                "move the code to a room that may name `{other}`, hand over what it needs as an argument, or \
                 change the row of `{room}` in {TABLES}"
            ),
        )
    };
    Fault {
        file: format!("src/{file}"),
        named: format!("`{path}` of `{other}`"),
        rule,
        mend,
    }
}

/// What the row of a room allows, in words.
fn allowed(room: &str) -> String {
    if room == PROTOCOL {
        return "only the protocols below it, which it declares".into();
    }
    let names: Vec<&str> = row(room)
        .map(|row| row.rooms.iter().chain(row.guarded).copied().collect())
        .unwrap_or_default();
    if names.is_empty() {
        "no other room and nothing guarded".into()
    } else {
        format!("only {}", names.join(", "))
    }
}

/// Files of one room that need each other.
pub fn circles(modules: &Modules) -> BTreeSet<Fault> {
    let graph = graph(modules);
    let circles = graph.circles();
    circles.iter().map(|files| circle(&graph, files)).collect()
}

/// An edge for each name that a file uses of another file of its room. A re-export alone uses nothing.
fn graph(modules: &Modules) -> Graph {
    let mut graph = Graph::default();
    for file in &modules.files {
        let used = names(&file.module, &file.syntax);
        for name in used.iter().filter(|name| name.kind != Kind::Reexport) {
            let Target::Item(module) = modules.resolve(&name.module, &name.path).target else {
                continue;
            };
            let Some(other) = modules.file(&module) else {
                continue;
            };
            if other != file.path && room_of(&module) == room_of(&file.module) {
                graph.add(&file.path, other, name.path.join("::"));
            }
        }
    }
    graph
}

fn circle(graph: &Graph, files: &[String]) -> Fault {
    let nexts = files.iter().cycle().skip(1);
    let edges: Vec<String> = files
        .iter()
        .zip(nexts)
        .map(|(from, to)| format!("{to} (by {})", graph.names(from, to).join(", ")))
        .collect();
    Fault {
        file: format!("src/{}", files[0]),
        named: edges.join(", which names "),
        rule: "the files of a room form no circle".into(),
        mend:
            "move what both sides need into a file of its own, or hand it over as an argument; what a mod.rs \
               defines and its children name goes into a child that mod.rs re-exports"
                .into(),
    }
}

/// Crate roots that allow `unsafe`.
pub fn unsafe_roots(modules: &Modules) -> BTreeSet<Fault> {
    let is_root = |path: &str| path == "lib.rs" || path == "main.rs";
    let roots = modules.files.iter().filter(|file| is_root(&file.path));
    let unsafe_roots = roots.filter(|file| !file.syntax.attrs.iter().any(forbids_unsafe));
    unsafe_roots
        .map(|file| Fault {
            file: format!("src/{}", file.path),
            named: "no `#![forbid(unsafe_code)]`".into(),
            rule: "only crates/torch-bridge is unsafe".into(),
            mend: "write `#![forbid(unsafe_code)]` below the first comment, and move unsafe code into the bridge".into(),
        })
        .collect()
}

fn forbids_unsafe(attribute: &syn::Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    matches!(attribute.style, AttrStyle::Inner(_))
        && list.path.is_ident("forbid")
        && list
            .tokens
            .to_string()
            .split(',')
            .any(|lint| lint.trim() == "unsafe_code")
}
