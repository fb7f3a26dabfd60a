//! The Open Inference Protocol: the same answers as `/v1`, as tensors.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, get, photo, post};

const HEADER: &str = "inference-header-content-length";

/// The outputs of an answer in JSON, by name: shape and data.
fn outputs(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let answer = answer.json();
    let outputs = answer["outputs"].as_array().expect("outputs").iter();
    outputs
        .map(|output| {
            let name = output["name"].as_str().expect("a name").to_owned();
            (name, output.clone())
        })
        .collect()
}

fn files(files: &[&[u8]]) -> Value {
    let data: Vec<String> = files.iter().map(|file| BASE64_STANDARD.encode(file)).collect();
    json!({"name": "image", "shape": [data.len()], "datatype": "BYTES", "data": data})
}

async fn infer(model: &str, call: Value) -> Answer {
    post(&format!("/v2/models/{model}/infer"), &[], call.to_string()).await
}

/// A call whose inputs are in binary behind the JSON.
async fn infer_binary(model: &str, mut call: Value, elements: &[u8]) -> Answer {
    call["inputs"][0]["parameters"] = json!({"binary_data_size": elements.len()});
    let call = call.to_string();
    let length = call.len().to_string();
    let body = [call.as_bytes(), elements].concat();
    post(&format!("/v2/models/{model}/infer"), &[(HEADER, &length)], body).await
}

fn floats(data: &Value) -> Vec<f64> {
    let data = data.as_array().expect("a list").iter();
    data.map(|value| value.as_f64().expect("a number")).collect()
}

#[tokio::test]
async fn a_classifier_answers_the_same_scores_whichever_way_files_come() {
    let (coffee, cat) = (photo("coffee.jpg"), photo("chelsea.png"));
    let of_json = infer(
        "mobilenet_v2",
        json!({"id": "a1", "inputs": [files(&[&coffee, &cat])]}),
    )
    .await;
    assert_eq!(of_json.json()["id"], "a1");
    // What is said of a request may stand in the query, too.
    let kind = [("content-type", "image/jpeg")];
    let asked = "/v2/models/mobilenet_v2/infer?binary_data_output=true&sequence_id=3";
    let binary = post(asked, &kind, coffee.clone()).await;
    assert!(binary.headers.contains_key(HEADER), "{:?}", binary.headers);
    let misspelt = json!({"inputs": [files(&[&coffee])], "outputs": [{"name": "scores", "parameters": {"classificaton": 2}}]});
    let refused = infer("mobilenet_v2", misspelt).await;
    assert!(String::from_utf8_lossy(&refused.body).contains("`classification`"));
    assert_eq!(of_json.json()["model_name"], "mobilenet_v2");
    let found = outputs(&of_json);
    assert_eq!(found["scores"]["shape"], json!([2, 1000]));
    let scores = floats(&found["scores"]["data"]);
    for (picture, row) in [&coffee, &cat].into_iter().zip(scores.chunks(1000)) {
        let own = post("/v1/models/mobilenet_v2/predict?top_k=1000", &[], picture.clone())
            .await
            .json();
        for class in own["predictions"][0]["classes"].as_array().expect("classes") {
            let place = class["class_id"].as_u64().expect("an id") as usize;
            let score = class["score"].as_f64().expect("a score");
            assert!((row[place] - score).abs() < 1e-6, "{class} {}", row[place]);
        }
    }
    let elements: Vec<u8> = [&coffee, &cat]
        .into_iter()
        .flat_map(|file| [&(file.len() as u32).to_le_bytes()[..], file].concat())
        .collect();
    let input = json!({"name": "image", "shape": [2, 1], "datatype": "BYTES"});
    let of_binary = infer_binary("mobilenet_v2", json!({"inputs": [input]}), &elements).await;
    for (a, b) in floats(&outputs(&of_binary)["scores"]["data"]).iter().zip(&scores) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    for headers in [[("content-type", "image/jpeg")], [(HEADER, "0")]] {
        let raw = post("/v2/models/mobilenet_v2/infer", &headers, coffee.clone()).await;
        let raw = floats(&outputs(&raw)["scores"]["data"]);
        assert!(raw.iter().zip(&scores).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[tokio::test]
async fn outputs_come_in_binary_and_as_classes_where_they_are_asked_for() {
    let call = json!({
        "inputs": [files(&[&photo("coffee.jpg")])],
        "outputs": [{"name": "scores", "parameters": {"binary_data": true}}],
    });
    let answer = infer("mobilenet_v2", call).await;
    let length: usize = answer.headers[HEADER]
        .to_str()
        .expect("ASCII")
        .parse()
        .expect("bytes");
    let json: Value = serde_json::from_slice(&answer.body[..length]).expect("JSON");
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 4000);
    let (values, _) = answer.body[length..].as_chunks::<4>();
    let sum: f32 = values.iter().map(|value| f32::from_le_bytes(*value)).sum();
    assert!(values.len() == 1000 && (sum - 1.0).abs() < 1e-4, "{sum}");
    let call = json!({
        "inputs": [files(&[&photo("coffee.jpg")])],
        "outputs": [{"name": "scores", "parameters": {"classification": 2}}],
    });
    let found = outputs(&infer("mobilenet_v2", call).await);
    assert_eq!(found["scores"]["shape"], json!([1, 2]));
    let best = found["scores"]["data"][0].as_str().expect("a text");
    assert!(best.ends_with(":967:espresso"), "{best}");
}

#[tokio::test]
async fn a_prepared_picture_skips_preprocessing() {
    // Zeros are the mean of ImageNet, which is no black picture.
    let elements = [0u8; 4 * 3 * 224 * 224];
    let input = json!({"name": "image", "shape": [1, 3, 224, 224], "datatype": "FP32"});
    let answer = infer_binary("mobilenet_v2", json!({"inputs": [input.clone()]}), &elements).await;
    let sum: f64 = floats(&outputs(&answer)["scores"]["data"]).iter().sum();
    assert!((sum - 1.0).abs() < 1e-4);
    let nan: Vec<u8> = f32::NAN.to_le_bytes().repeat(3 * 224 * 224);
    let refused = infer_binary("mobilenet_v2", json!({"inputs": [input]}), &nan)
        .await
        .json();
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|text| text.contains("finite")),
        "{refused}"
    );
    for (shape, datatype) in [
        (json!([1, 224, 224, 3]), "FP32"),
        (json!([1, 3, 224, 224]), "UINT8"),
    ] {
        let size = if datatype == "UINT8" { 1 } else { 4 };
        let input = json!({"name": "image", "shape": shape, "datatype": datatype});
        let refused = infer_binary(
            "mobilenet_v2",
            json!({"inputs": [input]}),
            &elements[..size * 3 * 224 * 224],
        )
        .await;
        let said = refused.json()["error"].as_str().expect("an error").to_owned();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(
            said.contains("expected BYTES [B], files, or FP32 [B, 3, 224, 224]"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn every_task_answers_the_tensors_that_its_metadata_names() {
    for model in [
        "mobilenet_v2",
        "selfie",
        "unet",
        "nanodet",
        "captioner",
        "vae",
        "mobilenet_features",
        "gauge",
        "super_resolution",
    ] {
        let metadata = get(&format!("/v2/models/{model}")).await.json();
        assert_eq!(metadata["inputs"][0]["name"], "image", "{metadata}");
        let answer = infer(model, json!({"inputs": [files(&[&photo("coffee.jpg")])]})).await;
        let found = outputs(&answer);
        let named = metadata["outputs"].as_array().expect("outputs");
        assert_eq!(found.as_object().expect("outputs").len(), named.len(), "{model}");
        for output in named {
            let answered = &found[output["name"].as_str().expect("a name")];
            assert_eq!(answered["datatype"], output["datatype"], "{model} {output}");
            let shape = |of: &Value| of["shape"].as_array().expect("sizes").clone();
            let (said, came) = (shape(output), shape(answered));
            assert_eq!(said.len(), came.len(), "{model} {output} {came:?}");
            assert!(
                said.iter()
                    .zip(&came)
                    .all(|(said, came)| *said == -1 || said == came),
                "{model} {output} {came:?}"
            );
            let count: u64 = came.iter().map(|size| size.as_u64().expect("a size")).product();
            assert_eq!(
                answered["data"].as_array().map(Vec::len),
                Some(count as usize),
                "{model} {output}"
            );
        }
        let config = get(&format!("/v2/models/{model}/config")).await.json();
        assert!(
            config["max_batch_size"].as_u64().is_some_and(|size| size > 0),
            "{config}"
        );
    }
}

#[tokio::test]
async fn an_explanation_is_a_tensor_beside_the_prediction() {
    let coffee = photo("coffee.jpg");
    let call = |outputs: Value| {
        json!({
            "inputs": [files(&[&coffee])],
            "parameters": {"explain": "grad_cam", "target": "espresso"},
            "outputs": outputs,
        })
    };
    let found = outputs(&infer("mobilenet_v2", call(Value::Null)).await);
    assert_eq!(found["scores"]["shape"], json!([1, 1000]));
    let own = "/v1/models/mobilenet_v2/explain?target=espresso&method=grad_cam";
    let own = post(own, &[], coffee.clone()).await.json()["explanations"][0]["map"].clone();
    assert_eq!(
        found["saliency"]["shape"],
        json!([1, own["shape"][0], own["shape"][1]])
    );
    let pairs = floats(&found["saliency"]["data"])
        .into_iter()
        .zip(floats(&own["data"]));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
    let alone = outputs(&infer("mobilenet_v2", call(json!([{"name": "saliency"}]))).await);
    assert_eq!(alone.as_object().map(serde_json::Map::len), Some(1));
    let refused = json!({"inputs": [files(&[&coffee])], "outputs": [{"name": "saliency"}]});
    let refused = infer("mobilenet_v2", refused).await.json();
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|text| text.contains("parameters.explain")),
        "{refused}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_words_of_the_protocol() {
    let coffee = photo("coffee.jpg");
    let image = files(&[&coffee]);
    for (model, call, status, word) in [
        (
            "nobody",
            json!({"inputs": [image.clone()]}),
            404,
            "no model `nobody`",
        ),
        (
            "mobilenet_v2/versions/9",
            json!({"inputs": [image.clone()]}),
            404,
            "no version `9`",
        ),
        (
            "mobilenet_v2",
            json!({"inputs": []}),
            400,
            "`image`: this input is missing",
        ),
        (
            "mobilenet_v2",
            json!({"inputs": [{"name": "x", "shape": [0], "datatype": "BYTES", "data": []}]}),
            400,
            "`x`: no such input",
        ),
        (
            "mobilenet_v2",
            json!({"inputs": [image.clone()], "outputs": [{"name": "logits"}]}),
            400,
            "the model answers scores",
        ),
        (
            "mobilenet_v2",
            json!({"inputs": [image.clone()], "parameters": {"top_k": 3}}),
            400,
            "`top_k`",
        ),
        (
            "nanodet",
            json!({"inputs": [image.clone()], "outputs": [{"name": "scores", "parameters": {"classification": 3}}]}),
            400,
            "no scores [B, K] of classes",
        ),
        (
            "unet",
            json!({"inputs": [image.clone()], "model_name": "vae"}),
            400,
            "`model_name`: found `vae`, but the path is of `unet`",
        ),
        (
            "captioner",
            json!({"inputs": [image.clone()], "parameters": {"attention": true}}),
            400,
            "`attention`",
        ),
        (
            "unet",
            json!({"inputs": [image.clone()], "outputs": [{"name": "mask", "parameters": {"classification": 3}}]}),
            400,
            "no scores [B, K]",
        ),
        (
            "mobilenet_v2",
            json!({"inputs": [image], "parameters": {"explain": "grad_cam", "overlay": true}}),
            400,
            "`overlay`",
        ),
    ] {
        let refused = infer(model, call).await;
        let said = refused.json();
        assert_eq!(refused.status.as_u16(), status, "{model} {said}");
        assert!(
            said["error"].as_str().is_some_and(|text| text.contains(word)),
            "{said}"
        );
        assert!(
            said["code"].is_string() && said["request_id"].is_string(),
            "{said}"
        );
    }
    let nowhere = get("/v2/nowhere").await;
    assert_eq!(nowhere.json()["code"], "not_found");
}

#[tokio::test]
async fn a_raw_request_has_its_parameters_in_the_query() {
    let ask = async |query: &str| {
        let uri = format!("/v2/models/mobilenet_v2/infer?{query}");
        post(&uri, &[("content-type", "Image/JPEG")], photo("coffee.jpg")).await
    };
    let found = outputs(&ask("explain=rise&n_masks=100&budget_ms=1").await);
    let note = found["saliency_notes"]["data"][0].as_str().expect("a text");
    assert!(note.contains("stopped early, after"), "{note}");
    assert_eq!(found["saliency_layers"]["shape"], json!([1]));
    let refused = ask("colour=red").await;
    assert_eq!(refused.json()["code"], "invalid_parameter");
}

#[tokio::test]
async fn a_request_may_say_how_long_it_waits() {
    let coffee = photo("coffee.jpg");
    let call = json!({"inputs": [files(&[&coffee])], "parameters": {"timeout": 1, "priority": 1}});
    let late = infer("mobilenet_v2", call).await;
    assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT, "{}", late.json());
    let call = json!({"inputs": [files(&[&coffee])], "parameters": {"timeout": 0, "priority": 2}});
    outputs(&infer("mobilenet_v2", call).await);
}

#[tokio::test]
async fn the_server_and_its_models_say_what_they_are() {
    assert_eq!(get("/v2/health/live").await.json(), json!({"live": true}));
    assert_eq!(get("/v2/health/ready").await.json(), json!({"ready": true}));
    let server = get("/v2").await.json();
    assert_eq!(server["name"], "lucarne");
    for path in ["/v2/models/unet/ready", "/v2/models/unet/versions/1/ready"] {
        assert_eq!(get(path).await.json(), json!({"name": "unet", "ready": true}));
    }
    assert_eq!(
        get("/v2/models/unet/versions/7/ready").await.status,
        StatusCode::NOT_FOUND
    );
    outputs(&infer("unet", json!({"inputs": [files(&[&photo("coffee.jpg")])]})).await);
    let stats = get("/v2/models/unet/stats").await.json()["model_stats"][0].clone();
    assert!(
        stats["inference_count"].as_u64().is_some_and(|count| count > 0),
        "{stats}"
    );
    assert!(
        stats["last_inference"]
            .as_u64()
            .is_some_and(|ms| ms > 1_700_000_000_000),
        "{stats}"
    );
    let all = get("/v2/models/stats").await.json();
    assert_eq!(all["model_stats"].as_array().map(Vec::len), Some(9));
}
