//! How far maps can be trusted: deletion and insertion of a model that is one matrix, against the formulas written a second time.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::Value;

use crate::closed_forms::{CHANNELS, CLASSES, HEIGHT, WIDTH, byte, cells, picture, router, value, weight};
use crate::support::{Answer, send};

const STEPS: usize = 32;

/// A picture as the model sees it, by channel and pixel.
type Pixels = Vec<Vec<f64>>;

async fn explain(query: &str, accept: &str) -> Answer {
    let request = Request::post(format!("/v1/models/linear/explain?{query}")).header(header::ACCEPT, accept);
    send(
        router(),
        request.body(Body::from(picture(byte))).expect("a request"),
    )
    .await
}

async fn explained(query: &str) -> Value {
    let answer = explain(query, "application/json").await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()["explanations"][0].clone()
}

fn original() -> Pixels {
    (0..CHANNELS)
        .map(|c| cells().map(|(y, x)| value(c, y, x)).collect())
        .collect()
}

/// The probability of a class of `softmax(W · x)`.
fn probability(pixels: &Pixels, class: usize) -> f64 {
    let flat: Vec<f64> = pixels.concat();
    let logit = |row: usize| {
        flat.iter()
            .enumerate()
            .map(|(column, value)| weight(row, column) * value)
            .sum::<f64>()
    };
    let logits: Vec<f64> = (0..CLASSES).map(logit).collect();
    let whole: f64 = logits.iter().map(|logit| (logit - logits[class]).exp()).sum();
    1.0 / whole
}

/// Under 11 by 11 Gaussian weights of standard deviation 5, the edges repeated.
fn blurred(pixels: &Pixels) -> Pixels {
    let weight = |at: i64| (-0.5 * (at as f64 / 5.0).powi(2)).exp();
    let whole: f64 = (-5..=5).map(weight).sum();
    let at = |channel: &Vec<f64>, y: i64, x: i64| {
        let (y, x) = (y.clamp(0, HEIGHT as i64 - 1), x.clamp(0, WIDTH as i64 - 1));
        channel[y as usize * WIDTH + x as usize]
    };
    let of_channel = |channel: &Vec<f64>| {
        let of_pixel = |(y, x): (usize, usize)| {
            let around = (-5..=5).flat_map(|dy| (-5..=5).map(move |dx| (dy, dx)));
            around
                .map(|(dy, dx)| weight(dy) * weight(dx) * at(channel, y as i64 + dy, x as i64 + dx))
                .sum::<f64>()
                / (whole * whole)
        };
        cells().map(of_pixel).collect()
    };
    pixels.iter().map(of_channel).collect()
}

/// The scores while the pixels of `from` become those of `to`, those with the largest values of the map first.
fn curve(map: &[f64], from: &Pixels, to: &Pixels, class: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..HEIGHT * WIDTH).collect();
    order.sort_by(|a, b| map[*b].total_cmp(&map[*a]));
    let after = |step: usize| {
        let mut pixels = from.clone();
        for pixel in &order[..step * HEIGHT * WIDTH / STEPS] {
            for (channel, to) in pixels.iter_mut().zip(to) {
                channel[*pixel] = to[*pixel];
            }
        }
        probability(&pixels, class)
    };
    (0..=STEPS).map(after).collect()
}

fn area(scores: &[f64]) -> f64 {
    scores
        .windows(2)
        .map(|pair| (pair[0] + pair[1]) / 2.0)
        .sum::<f64>()
        / (scores.len() - 1) as f64
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

#[tokio::test]
async fn deletion_and_insertion_are_as_written_down() {
    let nothing: Pixels = vec![vec![0.0; HEIGHT * WIDTH]; CHANNELS];
    for class in 0..CLASSES {
        let found = explained(&format!("method=input_x_gradient&target={class}&evidence=true")).await;
        let map = numbers(&found["map"]["data"]);
        let evidence = &found["evidence"];
        for (name, from, to) in [
            ("deletion", original(), nothing.clone()),
            ("insertion", blurred(&original()), original()),
        ] {
            let expected = curve(&map, &from, &to, class);
            let scores = numbers(&evidence[name]["scores"]);
            assert_eq!(scores.len(), STEPS + 1);
            for (step, (found, expected)) in scores.iter().zip(&expected).enumerate() {
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{name} {step}: {found}, expected {expected}"
                );
            }
            let found = evidence[name]["area"].as_f64().expect("a number");
            assert!((found - area(&expected)).abs() < 1e-4, "{name}: {found}");
        }
    }
}

#[tokio::test]
async fn a_map_of_what_the_score_is_made_of_beats_chance_and_is_stable() {
    let found = explained("method=input_x_gradient&target=0&evidence=true").await;
    let evidence = &found["evidence"];
    let number = |value: &Value| value.as_f64().expect("a number");
    let (deletion, insertion) = (
        number(&evidence["deletion"]["area"]),
        number(&evidence["insertion"]["area"]),
    );
    assert!(deletion < number(&evidence["random"]["deletion"]), "{evidence}");
    assert!(insertion > number(&evidence["random"]["insertion"]), "{evidence}");
    assert!(
        evidence["summary"]
            .as_str()
            .is_some_and(|text| text.contains("more than chance"))
    );
    // The gradient of a matrix is the same everywhere.
    let saliency = explained("method=saliency&target=0&evidence=true").await;
    assert!(number(&saliency["evidence"]["stability"]["change"]) < 1e-5);
    let change = number(&evidence["stability"]["change"]);
    assert!(change > 0.0 && change < 0.2, "{change}");
    assert!(evidence.get("inside").is_none(), "a class has no box");
    let again = explained("method=input_x_gradient&target=0&evidence=true").await;
    assert_eq!(*evidence, again["evidence"], "the same seed, the same evidence");
}

#[tokio::test]
async fn what_takes_many_passes_has_no_stability_and_what_cannot_be_answered_is_refused() {
    let found = explained("method=occlusion&window=2&evidence=true").await;
    assert!(found["evidence"].get("stability").is_none());
    assert!(found["evidence"]["random"]["maps"] == 2);
    assert!(
        explained("method=occlusion&window=2")
            .await
            .get("evidence")
            .is_none()
    );
    for accept in ["image/png", "application/x-npy"] {
        let refused = explain("evidence=true", accept).await;
        assert_eq!(refused.code(), "invalid_parameter", "{accept}");
    }
    let late = explained("method=occlusion&window=2&evidence=true&budget_ms=1").await;
    assert!(late.get("evidence").is_none() == (late["stopped_early"] == true));
}
