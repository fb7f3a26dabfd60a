//! Models are tried in a process of their own, and a trial that passed is remembered.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::model_variant;

/// One for models, and one for what trials leave behind.
fn two_folders() -> [TempDir; 2] {
    [(), ()].map(|()| tempfile::tempdir().expect("a folder"))
}

fn check(models: &Path, cache: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .arg("check")
        .arg(models)
        .env("XDG_CACHE_HOME", cache)
        .output()
        .expect("the program starts")
}

#[test]
fn a_trial_that_passed_is_remembered_until_a_file_changes() {
    let [models, cache] = two_folders();
    model_variant(models.path(), "m", "selfie", |text| text);
    let remembered = || std::fs::read_dir(cache.path().join("lucarne/trials")).map_or(0, Iterator::count);
    for expected in [1, 1] {
        assert!(check(models.path(), cache.path()).status.success());
        assert_eq!(remembered(), expected);
    }
    let manifest = models.path().join("m/model.toml");
    let text = std::fs::read_to_string(&manifest).expect("the manifest");
    std::fs::write(&manifest, format!("{text}\n# a remark\n")).expect("writable");
    assert!(check(models.path(), cache.path()).status.success());
    assert_eq!(remembered(), 2);
}

#[test]
fn what_a_trial_finds_is_what_check_says() {
    let [models, cache] = two_folders();
    model_variant(models.path(), "good", "selfie", |text| text);
    model_variant(models.path(), "bad", "selfie", |text| text);
    let labels = models.path().join("bad/labels.txt");
    std::fs::remove_file(&labels).expect("it is there");
    assert!(
        Command::new("mkfifo")
            .arg(&labels)
            .status()
            .is_ok_and(|status| status.success())
    );
    let output = check(models.path(), cache.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("good: right"), "{said}");
    assert!(
        said.contains("bad: 1 problem") && said.contains("it is no regular file"),
        "{said}"
    );
}

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let [models, cache] = two_folders();
    for (name, file) in [("manifest", "model.toml"), ("artifact", "model.pt")] {
        model_variant(models.path(), name, "selfie", |text| text);
        let file = models.path().join(name).join(file);
        std::fs::remove_file(&file).expect("it is there");
        std::fs::create_dir(&file).expect("writable");
    }
    let output = check(models.path(), cache.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.matches("it is no regular file").count(), 2, "{said}");
}

#[test]
fn a_file_without_an_end_holds_nobody_up() {
    let [models, cache] = two_folders();
    for (name, file) in [("artifact", "model.pt"), ("beside", "notes.bin")] {
        model_variant(models.path(), name, "selfie", |text| text);
        let file = models.path().join(name).join(file);
        std::fs::remove_file(&file).unwrap_or_default();
        let holes = std::fs::File::create(&file).and_then(|file| file.set_len(8 << 40));
        holes.expect("a file of holes");
    }
    let output = check(models.path(), cache.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("has 8388608 MiB"), "{said}");
    assert!(said.contains("beside: right"), "{said}");
}

/// A model of whole numbers, with `keys` for each of its inputs.
fn of_whole_numbers(models: &Path, name: &str, inputs: &[&str], shape: &str, keys: &str) {
    let folder = models.join(name);
    std::fs::create_dir_all(&folder).expect("writable");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/tensors/{name}.pt"));
    std::fs::copy(source, folder.join("model.pt")).expect("a copy");
    let table = |kind: &str, name: &str, keys: &str| {
        format!("[[{kind}]]\nname = \"{name}\"\ndtype = \"i64\"\nshape = {shape}\n{keys}\n")
    };
    let inputs: String = inputs.iter().map(|name| table("inputs", name, keys)).collect();
    let text = format!("task = \"tensor\"\n{inputs}{}", table("outputs", "y", ""));
    std::fs::write(folder.join("model.toml"), text).expect("writable");
}

#[test]
fn whole_numbers_that_end_the_process_are_found_and_a_range_keeps_them_out() {
    let [models, cache] = two_folders();
    let said = |keys: &str| {
        of_whole_numbers(models.path(), "divides", &["x", "by"], "[-1, 4]", keys);
        String::from_utf8_lossy(&check(models.path(), cache.path()).stdout).into_owned()
    };
    let of_any = said("");
    assert!(of_any.contains("range = [least, greatest]"), "{of_any}");
    let of_few = said("range = [0, 9]");
    assert!(of_few.contains("divides: right"), "{of_few}");
}

#[test]
fn rows_that_are_not_those_of_the_inputs_are_no_batch() {
    let [models, cache] = two_folders();
    of_whole_numbers(models.path(), "filters", &["x"], "[-1, 4]", "");
    let output = check(models.path(), cache.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("max_batch_size = 1"), "{said}");
}

/// A classifier of pictures of 12×10 whose module is a fixture of the bridge.
pub(crate) fn habit(models: &Path, fixture: &str, batching: &str) {
    let folder = models.join(fixture);
    std::fs::create_dir(&folder).expect("writable");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/torch-bridge/tests/fixtures");
    let file = fixtures.join(format!("habit_{fixture}.pt"));
    std::fs::copy(file, folder.join("model.pt")).expect("it is there");
    let manifest =
        format!("task = \"classification\"\n\n[input]\nsize = [12, 10]\nresize = \"stretch\"\n\n{batching}");
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
}

#[test]
fn a_trial_holds_a_model_against_its_module_and_each_picture_against_those_beside_it() {
    let [models, cache] = two_folders();
    let alone = "[batching]\nmax_batch_size = 1\n";
    for right in ["order_flat", "order_strided", "sum_twice", "uneven_pool"] {
        habit(models.path(), right, "");
    }
    for mixing in ["order_trains", "early_exit"] {
        habit(models.path(), mixing, "");
    }
    habit(models.path(), "drops", alone);
    habit(models.path(), "reads_file", "");
    let output = check(models.path(), cache.path());
    let said = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "order_flat: right",
        "order_strided: right",
        "sum_twice: right",
        "uneven_pool: right",
        "answers the same picture otherwise the second time",
        "aten::from_file, which reads and writes files of this machine",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let mixing = "two pictures in one batch are answered otherwise than each alone";
    assert_eq!(said.matches(mixing).count(), 2, "{said}");
    assert!(!Path::new("of-a-stranger").exists());
    let models = tempfile::tempdir().expect("a folder");
    habit(models.path(), "order_trains", alone);
    assert!(check(models.path(), cache.path()).status.success());
}

#[test]
fn a_trial_holds_rows_of_tensors_against_those_beside_them() {
    let [models, cache] = two_folders();
    let as_tensors = |fixture: &str, more: &str| {
        habit(models.path(), fixture, "");
        let tensor = |kind: &str, name: &str, shape: &str| {
            format!("[[{kind}]]\nname = \"{name}\"\ndtype = \"f32\"\nshape = {shape}\n")
        };
        let inputs = tensor("inputs", "x", "[-1, 3, 12, 10]");
        let outputs = tensor("outputs", "y", "[-1, 5]");
        let text = format!("task = \"tensor\"\n{inputs}{outputs}{more}");
        std::fs::write(models.path().join(fixture).join("model.toml"), text).expect("writable");
    };
    for fixture in ["order_flat", "order_trains", "early_exit"] {
        as_tensors(fixture, "");
    }
    let alone = "[batching]\nmax_batch_size = 1\n";
    as_tensors("drops", alone);
    let said = String::from_utf8_lossy(&check(models.path(), cache.path()).stdout).into_owned();
    for expected in [
        "order_flat: right",
        "answers the same input otherwise the second time",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let mixing = "two rows in one batch are answered otherwise than each alone";
    assert_eq!(said.matches(mixing).count(), 2, "{said}");
    std::fs::remove_dir_all(models.path()).expect("writable");
    std::fs::create_dir(models.path()).expect("writable");
    for fixture in ["order_trains", "early_exit"] {
        as_tensors(fixture, alone);
    }
    assert!(check(models.path(), cache.path()).status.success());
}
