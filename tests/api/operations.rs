//! What operators see.

use axum::http::{StatusCode, header};
use serde_json::json;

use crate::support::{get, path, photo, post, series_value};

#[tokio::test]
async fn health_and_readiness_answer() {
    assert_eq!(get("/healthz").await.json()["status"], "ok");
    assert_eq!(get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn models_are_described() {
    let list = get("/v1/models").await.json();
    let models = list["models"].as_array().expect("models");
    assert!(models.iter().all(|m| m["state"] == "ready"), "{list}");
    let one = get("/v1/models/mobilenet_v2").await.json();
    assert!(models.contains(&one));
    assert_eq!(
        one["input"],
        json!({"size": [224, 224], "resize": "shorter_side", "resize_to": 256, "color": "rgb"})
    );
    assert_eq!(one["labels"].as_array().map(Vec::len), Some(1000));
    let methods = one["explain_methods"].as_array().expect("a list");
    assert!(methods.contains(&json!("grad_cam")) && methods.contains(&json!("rise")));
    assert!(!methods.contains(&json!("d_rise")), "that is for detectors");
    let missing = get("/v1/models/mobilenet").await;
    assert_eq!(missing.code(), "model_not_found");
    assert!(
        missing.detail().contains("`mobilenet_v2`"),
        "the nearest is named: {}",
        missing.detail()
    );
}

#[tokio::test]
async fn metrics_count_requests_failures_and_batches() {
    assert_eq!(
        post("/v1/models/mobilenet_v2/predict", &[], photo("coffee.jpg"))
            .await
            .status,
        StatusCode::OK
    );
    post("/v1/models/mobilenet_v2/predict", &[], Vec::new())
        .await
        .code();
    let answer = get("/metrics").await;
    assert!(
        answer.headers[header::CONTENT_TYPE]
            .to_str()
            .is_ok_and(|t| t.starts_with("application/openmetrics-text"))
    );
    let text = String::from_utf8(answer.body).expect("UTF-8");
    let value = |series: &str| series_value(&text, series);
    assert!(value("lucarne_failures_total{code=\"empty_body\"}") >= 1.0);
    assert!(value("lucarne_images_computed_total{model=\"mobilenet_v2\",queue=\"predict\"}") >= 1.0);
    assert!(value("lucarne_compute_duration_seconds_sum{model=\"mobilenet_v2\",queue=\"predict\"}") > 0.0);
    assert!(value("lucarne_decode_duration_seconds_count") >= 1.0);
    let route = "route=\"/v1/models/{name}/predict\",method=\"POST\",status=\"200\"";
    assert!(value(&format!("lucarne_requests_total{{{route}}}")) >= 1.0);
}

#[tokio::test]
async fn a_client_s_request_id_comes_back() {
    let answer = post(
        "/v1/models/mobilenet_v2/predict",
        &[("x-request-id", "mine-7")],
        Vec::new(),
    )
    .await;
    assert_eq!(answer.headers["x-request-id"], "mine-7");
    assert_eq!(answer.json()["request_id"], "mine-7");
}

#[tokio::test]
async fn the_docs_page_needs_nothing_from_outside() {
    let page = get("/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    let html = String::from_utf8(page.body).expect("UTF-8");
    assert!(!html.contains("://"), "{html}");
    let script = get("/docs/swagger-ui-bundle.js").await;
    assert!(script.status == StatusCode::OK && script.body.len() > 100_000);
}

#[tokio::test]
async fn the_committed_document_is_the_one_that_is_served() {
    let committed = std::fs::read_to_string(path("openapi/openapi.json")).expect("openapi/openapi.json");
    let committed: serde_json::Value = serde_json::from_str(&committed).expect("JSON");
    let served = get("/openapi.json").await.json();
    assert_eq!(
        served, committed,
        "run: target/release/lucarne openapi > openapi/openapi.json"
    );
}

#[tokio::test]
async fn every_parameter_stands_once_in_its_operation() {
    let document = get("/openapi.json").await.json();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let mut known = std::collections::BTreeSet::new();
            for parameter in &parameters {
                let name = (parameter["name"].to_string(), parameter["in"].to_string());
                assert!(known.insert(name.clone()), "{method} {path}: {name:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let document = get("/openapi.json").await.json();
    let mut names = Vec::new();
    for methods in document["paths"].as_object().expect("paths").values() {
        for operation in methods.as_object().expect("methods").values() {
            names.push(operation["operationId"].as_str().expect("a name").to_owned());
        }
    }
    names.sort();
    let twice: Vec<_> = names
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| &pair[0])
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}
