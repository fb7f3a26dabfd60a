//! Who names whom: rooms, guarded crates, the sides of serde, other protocols.

use super::{forbidden_in, house, told};
use crate::rules::forbidden_names;
use crate::table::GUARDED;

#[test]
fn a_use_of_a_room_above_is_found_in_every_form() {
    for (text, path) in [
        ("use crate::service::serve;", "crate::service::serve"),
        ("use crate::service;", "crate::service"),
        ("use crate::service::*;", "crate::service::*"),
        ("use crate::{error::Error, service as s};", "crate::service"),
        ("use crate::service::{self};", "crate::service"),
        (
            "use super::super::service::predict::{Predicted as P};",
            "super::super::service::predict::Predicted",
        ),
        ("pub use crate::service::serve;", "crate::service::serve"),
        (
            "fn f() { use crate::service::serve; serve() }",
            "crate::service::serve",
        ),
        (
            "mod inner { use super::super::super::service::serve; }",
            "super::super::super::service::serve",
        ),
    ] {
        assert_eq!(
            forbidden_in("tasks/vae.rs", text),
            [format!("src/tasks/vae.rs: `{path}` of `service`")],
            "{text}"
        );
    }
}

#[test]
fn an_item_that_is_called_as_its_crate_is_leads_outside() {
    let text = "use async_trait::async_trait;\n#[async_trait]\nimpl A for B { fn c() { async_trait() } }";
    assert_eq!(forbidden_in("tasks/vae.rs", text), [""; 0]);
}

#[test]
fn a_path_within_code_is_found() {
    for text in [
        "fn f() { crate::service::serve() }",
        "fn f(x: &crate::service::predict::Predicted) {}",
        "struct S { x: Vec<crate::service::predict::Predicted> }",
        "impl From<crate::service::predict::Predicted> for S {}",
        "fn f<T: Into<crate::service::predict::Predicted>>(x: T) {}",
        "const F: fn() = crate::service::serve;",
    ] {
        let found = forbidden_in("tasks/vae.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with("of `service`"), "{found:?}");
    }
}

#[test]
fn a_path_within_a_macro_or_an_attribute_is_found() {
    for text in [
        "fn f() { vec![crate::service::serve()]; }",
        "fn f() { vec![crate::service::serve(); 2]; }",
        "fn f() { format!(\"{}\", g(crate::service::serve())); }",
        "fn f() { matches!(x, crate::service::predict::Predicted { .. } if true); }",
        "fn f() { routes!(crate::service::predict::list); }",
        "fn f() { json!({\"a\": [crate::service::serve()]}); }",
        "macro_rules! m { () => { $crate::service::serve() } }",
        "#[serde(default = \"crate::service::serve\")] struct S;",
        "#[schema(value_type = Vec<crate::service::predict::Predicted>)] struct S;",
        "#[crate::service::serve] fn f() {}",
    ] {
        let found = forbidden_in("tasks/vae.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with("of `service`"), "{found:?}");
    }
}

#[test]
fn a_room_is_found_behind_a_reexport_of_a_room_that_may_be_named() {
    let modules = house(&[
        (
            "runtime/mod.rs",
            "mod program;\npub use program::Program;\npub use tch::Tensor;",
        ),
        ("runtime/program.rs", "pub struct Program;"),
        (
            "tasks/mod.rs",
            "pub use crate::runtime::{Program as Model, Tensor};",
        ),
        (
            "service/mod.rs",
            "use crate::tasks::Model;\nfn f(_: crate::tasks::Tensor) {}",
        ),
    ]);
    assert_eq!(
        told(&forbidden_names(&modules)),
        [
            "src/service/mod.rs: `crate::tasks::Model` of `runtime`",
            "src/service/mod.rs: `crate::tasks::Tensor` of `tch`",
        ]
    );
}

#[test]
fn a_forbidden_room_is_found_though_it_hands_on_what_may_be_named() {
    let modules = house(&[
        ("manifest/mod.rs", "pub struct Manifest;"),
        ("runtime/mod.rs", "pub use crate::manifest::Manifest;"),
        ("service/mod.rs", "use crate::runtime::Manifest;"),
    ]);
    assert_eq!(
        told(&forbidden_names(&modules)),
        ["src/service/mod.rs: `crate::runtime::Manifest` of `runtime`"]
    );
}

#[test]
fn a_guarded_crate_is_found_in_every_form() {
    for text in [
        "use tch::Tensor;",
        "use tch;",
        "use ::tch::Tensor;",
        "use {std::fs, tch::{Device, Tensor as T}};",
        "use tch::*;",
        "extern crate tch;",
        "fn f() -> ::tch::Tensor { g() }",
        "fn f() { let x = vec![tch::Device::Cpu; 3]; }",
    ] {
        let found = forbidden_in("service/latents.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with("of `tch`"), "{found:?}");
    }
    assert!(forbidden_in("tasks/vae.rs", "use tch::Tensor;").is_empty());
    assert!(forbidden_in("app.rs", "use tch::Tensor;").is_empty());
}

#[test]
fn every_guarded_crate_is_found_in_a_room_that_may_use_none() {
    for name in GUARDED.into_iter().filter(|name| !name.contains("::")) {
        assert_eq!(
            forbidden_in("engine/mod.rs", &format!("use {name}::a;")),
            [format!("src/engine/mod.rs: `{name}::a` of `{name}`")]
        );
        assert!(forbidden_in("app.rs", &format!("use {name}::a;")).is_empty());
    }
}

#[test]
fn a_word_that_only_looks_like_a_guarded_crate_is_none() {
    let text = "mod inner { pub mod tch { pub fn f() {} } }\nuse inner::tch;\n\
                fn g(axum: u8) -> u8 { tch::f(); axum.tch.utoipa(\"tch::Tensor\") }";
    assert!(forbidden_in("service/latents.rs", text).is_empty());
}

#[test]
fn serialize_below_the_protocols_is_found_in_every_form() {
    for text in [
        "use serde::Serialize;\n#[derive(Debug, Serialize)] struct S;",
        "use serde::Serialize as Written;\n#[derive(Written)] struct S;",
        "#[derive(serde::Serialize)] struct S;",
        "#[cfg_attr(feature = \"wire\", derive(serde::Serialize))] struct S;",
        "impl serde::Serialize for S {}",
        "fn f<S: serde::Serializer>(s: S) {}",
        "use serde::ser::SerializeMap;",
    ] {
        for file in [
            "error.rs",
            "image/fit.rs",
            "manifest/mod.rs",
            "engine/mod.rs",
            "service/latents.rs",
        ] {
            let found = forbidden_in(file, text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].ends_with("of `serde::Serialize`"), "{found:?}");
        }
        assert!(forbidden_in("protocol/v1/predict.rs", text).is_empty(), "{text}");
        assert!(forbidden_in("config.rs", text).is_empty(), "{text}");
    }
}

#[test]
fn manifest_and_image_may_deserialize_and_tasks_may_not() {
    let text = "use serde::{Deserialize, de::DeserializeOwned};\n#[derive(Deserialize)] struct S;";
    assert!(forbidden_in("manifest/reader.rs", text).is_empty());
    assert!(forbidden_in("image/fit.rs", text).is_empty());
    assert_eq!(
        forbidden_in("tasks/vae.rs", text),
        ["src/tasks/vae.rs: `serde::Deserialize` of `serde::Deserialize`"]
    );
    let both = forbidden_in("tasks/vae.rs", "use serde::*;");
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn a_protocol_that_names_another_is_found() {
    for text in [
        "use crate::protocol::oip::Tensors;",
        "fn f(_: super::super::oip::Tensors) {}",
    ] {
        let found = forbidden_in("protocol/v1/predict.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with("of `protocol::oip`"), "{found:?}");
    }
    let modules = house(&[
        (
            "protocol/mod.rs",
            "pub mod v1;\npub mod spare;\npub use v1::routes;",
        ),
        (
            "protocol/v1/mod.rs",
            "use super::spare::Tensors;\npub fn routes() {}",
        ),
        ("protocol/spare/mod.rs", "pub struct Tensors;"),
    ]);
    let messages: Vec<String> = forbidden_names(&modules)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        messages.len(),
        2,
        "spare has no row, and v1 names it: {messages:?}"
    );
    assert!(
        messages[1].contains("`protocol::v1` names no other protocol"),
        "{messages:?}"
    );
}

#[test]
fn comments_and_test_code_do_not_count() {
    let text = "
        //! As crate::service does.
        /// See [`crate::service::serve`] and tch::Tensor.
        // use crate::service::serve;
        /* use axum::Router; */
        fn f() -> &'static str { \"crate::service::serve\" }
        fn k() { m!(\"axum::Router\" => 1) }
        #[cfg(test)] use crate::service::serve;
        #[cfg(test)] mod tests { use crate::service::serve; }
        #[cfg(all(test, unix))] fn g() { crate::service::serve() }
        #[test] fn h() { crate::service::serve() }
        struct S { #[cfg(test)] x: axum::Router }
        impl S { #[cfg(test)] fn i() { crate::service::serve() } }
        #[cfg_attr(test, derive(serde::Serialize))] struct T;
        #[cfg(test)] mod trials;
    ";
    assert!(forbidden_in("tasks/vae.rs", text).is_empty());
    let modules = house(&[
        ("tasks/vae.rs", text),
        ("tasks/vae/trials.rs", "mod deep;\nuse crate::service::serve;"),
        ("tasks/vae/trials/deep.rs", "use axum::Router;"),
    ]);
    assert!(forbidden_names(&modules).is_empty());
}

#[test]
fn code_that_is_compiled_outside_of_tests_too_counts() {
    for condition in ["not(test)", "any(test, feature = \"fake\")", "unix"] {
        let text = format!("#[cfg({condition})] use crate::service::serve;");
        assert_eq!(forbidden_in("tasks/vae.rs", &text).len(), 1, "{condition}");
    }
}
