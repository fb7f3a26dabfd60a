//! KServe's first protocol: `instances` in, the answers of `/predict` and `/explain` out.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lucarne::config::Settings;
use serde_json::{Value, json};

use crate::support::{get, path, photo, post, router, router_over, send};

fn b64(file: &[u8]) -> String {
    BASE64_STANDARD.encode(file)
}

#[tokio::test]
async fn instances_are_pictures_under_any_name_of_theirs() {
    let coffee = photo("coffee.jpg");
    let own = post("/v1/models/mobilenet_v2/predict?top_k=2", &[], coffee.clone())
        .await
        .json();
    let text = b64(&coffee);
    for instance in [
        json!({"b64": text}),
        json!({"image_bytes": {"b64": text}}),
        json!({"data": text}),
        json!(text),
    ] {
        let call = json!({"instances": [instance], "parameters": {"top_k": 2}}).to_string();
        let found = post("/v1/models/mobilenet_v2:predict", &[], call).await.json();
        assert_eq!(
            found["predictions"][0]["classes"], own["predictions"][0]["classes"],
            "{found}"
        );
    }
    let call = json!({"instances": [{"b64": text}], "parameters": {"target": "espresso"}}).to_string();
    let found = post("/v1/models/mobilenet_v2:explain", &[], call.clone())
        .await
        .json();
    assert_eq!(found["explanations"][0]["target"]["class_id"], 967, "{found}");
    // Parameters may stand in the query as well, but none twice, and none that there is not.
    let best = post(
        "/v1/models/mobilenet_v2:predict?top_k=2",
        &[],
        json!({"instances": [text]}).to_string(),
    )
    .await;
    assert_eq!(
        best.json()["predictions"][0]["classes"].as_array().map(Vec::len),
        Some(2)
    );
    for query in ["target=285", "zzz=1"] {
        let refused = post(
            &format!("/v1/models/mobilenet_v2:explain?{query}"),
            &[],
            call.clone(),
        )
        .await;
        assert_eq!(refused.status, 400, "{query}");
    }
    let ready = get("/v1/models/mobilenet_v2").await.json();
    assert_eq!(
        (&ready["name"], &ready["ready"]),
        (&json!("mobilenet_v2"), &json!(true))
    );
}

#[tokio::test]
async fn what_is_no_instance_is_named() {
    for (path, call, status, word) in [
        ("mobilenet_v2:predict", json!({"instances": []}), 400, "no image"),
        (
            "mobilenet_v2:predict",
            json!({"instances": [7]}),
            400,
            "instances[0]",
        ),
        (
            "mobilenet_v2:predict",
            json!({"instances": [{}]}),
            400,
            "a file in base64",
        ),
        (
            "mobilenet_v2:predict",
            json!({"instances": [{"b64": "AAAA", "key": "k"}]}),
            400,
            "several members",
        ),
        (
            "mobilenet_v2:predict",
            json!({"instances": [{"b64": "!"}]}),
            400,
            "instances[0]",
        ),
        (
            "mobilenet_v2:predict",
            json!({"images": []}),
            400,
            "expected {\"instances\": […]}",
        ),
        (
            "mobilenet_v2:train",
            json!({}),
            405,
            "mobilenet_v2:train does not answer POST",
        ),
        ("mobilenet_v2", json!({}), 405, "does not answer POST"),
        ("nobody:predict", json!({}), 404, "no model `nobody`"),
    ] {
        let refused = post(&format!("/v1/models/{path}"), &[], call.to_string()).await;
        assert_eq!(
            refused.status.as_u16(),
            status,
            "{path} {call} {}",
            refused.detail()
        );
        assert!(refused.detail().contains(word), "{}", refused.detail());
    }
}

/// A verb has a route of its own, and its name stands as its users write it.
#[tokio::test]
async fn each_verb_has_its_methods_and_its_series() {
    for (path, allowed) in [
        ("mobilenet_v2:predict", "POST"),
        ("mobilenet_v2%3Aexplain", "POST"),
        ("mobilenet_v2", "GET,HEAD,PUT,DELETE"),
    ] {
        let path = format!("/v1/models/{path}");
        let request = Request::patch(&path).body(Body::empty()).expect("a request");
        let refused = send(router(), request).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let told = refused.headers["allow"].to_str().expect("ASCII");
        let (mut told, mut allowed) = (
            told.split(',').collect::<Vec<_>>(),
            allowed.split(',').collect::<Vec<_>>(),
        );
        told.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(told, allowed, "{path}");
    }
    let metrics = get("/metrics").await;
    let metrics = String::from_utf8(metrics.body).expect("text");
    assert!(
        metrics.contains("route=\"/v1/models/{name}:predict\""),
        "{metrics}"
    );
    assert!(!metrics.contains("/instances:"), "{metrics}");
}

/// A model that answers three numbers for `[3, 6, 8]`.
fn linear() -> axum::Router {
    let models = tempfile::tempdir().expect("a temporary folder");
    let folder = models.path().join("linear");
    std::fs::create_dir(&folder).expect("writable");
    std::fs::copy(
        path("tests/golden/closed_forms/linear.pt"),
        folder.join("model.pt"),
    )
    .expect("a copy");
    let manifest = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 3, 6, 8]\n\
                    [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]\n";
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    router_over(models.path().to_owned(), Settings::default())
}

#[tokio::test]
async fn instances_of_tensors_are_rows_and_so_are_predictions() {
    let router = linear();
    let ask = async |path: &str, call: Value| {
        let request = Request::post(path)
            .body(Body::from(call.to_string()))
            .expect("a request");
        send(router.clone(), request).await
    };
    let row = |value: f64| json!(vec![vec![vec![value; 8]; 6]; 3]);
    let flat: Vec<f64> = [vec![0.0; 144], vec![0.5; 144]].concat();
    let own = json!({"inputs": [{"name": "x", "shape": [2, 3, 6, 8], "data": flat}]});
    let own =
        ask("/v1/models/linear/predict", own).await.json()["predictions"][0]["outputs"][0]["data"].clone();
    let expected: Vec<Value> = own
        .as_array()
        .expect("six")
        .chunks(3)
        .map(|row| json!(row))
        .collect();
    for instances in [
        json!([row(0.0), row(0.5)]),
        json!([{"x": row(0.0)}, {"x": row(0.5)}]),
    ] {
        let found = ask("/v1/models/linear:predict", json!({"instances": instances})).await;
        assert_eq!(found.status, StatusCode::OK, "{}", found.json());
        assert_eq!(found.json()["predictions"], json!(expected));
    }
    let call = json!({"instances": [row(0.5)], "parameters": {"target": "y[1]"}});
    let found = ask("/v1/models/linear:explain", call).await.json();
    assert_eq!(
        found["explanations"][0]["map"]["shape"],
        json!([1, 3, 6, 8]),
        "{found}"
    );
    for (instances, word) in [
        (json!([row(0.0), [1, 2]]), "instances[1]: a row of another shape"),
        (json!([[[1, 2], [3]]]), "lists that are not alike"),
        (json!([[1, [2]]]), "lists that are not alike"),
        (json!([{"z": 1}]), "no such input: `z`"),
        (json!([{}]), "the input `x` is missing"),
        (json!(["text"]), "numbers and lists of them"),
        (json!([[1, 2]]), "`x`"),
    ] {
        let refused = ask("/v1/models/linear:predict", json!({"instances": instances})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.detail().contains(word), "{}", refused.detail());
    }
}
