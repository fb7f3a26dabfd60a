//! `lucarne plan`: what it measures and says of a small model, and what it says of targets that nothing reaches.

use std::path::Path;

use serde_json::Value;

use crate::commands::lucarne;
use crate::support::{model_variant, path};

/// Whether it succeeds, what it prints, and what it complains of.
fn plan(arguments: &[&str], measured: Option<&Path>) -> (bool, String) {
    let model = path("models/gauge");
    let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"plan", &model];
    all.extend(
        arguments
            .iter()
            .map(|argument| argument as &dyn AsRef<std::ffi::OsStr>),
    );
    if let Some(measured) = &measured {
        all.extend([&"--measured" as &dyn AsRef<std::ffi::OsStr>, measured]);
    }
    lucarne(&all)
}

/// The JSON in the first line.
fn json(said: &str) -> Value {
    let first = said.lines().next().unwrap_or_default();
    serde_json::from_str(first).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[test]
fn a_small_model_is_measured_and_planned_and_planned_again_without_measuring() {
    let photo = path("tests/golden/photos/coffee.jpg");
    let photo = photo.to_str().expect("a path in UTF-8");
    let flags = [
        "--rate",
        "200",
        "--p99-ms",
        "5000",
        "--requests",
        "5000",
        "--json",
    ];
    let (succeeded, said) = plan(
        &[&flags[..], &["--seconds", "1", "--picture", photo]].concat(),
        None,
    );
    assert!(succeeded, "{said}");
    let first = json(&said);
    let replicas = first["replicas"].as_u64().expect("it is reached");
    let measured = &first["measured"];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    let mean = |samples: &Value| {
        let samples = samples.as_array().expect("samples");
        samples.iter().map(number).sum::<f64>() / samples.len() as f64
    };
    // A photo of 400,000 pixels takes more than a tenth of a millisecond anywhere.
    assert!(mean(&measured["decode_ms"]) > 0.1, "{measured}");
    assert!(mean(&measured["request_ms"]) > 0.0, "{measured}");
    let batches: Vec<u64> = measured["passes"]
        .as_array()
        .expect("passes")
        .iter()
        .filter_map(|pass| pass["batch"].as_u64())
        .collect();
    assert_eq!(batches, [1, 2, 4, 8, 16]);
    assert!(number(&measured["memory_mb"]) > 10.0);
    assert_eq!(
        number(&first["cores"]),
        replicas as f64 * number(&measured["cores"])
    );
    let row = first["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["replicas"] == replicas)
        .expect("its row");
    for kind in ["poisson", "bursty"] {
        assert!(number(&row[kind]["p99_ms"]) <= 5000.0, "{row}");
        assert!(
            number(&row[kind]["p50_ms"]) <= number(&row[kind]["p99_ms"]),
            "{row}"
        );
    }

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("plan.json");
    std::fs::write(&file, first.to_string()).expect("writable");
    let (succeeded, said) = plan(&flags, Some(&file));
    assert!(succeeded, "{said}");
    assert_eq!(
        json(&said),
        first,
        "the same measurements and seed have the same answer"
    );
    let (_, said) = plan(&[&flags[..], &["--seed", "2"]].concat(), Some(&file));
    assert_ne!(
        json(&said)["rows"],
        first["rows"],
        "another seed makes other requests"
    );

    let table = &flags[..flags.len() - 1];
    let (succeeded, said) = plan(table, Some(&file));
    let s = if replicas == 1 { "" } else { "s" };
    assert!(
        succeeded && said.contains(&format!("\n{replicas} replica{s} answer")),
        "{said}"
    );
    assert!(
        said.contains("200 requests a second within 5000 ms at p99"),
        "{said}"
    );

    what_is_not_reached_has_its_reason(&file);
    measurements_of_smaller_batches_are_refused(&file);
}

fn what_is_not_reached_has_its_reason(file: &Path) {
    let (succeeded, said) = plan(&["--rate", "10", "--p99-ms", "0.1", "--json"], Some(file));
    assert!(!succeeded, "{said}");
    let answer = json(&said);
    assert!(
        answer["replicas"].is_null() && answer["cores"].is_null(),
        "{answer}"
    );
    let reason = answer["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("no number of replicas answers within 0.1 ms"),
        "{reason}"
    );
    assert!(
        said.contains(&format!("lucarne: invalid_settings: {reason}")),
        "{said}"
    );
}

fn measurements_of_smaller_batches_are_refused(file: &Path) {
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "selfie", |text| {
        text.replace("max_batch_size = 16", "max_batch_size = 64")
    });
    let folder = models.path().join("m");
    let (succeeded, said) = lucarne(&[
        &"plan",
        &folder,
        &"--rate",
        &"1",
        &"--p99-ms",
        &"1000",
        &"--measured",
        &file,
    ]);
    assert!(
        !succeeded && said.contains("batches of up to 16 were measured, and max_batch_size is 64 now"),
        "{said}"
    );
}

#[test]
fn numbers_out_of_their_bounds_are_told() {
    let there = ["--rate", "10", "--p99-ms", "100"];
    for (flags, expected) in [
        (
            &["--rate", "0", "--p99-ms", "100"][..],
            "--rate: found 0, expected a number from 0.001 to 1000000",
        ),
        (&["--rate", "NaN", "--p99-ms", "100"], "--rate: found NaN"),
        (&["--rate", "10", "--p99-ms", "inf"], "--p99-ms: found inf"),
        (&[&there[..], &["--seconds", "0"]].concat(), "--seconds: found 0"),
        (
            &[&there[..], &["--burst", "11"]].concat(),
            "--burst 11 for --burst-share 0.1 of the time is more than the whole rate",
        ),
        (
            &[&there[..], &["--burst-share", "0"]].concat(),
            "--burst-share: found 0",
        ),
        (&[&there[..], &["--burst-s=-1"]].concat(), "--burst-s"),
        (
            &[&there[..], &["--cores", "100000"]].concat(),
            "--cores: found 100000, expected 1 to",
        ),
        (&[&there[..], &["--requests", "10"]].concat(), "1000..=1000000"),
        (
            &[&there[..], &["--picture", "no/such.jpg"]].concat(),
            "no/such.jpg",
        ),
        (&["--rate", "10"], "--p99-ms <P99_MS>"),
    ] {
        let (succeeded, said) = plan(flags, None);
        assert!(!succeeded && said.contains(expected), "{flags:?}: {said}");
    }
}

#[test]
fn a_file_without_measurements_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("plan.json");
    for (text, expected) in [
        ("{}", "it has no \"measured\""),
        ("no JSON", "expected ident"),
        (r#"{"measured": {"model": 3}}"#, "invalid type"),
    ] {
        std::fs::write(&file, text).expect("writable");
        let (succeeded, said) = plan(&["--rate", "10", "--p99-ms", "100"], Some(&file));
        assert!(
            !succeeded && said.contains("--measured") && said.contains(expected),
            "{text}: {said}"
        );
    }
}
