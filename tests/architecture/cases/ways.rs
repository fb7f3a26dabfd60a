//! Circles of files, and façades that are none.

use super::circles_in;

/// A façade over three files without a circle.
const FACADE: &str = "mod a;\nmod b;\npub(crate) mod c;\npub use a::A;\npub(crate) use b::{B as Bee, *};\npub(super) use c::*;";

#[test]
fn a_facade_alone_is_no_circle() {
    let found = circles_in(&[
        ("engine/mod.rs", FACADE),
        ("engine/a.rs", "use super::Bee;\npub struct A(Bee);"),
        ("engine/b.rs", "use crate::engine::C;\npub struct B(C);"),
        ("engine/c.rs", "pub struct C;"),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn two_files_that_name_each_other_are_a_circle() {
    let found = circles_in(&[
        ("engine/mod.rs", "mod queue;\nmod worker;"),
        ("engine/queue.rs", "use super::worker::Worker;\npub struct Queue;"),
        (
            "engine/worker.rs",
            "pub struct Worker;\nfn f(_: super::queue::Queue) {}",
        ),
    ]);
    assert_eq!(
        found,
        [
            "src/engine/queue.rs: engine/worker.rs (by super::worker::Worker), \
          which names engine/queue.rs (by super::queue::Queue)"
        ]
    );
}

#[test]
fn three_files_are_a_circle_through_a_facade() {
    for facade in [
        FACADE,
        "mod a;\nmod b;\nmod c;\npub use self::{a::A, b::B as Bee, c::C};",
        "mod a;\nmod b;\nmod c;\nuse {a::*, b::B as Bee, c::C as Sea};\npub use Sea as C;",
    ] {
        let found = circles_in(&[
            ("engine/mod.rs", facade),
            ("engine/a.rs", "use super::Bee;\npub struct A(Bee);"),
            ("engine/b.rs", "pub struct B(crate::engine::C);"),
            ("engine/c.rs", "use super::*;\npub fn f(_: A) {}\npub struct C;"),
        ]);
        let circle = "src/engine/a.rs: engine/b.rs (by super::Bee), which names engine/c.rs (by crate::engine::C), \
                      which names engine/a.rs (by A)";
        assert!(found.contains(&circle.to_owned()), "{facade}\n{found:#?}");
    }
}

#[test]
fn a_mod_rs_that_calls_a_child_and_is_named_by_it_is_a_circle() {
    for (parent, child) in [
        (
            "mod a;\npub struct Setup;\nfn f() { a::run() }",
            "use super::Setup;\npub fn run() {}",
        ),
        (
            "mod a;\npub use a::run;\npub struct Setup;\nfn f() { run() }",
            "use super::*;\npub fn run() { g(Setup) }",
        ),
        (
            "mod a;\npub(self) use a::run;\npub struct Setup;",
            "pub fn run(_: &crate::engine::Setup) {}",
        ),
        (
            "mod a;\npub use a::Run;\npub struct Setup;\nfn f() { m!(Run => 1) }",
            "pub struct Run(super::Setup);",
        ),
        (
            "mod a;\nuse a::run;\npub struct Setup;",
            "pub fn run(_: &crate::engine::Setup) {}",
        ),
        (
            "mod a;\npub struct Setup;\nfn f() { routes!(a::run) }",
            "pub fn run() { m!(super::Setup => 1) }",
        ),
        (
            "mod a;\npub struct Setup;\nfn f() { self::a::run() }",
            "pub fn run() { use super::Setup as S; S::new() }",
        ),
        (
            "mod a;\npub struct Setup;\npub trait T { fn f() { a::run() } }",
            "mod b { use super::super::Setup; }\npub fn run() {}",
        ),
    ] {
        let found = circles_in(&[("engine/mod.rs", parent), ("engine/a.rs", child)]);
        assert_eq!(found.len(), 1, "{parent}\n{child}\n{found:#?}");
    }
}

#[test]
fn a_module_that_a_block_or_a_module_in_braces_imports_is_followed() {
    for code in [
        "fn f() { use super::b; b::run() }",
        "fn f() { use super::b as c; c::run() }",
        "mod inner { use super::super::b; fn f() { b::run() } }",
    ] {
        let a = format!("pub struct A;\n{code}");
        let found = circles_in(&[
            ("engine/mod.rs", "mod a;\nmod b;"),
            ("engine/a.rs", &a),
            ("engine/b.rs", "pub fn run() { super::a::A }"),
        ]);
        assert_eq!(found.len(), 1, "{code}: {found:?}");
    }
}

#[test]
fn a_module_that_is_only_on_the_way_is_no_edge() {
    let found = circles_in(&[
        ("explain/mod.rs", "mod objective;\nmod x;"),
        (
            "explain/objective.rs",
            "mod vae;\npub use vae::run;\nuse super::x::X;",
        ),
        ("explain/objective/vae.rs", "pub fn run() {}"),
        (
            "explain/x.rs",
            "use super::objective;\npub struct X;\nfn f() { objective::run() }",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn one_direction_between_mod_rs_and_a_child_is_no_circle() {
    for (parent, child) in [
        (
            "mod a;\npub use a::run;\npub struct Setup;",
            "use super::Setup;\npub fn run() {}",
        ),
        (
            "mod a;\nfn f() { a::run() }",
            "pub fn run() { super::a::other() }\nfn other() {}",
        ),
        (
            "mod a;\npub struct Setup;\n#[cfg(test)] mod tests { use super::a::run; }",
            "use super::Setup;\npub fn run() {}",
        ),
        (
            "mod a;\npub struct Setup;\nfn f() { a::run() }",
            "#[cfg(test)] mod tests { use super::super::Setup; }",
        ),
    ] {
        let found = circles_in(&[("engine/mod.rs", parent), ("engine/a.rs", child)]);
        assert_eq!(found, [""; 0], "{parent}\n{child}");
    }
}

#[test]
fn a_variable_or_a_type_parameter_is_not_the_item_of_its_name() {
    let child = "use super::Setup;\npub fn fit() {}\npub struct Fit;";
    for code in [
        "fn f(fit: u8) -> u8 { fit }",
        "fn f() { let fit = 1; g(fit) }",
        "fn f() { if let Some(fit) = g() { h(fit) } }",
        "fn f() { for fit in g() { h(fit) } }",
        "fn f() { match g() { Some(fit) => h(fit), None => {} } }",
        "fn f() { g(|fit| fit) }",
        "fn f(s: Setup) { let Setup { fit } = s; format!(\"{}\", fit) }",
        "fn f(s: Setup) { s.fit }",
        "fn f<Fit>(s: Fit) -> Fit { s }",
        "fn f() { fn fit() {} fit() }",
        "fn f(fit: u8) { m!(fit => 1) }",
    ] {
        let parent = format!("mod fit;\npub use fit::{{Fit, fit}};\npub struct Setup {{ fit: u8 }}\n{code}");
        let found = circles_in(&[("image/mod.rs", &parent), ("image/fit.rs", child)]);
        assert_eq!(found, [""; 0], "{code}");
    }
    for code in [
        "fn f() { let fit = fit(); }",
        "fn f() { { let fit = 1; } fit() }",
        "fn f() { g(|fit| fit); fit() }",
        "fn f(x: u8) -> Fit { x }",
        "fn f() { format!(\"{}\", fit()) }",
    ] {
        let parent = format!("mod fit;\npub use fit::{{Fit, fit}};\npub struct Setup {{ fit: u8 }}\n{code}");
        let found = circles_in(&[("image/mod.rs", &parent), ("image/fit.rs", child)]);
        assert_eq!(found.len(), 1, "{code}: {found:?}");
    }
}

#[test]
fn globs_that_lead_to_each_other_end() {
    let found = circles_in(&[
        ("engine/mod.rs", "mod a;\nmod b;\npub use a::*;\npub use b::*;"),
        (
            "engine/a.rs",
            "use super::*;\npub use super::b::*;\npub fn f() { nowhere(); g() }",
        ),
        ("engine/b.rs", "pub use super::a::*;\npub fn g() {}"),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn files_of_two_rooms_are_no_circle_of_one() {
    let found = circles_in(&[
        (
            "engine/mod.rs",
            "use crate::runtime::Program;\npub struct Engine;",
        ),
        (
            "runtime/mod.rs",
            "use crate::engine::Engine;\npub struct Program;",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}
