//! Predictions, in every spelling of a request.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{multipart, photo, post};

const PREDICT: &str = "/v1/models/mobilenet_v2/predict";

fn best(prediction: &Value) -> &str {
    prediction["classes"][0]["label"].as_str().expect("a label")
}

#[tokio::test]
async fn a_raw_image_is_predicted_whatever_its_content_type_says() {
    for content_type in [
        None,
        Some("image/png"),
        Some("application/octet-stream"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let headers: Vec<_> = content_type.iter().map(|t| ("content-type", *t)).collect();
        let answer = post(PREDICT, &headers, photo("chelsea.png")).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let json = answer.json();
        assert_eq!(
            (&json["model"], &json["version"], &json["task"]),
            (&json!("mobilenet_v2"), &json!("1"), &json!("classification"))
        );
        assert_eq!(
            json["predictions"][0]["image"],
            json!({"width": 451, "height": 300})
        );
        assert_eq!(best(&json["predictions"][0]), "Egyptian cat");
        assert_eq!(
            json["predictions"][0]["classes"].as_array().map(Vec::len),
            Some(5)
        );
        for stage in ["decode", "queue", "compute", "total"] {
            assert!(
                json["timing_ms"][stage].as_f64().is_some_and(|ms| ms >= 0.0),
                "{stage}"
            );
        }
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn a_multipart_may_be_as_large_as_any_body() {
    let chelsea = photo("chelsea.png");
    let files: Vec<(&str, &[u8])> = (0..16).map(|_| ("cat.png", chelsea.as_slice())).collect();
    let (content_type, body) = multipart(&files, &[("top_k", "1")]);
    assert!(
        body.len() > 3 << 20,
        "more than axum allows by itself: {}",
        body.len()
    );
    let answer = post(PREDICT, &[("content-type", &content_type)], body).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let predictions = answer.json()["predictions"].as_array().map(Vec::len);
    assert_eq!(predictions, Some(16));
}

#[tokio::test]
async fn two_files_in_one_multipart_give_two_predictions_in_order() {
    let (coffee, chelsea) = (photo("coffee.jpg"), photo("chelsea.png"));
    let (content_type, body) = multipart(&[("a.jpg", &coffee), ("b.png", &chelsea)], &[("top_k", "2")]);
    let answer = post(PREDICT, &[("content-type", &content_type)], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    assert_eq!(best(&json["predictions"][0]), "espresso");
    assert_eq!(best(&json["predictions"][1]), "Egyptian cat");
    assert_eq!(
        json["predictions"][1]["classes"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn json_with_base64_and_a_data_url_answer_as_the_raw_image() {
    let b64 = BASE64_STANDARD.encode(photo("chelsea.png"));
    let body = json!({
        "images": [{"b64": b64}, {"b64": format!("data:image/png;base64,{b64}")}],
        "parameters": {"top_k": 1},
    });
    let answer = post(PREDICT, &[("content-type", "application/json")], body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    let raw = post(&format!("{PREDICT}?top_k=1"), &[], photo("chelsea.png"))
        .await
        .json();
    for index in 0..2 {
        let (one, other) = (
            &json["predictions"][index]["classes"][0],
            &raw["predictions"][0]["classes"][0],
        );
        assert_eq!(one["class_id"], other["class_id"]);
        // A batch of two and a batch of one may sum in another order.
        let difference = one["score"].as_f64().expect("a score") - other["score"].as_f64().expect("a score");
        assert!(difference.abs() < 1e-4, "{difference}");
    }
}

#[tokio::test]
async fn top_k_beyond_the_classes_answers_all_of_them_and_they_sum_to_one() {
    let json = post(&format!("{PREDICT}?top_k=5000"), &[], photo("rocket.jpg"))
        .await
        .json();
    let classes = json["predictions"][0]["classes"].as_array().expect("classes");
    assert_eq!(classes.len(), 1000);
    let sum: f64 = classes
        .iter()
        .map(|class| class["score"].as_f64().expect("a score"))
        .sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    assert!(classes.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()));
}

#[tokio::test]
async fn a_single_pixel_is_an_image_too() {
    let pixel = lucarne::image::Picture::new(1, 1, vec![200, 30, 30]).expect("one pixel");
    let png = crate::support::png(&pixel);
    let answer = post(PREDICT, &[], png).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json()["predictions"][0]["image"],
        json!({"width": 1, "height": 1})
    );
}
