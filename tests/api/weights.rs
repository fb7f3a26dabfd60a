//! Whether maps depend on what a model has learned: of a trained classifier, and of models that are small enough to write down.

use axum::http::StatusCode;
use lucarne::config::Settings;
use serde_json::{Value, json};

use axum::body::Body;
use axum::http::Request;

use crate::closed_forms::{byte, picture};
use crate::support::{path, photo, post, router_over, send};

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

async fn weights(query: &str, photo: Vec<u8>) -> Value {
    let uri = format!("/v1/models/mobilenet_v2/explain?evidence=true&weights=true&{query}");
    let answer = post(&uri, &[], photo).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{query}: {}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()["explanations"][0]["evidence"]["weights"].clone()
}

/// Of the rule that the answer states.
fn assert_rule(found: &Value, stages: &[&str]) {
    let of_each = found["stages"].as_array().expect("stages");
    let named: Vec<&Value> = of_each.iter().map(|stage| &stage["randomised"]).collect();
    assert_eq!(named, stages, "{found}");
    let threshold = number(&found["threshold"]);
    let is_below = |stage: &Value| number(&stage["correlation"]) < threshold;
    assert_eq!(found["depends"], of_each.iter().all(is_below), "{found}");
    assert_eq!(found["copies"], 8);
    let summary = found["summary"].as_str().expect("a sentence");
    assert_eq!(
        summary.contains("hardly depends"),
        found["depends"] == false,
        "{summary}"
    );
    assert!(summary.contains("0.5"), "the threshold is stated: {summary}");
}

#[tokio::test]
async fn a_trained_classifier_s_grad_cam_depends_on_its_weights_and_guided_backprop_does_not() {
    let cam = weights("method=grad_cam&layer=features.18", photo("coffee.jpg")).await;
    assert_rule(&cam, &["above_the_layer"]);
    assert_eq!(cam["depends"], true, "{cam}");
    assert_eq!(cam["stages"][0]["parameters"], 2, "the last matrix and its bias");
    let guided = weights("method=guided_backprop", photo("coffee.jpg")).await;
    assert_rule(&guided, &["upper_half", "all"]);
    assert_eq!(guided["depends"], false, "{guided}");
    let saliency = weights("method=saliency", photo("coffee.jpg")).await;
    assert_rule(&saliency, &["upper_half", "all"]);
    assert_eq!(saliency["depends"], true, "{saliency}");
    // Its map is of the activation alone, which weights above the layer do not change.
    let eigen = weights("method=eigen_cam&layer=features.18", photo("coffee.jpg")).await;
    assert_eq!(eigen["depends"], false, "{eigen}");
    assert!(number(&eigen["stages"][0]["correlation"]) > 0.999, "{eigen}");
    // It is of the model, the method and the layer: another picture finds it measured.
    let again = weights("method=grad_cam&layer=features.18", photo("chelsea.png")).await;
    assert_eq!(again, cam);
    let other = weights("method=grad_cam&layer=features.17", photo("chelsea.png")).await;
    assert_ne!(other, cam);
    assert!(number(&other["stages"][0]["parameters"]) > 2.0, "{other}");
}

#[tokio::test]
async fn predictions_and_maps_are_as_before_afterwards() {
    let asked = async || {
        let predicted = post("/v1/models/unet/predict", &[], scene()).await.json();
        let map = post("/v1/models/unet/explain?method=saliency", &[], scene())
            .await
            .json();
        (predicted["predictions"].clone(), map["explanations"].clone())
    };
    let before = asked().await;
    let uri = "/v1/models/unet/explain/compare?methods=grad_cam,saliency&weights=true";
    let compared = post(uri, &[], scene()).await;
    assert_eq!(
        compared.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&compared.body)
    );
    for method in compared.json()["methods"].as_array().expect("methods") {
        let weights = &method["evidence"]["weights"];
        assert!(weights["depends"].is_boolean(), "{weights}");
    }
    assert_eq!(asked().await, before);
}

fn scene() -> Vec<u8> {
    std::fs::read(path("tests/golden/unet/scene_0.png")).expect("a scene")
}

#[tokio::test]
async fn where_it_cannot_be_told_the_answer_says_why() {
    let models = tempfile::tempdir().expect("a temporary folder");
    for name in ["frozen", "pooled"] {
        let folder = models.path().join(name);
        std::fs::create_dir(&folder).expect("writable");
        let file = path("tests/golden/closed_forms").join(format!("{name}.pt"));
        std::fs::copy(file, folder.join("model.pt")).expect("a copy");
        let manifest = "task = \"classification\"\n[input]\nsize = [6, 8]\nresize = \"none\"\n";
        std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    }
    let router = router_over(models.keep(), Settings::default());
    let asked = async |model: &str, query: &str| {
        let uri = format!("/v1/models/{model}/explain?{query}");
        let request = Request::post(uri)
            .body(Body::from(picture(byte)))
            .expect("a request");
        send(router.clone(), request).await
    };
    let frozen = asked("frozen", "method=saliency&target=0&evidence=true&weights=true").await;
    let weights = &frozen.json()["explanations"][0]["evidence"]["weights"];
    assert_eq!(weights["unavailable"], "constant_weights", "{weights}");
    assert_eq!(
        (&weights["depends"], &weights["stages"]),
        (&Value::Null, &json!([]))
    );
    assert!(
        weights["summary"]
            .as_str()
            .is_some_and(|text| text.contains("frozen")),
        "{weights}"
    );
    // The only weights above the features are those of the matrix: other orders of twelve numbers.
    let pooled = asked(
        "pooled",
        "method=grad_cam&layer=features&target=0&evidence=true&weights=true",
    )
    .await;
    let weights = &pooled.json()["explanations"][0]["evidence"]["weights"];
    assert_rule(weights, &["above_the_layer"]);
    assert_eq!(weights["stages"][0]["parameters"], 1);
    let nothing = asked(
        "pooled",
        "method=grad_cam&layer=features&target=2&evidence=true&weights=true",
    )
    .await;
    assert_eq!(
        nothing.json()["explanations"][0]["evidence"]["weights"],
        *weights,
        "it is known already"
    );
    let alone = asked("pooled", "method=grad_cam&weights=true").await;
    assert_eq!(alone.code(), "invalid_parameter");
    assert!(alone.detail().contains("evidence=true"), "{}", alone.detail());
}
