//! Methods beside each other: the correlations and the ranking of the answer, against their rules written a second time.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use lucarne::config::Settings;
use serde_json::{Value, json};

use crate::closed_forms::{byte, picture, router};
use crate::support::{Answer, path, router_over, send};

const METHODS: &str = "input_x_gradient,saliency,occlusion";

async fn asked(router: Router, uri: &str, accept: &str) -> Answer {
    let request = Request::post(uri).header(header::ACCEPT, accept);
    let request = request.body(Body::from(picture(byte))).expect("a request");
    send(router, request).await
}

async fn compared(query: &str) -> Value {
    let uri = format!("/v1/models/linear/explain/compare?{query}");
    let answer = asked(router(), &uri, "application/json").await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, StatusCode::OK, "{query}: {text}");
    answer.json()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

/// One more than half of those that are as large, and all that are smaller: what a mean of ranks is.
fn rank(values: &[f64], of: f64) -> f64 {
    let smaller = values.iter().filter(|value| **value < of).count();
    let equal = values.iter().filter(|value| **value == of).count();
    smaller as f64 + (equal as f64 + 1.0) / 2.0
}

/// `cov(rank a, rank b) / (σ(rank a) · σ(rank b))`
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| {
        values
            .iter()
            .map(|value| rank(values, *value))
            .collect::<Vec<_>>()
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let products: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    let variance = |values: &[f64]| {
        let squares: Vec<f64> = values.iter().map(|value| value * value).collect();
        mean(&squares) - mean(values).powi(2)
    };
    (mean(&products) - mean(&a) * mean(&b)) / (variance(&a) * variance(&b)).sqrt()
}

#[tokio::test]
async fn correlations_are_spearman_s() {
    let found = compared(&format!("methods={METHODS}&target=1&maps=true&window=2")).await;
    let methods = found["methods"].as_array().expect("methods");
    let named: Vec<&Value> = methods.iter().map(|one| &one["method"]).collect();
    assert_eq!(named, METHODS.split(',').collect::<Vec<_>>());
    let maps: Vec<Vec<f64>> = methods.iter().map(|one| numbers(&one["map"]["data"])).collect();
    let agreement = &found["agreement"];
    let mut below = Vec::new();
    for (a, of_a) in maps.iter().enumerate() {
        for (b, of_b) in maps.iter().enumerate() {
            let expected = spearman(of_a, of_b);
            let correlation = number(&agreement["correlations"][a][b]);
            assert!(
                (correlation - expected).abs() < 1e-9,
                "{a} {b}: {correlation}, expected {expected}"
            );
            if a < b && expected < number(&agreement["threshold"]) {
                below.push(json!([named[a], named[b]]));
            }
        }
    }
    let told = agreement["disagreements"].as_array().expect("pairs");
    let told: Vec<Value> = told
        .iter()
        .map(|pair| json!([pair["one"], pair["other"]]))
        .collect();
    assert_eq!(told, below);
    let summary = agreement["summary"].as_str().expect("a sentence");
    assert_eq!(summary.contains("disagree"), !below.is_empty(), "{summary}");
}

/// The rule of the answer, in other words: places by gain among those that beat the noise; who is within the margin of the best of a
/// place shares it.
fn expected_places(found: &Value) -> Vec<(String, Option<usize>)> {
    let mut scores = Vec::new();
    let mut gains = Vec::new();
    for one in found["methods"].as_array().expect("methods") {
        let evidence = &one["evidence"];
        let (random, maps) = (&evidence["random"], number(&evidence["random"]["maps"]));
        let weighted = |name: &str| {
            let scores = numbers(&evidence[name]["scores"]);
            let steps = scores.len() - 1;
            // By trapezoids: the last weight is 0, the first counts half.
            let weight = |step: usize| 3.0 * (1.0 - step as f64 / steps as f64).powi(2);
            let of_step = |step: usize| weight(step) * scores[step] * if step == 0 { 0.5 } else { 1.0 };
            (0..steps).map(of_step).sum::<f64>() / steps as f64
        };
        let early = weighted("insertion") - weighted("deletion");
        assert!((early - number(&evidence["early"])).abs() < 1e-9, "{evidence}");
        let gain = early - number(&random["early"]);
        let own = [
            numbers(&evidence["deletion"]["scores"]),
            numbers(&evidence["insertion"]["scores"]),
        ]
        .concat();
        let spread_of = |scores: &[f64]| {
            scores.iter().copied().fold(f64::MIN, f64::max) - scores.iter().copied().fold(f64::MAX, f64::min)
        };
        assert_eq!(maps, 4.0);
        let noise = (1.5 * number(&random["spread"])).max(0.02 * spread_of(&own));
        scores.extend(own);
        gains.push((one["method"].as_str().expect("a name").to_owned(), gain, noise));
    }
    let margin = 0.02
        * (scores.iter().copied().fold(f64::MIN, f64::max) - scores.iter().copied().fold(f64::MAX, f64::min));
    let (mut better, mut others): (Vec<_>, Vec<_>) =
        gains.into_iter().partition(|(_, gain, noise)| gain > noise);
    better.sort_by(|a, b| b.1.total_cmp(&a.1));
    others.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut places = Vec::new();
    while places.len() < better.len() {
        let (from, best) = (places.len(), better[places.len()].1);
        let sharing = better[from..]
            .iter()
            .take_while(|(_, gain, _)| best - gain <= margin);
        places.extend(
            sharing
                .map(|(name, ..)| (name.clone(), Some(from + 1)))
                .collect::<Vec<_>>(),
        );
    }
    places.extend(others.into_iter().map(|(name, ..)| (name, None)));
    places
}

#[tokio::test]
async fn the_ranking_follows_its_rule() {
    let mut is_shown = (false, false);
    for query in [
        format!("methods={METHODS}&target=0&window=2"),
        format!("methods={METHODS}&target=2&window=1&stride=1"),
        "methods=rise,occlusion,input_x_gradient,saliency&target=1&n_masks=1&seed=3&window=2".to_owned(),
        "methods=integrated_gradients,input_x_gradient&target=0".to_owned(),
    ] {
        let found = compared(&query).await;
        let told = found["ranking"]["places"].as_array().expect("places");
        let told: Vec<(String, Option<usize>)> = told
            .iter()
            .map(|one| {
                let place = one["place"].as_u64().map(|place| place as usize);
                (one["method"].as_str().expect("a name").to_owned(), place)
            })
            .collect();
        assert_eq!(told, expected_places(&found), "{query}: {found}");
        is_shown.0 |= told.iter().filter(|(_, place)| *place == Some(1)).count() > 1;
        is_shown.1 |= told.iter().any(|(_, place)| place.is_none());
    }
    assert!(is_shown.0, "a place that two share");
    assert!(is_shown.1, "a map that is no better than random");
}

#[tokio::test]
async fn maps_evidence_and_costs_are_those_of_explain() {
    let found = compared(&format!("methods={METHODS}&target=1&window=2")).await;
    let explained = async |query: &str| {
        let uri = format!("/v1/models/linear/explain?target=1&evidence=true&{query}");
        asked(router(), &uri, "application/json").await.json()["explanations"][0].clone()
    };
    for (index, query) in [
        "method=input_x_gradient",
        "method=saliency",
        "method=occlusion&window=2",
    ]
    .into_iter()
    .enumerate()
    {
        let (one, alone) = (&found["methods"][index], explained(query).await);
        assert!(one["map"].get("data").is_none(), "maps are asked for");
        for name in ["shape", "min", "max"] {
            assert_eq!(one["map"][name], alone["map"][name], "{query}: {name}");
        }
        for name in ["deletion", "insertion"] {
            assert_eq!(one["evidence"][name], alone["evidence"][name], "{query}: {name}");
        }
        assert_eq!(
            one["evidence"].get("stability"),
            alone["evidence"].get("stability")
        );
        assert!(number(&one["cost"]["passes"]) >= 330.0 && number(&one["cost"]["ms"]) > 0.0);
    }
    assert_eq!(found["target"]["class_id"], 1);
    assert_eq!(found["skipped"], json!([]));
    // A version answers the same; what depends on the clock aside.
    let uri = format!("/v1/models/linear/versions/1/explain/compare?methods={METHODS}&target=1&window=2");
    let of_version = asked(router(), &uri, "application/json").await.json();
    assert_eq!(
        (&of_version["ranking"], &of_version["agreement"]),
        (&found["ranking"], &found["agreement"])
    );
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_before_it_costs_anything() {
    let limited = of_few_passes();
    for (model, query, code, word) in [
        ("linear", "", "invalid_parameter", "grad_cam,hires_cam"),
        ("linear", "methods=saliency", "invalid_parameter", "2 to 8"),
        ("linear", "methods=saliency,magic", "invalid_parameter", "`magic`"),
        (
            "linear",
            "methods=saliency,saliency",
            "invalid_parameter",
            "more than once",
        ),
        (
            "linear",
            "methods=saliency,occlusion&maps=yes",
            "invalid_parameter",
            "true or false",
        ),
        (
            "linear",
            "methods=saliency,occlusion&alpha=1",
            "invalid_parameter",
            "`methods`",
        ),
        (
            "linear",
            "methods=saliency,occlusion&n_masks=9",
            "invalid_parameter",
            "rise",
        ),
        (
            "linear",
            "methods=saliency,d_rise",
            "unsupported_for_task",
            "d_rise",
        ),
        (
            "linear",
            "methods=saliency,attention",
            "unsupported_for_task",
            "attention",
        ),
        (
            "linear",
            "methods=saliency,guided_backprop",
            "unsupported_for_task",
            "ReLU",
        ),
        (
            "linear",
            "methods=saliency,occlusion&target=99",
            "invalid_parameter",
            "target",
        ),
        (
            "linear",
            "methods=rise,occlusion&n_masks=20000&window=1&stride=1",
            "invalid_parameter",
            "max_passes",
        ),
        (
            "pooled",
            "methods=grad_cam,saliency&layer=nowhere",
            "layer_not_found",
            "nowhere",
        ),
    ] {
        let uri = format!("/v1/models/{model}/explain/compare?{query}");
        let answer = asked(limited.clone(), &uri, "application/json").await;
        assert_eq!(answer.code(), code, "{query}: {}", answer.detail());
        assert!(answer.detail().contains(word), "{query}: {}", answer.detail());
    }
    let answer = asked(
        router(),
        &format!("/v1/models/linear/explain/compare?methods={METHODS}"),
        "image/png",
    )
    .await;
    assert_eq!(answer.code(), "not_acceptable");
}

/// The same models, with fewer passes.
fn of_few_passes() -> Router {
    let settings = Settings {
        max_passes: 10_000,
        ..Settings::default()
    };
    let models = tempfile::tempdir().expect("a temporary folder");
    for name in ["linear", "pooled"] {
        let folder = models.path().join(name);
        std::fs::create_dir(&folder).expect("writable");
        let file = path("tests/golden/closed_forms").join(format!("{name}.pt"));
        std::fs::copy(file, folder.join("model.pt")).expect("a copy");
        let manifest = "task = \"classification\"\n[input]\nsize = [6, 8]\nresize = \"none\"\n";
        std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    }
    router_over(models.keep(), settings)
}

#[tokio::test]
async fn the_budget_leaves_later_methods_out_and_progress_is_told() {
    let query = format!("methods={METHODS},rise&target=1&window=1&stride=1&budget_ms=1");
    let found = compared(&query).await;
    let (made, skipped) = (
        found["methods"].as_array().expect("methods").len(),
        found["skipped"].as_array().expect("methods").len(),
    );
    assert!(made >= 1 && made + skipped == 4, "{found}");
    assert!(skipped > 0, "a millisecond is not enough for all");
    let uri = format!("/v1/models/linear/explain/compare?methods={METHODS}&target=1&window=2");
    let streamed = asked(router(), &uri, "text/event-stream").await;
    let text = String::from_utf8(streamed.body).expect("UTF-8");
    assert!(
        text.contains("event: progress") || text.contains("event:progress"),
        "{text}"
    );
    assert!(
        text.contains("comparison") && text.contains("\"ranking\""),
        "{text}"
    );
}
