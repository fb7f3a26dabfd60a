//! Explanations of models of tensors, beside captum's: tests/golden/tensors/make_models.py made the values.

use std::path::Path;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::Settings;
use serde_json::{Value, json};

use crate::support::{Answer, path, router_over, send};

/// Of the largest value.
const TOLERANCE: f64 = 1e-4;

fn expected() -> Value {
    let text = std::fs::read_to_string(path("tests/golden/tensors/expected.json")).expect("goldens");
    serde_json::from_str(&text).expect("JSON")
}

fn write(models: &Path, name: &str, tensors: &[(&str, &str, &str, &str)]) {
    let folder = models.join(name);
    std::fs::create_dir(&folder).expect("writable");
    let file = path("tests/golden/tensors").join(format!("{name}.pt"));
    std::fs::copy(file, folder.join("model.pt")).expect("a copy");
    let table = |(key, name, dtype, shape): &(&str, &str, &str, &str)| {
        format!("[[{key}]]\nname = \"{name}\"\ndtype = \"{dtype}\"\nshape = {shape}\n")
    };
    let tables: String = tensors.iter().map(table).collect();
    std::fs::write(folder.join("model.toml"), format!("task = \"tensor\"\n{tables}")).expect("writable");
}

fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        write(
            models.path(),
            "fusion",
            &[
                ("inputs", "signal", "f32", "[-1, 3, 16]"),
                ("inputs", "vector", "f32", "[-1, 5]"),
                ("inputs", "kind", "i64", "[-1]"),
                ("outputs", "logits", "f32", "[-1, 4]"),
                ("outputs", "value", "f32", "[-1, 1]"),
            ],
        );
        let open = "[3, -1]\nexample = [3, 16]";
        write(
            models.path(),
            "whole",
            &[
                ("inputs", "signal", "f32", open),
                ("outputs", "logits", "f32", "[4]"),
            ],
        );
        write(
            models.path(),
            "writes",
            &[
                ("inputs", "x", "f32", "[-1, 4]"),
                ("inputs", "m", "f32", "[-1, 4]"),
                ("outputs", "sum", "f32", "[-1, 1]"),
                ("outputs", "squares", "f32", "[-1, 4]"),
            ],
        );
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

/// The row that the values were made of.
fn row() -> Value {
    let expected = expected();
    let input =
        |name: &str, shape: Value| json!({"name": name, "shape": shape, "data": expected["inputs"][name]});
    json!([
        input("signal", json!([1, 3, 16])),
        input("vector", json!([1, 5])),
        input("kind", json!([1]))
    ])
}

async fn explain(model: &str, inputs: Value, parameters: Value) -> Answer {
    let body = json!({"inputs": inputs, "parameters": parameters}).to_string();
    let request = Request::post(format!("/v1/models/{model}/explain"));
    send(router(), request.body(Body::from(body)).expect("a request")).await
}

/// The map of the one explanation, after a look at its shape.
fn map(answer: &Answer, shape: &Value) -> Vec<f64> {
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let explanation = &answer.json()["explanations"][0];
    assert_eq!(&explanation["map"]["shape"], shape, "{explanation}");
    serde_json::from_value(explanation["map"]["data"].clone()).expect("numbers")
}

fn assert_near(found: &[f64], expected: &Value, what: &Value) {
    let expected: Vec<f64> = serde_json::from_value(expected.clone()).expect("numbers");
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = expected.iter().fold(0f64, |most, value| most.max(value.abs()));
    assert!(most > 0.0, "{what}: a map of zeros shows nothing");
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(
            difference <= TOLERANCE * most,
            "{what}, {index}: found {found}, expected {expected}"
        );
    }
}

#[tokio::test]
async fn attributions_are_those_of_captum() {
    let expected = expected();
    let all = expected["attributions"].as_array().expect("a list");
    assert_eq!(all.len(), 16);
    for entry in all {
        let mut parameters = entry["asked"].clone();
        parameters["target"] = json!("logits[2]");
        let answer = explain("fusion", row(), parameters).await;
        assert_near(&map(&answer, &entry["shape"]), &entry["values"], &entry["asked"]);
        let explanation = answer.json()["explanations"][0].clone();
        assert_eq!(explanation["input"], entry["asked"]["input"]);
        let target = &explanation["target"];
        assert_eq!(
            (&target["output"], &target["index"]),
            (&json!("logits"), &json!([2]))
        );
        let value = target["value"].as_f64().expect("a number");
        assert!((value - expected["answers"]["logits"][2].as_f64().expect("a number")).abs() < 1e-5);
        if explanation["method"] == "smooth_grad" {
            assert_eq!(explanation["passes"], json!({"done": 4, "planned": 4}));
        }
    }
}

#[tokio::test]
async fn a_kind_is_covered_by_another_kind() {
    let expected = expected();
    let parameters = json!({"method": "occlusion", "input": "kind", "baseline": 1, "target": "logits[2]"});
    let answer = explain("fusion", row(), parameters).await;
    let kind = |index: usize| expected["kinds"][index].as_f64().expect("a number");
    assert_near(
        &map(&answer, &json!([1])),
        &json!([kind(4) - kind(1)]),
        &json!("kind"),
    );
}

#[tokio::test]
async fn a_model_without_a_batch_is_explained_copy_by_copy() {
    let expected = expected();
    let signal = json!([{"name": "signal", "shape": [3, 16], "data": expected["inputs"]["signal"]}]);
    let saliency = explain("whole", signal.clone(), json!({"target": 2})).await;
    assert_near(
        &map(&saliency, &json!([3, 16])),
        &expected["whole"],
        &json!("saliency"),
    );
    let asked = json!({"method": "integrated_gradients", "target": "[2]"});
    let answer = explain("whole", signal.clone(), asked).await.json();
    let error = answer["explanations"][0]["completeness"]["error"]
        .as_f64()
        .expect("a number");
    assert!(error < 1e-2, "{answer}");
    let asked = json!({"method": "occlusion", "window": "3,16", "target": "logits[2]"});
    let answer = explain("whole", signal, asked).await;
    let lost = map(&answer, &json!([3, 16]));
    assert!(
        lost.iter().all(|value| (value - lost[0]).abs() < 1e-9) && lost[0] != 0.0,
        "one window"
    );
}

#[tokio::test]
async fn an_input_that_the_model_writes_to_stays_as_it_was() {
    let input = |name: &str, data: Value| json!({"name": name, "shape": [1, 4], "data": data});
    let inputs = json!([
        input("x", json!([1, 2, 3, 4])),
        input("m", json!([0.5, 0.5, 0.5, 0.5]))
    ]);
    // Of Σ (x − m)².
    for (parameters, expected) in [
        (json!({"method": "saliency"}), [1.0, 3.0, 5.0, 7.0]),
        (json!({"method": "integrated_gradients"}), [0.0, 2.0, 6.0, 12.0]),
        (
            json!({"method": "occlusion", "window": "1"}),
            [0.0, 2.0, 6.0, 12.0],
        ),
    ] {
        for input in ["x", "m"] {
            let mut parameters = parameters.clone();
            parameters["target"] = json!("sum");
            parameters["input"] = json!(input);
            for _ in 0..2 {
                let answer = explain("writes", inputs.clone(), parameters.clone()).await;
                let found = map(&answer, &json!([1, 4]));
                if input == "x" {
                    assert_near(&found, &json!(expected), &parameters);
                } else {
                    assert!(found.iter().any(|value| *value != 0.0), "{parameters}");
                }
            }
        }
    }
}

#[tokio::test]
async fn arrays_are_explained_and_answered() {
    let expected = expected();
    let signal: Vec<f32> = serde_json::from_value(expected["inputs"]["signal"].clone()).expect("numbers");
    let body = crate::arrays::npy(&[3, 16], &signal);
    let request = Request::post("/v1/models/whole/explain?target=2")
        .header("content-type", "application/x-npy")
        .header("accept", "application/x-npy");
    let answer = send(router(), request.body(Body::from(body)).expect("a request")).await;
    let file = npyz::NpyFile::new(answer.body.as_slice()).expect("an array");
    assert_eq!(file.shape(), [3, 16]);
    let values = file.into_vec::<f32>().expect("f32 values");
    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    assert_near(&values, &expected["whole"], &json!("as an array"));
}

#[tokio::test]
async fn what_cannot_be_told_or_done_is_refused_with_the_ways() {
    for (parameters, code, words) in [
        (
            json!({}),
            "invalid_parameter",
            "`input`: say which input is explained: signal, vector, kind",
        ),
        (json!({"input": "z"}), "invalid_parameter", "signal, vector, kind"),
        (
            json!({"input": "signal"}),
            "invalid_parameter",
            "say of which output: `logits[0]` to `logits[3]`, `value`",
        ),
        (
            json!({"input": "signal", "target": "logits[4]"}),
            "invalid_parameter",
            "`logits[0]` to `logits[3]`",
        ),
        (
            json!({"input": "kind", "target": "value"}),
            "invalid_parameter",
            "is of i64, whose values have no gradient",
        ),
        (
            json!({"input": "kind", "target": "value", "method": "occlusion"}),
            "invalid_parameter",
            "`baseline`: say what covers `kind`",
        ),
        (
            json!({"input": "kind", "target": "value", "method": "occlusion", "baseline": 0.5}),
            "invalid_parameter",
            "a value of i64",
        ),
        (
            json!({"method": "grad_cam"}),
            "unsupported_for_task",
            "does not explain models of the task tensor",
        ),
        (
            json!({"input": "signal", "overlay": true}),
            "invalid_parameter",
            "`overlay`: no method uses it",
        ),
    ] {
        let refused = explain("fusion", row(), parameters.clone()).await;
        assert_eq!(refused.code(), code, "{parameters}: {}", refused.detail());
        assert!(
            refused.detail().contains(words),
            "{parameters}: {}",
            refused.detail()
        );
    }
    let rows = json!([{"name": "x", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8]},
                      {"name": "m", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8]}]);
    let refused = explain("writes", rows, json!({"input": "x", "target": "sum"})).await;
    assert!(refused.detail().contains("found 2 rows"), "{}", refused.detail());
    let long = json!([{"name": "signal", "shape": [3, 200], "data": vec![0.5; 600]}]);
    let asked = json!({"method": "occlusion", "window": "1", "target": 0});
    let answer = explain("whole", long, asked).await;
    assert_eq!(map(&answer, &json!([3, 200])).len(), 600);
    let png = Request::post("/v1/models/fusion/explain").header("accept", "image/png");
    let refused = send(router(), png.body(Body::from("{}")).expect("a request")).await;
    assert_eq!(refused.code(), "not_acceptable");
}

#[tokio::test]
async fn the_methods_that_work_are_listed() {
    let get = async |uri: &str| {
        send(
            router(),
            Request::get(uri).body(Body::empty()).expect("a request"),
        )
        .await
        .json()
    };
    let methods = json!([
        "saliency",
        "input_x_gradient",
        "smooth_grad",
        "integrated_gradients",
        "guided_backprop",
        "occlusion"
    ]);
    assert_eq!(get("/v1/models/fusion").await["explain_methods"], methods);
    let listed = get("/v1/models/fusion/explainers").await;
    let names: Vec<&Value> = listed["explainers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| &e["method"])
        .collect();
    assert_eq!(json!(names), methods);
    let parameters = |index: usize| {
        let all = listed["explainers"][index]["parameters"]
            .as_array()
            .expect("a list")
            .iter();
        all.map(|parameter| parameter["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(parameters(0), ["target", "input"]);
    assert_eq!(
        parameters(5),
        ["target", "window", "stride", "baseline", "budget_ms", "input"]
    );
    // It has no ReLU.
    let listed = get("/v1/models/writes/explainers").await;
    let names = listed["explainers"].as_array().expect("a list").iter();
    assert!(
        names
            .clone()
            .all(|explainer| explainer["method"] != "guided_backprop")
            && names.count() == 5
    );
}

#[tokio::test]
async fn requests_that_fit_one_by_one_do_not_wait_for_each_other_s_memory() {
    const COLUMNS: usize = 80_000;
    let models = tempfile::tempdir().expect("a temporary folder");
    let signal = (
        "inputs",
        "signal",
        "f32",
        "[3, -1]\nexample = [3, 16]\nmax_elements = 1000000",
    );
    write(
        models.path(),
        "whole",
        &[signal, ("outputs", "logits", "f32", "[4]")],
    );
    let settings = Settings {
        max_answers_mb: 16,
        ..Settings::default()
    };
    let router = router_over(models.path().to_owned(), settings);
    let body = json!({"inputs": [{"name": "signal", "shape": [3, COLUMNS], "data": vec![0.5; 3 * COLUMNS]}]});
    let body = body.to_string();
    // The numbers of two requests, or of a request and its answer, take all of it.
    let explained = (0..3).map(|_| {
        let request = Request::post("/v1/models/whole/explain?method=saliency&target=logits[1]");
        let request = request.header("x-request-timeout-ms", "60000");
        send(
            router.clone(),
            request.body(Body::from(body.clone())).expect("a request"),
        )
    });
    for answer in futures_util::future::join_all(explained).await {
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    let many = json!({"inputs": [{"name": "signal", "shape": [3, 1], "data": vec![0; 600_000]}]});
    let request = Request::post("/v1/models/whole/predict").body(Body::from(many.to_string()));
    let refused = send(router, request.expect("a request")).await;
    assert_eq!(refused.code(), "invalid_body");
    assert!(
        refused.detail().contains("send them in binary"),
        "{}",
        refused.detail()
    );
}
