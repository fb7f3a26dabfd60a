//! How sure a model is: entropy and margin beside the classes, other views of a picture, and the temperature of model.toml.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use lucarne::config::Settings;
use serde_json::Value;

use crate::support::{Answer, get, model_variant, photo, post, router_over, send};

const PREDICT: &str = "/v1/models/mobilenet_v2/predict";

async fn asked(query: &str) -> Value {
    let answer = post(&format!("{PREDICT}?{query}"), &[], photo("chelsea.png")).await;
    answer.json()["predictions"][0].clone()
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[tokio::test]
async fn entropy_and_margin_are_those_of_all_scores() {
    let plain = asked("top_k=1000").await;
    assert!(plain.get("uncertainty").is_none(), "nobody asked");
    let told = asked("top_k=1000&uncertainty=true").await;
    assert_eq!(told["classes"], plain["classes"]);
    let scores: Vec<f64> = (0..1000)
        .map(|index| number(&plain, &format!("/classes/{index}/score")))
        .collect();
    let terms = scores.iter().filter(|score| **score > 0.0);
    let entropy: f64 = terms.map(|score| -score * score.ln()).sum();
    assert!((number(&told, "/uncertainty/entropy_nats") - entropy).abs() < 1e-4);
    assert!((number(&told, "/uncertainty/relative_entropy") - entropy / 1000f64.ln()).abs() < 1e-5);
    assert!((number(&told, "/uncertainty/margin") - (scores[0] - scores[1])).abs() < 1e-6);
    assert!(told["uncertainty"].get("tta").is_none());
}

#[tokio::test]
async fn other_views_say_whether_the_first_class_stays() {
    let plain = asked("top_k=2&uncertainty=true").await;
    let told = asked("top_k=2&uncertainty=true&tta=true").await;
    assert_eq!(told["classes"][0]["class_id"], plain["classes"][0]["class_id"]);
    let views = &told["uncertainty"]["tta"];
    assert_eq!(views["views"], 6);
    let (mean, std) = (number(views, "/score_mean"), number(views, "/score_std"));
    assert!(std > 0.0 && std < 0.5 && mean > 0.0 && mean < 1.0, "{views}");
    let agreeing = views["agreeing"].as_u64().expect("a count");
    assert!((1..=6).contains(&agreeing));
    assert_eq!(views["same_class"], agreeing == 6);
    // A uniform picture is its own mirror image, and shifts of it are the same.
    let even = crate::support::png(
        &lucarne::image::Picture::new(64, 64, vec![120; 64 * 64 * 3]).expect("a picture"),
    );
    let even = post(&format!("{PREDICT}?uncertainty=true&tta=true"), &[], even)
        .await
        .json();
    let views = &even["predictions"][0]["uncertainty"]["tta"];
    assert!(number(views, "/score_std") < 1e-5, "{views}");
    assert_eq!(views["same_class"], true);
}

#[tokio::test]
async fn views_count_as_images_of_the_request() {
    let photo = photo("coffee.jpg");
    let files: Vec<(&str, &[u8])> = (0..6).map(|_| ("a.jpg", photo.as_slice())).collect();
    let (content_type, body) = crate::support::multipart(&files, &[("uncertainty", "true"), ("tta", "true")]);
    let answer = post(PREDICT, &[("content-type", &content_type)], body).await;
    assert_eq!(answer.code(), "invalid_body");
    assert!(answer.detail().contains("36 images"), "{}", answer.detail());
    let (content_type, body) =
        crate::support::multipart(&files[..2], &[("uncertainty", "true"), ("tta", "true")]);
    let answer = post(PREDICT, &[("content-type", &content_type)], body)
        .await
        .json();
    let predictions = answer["predictions"].as_array().expect("predictions");
    assert_eq!(predictions.len(), 2, "one a picture, not one a view");
}

#[tokio::test]
async fn a_segmenter_tells_the_mean_entropy_of_a_pixel() {
    let answer = post(
        "/v1/models/selfie/predict?uncertainty=true",
        &[],
        photo("astronaut.jpg"),
    )
    .await;
    let json = answer.json();
    let told = &json["predictions"][0]["uncertainty"];
    let entropy = number(told, "/mean_entropy_nats");
    // Of two classes a pixel has at most ln 2, and most pixels of a portrait are clear.
    assert!(entropy > 0.0 && entropy < 0.3, "{told}");
    assert!((number(told, "/relative_entropy") - entropy / 2f64.ln()).abs() < 1e-9);
}

#[tokio::test]
async fn what_cannot_be_told_is_refused() {
    let bad = async |uri: &str, accept: &str| -> Answer {
        post(uri, &[("accept", accept)], photo("coffee.jpg")).await
    };
    let json = "application/json";
    for (uri, accept, code, words) in [
        (
            "nanodet/predict?uncertainty=true",
            json,
            "unsupported_for_task",
            "the score of each object",
        ),
        (
            "gauge/predict?uncertainty=true",
            json,
            "unsupported_for_task",
            "regression",
        ),
        (
            "selfie/predict?uncertainty=true&tta=true",
            json,
            "unsupported_for_task",
            "`tta` is of classifiers",
        ),
        (
            "mobilenet_v2/predict?tta=true",
            json,
            "invalid_parameter",
            "uncertainty=true as well",
        ),
        (
            "mobilenet_v2/predict?uncertainty=7",
            json,
            "invalid_parameter",
            "expected true or false",
        ),
        (
            "selfie/predict?uncertainty=true",
            "image/png",
            "invalid_parameter",
            "JSON alone",
        ),
    ] {
        let answer = bad(&format!("/v1/models/{uri}"), accept).await;
        assert_eq!(answer.code(), code, "{uri}");
        assert!(answer.detail().contains(words), "{uri}: {}", answer.detail());
    }
    let other = post(
        "/predictions/mobilenet_v2?uncertainty=true",
        &[],
        photo("coffee.jpg"),
    )
    .await;
    assert_eq!(other.status, 400, "TorchServe's answer has no place for it");
}

/// A router of classifiers whose model.toml says a temperature.
fn warm() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        for (name, lines) in [("warm", "temperature = 2.5"), ("bare", "temperature = 1")] {
            model_variant(models.path(), name, "mobilenet_v2", |text| {
                text.replace("[output]", &format!("[output]\n{lines}"))
            });
        }
        // Kept: explanations load the file when the first of them is asked for.
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

async fn of_warm(request: Request<Body>) -> Value {
    send(warm(), request).await.json()
}

#[tokio::test]
async fn a_temperature_is_in_the_scores_of_every_protocol_and_told() {
    let predict = |uri: &str| {
        Request::post(uri)
            .body(Body::from(photo("chelsea.png")))
            .expect("a request")
    };
    let told = of_warm(
        Request::get("/v1/models/warm")
            .body(Body::empty())
            .expect("a request"),
    )
    .await;
    assert_eq!(told["temperature"], 2.5);
    assert_eq!(get("/v1/models/mobilenet_v2").await.json()["temperature"], 1.0);
    assert!(get("/v1/models/gauge").await.json().get("temperature").is_none());
    let plain = of_warm(predict("/v1/models/bare/predict?top_k=1000")).await["predictions"][0].clone();
    let warm = of_warm(predict("/v1/models/warm/predict?top_k=1000")).await["predictions"][0].clone();
    assert_eq!(warm["classes"][0]["label"], plain["classes"][0]["label"]);
    // p^(1/T), made to sum to 1, is the softmax of logits / T.
    let powers: Vec<f64> = (0..1000)
        .map(|index| number(&plain, &format!("/classes/{index}/score")).powf(1.0 / 2.5))
        .collect();
    let expected = powers[0] / powers.iter().sum::<f64>();
    let first = number(&warm, "/classes/0/score");
    assert!(
        (first - expected).abs() < 1e-3,
        "found {first}, expected {expected}"
    );
    assert!(
        first < number(&plain, "/classes/0/score") - 0.1,
        "it is less sure"
    );
    let handled = of_warm(predict("/predictions/warm")).await;
    assert!(
        (number(&handled, "/Egyptian cat") - first).abs() < 1e-5,
        "{handled}"
    );
    let explained = of_warm(predict("/v1/models/warm/explain?method=grad_cam")).await;
    let score = number(&explained, "/explanations/0/target/score");
    assert!((score - first).abs() < 1e-3, "found {score}, expected {first}");
}
