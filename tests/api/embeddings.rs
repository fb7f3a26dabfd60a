//! Embeddings of a model that is one matrix (`linear.pt` of tests/golden/closed_forms), so that vectors, cosines and their
//! gradients can be written down; and what is no question to an embedding.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::closed_forms::{
    CHANNELS, CLASSES, HEIGHT, WIDTH, assert_map, at_every_value, byte, cells, picture, router, value, weight,
};
use crate::support::{self, Answer, multipart, photo, send};

fn other_byte(channel: usize, y: usize, x: usize) -> u8 {
    ((53 * channel + 7 * y + 29 * x) % 256) as u8
}

fn row(class: usize, channel: usize, y: usize, x: usize) -> f64 {
    weight(class, (channel * HEIGHT + y) * WIDTH + x)
}

/// The vector of the picture with these values.
fn vector(value: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let product = |class| {
        let pixels = (0..CHANNELS).flat_map(|c| cells().map(move |(y, x)| (c, y, x)));
        pixels.map(|(c, y, x)| row(class, c, y, x) * value(c, y, x)).sum()
    };
    (0..CLASSES).map(product).collect()
}

fn other_vector() -> Vec<f64> {
    vector(|c, y, x| f64::from(other_byte(c, y, x)) / 255.0)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(vector: &[f64]) -> Vec<f64> {
    let length = dot(vector, vector).sqrt();
    vector.iter().map(|v| v / length).collect()
}

async fn ask(uri: &str, files: &[(&str, Vec<u8>)], accept: &str) -> Answer {
    let boundary = "no-picture-has-this";
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}.png\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let request = Request::post(format!("/v1/models/{uri}"))
        .header("accept", accept)
        .header(
            "content-type",
            format!("multipart/form-data; boundary={boundary}"),
        );
    send(router(), request.body(Body::from(body)).expect("a request")).await
}

fn both() -> [(&'static str, Vec<u8>); 2] {
    [("image", picture(byte)), ("reference", picture(other_byte))]
}

fn assert_near(found: &Value, expected: &[f64]) {
    let found: Vec<f64> = serde_json::from_value(found.clone()).expect("numbers");
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-5,
            "found {found}, expected {expected}"
        );
    }
}

#[tokio::test]
async fn a_vector_is_what_the_model_answers_or_of_length_1() {
    let image = [("image", picture(byte))];
    for (model, expected) in [("vectors", vector(value)), ("directions", unit(&vector(value)))] {
        let answer = ask(&format!("{model}/predict"), &image, "application/json").await;
        let found = answer.json()["predictions"][0]["embedding"].clone();
        assert_near(&found["vector"], &expected);
        assert_eq!(found["dimension"], CLASSES);
        assert_eq!(found["normalised"], model == "directions");
        let array = ask(&format!("{model}/predict"), &image, "application/x-npy").await;
        let array = npyz::NpyFile::new(array.body.as_slice()).expect("an NPY file");
        assert_eq!(array.shape(), [CLASSES as u64]);
        let values: Vec<f32> = array.into_vec().expect("floats");
        assert_near(&json!(values), &expected);
    }
    let png = ask("vectors/predict", &image, "image/png").await;
    assert_eq!(png.code(), "not_acceptable");
}

#[tokio::test]
async fn two_pictures_are_compared() {
    let (one, other) = (vector(value), other_vector());
    for (model, one, other) in [
        ("vectors", one.clone(), other.clone()),
        ("directions", unit(&one), unit(&other)),
    ] {
        let answer = ask(&format!("{model}/compare"), &both(), "*/*").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        let found = answer.json();
        let difference: Vec<f64> = one.iter().zip(&other).map(|(a, b)| a - b).collect();
        let expected = [
            dot(&unit(&one), &unit(&other)),
            dot(&one, &other),
            dot(&difference, &difference).sqrt(),
        ];
        let of = |name: &str| found["comparison"][name].clone();
        assert_near(&json!([of("cosine"), of("dot"), of("euclidean")]), &expected);
        assert_eq!(
            (&found["images"][1]["width"], of("normalised")),
            (&json!(WIDTH), json!(model == "directions"))
        );
    }
    let three = [both().to_vec(), vec![("more", picture(byte))]].concat();
    for files in [&both()[..1], &three] {
        let refused = ask("vectors/compare", files, "*/*").await;
        assert_eq!(refused.code(), "invalid_body");
        assert!(refused.detail().contains("expected two"), "{}", refused.detail());
    }
    let black = [("a", picture(|_, _, _| 0)), ("b", picture(byte))];
    let refused = ask("vectors/compare", &black, "*/*").await;
    assert_eq!(
        refused.code(),
        "inference_failed",
        "a vector of zeros has no direction"
    );
    assert_eq!(
        ask("linear/compare", &both(), "*/*").await.code(),
        "unsupported_for_task"
    );
}

#[tokio::test]
async fn a_similarity_is_explained_by_the_gradient_of_the_cosine() {
    let (found, other) = (vector(value), unit(&other_vector()));
    let (length, direction) = (dot(&found, &found).sqrt(), unit(&found));
    let cosine = dot(&direction, &other);
    // d cos / d v = (r − cos · v / |v|) / |v|, with r the direction of the reference.
    let slope: Vec<f64> = (0..CLASSES)
        .map(|k| (other[k] - cosine * direction[k]) / length)
        .collect();
    let gradient = |c, y, x| (0..CLASSES).map(|k| slope[k] * row(k, c, y, x)).sum::<f64>();
    for model in ["vectors", "directions"] {
        let uri = format!("{model}/explain?method=input_x_gradient&channels=keep");
        let answer = ask(&uri, &both(), "*/*").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        let explanations = answer.json()["explanations"].clone();
        assert_eq!(
            explanations.as_array().map(Vec::len),
            Some(1),
            "the reference is none"
        );
        let explanation = &explanations[0];
        assert_near(&json!([explanation["target"]["similarity"]]), &[cosine]);
        assert_map(
            explanation,
            &at_every_value(|c, y, x| gradient(c, y, x) * value(c, y, x)),
        );
    }
}

#[tokio::test]
async fn a_dimension_is_explained_as_it_is_answered() {
    let image = [("image", picture(byte))];
    let uri = "vectors/explain?method=saliency&channels=keep&target=2";
    let answer = ask(uri, &image, "*/*").await.json();
    let explanation = &answer["explanations"][0];
    assert_eq!(explanation["target"]["dimension"], 2);
    assert_near(&json!([explanation["target"]["value"]]), &[vector(value)[2]]);
    assert_map(explanation, &at_every_value(|c, y, x| row(2, c, y, x).abs()));
}

#[tokio::test]
async fn what_is_no_question_to_an_embedding_is_told_with_one_that_is() {
    let image = [("image", picture(byte))];
    let same = [("image", picture(byte)), ("reference", picture(byte))];
    let twice = [both().to_vec(), vec![("reference", picture(byte))]].concat();
    for (query, files, code, word) in [
        ("method=saliency", &image[..], "invalid_parameter", "`reference`"),
        (
            "method=saliency&target=cat",
            &image,
            "invalid_parameter",
            "`similarity`",
        ),
        ("method=saliency&target=3", &image, "invalid_parameter", "0 to 2"),
        (
            "method=saliency&target=1",
            &both(),
            "invalid_parameter",
            "leave out one",
        ),
        ("method=saliency", &same, "invalid_parameter", "no gradient"),
        ("method=saliency", &twice, "invalid_body", "more than one"),
    ] {
        let refused = ask(&format!("vectors/explain?{query}"), files, "*/*").await;
        assert_eq!(refused.code(), code, "{query}");
        assert!(refused.detail().contains(word), "{query}: {}", refused.detail());
    }
    // Where only answers are looked at, a picture may be its own reference.
    let covered = ask("vectors/explain?method=occlusion", &same, "*/*").await;
    assert_near(
        &json!([covered.json()["explanations"][0]["target"]["similarity"]]),
        &[1.0],
    );
    let broken = [("image", picture(byte)), ("reference", b"no picture".to_vec())];
    let refused = ask("vectors/explain?method=saliency", &broken, "*/*").await;
    assert!(
        refused.detail().starts_with("the reference: "),
        "{}",
        refused.detail()
    );
}

#[tokio::test]
async fn a_reference_in_json_is_the_same_and_for_embeddings_alone() {
    use base64::Engine as _;
    let b64 = |bytes: Vec<u8>| json!({"b64": base64::prelude::BASE64_STANDARD.encode(bytes)});
    let body = json!({"images": [b64(picture(byte))], "reference": b64(picture(other_byte)),
                      "parameters": {"method": "occlusion"}});
    let post = async |uri: &str| {
        let request = Request::post(format!("/v1/models/{uri}")).header("content-type", "application/json");
        send(
            router(),
            request.body(Body::from(body.to_string())).expect("a request"),
        )
        .await
    };
    let found = post("vectors/explain").await.json();
    let parts = ask("vectors/explain?method=occlusion", &both(), "*/*")
        .await
        .json();
    let (found, parts) = (&found["explanations"][0], &parts["explanations"][0]);
    assert_eq!(found["target"], parts["target"]);
    // Where a tensor lies in memory changes the order of its sums.
    let map = |explanation: &Value| -> Vec<f64> {
        let data = explanation["map"]["data"].as_array().expect("a map").iter();
        data.map(|value| value.as_f64().expect("a number")).collect()
    };
    let (found, parts) = (map(found), map(parts));
    assert_eq!(found.len(), HEIGHT * WIDTH);
    assert!(
        found.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5),
        "{found:?}, {parts:?}"
    );
    let refused = post("linear/explain").await;
    assert_eq!(refused.code(), "unsupported_for_task");
    assert!(refused.detail().contains("leave it out"), "{}", refused.detail());
    assert_eq!(post("vectors/predict").await.code(), "invalid_body");
}

#[tokio::test]
async fn photos_are_nearer_to_their_parts_than_to_others() {
    let cosine = async |one: &str, other: &str| {
        let (kind, body) = multipart(&[("a", &photo(one)), ("b", &photo(other))], &[]);
        let uri = "/v1/models/mobilenet_features/compare";
        let answer = support::post(uri, &[("content-type", &kind)], body).await.json();
        answer["comparison"]["cosine"].as_f64().expect("a cosine")
    };
    assert!((cosine("chelsea.png", "chelsea.png").await - 1.0).abs() < 1e-9);
    assert!(cosine("chelsea.png", "coffee.jpg").await < 0.5);
}
