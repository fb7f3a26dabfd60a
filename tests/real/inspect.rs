//! `lucarne inspect`: a model.toml that passes `check` as it stands, for modules of every task and contract.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::path;

fn lucarne(arguments: &[&str], file: &Path) -> Output {
    let cache = tempfile::tempdir().expect("a temporary folder");
    Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .arg(arguments[0])
        .arg(file)
        .args(&arguments[1..])
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What stands below the heading, as README.md cuts it.
fn manifest_of(file: &Path, more: &[&str]) -> (String, toml::Table) {
    let output = lucarne(&[&["inspect"], more].concat(), file);
    let said = text(&output.stdout);
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        text(&output.stderr)
    );
    let (_, manifest) = said.split_once("\na model.toml").expect("a heading");
    let manifest = manifest.split_once('\n').expect("lines").1.to_owned();
    let keys = manifest
        .parse()
        .unwrap_or_else(|e| panic!("{}: {e}: {manifest}", file.display()));
    (manifest, keys)
}

/// Runs `check` of the file with this model.toml, and with the labels beside it.
fn passes(file: &Path, manifest: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model");
    std::fs::create_dir(&model).expect("writable");
    std::fs::write(model.join("model.toml"), manifest).expect("writable");
    std::fs::copy(file, model.join(file.file_name().expect("a file"))).expect("writable");
    let labels = file.with_file_name("labels.txt");
    if labels.is_file() {
        std::fs::copy(labels, model.join("labels.txt")).expect("writable");
    }
    let checked = lucarne(&["check"], folder.path());
    let said = text(&[checked.stdout, checked.stderr].concat());
    assert!(checked.status.success(), "{}: {said}{manifest}", file.display());
}

/// A value as TOML, by its section and its key.
fn value(keys: &toml::Table, section: &str, key: &str) -> Option<String> {
    let table = keys.get(section).and_then(|table| table.get(key));
    table.map(ToString::to_string)
}

#[test]
fn the_models_of_the_repository_are_told_by_themselves() {
    for name in [
        "mobilenet_v2",
        "nanodet",
        "selfie",
        "captioner",
        "vae",
        "mobilenet_features",
    ] {
        let file = path("models").join(name).join("model.pt");
        let known = std::fs::read_to_string(file.with_file_name("model.toml")).expect("it is there");
        let known: toml::Table = known.parse().expect("TOML");
        let (manifest, keys) = manifest_of(&file, &[]);
        assert_eq!(keys.get("task"), known.get("task"), "{name}");
        for (section, key) in [
            ("output", "labels"),
            ("output", "format"),
            ("output", "activation"),
            ("output", "attention_grid"),
        ] {
            let default = if keys["task"].as_str() == Some("detection") && key == "activation" {
                Some("\"none\"".to_owned())
            } else {
                None
            };
            let known = value(&known, section, key);
            assert_eq!(value(&keys, section, key).or(default), known, "{name}: {key}");
        }
        passes(&file, &manifest);
    }
}

#[test]
fn the_first_batch_norm_tells_how_pictures_were_prepared() {
    for name in ["mobilenet_v2", "captioner", "gauge", "unet"] {
        let file = path("models").join(name).join("model.pt");
        let known = std::fs::read_to_string(file.with_file_name("model.toml")).expect("it is there");
        let known: toml::Table = known.parse().expect("TOML");
        let (manifest, keys) = manifest_of(&file, &[]);
        for key in ["mean", "std"] {
            let found = value(&keys, "input", key);
            assert_eq!(found, value(&known, "input", key), "{name}: {manifest}");
        }
        assert!(
            manifest.contains("the first batch norm has seen pixels of mean"),
            "{manifest}"
        );
    }
}

#[test]
fn a_module_that_normalises_its_pictures_is_not_told_by_its_batch_norm() {
    let (manifest, keys) = manifest_of(&path("tests/golden/misfits/normalises.pt"), &["--size", "32x32"]);
    assert!(manifest.contains("which the file does not tell"), "{manifest}");
    assert_eq!(value(&keys, "input", "std"), Some("[1.0, 1.0, 1.0]".into()));
}

#[test]
fn every_contract_of_detectors_is_told_by_its_values() {
    for (name, format) in [
        ("detr_deformable", "detr"),
        ("detr_rows", "detr"),
        ("detr_softmax", "detr"),
        ("end_to_end", "end_to_end"),
        ("keypoint_rcnn", "torchvision"),
        ("mask_rcnn", "torchvision"),
        ("yolo", "yolo"),
        ("yolo_obb", "yolo_obb"),
        ("yolo_pose", "yolo_pose"),
        ("yolo_pose_ends", "yolo_pose"),
        ("yolo_seg", "yolo_seg"),
        ("yolo_seg_ends", "yolo_seg"),
        ("yolov5", "yolov5"),
    ] {
        let file = path("tests/golden/detectors").join(format!("{name}.pt"));
        let (manifest, keys) = manifest_of(&file, &["--size", "64x64"]);
        assert_eq!(
            value(&keys, "output", "format"),
            Some(format!("\"{format}\"")),
            "{name}: {manifest}"
        );
        passes(&file, &manifest);
    }
}

#[test]
fn a_module_that_mixes_the_rows_of_a_batch_gets_batches_of_one() {
    let fixtures = path("crates/torch-bridge/tests/fixtures");
    for name in ["order_trains", "early_exit"] {
        let file = fixtures.join(format!("habit_{name}.pt"));
        let (manifest, keys) = manifest_of(&file, &["--size", "12x10"]);
        assert_eq!(
            keys["task"].as_str(),
            Some("classification"),
            "{name}: {manifest}"
        );
        let most = value(&keys, "batching", "max_batch_size");
        assert_eq!(most, Some("1".into()), "{name}: {manifest}");
        passes(&file, &manifest);
    }
}

#[test]
fn a_module_that_answers_by_chance_is_refused_with_the_reason_that_check_has() {
    let file = path("crates/torch-bridge/tests/fixtures/habit_drops.pt");
    let output = lucarne(&["inspect", "--size", "12x10"], &file);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{}", text(&output.stdout));
    for expected in ["otherwise the second time", "training=True"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_program_that_takes_more_than_a_picture_is_a_model_of_tensors() {
    let file = path("tests/golden/misfits/picture_and_vector.pt2");
    let (manifest, keys) = manifest_of(&file, &[]);
    assert_eq!(keys["task"].as_str(), Some("tensor"), "{manifest}");
    let inputs: Vec<(Option<&str>, String)> = keys["inputs"]
        .as_array()
        .expect("tables")
        .iter()
        .map(|input| (input["name"].as_str(), input["shape"].to_string()))
        .collect();
    let expected = [
        (Some("img"), "[-1, 3, 8, 8]".to_owned()),
        (Some("meta"), "[-1, 2]".to_owned()),
    ];
    assert_eq!(inputs, expected, "{manifest}");
    assert!(manifest.contains("forward takes several tensors"), "{manifest}");
    passes(&file, &manifest);
}

#[test]
fn what_a_model_says_of_a_picture_comes_last_and_leaves_a_model_toml() {
    let file = path("models/mobilenet_v2/model.pt");
    let photo = path("tests/golden/photos/chelsea.png");
    let (manifest, keys) = manifest_of(&file, &["--image", &photo.to_string_lossy()]);
    assert!(
        manifest.contains("# what it says of") && manifest.contains("cat"),
        "{manifest}"
    );
    assert_eq!(value(&keys, "input", "size"), Some("[224, 224]".into()));
}

#[test]
fn a_size_that_does_not_fit_is_said_to_fit_none() {
    let file = path("models/vae/model.pt");
    let output = lucarne(&["inspect", "--size", "30x30"], &file);
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("invalid_model"),
        "{said}"
    );
    let output = lucarne(&["inspect", "--size", "30"], &file);
    assert!(text(&output.stderr).contains("HEIGHTxWIDTH"));
}
