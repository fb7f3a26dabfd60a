//! Explanations: maps, overlays, targets, layers.

use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lucarne::image::{Limits, decode};
use serde_json::json;

use crate::support::{get, multipart, photo, post};

const EXPLAIN: &str = "/v1/models/mobilenet_v2/explain";

#[tokio::test]
async fn the_default_explains_the_best_class_at_the_manifest_s_layer() {
    let answer = post(EXPLAIN, &[], photo("chelsea.png")).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let json = answer.json();
    let explanation = &json["explanations"][0];
    assert_eq!(explanation["method"], "grad_cam");
    assert_eq!(explanation["layer"], "features.18");
    assert_eq!(explanation["target"]["label"], "Egyptian cat");
    assert_eq!(explanation["map"]["shape"], json!([7, 7]));
    assert_eq!(explanation["degenerate"], false);
    assert!(explanation.get("overlay_png_b64").is_none());
    let data: Vec<f64> = explanation["map"]["data"]
        .as_array()
        .expect("data")
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .collect();
    assert_eq!(data.len(), 49);
    assert_eq!(
        explanation["map"]["min"].as_f64(),
        data.iter().copied().reduce(f64::min)
    );
    assert_eq!(
        explanation["map"]["max"].as_f64(),
        data.iter().copied().reduce(f64::max)
    );
}

#[tokio::test]
async fn a_target_by_label_is_the_target_by_id() {
    let by_label = post(
        &format!("{EXPLAIN}?target=egyptian%20CAT"),
        &[],
        photo("chelsea.png"),
    )
    .await
    .json();
    let by_id = post(&format!("{EXPLAIN}?target=285"), &[], photo("chelsea.png"))
        .await
        .json();
    assert_eq!(by_label["explanations"], by_id["explanations"]);
    let other = post(&format!("{EXPLAIN}?target=espresso"), &[], photo("chelsea.png"))
        .await
        .json();
    assert_eq!(other["explanations"][0]["target"]["class_id"], 967);
    assert_ne!(
        other["explanations"][0]["map"]["data"],
        by_id["explanations"][0]["map"]["data"]
    );
}

#[tokio::test]
async fn accept_png_answers_the_overlay_in_the_picture_s_size() {
    let answer = post(EXPLAIN, &[("accept", "image/png")], photo("chelsea.png")).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "image/png");
    let overlay = decode(&answer.body, &Limits::default()).expect("a PNG");
    assert_eq!((overlay.width(), overlay.height()), (451, 300));
    let json = post(&format!("{EXPLAIN}?overlay=true"), &[], photo("chelsea.png"))
        .await
        .json();
    let b64 = json["explanations"][0]["overlay_png_b64"]
        .as_str()
        .expect("an overlay");
    assert_eq!(BASE64_STANDARD.decode(b64).expect("base64"), answer.body);
}

#[tokio::test]
async fn heat_covers_what_the_model_saw_and_alpha_and_colormap_count() {
    let original = decode(&photo("chelsea.png"), &Limits::default()).expect("a PNG");
    let ask = async |query: &str| {
        let answer = post(
            &format!("{EXPLAIN}?{query}"),
            &[("accept", "image/png")],
            photo("chelsea.png"),
        )
        .await;
        decode(&answer.body, &Limits::default()).expect("a PNG")
    };
    assert_eq!(ask("alpha=0").await, original);
    let heat = ask("alpha=1&colormap=gray").await;
    // 451 × 300 is resized to 384 × 256 and cropped to 224: the model sees columns 94 to 357.
    let pixel = |x: usize, y: usize| (y * 451 + x) * 3;
    let same = |x: usize, y: usize| heat.data()[pixel(x, y)..][..3] == original.data()[pixel(x, y)..][..3];
    assert!(
        (0..300).all(|y| same(40, y) && same(420, y)),
        "outside of the crop nothing is drawn"
    );
    let gray = |x: usize, y: usize| heat.data()[pixel(x, y)..][..3].windows(2).all(|w| w[0] == w[1]);
    assert!(
        (30..270).all(|y| gray(120, y) && gray(330, y)),
        "inside it is all heat"
    );
    assert_ne!(ask("alpha=1&colormap=jet").await, heat);
}

#[tokio::test]
async fn npy_is_the_raw_map() {
    let answer = post(EXPLAIN, &[("accept", "application/x-npy")], photo("chelsea.png")).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/x-npy");
    let npy = npyz::NpyFile::new(answer.body.as_slice()).expect("an NPY file");
    assert_eq!(npy.shape(), [7, 7]);
    let values: Vec<f32> = npy.into_vec().expect("f32 values");
    let json = post(EXPLAIN, &[], photo("chelsea.png")).await.json();
    let data: Vec<f32> =
        serde_json::from_value(json["explanations"][0]["map"]["data"].clone()).expect("numbers");
    assert_eq!(values, data);
}

#[tokio::test]
async fn several_images_are_explained_in_order_but_not_as_one_png() {
    let (coffee, chelsea) = (photo("coffee.jpg"), photo("chelsea.png"));
    let (content_type, body) = multipart(&[("a", &coffee), ("b", &chelsea)], &[("layer", "features.13")]);
    let json = post(EXPLAIN, &[("content-type", &content_type)], body.clone())
        .await
        .json();
    let labels: Vec<_> = (0..2)
        .map(|i| json["explanations"][i]["target"]["label"].clone())
        .collect();
    assert_eq!(labels, ["espresso", "Egyptian cat"]);
    assert_eq!(json["explanations"][1]["map"]["shape"], json!([14, 14]));
    let png = post(
        EXPLAIN,
        &[("content-type", &content_type), ("accept", "image/png")],
        body,
    )
    .await;
    assert_eq!(
        (png.status, png.code().as_str()),
        (StatusCode::NOT_ACCEPTABLE, "not_acceptable")
    );
}

#[tokio::test]
async fn every_listed_layer_has_a_map_of_the_listed_size() {
    let list = get("/v1/models/mobilenet_v2/layers").await.json();
    assert_eq!(list["default"], "features.18");
    let layers = list["layers"].as_array().expect("layers");
    assert!(layers.len() > 100, "{}", layers.len());
    for layer in layers.iter().step_by(25).chain(layers.last()) {
        let path = layer["path"].as_str().expect("a path");
        let answer = post(
            &format!("{EXPLAIN}?layer={path}&target=285"),
            &[],
            photo("chelsea.png"),
        )
        .await
        .json();
        let (height, width) = (&layer["shape"][2], &layer["shape"][3]);
        assert_eq!(
            answer["explanations"][0]["map"]["shape"],
            json!([height, width]),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_wrong_layer_or_target_names_the_nearest() {
    for (query, status, code, nearest) in [
        (
            "layer=feature.18",
            StatusCode::NOT_FOUND,
            "layer_not_found",
            "`features.18`",
        ),
        (
            "layer=classifier.1",
            StatusCode::NOT_FOUND,
            "layer_not_found",
            "no spatial map",
        ),
        (
            "target=Egiptian+cat",
            StatusCode::BAD_REQUEST,
            "invalid_parameter",
            "\"Egyptian cat\"",
        ),
        (
            "target=1000",
            StatusCode::BAD_REQUEST,
            "invalid_parameter",
            "classes 0 to 999",
        ),
        (
            "method=magic",
            StatusCode::BAD_REQUEST,
            "invalid_parameter",
            "grad_cam",
        ),
        ("alpha=2", StatusCode::BAD_REQUEST, "invalid_parameter", "0 to 1"),
        (
            "colormap=pink",
            StatusCode::BAD_REQUEST,
            "invalid_parameter",
            "viridis",
        ),
        (
            "layr=features.18",
            StatusCode::BAD_REQUEST,
            "invalid_parameter",
            "layer",
        ),
    ] {
        let answer = post(&format!("{EXPLAIN}?{query}"), &[], photo("chelsea.png")).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}");
        assert!(answer.detail().contains(nearest), "{query}: {}", answer.detail());
    }
}
