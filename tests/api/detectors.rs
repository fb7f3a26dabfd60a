//! Every contract of a detector, against what the libraries' own post-processing makes of the same answers
//! (tests/golden/detectors), its drawing and its explanation; and what is no detector of the contract that is claimed.

use std::path::Path;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::app::Server;
use lucarne::config::Settings;
use lucarne::image::{Limits, Picture, decode};
use serde_json::Value;

use crate::support::{Answer, blocking, path, png, router_over, send};

/// Pixels by which a corner or a keypoint may lie elsewhere.
const NEAR: f64 = 0.01;

/// By model: its model.toml and, by size of the picture, what is found.
fn expected() -> Value {
    let text = std::fs::read(path("tests/golden/detectors/expected.json")).expect("goldens");
    serde_json::from_slice(&text).expect("JSON")
}

fn model(models: &Path, name: &str, file: &str, model_toml: &str) {
    let folder = models.join(name);
    std::fs::create_dir(&folder).expect("writable");
    let file = path("tests/golden/detectors").join(format!("{file}.pt"));
    std::fs::copy(file, folder.join("model.pt")).expect("a copy");
    std::fs::write(folder.join("labels.txt"), "a\nb\nc\n").expect("writable");
    let more = "\n[batching]\nmax_batch_size = 2\n[instances]\ncount = 1\n";
    std::fs::write(folder.join("model.toml"), format!("{model_toml}{more}")).expect("writable");
}

fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        for (name, golden) in expected().as_object().expect("models") {
            let model_toml = golden["model_toml"].as_str().expect("a text");
            model(models.path(), name, name, model_toml);
        }
        let sure = "task = \"detection\"\n[input]\nsize = [64, 96]\nresize = \"letterbox\"\n[output]\n\
                    format = \"end_to_end\"\nscore_threshold = 0.9999";
        model(models.path(), "too_sure", "end_to_end", sure);
        // Kept: explanations load the file when the first of them is asked for.
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

/// A picture of one gray, `width`x`height`.
fn grey(size: &str) -> Vec<u8> {
    let sides: Vec<u32> = size
        .split('x')
        .map(|side| side.parse().expect("a number"))
        .collect();
    let pixels = vec![114; (sides[0] * sides[1] * 3) as usize];
    png(&Picture::new(sides[0], sides[1], pixels).expect("a picture"))
}

async fn post(uri: &str, form: &str, size: &str) -> Answer {
    let request = Request::post(uri)
        .header("accept", form)
        .body(Body::from(grey(size)))
        .expect("a request");
    send(router(), request).await
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

fn assert_near(found: &[f64], expected: &[f64], within: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= within,
            "{what}: {found}, expected {expected}"
        );
    }
}

/// Run lengths of a mask as it is answered.
fn runs(mask: &Value) -> Vec<usize> {
    let size = numbers(&mask["size"]);
    let rle = lucarne::tasks::Rle {
        size: [size[0] as usize, size[1] as usize],
        counts: mask["counts"].as_str().expect("a text").to_owned(),
    };
    let (mut runs, mut end) = (Vec::new(), 0);
    for ones in rle.ones() {
        runs.extend([ones.start - end, ones.len()]);
        end = ones.end;
    }
    runs
}

/// How many pixels are in one mask and not in the other.
fn differing(one: &[usize], other: &[usize], pixels: usize) -> usize {
    let bits = |runs: &[usize]| -> Vec<bool> {
        let bits = runs.iter().enumerate();
        let mut bits: Vec<bool> = bits.flat_map(|(i, &run)| vec![i % 2 == 1; run]).collect();
        bits.resize(pixels, false);
        bits
    };
    bits(one)
        .iter()
        .zip(bits(other))
        .filter(|(one, other)| **one != *other)
        .count()
}

fn assert_object(found: &Value, expected: &Value, what: &str) {
    assert_eq!(found["class_id"], expected["class_id"], "{what}: {found}");
    assert_near(
        &numbers(&found["score"]),
        &numbers(&expected["score"]),
        1e-5,
        what,
    );
    let sides = ["x_min", "y_min", "x_max", "y_max"].map(|side| found["box"][side].as_f64());
    let sides: Vec<f64> = sides.into_iter().map(|side| side.expect("a number")).collect();
    assert_near(&sides, &numbers(&expected["box"]), NEAR, what);
    if let Some(points) = expected.get("keypoints") {
        let of = |point: &Value| ["x", "y", "score"].map(|part| point[part].as_f64().expect("a number"));
        let found: Vec<f64> = found["keypoints"]
            .as_array()
            .expect("keypoints")
            .iter()
            .flat_map(of)
            .collect();
        assert_near(&found, &numbers(points), NEAR, what);
    }
    if let Some(rectangle) = expected.get("oriented") {
        let oriented = &found["oriented_box"];
        let parts = ["cx", "cy", "width", "height", "angle"].map(|part| oriented[part].as_f64());
        let parts: Vec<f64> = parts.into_iter().map(|part| part.expect("a number")).collect();
        assert_near(&parts, &numbers(rectangle), NEAR, what);
        assert_near(
            &numbers(&oriented["corners"]),
            &numbers(&expected["corners"]),
            NEAR,
            what,
        );
    }
    if let Some(mask) = expected.get("mask") {
        let expected: Vec<usize> = numbers(mask).into_iter().map(|run| run as usize).collect();
        let pixels = expected.iter().sum();
        let differing = differing(&runs(&found["mask"]), &expected, pixels);
        assert!(differing <= 1, "{what}: {differing} of {pixels} pixels differ");
        let set: usize = runs(&found["mask"]).iter().skip(1).step_by(2).sum();
        assert_eq!(found["mask"]["pixels"], set, "{what}");
    }
}

#[tokio::test]
async fn objects_are_those_of_the_library_s_own_post_processing() {
    for (name, golden) in expected().as_object().expect("models") {
        for (size, expected) in golden["objects"].as_object().expect("sizes") {
            let answer = post(&format!("/v1/models/{name}/predict"), "application/json", size).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.json());
            let found = answer.json()["predictions"][0]["objects"].clone();
            let (found, expected) = (found.as_array().expect("objects"), expected.as_array());
            let expected = expected.expect("objects");
            assert_eq!(found.len(), expected.len(), "{name} {size}");
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_object(found, expected, &format!("{name} {size} {index}"));
            }
        }
    }
}

#[tokio::test]
async fn masks_keypoints_and_boxes_askew_are_drawn() {
    for name in ["yolo", "yolo_pose", "yolo_obb", "yolo_seg", "mask_rcnn"] {
        let uri = format!("/v1/models/{name}/predict?alpha=1");
        let answer = post(&uri, "image/png", "100x50").await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let drawn = decode(&answer.body, &Limits::default()).expect("a PNG");
        assert_eq!((drawn.width(), drawn.height()), (100, 50));
        let touched = drawn
            .data()
            .chunks_exact(3)
            .filter(|pixel| *pixel != [114; 3])
            .count();
        assert!(touched > 100, "{name}: {touched} pixels");
    }
}

#[tokio::test]
async fn one_object_of_each_contract_is_explained_by_its_score() {
    for name in expected().as_object().expect("models").keys() {
        let uri = format!("/v1/models/{name}/predict");
        let predicted = post(&uri, "application/json", "96x60").await;
        let predicted = predicted.json()["predictions"][0]["objects"][1].clone();
        for method in ["hires_cam", "saliency", "d_rise&n_masks=8"] {
            let uri = format!("/v1/models/{name}/explain?target=1&method={method}");
            let answer = post(&uri, "application/json", "96x60").await;
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{name} {method}: {}",
                answer.json()
            );
            let explanation = answer.json()["explanations"][0].clone();
            assert_eq!(explanation["degenerate"], false, "{name} {method}");
            for part in ["class_id", "score", "box"] {
                assert_eq!(explanation["target"][part], predicted[part], "{name} {method}");
            }
        }
    }
}

#[tokio::test]
async fn where_nothing_is_detected_there_is_nothing_to_explain() {
    let nothing = post("/v1/models/too_sure/explain", "application/json", "96x60").await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(nothing.code(), "nothing_detected");
    assert!(
        nothing.detail().contains("lower output.score_threshold"),
        "{}",
        nothing.detail()
    );
}

#[tokio::test]
async fn what_is_not_suppressed_has_no_iou_threshold() {
    for name in ["end_to_end", "detr_sigmoid", "mask_rcnn"] {
        let uri = format!("/v1/models/{name}/predict?iou_threshold=0.5");
        let refused = post(&uri, "application/json", "96x60").await;
        assert_eq!(refused.code(), "invalid_parameter", "{name}");
    }
}

/// A file, the keys that claim another contract, and what the refusal says.
const OTHERS: [(&str, &str, &str); 13] = [
    ("yolo_pose", "format = \"yolo\"", "\"yolo_pose\""),
    ("yolo_obb", "format = \"yolo\"", "\"yolo_obb\""),
    ("yolo_seg", "format = \"yolo\"", "\"yolo_seg\""),
    ("yolov5", "format = \"yolo\"", "\"yolov5\""),
    ("end_to_end", "format = \"yolo\"", "\"end_to_end\""),
    ("detr_rows", "format = \"yolo\"", "\"detr\""),
    ("detr_rows", "format = \"end_to_end\"", "\"detr\""),
    ("yolo", "format = \"yolov5\"", "\"yolo\""),
    ("yolo", "format = \"end_to_end\"", "\"yolo\""),
    (
        "yolo_pose",
        "format = \"yolo_pose\"\nkeypoints = 4",
        "output.keypoints",
    ),
    (
        "keypoint_rcnn",
        "format = \"torchvision\"\nkeypoints = 17",
        "5 keypoints an object, but output.keypoints has 17",
    ),
    (
        "detr_softmax",
        "format = \"detr\"\nactivation = \"sigmoid\"",
        "\"softmax\"",
    ),
    (
        "detr_sigmoid",
        "format = \"detr\"\nactivation = \"softmax\"",
        "\"sigmoid\"",
    ),
];

#[test]
fn another_contract_than_the_claimed_one_is_refused_and_named() {
    for with_labels in [true, false] {
        for (file, keys, hint) in OTHERS {
            let models = tempfile::tempdir().expect("a temporary folder");
            let labels = if with_labels {
                "labels = \"labels.txt\"\n"
            } else {
                ""
            };
            let model_toml = format!(
                "task = \"detection\"\n[input]\nsize = [64, 96]\nresize = \"letterbox\"\n[output]\n{labels}{keys}\n"
            );
            model(models.path(), "other", file, &model_toml);
            let settings = Settings {
                models: models.path().to_owned(),
                ..Settings::default()
            };
            let server = Server::new(&settings).expect("the folder can be read");
            let refused = blocking(server.load_or_fail());
            let is_detr_without_labels = file.starts_with("detr_s") && !with_labels;
            if is_detr_without_labels {
                // K or K + 1: without labels the shape does not tell.
                continue;
            }
            let Err(refused) = refused else {
                panic!("{file} as {keys} was taken");
            };
            let refused = refused.to_string();
            assert!(refused.contains(hint), "{file} as {keys}: {refused}");
        }
    }
}
