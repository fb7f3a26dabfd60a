//! bfloat16 on the CPU: its answers beside those of f32, and what `precision = "auto"` takes. On a processor without such
//! instructions "auto" is f32, and the rest is skipped.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use lucarne::config::Settings;
use lucarne::runtime::process::has_bf16;
use serde_json::Value;

use crate::support::{model_variant, photo, router_over, send};

fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        for precision in ["f32", "bf16", "auto"] {
            model_variant(models.path(), precision, "mobilenet_v2", |text| {
                text.replace(
                    "[instances]",
                    &format!("[instances]\nprecision = \"{precision}\""),
                )
            });
        }
        // Kept: explanations load the file when the first of them is asked for.
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

async fn model(name: &str) -> Value {
    let request = Request::get(format!("/v1/models/{name}")).body(Body::empty());
    send(router(), request.expect("a request")).await.json()
}

async fn ask(uri: &str) -> Value {
    let request = Request::post(format!("/v1/models/{uri}")).body(Body::from(photo("chelsea.png")));
    send(router(), request.expect("a request")).await.json()
}

fn is_skipped() -> bool {
    if !has_bf16() {
        println!("skipped: this processor has no instructions for bfloat16");
    }
    !has_bf16()
}

#[tokio::test]
async fn what_is_measured_decides_and_is_told() {
    assert_eq!(model("f32").await["precision"], "f32");
    assert!(model("f32").await.get("precision_measured").is_none());
    let auto = model("auto").await;
    if is_skipped() {
        assert_eq!(auto["precision"], "f32");
        assert!(auto.get("precision_measured").is_none());
        return;
    }
    let measured = |key: &str| auto["precision_measured"][key].as_f64().expect(key);
    let is_better = measured("bf16_ms") * 1.1 <= measured("f32_ms") && measured("difference") <= 0.01;
    assert!(
        measured("bf16_ms") > 0.0 && measured("difference") > 0.0,
        "{auto}"
    );
    assert_eq!(
        auto["precision"],
        if is_better { "bf16" } else { "f32" },
        "{auto}"
    );
}

#[tokio::test]
async fn bfloat16_answers_as_f32_does_within_its_digits() {
    if is_skipped() {
        return;
    }
    assert_eq!(model("bf16").await["precision"], "bf16");
    let score = async |name: &str| {
        let class = ask(&format!("{name}/predict?top_k=1")).await["predictions"][0]["classes"][0].clone();
        (class["label"].clone(), class["score"].as_f64().expect("a score"))
    };
    let (single, half) = (score("f32").await, score("bf16").await);
    assert_eq!(single.0, half.0);
    // Eight bits a number: PyTorch's own bfloat16 moves a probability of this network by up to 0.03.
    assert!(
        single.1 != half.1 && (single.1 - half.1).abs() < 0.03,
        "{single:?} {half:?}"
    );
}

#[tokio::test]
async fn explanations_are_those_of_f32() {
    for query in ["method=grad_cam", "method=rise&n_masks=16&seed=1"] {
        let map = async |name: &str| -> Vec<f64> {
            let answer = ask(&format!("{name}/explain?{query}&target=285")).await;
            let data = answer["explanations"][0]["map"]["data"]
                .as_array()
                .expect("a map")
                .clone();
            data.iter().filter_map(Value::as_f64).collect()
        };
        let (single, half) = (map("f32").await, map("bf16").await);
        let largest = single.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let off = single
            .iter()
            .zip(&half)
            .fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        // RISE runs the compiled program of f32, and the exported one beside bfloat16: they sum in another order.
        assert!(
            single.len() == half.len() && off <= 1e-4 * largest,
            "{query}: {off} of {largest}"
        );
    }
}
