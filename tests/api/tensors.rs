//! Models of tensors.

use axum::body::Body;
use axum::http::Request;
use lucarne::config::Settings;
use serde_json::{Value, json};
use tch::{CModule, Tensor};

use crate::support::{photo, router_over, send};

/// A model that answers each whole number plus one.
pub fn counter() -> axum::Router {
    model_of(|numbers| numbers + 1, "")
}

/// A model of whole numbers, and what more its model.toml says.
fn model_of(next: impl Fn(&Tensor) -> Tensor, more: &str) -> axum::Router {
    let models = tempfile::tempdir().expect("a temporary folder");
    let folder = models.path().join("counter");
    std::fs::create_dir(&folder).expect("writable");
    let mut next = |inputs: &[Tensor]| vec![next(&inputs[0])];
    let module =
        CModule::create_by_tracing("Counter", "forward", &[Tensor::from_slice(&[1i64, 2])], &mut next);
    module
        .and_then(|module| module.save(folder.join("model.pt")))
        .expect("a TorchScript file");
    let tensor = |name: &str| format!("name = \"{name}\"\ndtype = \"i64\"\nshape = [-1]\n");
    let manifest = format!(
        "task = \"tensor\"\n[[inputs]]\n{}[[outputs]]\n{}{more}",
        tensor("k"),
        tensor("next")
    );
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    router_over(models.path().to_owned(), Settings::default())
}

async fn next(router: &axum::Router, numbers: Value) -> crate::support::Answer {
    let body =
        json!({"inputs": [{"name": "k", "shape": [numbers.as_array().map(Vec::len)], "data": numbers}]});
    let request = Request::post("/v1/models/counter/predict")
        .body(Body::from(body.to_string()))
        .expect("a request");
    send(router.clone(), request).await
}

#[tokio::test]
async fn whole_numbers_of_64_bits_stay_exact_from_end_to_end() {
    let router = counter();
    let beyond = (1i64 << 53) + 1;
    let asked = json!([beyond, -beyond, i64::MAX - 1, i64::MIN, 0, 3.0]);
    let answer = next(&router, asked).await.json();
    let expected = json!([beyond + 1, 1 - beyond, i64::MAX, i64::MIN + 1, 1, 4]);
    assert_eq!(
        answer["predictions"][0]["outputs"][0]["data"], expected,
        "{answer}"
    );
    for wrong in [json!([0.5]), json!([1e300]), json!([u64::MAX])] {
        let refused = next(&router, wrong.clone()).await;
        assert_eq!(refused.code(), "invalid_parameter", "{wrong}");
        assert!(refused.detail().contains("whole numbers"), "{}", refused.detail());
    }
}

#[tokio::test]
async fn what_is_no_call_of_tensors_is_answered_with_one() {
    let router = counter();
    let ask = async |body: Vec<u8>| {
        let request = Request::post("/v1/models/counter/predict").header("content-type", "image/jpeg");
        let answer = send(router.clone(), request.body(Body::from(body)).expect("a request")).await;
        (answer.code(), answer.detail())
    };
    let (code, detail) = ask(photo("coffee.jpg")).await;
    assert_eq!(code, "invalid_body");
    assert!(detail.contains(r#"expected {"inputs": [{"name""#), "{detail}");
    let k = r#"{"name": "k", "shape": [1], "data": [1]}"#;
    let (code, detail) = ask(format!(r#"{{"inputs": [{k}, {k}]}}"#).into_bytes()).await;
    assert_eq!(code, "invalid_parameter");
    assert!(
        detail.contains("`k`: this input is given more than once"),
        "{detail}"
    );
}

#[tokio::test]
async fn rows_of_one_request_are_cut_into_batches_and_counted() {
    // Each row is answered with the number of rows beside it.
    let beside = |rows: &Tensor| rows.zeros_like() + rows.ones_like().sum(tch::Kind::Int64);
    let router = model_of(beside, "[batching]\nmax_batch_size = 4\n");
    let rows: Vec<i64> = (0..11).collect();
    let answer = next(&router, json!(rows)).await.json();
    let output = &answer["predictions"][0]["outputs"][0];
    assert_eq!(output["shape"], json!([11]));
    assert_eq!(
        output["data"],
        json!([4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3]),
        "{answer}"
    );
    let stats = Request::get("/v2/models/counter/stats").body(Body::empty());
    let stats = send(router, stats.expect("a request")).await.json();
    assert_eq!(stats["model_stats"][0]["inference_count"], 11, "{stats}");
}
