//! Networks of which PyTorch takes no gradients, and what else strangers' networks do, explained by whatever method can.

use std::ffi::OsStr;
use std::path::Path;

use crate::commands::lucarne;
use crate::support::path;
use crate::trials::habit;

/// Whether the map is made, and what was said.
fn explained(models: &Path, model: &str, method: &str) -> (bool, String) {
    explained_with(models, model, &["--method", method])
}

fn explained_with(models: &Path, model: &str, options: &[&str]) -> (bool, String) {
    let heat = models.join(format!("{model}.npy"));
    let photo = path("tests/golden/photos/chelsea.png");
    let folder = models.join(model);
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"explain", &"--output", &heat];
    arguments.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
    arguments.extend([&folder as &dyn AsRef<OsStr>, &photo]);
    lucarne(&arguments)
}

#[test]
fn what_has_no_gradients_is_explained_without() {
    let models = tempfile::tempdir().expect("a folder");
    for model in ["fused_attention", "chunk_writes"] {
        habit(models.path(), model, "");
        let (checked, said) = lucarne(&[&"check", &models.path().join(model)]);
        assert!(checked, "{said}");
        for method in ["eigen_cam", "score_cam", "ablation_cam", "occlusion"] {
            let (made, said) = explained(models.path(), model, method);
            assert!(made, "{model}, {method}: {said}");
        }
        for method in ["grad_cam", "integrated_gradients"] {
            let (made, said) = explained(models.path(), model, method);
            assert!(
                !made && said.contains("PyTorch cannot take gradients of this model"),
                "{said}"
            );
        }
    }
}

#[test]
fn layers_in_scripted_functions_and_loops_are_ablated() {
    let models = tempfile::tempdir().expect("a folder");
    for model in ["interpolates", "one_by_one"] {
        habit(models.path(), model, "");
        for method in ["ablation_cam", "grad_cam"] {
            let (made, said) = explained(models.path(), model, method);
            assert!(made, "{model}, {method}: {said}");
        }
    }
}

#[test]
fn classes_that_come_and_go_are_not_explained() {
    let models = tempfile::tempdir().expect("a folder");
    habit(models.path(), "other_classes", "");
    let photo = path("tests/golden/photos/chelsea.png");
    let (answered, predicted) = lucarne(&[&"predict", &models.path().join("other_classes"), &photo]);
    assert!(!answered, "{predicted}");
    for options in [
        &["--method", "grad_cam"][..],
        &["--method", "rise", "--target", "4"],
        &["--method", "saliency", "--target", "9"],
    ] {
        let (made, said) = explained_with(models.path(), "other_classes", options);
        for words in [&predicted, &said] {
            assert!(
                words.contains("inference_failed") && words.contains("when the model was loaded"),
                "{words}"
            );
        }
        assert!(!made, "{said}");
    }
}

#[test]
fn rows_of_another_number_are_neither_answered_nor_explained() {
    let models = tempfile::tempdir().expect("a folder");
    habit(models.path(), "other_rows", "");
    let photo = path("tests/golden/photos/chelsea.png");
    let (answered, said) = lucarne(&[&"predict", &models.path().join("other_rows"), &photo]);
    assert!(
        !answered && said.contains("forward answered 2 rows for a batch of 1"),
        "{said}"
    );
    for method in ["grad_cam", "occlusion"] {
        let (made, said) = explained(models.path(), "other_rows", method);
        assert!(
            !made && said.contains("2 rows for a batch of 1"),
            "{method}: {said}"
        );
    }
}

#[test]
fn tensors_count_towards_the_memory_of_a_trial() {
    let models = tempfile::tempdir().expect("a folder");
    habit(models.path(), "takes_memory", "");
    let folder = models.path().join("takes_memory");
    let (passed, said) = lucarne(&[&"check", &folder, &"--max-model-mb", &"700"]);
    assert!(!passed && said.contains("out of memory"), "{said}");
    let (passed, said) = lucarne(&[&"check", &folder, &"--max-model-mb", &"4000"]);
    assert!(passed, "{said}");
}

#[test]
fn a_default_layer_without_a_map_is_refused_when_the_model_is_checked() {
    let models = tempfile::tempdir().expect("a folder");
    for (model, layer) in [("one_by_one", "head"), ("interpolates", "stem")] {
        habit(models.path(), model, &format!("[explain]\nlayer = \"{layer}\"\n"));
    }
    let (passed, said) = lucarne(&[&"check", &models.path()]);
    assert!(!passed, "{said}");
    assert!(
        said.contains("explain.layer") && said.contains("layer `head` has no spatial map"),
        "{said}"
    );
    let (passed, said) = lucarne(&[&"check", &models.path().join("interpolates")]);
    assert!(passed, "{said}");
}

#[test]
fn weights_of_attention_are_no_map() {
    let models = tempfile::tempdir().expect("a folder");
    habit(models.path(), "attends_length_first", "");
    let (made, said) = explained(models.path(), "attends_length_first", "grad_cam");
    assert!(made, "{said}");
    let (made, said) = explained_with(models.path(), "attends_length_first", &["--layer", "attention"]);
    assert!(!made && said.contains("layer_not_found"), "{said}");
}
