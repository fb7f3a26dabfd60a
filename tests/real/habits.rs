//! Networks of which PyTorch takes no gradients, and what else strangers' networks do, explained by whatever method can.

use std::path::Path;

use crate::commands::lucarne;
use crate::support::path;
use crate::trials::habit;

/// Whether the map is made, and what was said.
fn explained(models: &Path, model: &str, method: &str) -> (bool, String) {
    let heat = models.join(format!("{model}-{method}.npy"));
    let photo = path("tests/golden/photos/chelsea.png");
    let folder = models.join(model);
    lucarne(&[
        &"explain",
        &"--method",
        &method,
        &"--output",
        &heat,
        &folder,
        &photo,
    ])
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
