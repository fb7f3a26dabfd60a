//! Image to image, by a model that is a matrix at each pixel and doubles the size (`doubled.pt` of
//! tests/golden/closed_forms), so that answers and their gradients can be written down; and models that claim to be such.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use lucarne::app::Server;
use lucarne::config::Settings;
use lucarne::image::{Limits, decode};
use serde_json::{Value, json};

use crate::closed_forms::{
    CHANNELS, HEIGHT, WIDTH, assert_map, at_every_value, byte, cells, picture, router, value, weight,
};
use crate::support::{self, Answer, blocking, path, photo, send};

/// What the model answers of the picture's pixel.
fn mixed(channel: usize, y: usize, x: usize) -> f64 {
    (0..CHANNELS)
        .map(|from| weight(channel, from) * value(from, y, x))
        .sum()
}

async fn ask(uri: &str, accept: &str) -> Answer {
    let request = Request::post(format!("/v1/models/doubled/{uri}")).header("accept", accept);
    send(
        router(),
        request.body(Body::from(picture(byte))).expect("a request"),
    )
    .await
}

fn array(answer: &Answer) -> (Vec<u64>, Vec<f32>) {
    let file = npyz::NpyFile::new(answer.body.as_slice()).expect("an NPY file");
    (file.shape().to_vec(), file.into_vec().expect("floats"))
}

#[tokio::test]
async fn a_picture_is_answered_at_its_own_size_as_array_png_and_json() {
    let (shape, values) = array(&ask("predict", "application/x-npy").await);
    assert_eq!(shape, [CHANNELS, 2 * HEIGHT, 2 * WIDTH].map(|side| side as u64));
    let at = |channel: usize, y: usize, x: usize| values[(channel * 2 * HEIGHT + y) * 2 * WIDTH + x];
    for (y, x) in cells() {
        for channel in 0..CHANNELS {
            for (y_more, x_more) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let found = f64::from(at(channel, 2 * y + y_more, 2 * x + x_more));
                assert!((found - mixed(channel, y, x)).abs() < 1e-6);
            }
        }
    }
    let png = ask("predict", "image/png").await;
    let read = decode(&png.body, &Limits::default()).expect("a PNG");
    assert_eq!(
        (read.width() as usize, read.height() as usize),
        (2 * WIDTH, 2 * HEIGHT)
    );
    for (index, pixel) in read.data().chunks_exact(3).enumerate() {
        let (y, x) = (index / (2 * WIDTH), index % (2 * WIDTH));
        for (channel, &found) in pixel.iter().enumerate() {
            let expected = (f64::from(at(channel, y, x)) + 1.0) / 2.0 * 255.0;
            assert!(
                (f64::from(found) - expected).abs() <= 0.501,
                "{found}, expected {expected}"
            );
        }
    }
    let output = ask("predict", "application/json").await.json()["predictions"][0]["output"].clone();
    let decoded = base64::prelude::BASE64_STANDARD.decode(output["png_b64"].as_str().expect("a text"));
    assert_eq!(decoded.expect("base64"), png.body);
    assert_eq!(
        (&output["width"], &output["channels"], &output["bits"]),
        (&json!(2 * WIDTH), &json!(3), &json!(8))
    );
    assert_eq!(
        (&output["black"], &output["white"]),
        (&json!([-1.0, -1.0, -1.0]), &json!([1.0, 1.0, 1.0]))
    );
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    assert!((output["min"].as_f64().expect("a number") - f64::from(least)).abs() < 1e-6);
}

#[tokio::test]
async fn the_grid_of_the_original_is_asked_for() {
    let (shape, values) = array(&ask("predict?resolution=original", "application/x-npy").await);
    assert_eq!(shape, [CHANNELS, HEIGHT, WIDTH].map(|side| side as u64));
    for (index, found) in values.iter().enumerate() {
        let (channel, y, x) = (index / (HEIGHT * WIDTH), index / WIDTH % HEIGHT, index % WIDTH);
        assert!((f64::from(*found) - mixed(channel, y, x)).abs() < 1e-6);
    }
    for (query, name) in [
        ("resolution=input", "`native`, `original`"),
        ("render=mask", "`resolution`"),
    ] {
        let refused = ask(&format!("predict?{query}"), "*/*").await;
        assert_eq!(refused.code(), "invalid_parameter");
        assert!(refused.detail().contains(name), "{}", refused.detail());
    }
    assert_eq!(ask("predict", "text/event-stream").await.code(), "not_acceptable");
}

#[tokio::test]
async fn a_pixel_and_a_box_are_explained_by_the_weights_that_made_them() {
    let method = "method=input_x_gradient&channels=keep";
    let explain = async |target: &str| {
        let answer = ask(&format!("explain?{method}&target={target}"), "*/*").await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.json());
        answer.json()["explanations"][0].clone()
    };
    let is_near = |found: &Value, expected: f64| {
        let found = found.as_f64().expect("a number");
        assert!(
            (found - expected).abs() < 1e-6,
            "found {found}, expected {expected}"
        );
    };
    // One channel at a pixel: the row of the matrix, there alone.
    for target in ["green@pixel=5,2", "1@pixel=5,2"] {
        let found = explain(target).await;
        assert_eq!(
            (&found["target"]["pixel"], &found["target"]["channel"]),
            (&json!([5.0, 2.0]), &json!(1))
        );
        is_near(&found["target"]["value"], mixed(1, 2, 5));
        let at = |c, y, x| {
            if (y, x) == (2, 5) {
                weight(1, c) * value(c, y, x)
            } else {
                0.0
            }
        };
        assert_map(&found, &at_every_value(at));
    }
    // All channels in a box: the mean over its cells, of which there are four a pixel.
    let found = explain("box=1,2,4,4").await;
    let inside = |y: usize, x: usize| (2..4).contains(&y) && (1..4).contains(&x);
    assert_eq!(found["target"]["cells"], 4 * 6);
    assert_eq!(found["target"]["box"]["x_max"], 4.0);
    let mean = |c: usize| (0..CHANNELS).map(|to| weight(to, c)).sum::<f64>() / (CHANNELS * 6) as f64;
    let at = |c, y, x| {
        if inside(y, x) {
            mean(c) * value(c, y, x)
        } else {
            0.0
        }
    };
    assert_map(&found, &at_every_value(at));
    let of_channel = explain("blue@box=1,2,4,4").await;
    let sum: f64 = cells()
        .filter(|&(y, x)| inside(y, x))
        .map(|(y, x)| mixed(2, y, x))
        .sum();
    is_near(&of_channel["target"]["value"], sum / 6.0);
    // A box that is smaller than a cell is the cell in which it lies.
    assert_eq!(explain("box=1.1,1.1,1.2,1.2").await["target"]["cells"], 1);
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_with_the_ways_to_say_one() {
    for (target, word) in [
        ("", "pixel=x,y"),
        ("cat", "pixel=x,y"),
        ("all", "pixel=x,y"),
        ("pixel=8,0", "does not see pixel"),
        ("pixel=-1,0", "does not see pixel"),
        ("box=4,2,1,4", "x0 < x1"),
        ("box=20,20,30,30", "does not see anything"),
        ("3@pixel=1,1", "0 to 2"),
        ("cyan@pixel=1,1", "`red`, `green`, `blue`"),
        ("pixel=1", "expected pixel=x,y"),
    ] {
        let refused = ask(&format!("explain?method=saliency&target={target}"), "*/*").await;
        assert_eq!(refused.code(), "invalid_parameter", "{target}");
        assert!(refused.detail().contains(word), "{target}: {}", refused.detail());
    }
}

fn claimed(models: &Path, name: &str, file: &str, task: &str, output: &str) {
    let folder = models.join(name);
    std::fs::create_dir(&folder).expect("writable");
    std::fs::copy(
        path("tests/golden/closed_forms").join(file),
        folder.join("model.pt"),
    )
    .expect("a copy");
    let input = format!("[input]\nsize = [{HEIGHT}, {WIDTH}]\nresize = \"none\"");
    let text = format!("task = \"{task}\"\n{input}\n[output]\n{output}");
    std::fs::write(folder.join("model.toml"), text).expect("writable");
}

#[tokio::test]
async fn a_model_of_another_kind_is_refused_when_it_is_loaded() {
    let models = tempfile::tempdir().expect("a temporary folder");
    let subjects = [
        (
            "row",
            "linear.pt",
            "image_to_image",
            "range = [0, 1]",
            "regression",
        ),
        (
            "bytes",
            "doubled.pt",
            "image_to_image",
            "range = [0, 255]",
            "range = [-1, 1]",
        ),
        ("field", "doubled.pt", "regression", "", "segmentation"),
        ("map", "doubled.pt", "embedding", "", "pooled"),
        ("count", "linear.pt", "regression", "names = [\"a\"]", "3 numbers"),
    ];
    for (name, file, task, output, _) in subjects {
        claimed(models.path(), name, file, task, output);
    }
    let server = Server::new(&Settings {
        models: models.path().to_owned(),
        ..Settings::default()
    });
    let server = server.expect("the folder can be read");
    blocking(server.load()).expect("nobody stops it");
    let router: Router = server.router();
    for (name, .., word) in subjects {
        let request = Request::get(format!("/v1/models/{name}"))
            .body(Body::empty())
            .expect("a request");
        let found = send(router.clone(), request).await.json();
        let error = found["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {found}"));
        assert!(error.contains(word), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_photo_is_doubled_without_the_border_around_it() {
    let uri = "/v1/models/super_resolution/predict";
    let native = support::post(uri, &[("accept", "image/png")], photo("chelsea.png")).await;
    let native = decode(&native.body, &Limits::default()).expect("a PNG");
    assert_eq!((native.width(), native.height()), (256, 256));
    let original = support::post(
        &format!("{uri}?resolution=original"),
        &[("accept", "image/png")],
        photo("chelsea.png"),
    )
    .await;
    let original = decode(&original.body, &Limits::default()).expect("a PNG");
    let photo = decode(&photo("chelsea.png"), &Limits::default()).expect("a photo");
    assert_eq!(
        (original.width(), original.height()),
        (photo.width(), photo.height())
    );
    let pairs = original.data().iter().zip(photo.data());
    let error: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).sum();
    // 451 pixels became 128 and 256: much is lost, but it is the same picture.
    assert!(error / (photo.data().len() as f64) < 8.0, "{error}");
}
