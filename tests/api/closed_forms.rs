//! Explanations of models that are small enough to write their maps down. The models and their weights' formula are
//! those of tests/golden/closed_forms/make_models.py.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::Settings;
use lucarne::image::Picture;
use serde_json::Value;

use crate::support::{path, png, router_over, send};

pub const CHANNELS: usize = 3;
pub const HEIGHT: usize = 6;
pub const WIDTH: usize = 8;
pub const CLASSES: usize = 3;
const FEATURES: usize = 4;

/// The output of the model that has three numbers, one of which is called as another is counted.
const NUMBERS: &str = "[output]\nnames = [\"length\", \"2\", \"count\"]\nunits = [\"m\", \"°\", \"\"]\n\
                       scale = [-10, 1, 2]\noffset = [5, 0, -1]\n";

/// The output of the model that has one logit for two classes.
const SINGLE: &str = "[output]\nactivation = \"sigmoid\"\nlabels = \"labels.txt\"\n";

pub fn weight(row: usize, column: usize) -> f64 {
    ((7 * column + 13 * row) % 11) as f64 / 10.0 - 0.5
}

/// A pixel's channel as a byte: some texture with a bright spot.
pub fn byte(channel: usize, y: usize, x: usize) -> u8 {
    ((37 * channel + 23 * y + 11 * x) % 200 + if (y, x) == (2, 3) { 55 } else { 0 }) as u8
}

/// What the model sees: bytes from 0 to 1.
pub fn value(channel: usize, y: usize, x: usize) -> f64 {
    f64::from(byte(channel, y, x)) / 255.0
}

pub fn cells() -> impl Iterator<Item = (usize, usize)> {
    (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (y, x)))
}

pub fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        for (name, file, task, output) in [
            ("linear", "linear", "classification", ""),
            ("pooled", "pooled", "classification", ""),
            ("single", "single", "classification", SINGLE),
            (
                "doubled",
                "doubled",
                "image_to_image",
                "[output]\nrange = [-1, 1]\n",
            ),
            ("numbers", "linear", "regression", NUMBERS),
            ("vectors", "linear", "embedding", ""),
            (
                "directions",
                "linear",
                "embedding",
                "[output]\nnormalise = true\n",
            ),
        ] {
            let folder = models.path().join(name);
            std::fs::create_dir(&folder).expect("writable");
            let file = path("tests/golden/closed_forms").join(format!("{file}.pt"));
            std::fs::copy(file, folder.join("model.pt")).expect("a copy");
            let manifest = format!(
                "task = \"{task}\"\n[input]\nsize = [{HEIGHT}, {WIDTH}]\nresize = \"none\"\nscale = {}\n{output}",
                1.0 / 255.0
            );
            std::fs::write(folder.join("labels.txt"), "bad\ngood\n").expect("writable");
            std::fs::write(folder.join("model.toml"), manifest).expect("writable");
        }
        // Kept: explanations load the file when the first of them is asked for.
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

async fn explain(model: &str, query: &str) -> Value {
    ask(&format!("/v1/models/{model}/explain?{query}")).await["explanations"][0].clone()
}

/// The answer about the picture.
async fn ask(uri: &str) -> Value {
    let request = Request::post(uri)
        .body(Body::from(picture(byte)))
        .expect("a request");
    let answer = send(router(), request).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, StatusCode::OK, "{uri}: {text}");
    answer.json()
}

/// The PNG of the picture with these bytes.
pub fn picture(byte: fn(usize, usize, usize) -> u8) -> Vec<u8> {
    let pixels = cells().flat_map(|(y, x)| (0..CHANNELS).map(move |c| byte(c, y, x)));
    png(&Picture::new(WIDTH as u32, HEIGHT as u32, pixels.collect()).expect("a picture"))
}

/// The map's values against `expected`, to float rounding.
pub fn assert_map(explanation: &Value, expected: &[f64]) {
    let found: Vec<f64> = serde_json::from_value(explanation["map"]["data"].clone()).expect("numbers");
    assert_eq!(found.len(), expected.len());
    let most = expected.iter().fold(0f64, |most, v| most.max(v.abs()));
    assert!(most > 0.0, "a map of zeros shows nothing");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-5 * most,
            "{index}: found {found}, expected {expected}"
        );
    }
}

/// The part that one value has in a logit of the linear model.
fn part(class: usize, channel: usize, y: usize, x: usize) -> f64 {
    weight(class, (channel * HEIGHT + y) * WIDTH + x) * value(channel, y, x)
}

pub fn at_every_value(of: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    (0..CHANNELS)
        .flat_map(|c| cells().map(move |(y, x)| (c, y, x)))
        .map(|(c, y, x)| of(c, y, x))
        .collect()
}

#[tokio::test]
async fn gradients_of_a_linear_model_are_its_weights() {
    for class in 0..CLASSES {
        let of_weight =
            |of: fn(f64) -> f64| at_every_value(|c, y, x| of(weight(class, (c * HEIGHT + y) * WIDTH + x)));
        let saliency = explain("linear", &format!("method=saliency&channels=keep&target={class}")).await;
        assert_eq!(
            saliency["map"]["shape"],
            serde_json::json!([CHANNELS, HEIGHT, WIDTH])
        );
        assert_map(&saliency, &of_weight(f64::abs));
        let smooth = explain(
            "linear",
            &format!("method=smooth_grad&channels=keep&target={class}&sigma=0.5"),
        )
        .await;
        assert_map(&smooth, &of_weight(|w| w));
    }
}

#[tokio::test]
async fn integrated_gradients_of_a_linear_model_are_weight_times_input() {
    for (query, baseline) in [("", 0.0), ("&baseline=0.25&n_steps=7", 0.25)] {
        let query = format!("method=integrated_gradients&channels=keep&target=1{query}");
        let found = explain("linear", &query).await;
        let expected =
            at_every_value(|c, y, x| weight(1, (c * HEIGHT + y) * WIDTH + x) * (value(c, y, x) - baseline));
        assert_map(&found, &expected);
        assert!(
            found["completeness"]["error"]
                .as_f64()
                .is_some_and(|error| error < 1e-4),
            "{found}"
        );
    }
    let product = explain("linear", "method=input_x_gradient&channels=keep&target=1").await;
    assert_map(&product, &at_every_value(|c, y, x| part(1, c, y, x)));
}

#[tokio::test]
async fn occlusion_of_a_linear_model_is_what_the_window_held() {
    // Windows side by side: each cell says what its whole window gave.
    let tiled = explain("linear", "method=occlusion&target=2&window=2,4&stride=2,4").await;
    let in_window = |y: usize, x: usize| -> f64 {
        let rows = (y / 2 * 2..y / 2 * 2 + 2).flat_map(|y| (x / 4 * 4..x / 4 * 4 + 4).map(move |x| (y, x)));
        rows.flat_map(|(y, x)| (0..CHANNELS).map(move |c| part(2, c, y, x)))
            .sum()
    };
    assert_map(&tiled, &cells().map(|(y, x)| in_window(y, x)).collect::<Vec<_>>());
    // Windows of one pixel that overlap nothing: each its own part.
    let single = explain("linear", "method=occlusion&target=2&window=1&stride=1").await;
    let own = |(y, x)| (0..CHANNELS).map(|c| part(2, c, y, x)).sum();
    assert_map(&single, &cells().map(own).collect::<Vec<f64>>());
    assert_eq!(single["passes"]["done"], 48);
}

#[tokio::test]
async fn grad_cam_behind_global_pooling_is_the_class_activation_map() {
    let feature = |k: usize, y: usize, x: usize| -> f64 {
        (0..CHANNELS)
            .map(|c| weight(k, c) * value(c, y, x))
            .sum::<f64>()
            .max(0.0)
    };
    for class in 0..CLASSES {
        let cam = |(y, x)| {
            (0..FEATURES)
                .map(|k| weight(class, k) * feature(k, y, x))
                .sum::<f64>()
                .max(0.0)
        };
        let cam: Vec<f64> = cells().map(cam).collect();
        let query = format!("layer=features&target={class}");
        let found = explain("pooled", &query).await;
        if cam.iter().all(|&v| v == 0.0) {
            assert_eq!(found["degenerate"], true, "nothing speaks for class {class}");
            continue;
        }
        // Zhou et al., section 2: the weights of the last matrix; Grad-CAM divides them by the number of cells.
        let scale = 1.0 / (HEIGHT * WIDTH) as f64;
        assert_map(&found, &cam.iter().map(|v| v * scale).collect::<Vec<_>>());
        // Behind a mean all cells have one gradient, so that these are the same.
        let hires = explain("pooled", &format!("{query}&method=hires_cam")).await;
        assert_map(&hires, &cam.iter().map(|v| v * scale).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn ablation_cam_behind_global_pooling_weighs_what_each_channel_gives() {
    let feature = |k: usize, (y, x): (usize, usize)| -> f64 {
        (0..CHANNELS)
            .map(|c| weight(k, c) * value(c, y, x))
            .sum::<f64>()
            .max(0.0)
    };
    let mean = |k: usize| cells().map(|cell| feature(k, cell)).sum::<f64>() / (HEIGHT * WIDTH) as f64;
    let gives = |class: usize| (0..FEATURES).map(move |k| weight(class, k) * mean(k));
    let logits: Vec<f64> = (0..CLASSES).map(|class| gives(class).sum()).collect();
    // Something speaks for the first two, though the second's logit is below zero, and nothing for the third.
    assert!(
        logits[0] > 0.0 && logits[1] < 0.0 && logits[2] < 0.0,
        "{logits:?}"
    );
    for (class, logit) in logits.iter().enumerate() {
        let map = |cell| {
            let weighed = gives(class)
                .enumerate()
                .map(|(k, part)| part / logit.abs() * feature(k, cell));
            weighed.sum::<f64>().max(0.0)
        };
        let query = format!("layer=features&method=ablation_cam&target={class}");
        let found = explain("pooled", &query).await;
        assert_eq!(found["degenerate"], class == 2, "class {class}");
        if class < 2 {
            assert_map(&found, &cells().map(map).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn one_logit_is_that_of_the_second_of_two_classes() {
    let predicted = ask("/v1/models/single/predict").await;
    let classes = predicted["predictions"][0]["classes"]
        .as_array()
        .expect("classes");
    let score = |label: &str| {
        let class = classes.iter().find(|class| class["label"] == label);
        class.and_then(|class| class["score"].as_f64()).expect("a score")
    };
    assert!((score("bad") + score("good") - 1.0).abs() < 1e-6);
    let map = async |target: &str| {
        let query = format!("method=saliency&channels=sum&target={target}");
        let explanation = explain("single", &query).await;
        assert_eq!(explanation["target"]["label"], target);
        let data = explanation["map"]["data"].clone();
        serde_json::from_value::<Vec<f64>>(data).expect("numbers")
    };
    let (bad, good) = (map("bad").await, map("good").await);
    // Saliency has the sign of no gradient, and the two gradients are opposite.
    assert!(
        bad == good && good.iter().any(|value| *value > 0.0),
        "{bad:?}, {good:?}"
    );
    for label in ["bad", "good"] {
        let uri = format!("/v1/models/single/visualize?target={label}&n_steps=2");
        let answer = send(
            router(),
            Request::post(&uri).body(Body::empty()).expect("a request"),
        )
        .await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.detail());
        assert_eq!(answer.json()["visualization"]["target"]["label"], label);
    }
}
