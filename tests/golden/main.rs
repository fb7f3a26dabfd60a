//! The server against PyTorch, torchvision and Pillow: see README.md here for the values, how they were made, and
//! why the tolerances are what they are.
#![expect(unreachable_pub, reason = "a test program has no outside")]

mod average_precision;
#[path = "../support/mod.rs"]
mod support;
mod tasks;

use lucarne::catalog::open_alone;
use lucarne::config::Settings;
use lucarne::engine::Share;
use lucarne::engine::cores::{Class, Cores};
use lucarne::manifest::Manifest;
use lucarne::runtime::process::configure_process;
use lucarne::runtime::{Call, Held};
use lucarne::tasks::{Labels, ModelSpec};
use serde_json::Value;
use support::{model_variant, path, photo, post, router_over, send};
use tch::Tensor;

fn npy(name: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(path("tests/golden/mobilenet_v2").join(name)).expect("a golden file");
    let file = npyz::NpyFile::new(bytes.as_slice()).expect("an NPY file");
    (file.shape().to_vec(), file.into_vec().expect("f32 values"))
}

fn predictions() -> Value {
    let text = std::fs::read_to_string(path("tests/golden/mobilenet_v2/predictions.json")).expect("goldens");
    serde_json::from_str(&text).expect("JSON")
}

/// The formula tensor of README.md.
fn formula() -> Tensor {
    let value = |i: u64| ((i * 2_654_435_761 % (1 << 32)) as f64 / f64::from(1u32 << 31) / 2.0 - 0.5) * 4.0;
    let values: Vec<f32> = (0..3 * 3 * 224 * 224).map(|i| value(i) as f32).collect();
    Tensor::from_slice(&values).view([3, 3, 224, 224])
}

/// The largest difference, over the largest magnitude of what is expected.
fn relative(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().map(|v| v.abs()).fold(0.0, f32::max);
    let differences = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
    differences.fold(0.0, f32::max) / largest
}

#[test]
fn logits_of_the_same_tensor_agree_with_pytorch() {
    configure_process();
    let mut manifest = Manifest::read(&path("models/mobilenet_v2")).expect("a manifest");
    manifest.instances.specialise = false;
    let spec = ModelSpec::new(manifest, Labels::default());
    let share = Share {
        cores: Cores::of_this_machine(),
        count: 1,
    };
    let file = path("models/mobilenet_v2/model.pt");
    let opened = open_alone(&file, &spec, share.clone()).expect("it freezes");
    let permit = share.acquire(Class::Predict);
    let net = Held::new(&*opened.program, &permit);
    let (shape, expected) = npy("logits_formula.npy");
    assert_eq!(shape, [3, 1000]);
    // The third run is compared as well as the first: an executor may re-optimise in between.
    for _ in 0..3 {
        let logits = net.forward(formula()).expect("logits").flatten(0, -1);
        let logits = Vec::<f32>::try_from(logits).expect("f32");
        let difference = relative(&logits, &expected);
        assert!(difference <= 1e-4, "{difference}");
    }
}

#[tokio::test]
async fn photos_get_the_classes_and_probabilities_of_torchvision() {
    for expected in predictions()["photos"].as_array().expect("photos") {
        let file = expected["file"].as_str().expect("a file");
        let answer = post("/v1/models/mobilenet_v2/predict?top_k=1000", &[], photo(file))
            .await
            .json();
        let found = &answer["predictions"][0];
        assert_eq!(found["image"]["width"], expected["width"], "{file}");
        let classes = found["classes"].as_array().expect("classes");
        let top = expected["top"].as_array().expect("top");
        assert_eq!(
            (&classes[0]["class_id"], &classes[0]["label"]),
            (&top[0]["class_id"], &top[0]["label"]),
            "{file}"
        );
        for class in top {
            let same = classes
                .iter()
                .find(|c| c["class_id"] == class["class_id"])
                .expect("every class is there");
            let difference =
                same["score"].as_f64().expect("a score") - class["score"].as_f64().expect("a score");
            assert!(difference.abs() <= 0.01, "{file}: {class} against {same}");
        }
    }
}

#[tokio::test]
async fn grad_cam_agrees_with_forward_hooks() {
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "as_it_is", "mobilenet_v2", |text| {
        text.replace("\"shorter_side\"", "\"none\"")
    });
    let router = router_over(models.path().to_owned(), Settings::default());
    let input = std::fs::read(path("tests/golden/mobilenet_v2/chelsea_input.png")).expect("a golden file");
    let target = &predictions()["chelsea_class_id"];
    for layer in ["features.18", "features.13", "features.6.conv.0"] {
        let (shape, expected) = npy(&format!("cam_chelsea_{layer}.npy"));
        let uri = format!("/v1/models/as_it_is/explain?layer={layer}&target={target}");
        let request = axum::http::Request::post(uri)
            .body(axum::body::Body::from(input.clone()))
            .expect("a request");
        let answer = send(router.clone(), request).await.json();
        let map = &answer["explanations"][0]["map"];
        assert_eq!(map["shape"], serde_json::json!(shape), "{layer}: {answer}");
        let found: Vec<f32> = serde_json::from_value(map["data"].clone()).expect("numbers");
        let difference = relative(&found, &expected);
        assert!(difference <= 1e-4, "{layer}: {difference}");
    }
}
