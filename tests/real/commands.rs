//! The commands beside `serve`: what they take, and what they say of what they do not.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::support::{model_variant, path};

/// Whether the command succeeds, and what it says.
pub(crate) fn lucarne(arguments: &[&dyn AsRef<OsStr>]) -> (bool, String) {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .args(arguments.iter().map(AsRef::as_ref))
        .current_dir(path(""))
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .expect("the program starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// A model.toml that takes any file.
fn without_hash(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("sha256"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_method_is_named_by_its_flag_or_as_a_parameter_but_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let explain = |more: &[&str]| {
        let (output, photo) = (folder.path().join("map.json"), path("tests/golden/vae/bag.png"));
        let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"explain", &"vae", &photo, &"-o", &output];
        arguments.extend(more.iter().map(|argument| argument as &dyn AsRef<OsStr>));
        let (succeeded, said) = lucarne(&arguments);
        let map = std::fs::read_to_string(&output).unwrap_or_default();
        (succeeded, said, map)
    };
    for (more, method) in [
        (&[][..], "grad_cam"),
        (&["-p", "method=saliency"], "saliency"),
        (&["--method", "saliency"], "saliency"),
    ] {
        let (succeeded, said, map) = explain(more);
        assert!(succeeded, "{more:?}: {said}");
        assert!(
            map.contains(&format!("\"method\":\"{method}\"")),
            "{more:?}: {map}"
        );
    }
    let (succeeded, said, _) = explain(&["--method", "saliency", "-p", "method=saliency"]);
    assert!(
        !succeeded && said.contains("`method`: given more than once"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_torchscript_is_said_to_be_none() {
    const CURE: &str = "this is no TorchScript file, or a damaged one; export the model";
    let photo = path("tests/golden/photos/coffee.jpg");
    let (succeeded, said) = lucarne(&[&"inspect", &photo]);
    let expected = format!("lucarne: invalid_model: {}: {CURE}", photo.display());
    assert!(!succeeded && said.starts_with(&expected), "{said}");
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "selfie", |text| without_hash(&text));
    let file = models.path().join("m/model.pt");
    std::fs::remove_file(&file).expect("it is there");
    std::fs::copy(&photo, &file).expect("writable");
    let (succeeded, said) = lucarne(&[&"check", &models.path()]);
    assert!(
        !succeeded && said.contains(&format!("m/model.pt: {CURE}")),
        "{said}"
    );
}

#[test]
fn a_file_of_another_library_is_named_with_the_line_that_mends_it() {
    let models = tempfile::tempdir().expect("a temporary folder");
    for (name, words) in [
        ("state_dict.pt", "a state dict, weights without their network"),
        ("module.pt", "a pickled module, torch.nn.modules.linear.Linear"),
        (
            "zipped.zip",
            "a ZIP archive with \"mine/model.pt\" in it; unpack it",
        ),
    ] {
        let foreign = path("tests/golden/foreign").join(name);
        let (succeeded, said) = lucarne(&[&"inspect", &foreign]);
        let expected = format!(
            "lucarne: invalid_model: {}: this is no TorchScript file, but {words}",
            foreign.display()
        );
        assert!(!succeeded && said.starts_with(&expected), "{said}");
        model_variant(models.path(), name, "selfie", |text| without_hash(&text));
        let file = models.path().join(name).join("model.pt");
        std::fs::remove_file(&file).expect("it is there");
        std::fs::copy(&foreign, &file).expect("writable");
    }
    let (succeeded, said) = lucarne(&[&"check", &models.path()]);
    assert!(
        !succeeded && said.contains("net.load_state_dict(torch.load(\"model.pt\"))"),
        "{said}"
    );
    assert_eq!(
        said.matches("model.pt: this is no TorchScript file, but").count(),
        3,
        "{said}"
    );
}

#[test]
fn a_folder_is_not_said_to_be_missing() {
    let (succeeded, said) = lucarne(&[&"inspect", &"models/vae"]);
    let expected = "models/vae is a folder; name the model's file in it, models/vae/model.pt";
    assert!(!succeeded && said.contains(expected), "{said}");
    let (_, said) = lucarne(&[&"inspect", &"tests"]);
    assert!(
        said.trim()
            .ends_with("tests is a folder; name the model's file in it"),
        "{said}"
    );
    let (_, said) = lucarne(&[&"inspect", &Path::new("no/such.pt")]);
    assert!(said.contains("there is no file no/such.pt"), "{said}");
}

#[test]
fn a_command_says_once_what_is_wrong_and_nothing_of_other_models() {
    let photo = path("tests/golden/photos/coffee.jpg");
    let (succeeded, said) = lucarne(&[&"predict", &"nope", &photo]);
    assert!(!succeeded && said.starts_with("lucarne: "), "{said}");
    assert!(!said.contains("the others go on"), "{said}");
}
