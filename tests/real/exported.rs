//! Programs of torch.export through the commands: told by the file, checked, and answered for as the same network in
//! TorchScript is.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::commands::lucarne;
use crate::support::path;

fn fixture(name: &str) -> PathBuf {
    path("crates/torch-bridge/tests/fixtures").join(name)
}

/// A folder of the model in `file`, under `name`, as `inspect` describes it but for the size of pictures.
fn folder(models: &Path, name: &str, file: &Path, more: &str) -> PathBuf {
    let folder = models.join(name);
    std::fs::create_dir(&folder).expect("writable");
    let kept = file
        .extension()
        .and_then(|ending| ending.to_str())
        .expect("an ending");
    std::fs::copy(file, folder.join(format!("model.{kept}"))).expect("writable");
    let manifest =
        format!("task = \"classification\"\n{more}\n[input]\nsize = [12, 10]\nresize = \"stretch\"\n");
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    folder
}

#[test]
fn a_program_answers_and_is_explained_as_its_torchscript() {
    let models = tempfile::tempdir().expect("a temporary folder");
    let photo = path("tests/golden/photos/chelsea.png");
    let answers = |name: &str, file: &str| {
        let model = folder(models.path(), name, &fixture(file), "");
        let (checked, said) = lucarne(&[&"check", &model]);
        assert!(checked, "{said}");
        let (_, said) = lucarne(&[&"predict", &model, &photo]);
        let answer: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        let heat = models.path().join(format!("{name}.png"));
        let (explained, said) = lucarne(&[
            &"explain",
            &"--method",
            &"grad_cam",
            &"--output",
            &heat,
            &model,
            &photo,
        ]);
        assert!(explained, "{said}");
        let classes = answer
            .pointer("/predictions/0/classes")
            .cloned()
            .expect("classes");
        (classes, std::fs::read(heat).expect("a picture"))
    };
    let (of_program, heat_of_program) = answers("program", "exported/residual.pt2");
    let (of_script, heat_of_script) = answers("script", "exported/residual.pt");
    assert_eq!(of_program, of_script);
    assert!(heat_of_program == heat_of_script, "the same pixels");
}

#[test]
fn every_fixture_of_pictures_is_inspected() {
    for name in [
        "residual",
        "nested",
        "shared",
        "sizes",
        "ways",
        "frozen",
        "quantised",
        "bits",
    ] {
        let file = fixture(&format!("exported/{name}.pt2"));
        let (_, said) = lucarne(&[&"inspect", &file]);
        assert!(
            said.contains("exported for x: [1 to 16, 3, 12, 10]"),
            "{name}: {said}"
        );
    }
}

#[test]
fn what_the_program_was_not_exported_for_is_refused_when_it_is_loaded() {
    let models = tempfile::tempdir().expect("a temporary folder");
    let file = fixture("exported/residual.pt2");
    let refused = |name: &str, more: &str, size: &str| {
        let model = folder(models.path(), name, &file, "");
        let text = std::fs::read_to_string(model.join("model.toml")).expect("readable");
        std::fs::write(model.join("model.toml"), text.replace("[12, 10]", size) + more).expect("writable");
        let (succeeded, said) = lucarne(&[&"check", &model]);
        assert!(!succeeded, "{said}");
        said
    };
    let said = refused("large", "", "[24, 20]");
    assert!(
        said.contains("was exported for an `x` of shape [1 to 16, 3, 12, 10], and gets [1, 3, 24, 20]"),
        "{said}"
    );
    let said = refused("many", "[batching]\nmax_batch_size = 17\n", "[12, 10]");
    assert!(
        said.contains("found 17, but the program was exported for batches of at most 16"),
        "{said}"
    );
    let said = refused("other", "[artifact]\nformat = \"torchscript\"\n", "[12, 10]");
    assert!(
        said.contains("the file is a program of torch.export; leave the key out"),
        "{said}"
    );
}
