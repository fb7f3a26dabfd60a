//! Regressions of a model that is one matrix, so that numbers and their gradients can be written down.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::closed_forms::{
    CHANNELS, HEIGHT, WIDTH, assert_map, at_every_value, byte, cells, picture, router, value, weight,
};
use crate::support::{Answer, send};

/// What model.toml of the model `numbers` has.
const SCALE: [f64; 3] = [-10.0, 1.0, 2.0];
const OFFSET: [f64; 3] = [5.0, 0.0, -1.0];

fn row(index: usize, channel: usize, y: usize, x: usize) -> f64 {
    weight(index, (channel * HEIGHT + y) * WIDTH + x)
}

/// The numbers of the picture.
fn expected() -> Vec<f64> {
    let of = |index: usize| {
        let pixels = (0..CHANNELS).flat_map(|c| cells().map(move |(y, x)| (c, y, x)));
        let sum: f64 = pixels.map(|(c, y, x)| row(index, c, y, x) * value(c, y, x)).sum();
        SCALE[index] * sum + OFFSET[index]
    };
    (0..3).map(of).collect()
}

async fn ask(uri: &str, accept: &str) -> Answer {
    let request = Request::post(format!("/v1/models/numbers/{uri}")).header("accept", accept);
    send(
        router(),
        request.body(Body::from(picture(byte))).expect("a request"),
    )
    .await
}

fn assert_near(found: &Value, expected: f64) {
    let found = found.as_f64().expect("a number");
    assert!(
        (found - expected).abs() < 1e-4,
        "found {found}, expected {expected}"
    );
}

#[tokio::test]
async fn numbers_come_with_their_names_and_units() {
    let values = ask("predict", "application/json").await.json()["predictions"][0]["values"].clone();
    let named = |index: usize| (values[index]["name"].clone(), values[index]["unit"].clone());
    assert_eq!(named(0), (json!("length"), json!("m")));
    assert_eq!(named(1), (json!("2"), json!("°")));
    assert_eq!(named(2), (json!("count"), Value::Null));
    let array = ask("predict", "application/x-npy").await;
    let array = npyz::NpyFile::new(array.body.as_slice()).expect("an NPY file");
    assert_eq!(array.shape(), [3]);
    let array: Vec<f32> = array.into_vec().expect("floats");
    for (index, expected) in expected().into_iter().enumerate() {
        assert_near(&values[index]["value"], expected);
        assert_near(&json!(array[index]), expected);
    }
    assert_eq!(ask("predict?top_k=1", "*/*").await.code(), "invalid_parameter");
    assert_eq!(ask("predict", "image/png").await.code(), "not_acceptable");
}

#[tokio::test]
async fn a_number_is_explained_as_it_is_answered() {
    for (target, index) in [("length", 0), ("0", 0), ("label:2", 1), ("Count", 2)] {
        let uri = format!("explain?method=input_x_gradient&channels=keep&target={target}");
        let explanation = ask(&uri, "*/*").await.json()["explanations"][0].clone();
        assert_eq!(explanation["target"]["number"], index, "{explanation}");
        assert_near(&explanation["target"]["value"], expected()[index]);
        // With its scale, which turns the first around.
        assert_map(
            &explanation,
            &at_every_value(|c, y, x| SCALE[index] * row(index, c, y, x) * value(c, y, x)),
        );
    }
    let all = ask("explain?method=saliency&target=all", "*/*").await.json();
    let names: Vec<&str> = all["explanations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["target"]["name"].as_str())
        .collect();
    assert_eq!(names, ["length", "2", "count"]);
}

#[tokio::test]
async fn a_number_that_cannot_be_told_is_refused_with_those_that_can() {
    for (target, word) in [
        ("", "`length`, `2`, `count`"),
        ("width", "`length`, `2`, `count`"),
        ("7", "there is no number 7"),
        ("2", "id:2 or label:2"),
        ("caption", "by name or index"),
    ] {
        let refused = ask(&format!("explain?method=saliency&target={target}"), "*/*").await;
        assert_eq!(refused.code(), "invalid_parameter", "{target}");
        assert!(refused.detail().contains(word), "{target}: {}", refused.detail());
    }
}
