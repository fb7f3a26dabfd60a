//! Clients that send a body and never end it.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use lucarne::config::Settings;

use crate::support::{path, photo, router_over, send, series_value};

/// Every route that reads a body.
const ROUTES: [&str; 12] = [
    "/v1/models/mobilenet_v2/predict",
    "/v1/models/nanodet/predict",
    "/v1/models/selfie/predict",
    "/v1/models/captioner/predict",
    "/v1/models/vae/predict",
    "/v1/models/mobilenet_v2/explain",
    "/v1/models/mobilenet_v2/visualize?channel=1",
    "/v1/models/vae/encode",
    "/v1/models/vae/decode",
    "/v1/models/vae/sample",
    "/v1/models/vae/interpolate",
    "/v1/models/captioner/explain",
];

/// A body of one byte, and then nothing.
fn never_ending() -> Body {
    let first = futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{")) });
    Body::from_stream(first.chain(futures_util::stream::pending()))
}

#[tokio::test]
async fn every_route_gives_a_body_up_that_does_not_arrive() {
    let settings = Settings {
        body_timeout_s: 1,
        ..Settings::default()
    };
    let router = router_over(path("models"), settings);
    let slow = ROUTES.map(|route| {
        let request = Request::post(route).body(never_ending()).expect("a request");
        tokio::time::timeout(Duration::from_secs(20), send(router.clone(), request))
    });
    for (answer, route) in futures_util::future::join_all(slow).await.into_iter().zip(ROUTES) {
        let answer = answer.unwrap_or_else(|_| panic!("{route} waits for ever"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
            "{route}"
        );
        assert!(
            answer.detail().contains("the body took longer than 1 s"),
            "{route}"
        );
    }
}

#[tokio::test]
async fn a_deadline_holds_while_another_explanation_runs() {
    let router = router_over(path("models"), Settings::default());
    let long = Request::post("/v1/models/mobilenet_v2/explain?method=rise&n_masks=20000")
        .body(Body::from(photo("coffee.jpg")))
        .expect("a request");
    let long = tokio::spawn(send(router.clone(), long));
    // The explainer is busy from the moment that its queue is empty and its answer not there.
    for route in ["layers", "explainers"] {
        let request = Request::get(format!("/v1/models/mobilenet_v2/{route}"))
            .header("x-request-timeout-ms", "1")
            .body(Body::empty())
            .expect("a request");
        let answer = tokio::time::timeout(Duration::from_secs(20), send(router.clone(), request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{route} waits for ever"));
        assert_eq!(answer.code(), "deadline_exceeded", "{route}");
    }
    assert!(!long.is_finished());
    long.abort();
}

#[tokio::test]
async fn a_latent_of_another_length_is_refused_before_it_has_a_place() {
    let router = router_over(path("models"), Settings::default());
    let two = serde_json::json!({"latents": [[0.0], [0.0]]}).to_string();
    let request = Request::post("/v1/models/vae/decode")
        .body(Body::from(two))
        .expect("a request");
    let answer = send(router.clone(), request).await;
    assert_eq!(answer.code(), "invalid_parameter");
    assert!(
        answer.detail().contains("a latent of 1 values"),
        "{}",
        answer.detail()
    );
    let request = Request::get("/metrics").body(Body::empty()).expect("a request");
    let metrics = String::from_utf8(send(router, request).await.body).expect("text");
    let computed = "lucarne_images_computed_total{model=\"vae\",queue=\"predict\"}";
    assert_eq!(series_value(&metrics, computed), 0.0);
}
