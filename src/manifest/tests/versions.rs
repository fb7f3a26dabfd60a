//! `[versions]`: what is right, and the words for what is not.

use std::collections::BTreeSet;

use super::super::{Manifest, Part, Serving, Which};

fn of(versions: &str) -> Result<Serving, Vec<String>> {
    let manifest = format!("task = \"classification\"\n[input]\nsize = [8, 8]\n[versions]\n{versions}");
    Manifest::parse(&manifest).map(|manifest| manifest.versions)
}

fn wanted(versions: &str) -> BTreeSet<String> {
    let on_disk = ["1", "2", "3", "10"].map(String::from);
    of(versions).expect("it is right").wanted(&on_disk)
}

fn set(versions: &[&str]) -> BTreeSet<String> {
    versions.iter().map(|version| (*version).to_owned()).collect()
}

#[test]
fn names_stand_for_versions() {
    let found = of("aliases = { stable = \"3\", next = \"4\" }\nserve = \"stable\"\n\
                    canary = { version = \"next\", share = 0.25 }\nshadow = { version = \"7\" }");
    let found = found.expect("it is right");
    let part = |version: &str, share| {
        Some(Part {
            version: version.into(),
            share,
        })
    };
    assert_eq!(found.serve.as_deref(), Some("3"));
    assert_eq!(
        (found.canary.clone(), found.shadow.clone()),
        (part("4", 0.25), part("7", 1.0))
    );
    assert_eq!((found.resolve("next"), found.resolve("9")), ("4", "9"));
    assert_eq!(found.load, None);
    assert_eq!(of("load = \"all\"").expect("it is right").load, Some(Which::All));
}

#[test]
fn what_is_named_is_loaded_beside_the_policy() {
    assert_eq!(wanted(""), set(&["10"]));
    assert_eq!(wanted("load = { latest = 2 }"), set(&["3", "10"]));
    assert_eq!(wanted("load = { latest = 9 }"), set(&["1", "2", "3", "10"]));
    assert_eq!(wanted("load = \"all\""), set(&["1", "2", "3", "10"]));
    assert_eq!(wanted("load = [\"2\"]"), set(&["2"]));
    assert_eq!(wanted("serve = \"2\""), set(&["2"]));
    assert_eq!(
        wanted("aliases = { old = \"1\" }\nshadow = { version = \"3\" }"),
        set(&["1", "3", "10"])
    );
    let on_disk = ["1", "2"].map(String::from);
    assert!(
        !Serving::default().keeps("2", &on_disk),
        "nothing is said of versions"
    );
    assert!(of("load = \"all\"").expect("it is right").keeps("2", &on_disk));
}

#[test]
fn what_is_wrong_is_named() {
    for (versions, key, word) in [
        ("load = \"some\"", "versions.load", "latest"),
        ("load = { latest = 0 }", "versions.load", "from 1 to 64"),
        ("load = { latest = 1, more = 2 }", "versions.load", "latest"),
        ("load = [\"01\"]", "versions.load", "number as text"),
        ("load = []", "versions.load", "1 to 64"),
        ("aliases = { \"3\" = \"3\" }", "versions.aliases", "letter"),
        ("aliases = { \"a b\" = \"3\" }", "versions.aliases", "letters"),
        ("aliases = { a = \"b\" }", "versions.aliases", "number"),
        ("serve = \"stable\"", "versions.serve", "neither"),
        ("canary = { share = 0.1 }", "versions.canary.version", "missing"),
        (
            "canary = { version = \"2\", share = 0 }",
            "versions.canary.share",
            "above 0",
        ),
        (
            "canary = { version = \"2\", share = 1.5 }",
            "versions.canary.share",
            "up to 1",
        ),
        (
            "serve = \"2\"\nshadow = { version = \"2\" }",
            "versions.shadow",
            "another",
        ),
        ("canari = { version = \"2\" }", "versions.canari", "canary"),
    ] {
        let problems = of(versions).expect_err(versions);
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(key) && problem.contains(word)),
            "{versions}: {problems:?}"
        );
    }
}
