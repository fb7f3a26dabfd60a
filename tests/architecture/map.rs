//! The table as ARCHITECTURE.md shows it.

use std::collections::{BTreeMap, BTreeSet};

use crate::table::{GUARDED, ROOMS, Room, row};

/// Every difference between the rows of `map` and the table of this test.
pub fn differences(map: &str) -> Vec<String> {
    let rows = rows(map);
    let mut found = Vec::new();
    for room in &ROOMS {
        match rows.get(room.name) {
            None => found.push(format!(
                "ARCHITECTURE.md has no row for `{0}`: add a line that starts with | `{0}` |",
                room.name
            )),
            Some(shown) => found.extend(difference(room, shown)),
        }
    }
    for name in rows.keys().filter(|name| row(name).is_none()) {
        found.push(format!(
            "ARCHITECTURE.md has a row for `{name}`, and tests/architecture/table.rs has none: mend one of the two"
        ));
    }
    found
}

fn difference(room: &Room, shown: &BTreeSet<String>) -> Option<String> {
    let held: BTreeSet<String> = room
        .rooms
        .iter()
        .chain(room.guarded)
        .map(ToString::to_string)
        .collect();
    let missing: Vec<_> = held.difference(shown).collect();
    let surplus: Vec<_> = shown.difference(&held).collect();
    let differs = !missing.is_empty() || !surplus.is_empty();
    differs.then(|| {
        format!(
            "the row of `{}` in ARCHITECTURE.md lacks {missing:?} and has {surplus:?} too many against \
             tests/architecture/table.rs: mend one of the two (names in backticks are names that the room may use)",
            room.name
        )
    })
}

/// The rows below the heading `| room | may name |`: the room, and the rooms and guarded names in its second cell.
fn rows(map: &str) -> BTreeMap<String, BTreeSet<String>> {
    map.lines()
        .skip_while(|line| !line.starts_with("| room | may name |"))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let (name, cell) = line.strip_prefix("| `")?.split_once("` |")?;
            Some((name.to_owned(), names(cell)))
        })
        .collect()
}

/// What stands in backticks and is a room or a guarded name.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| row(name).is_some() || GUARDED.contains(name))
        .map(str::to_owned)
        .collect()
}
