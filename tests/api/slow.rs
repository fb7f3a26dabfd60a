//! Clients that send a body and never end it, and clients that do not wait for ever.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{Method, Request, StatusCode, Version};
use futures_util::StreamExt as _;
use lucarne::config::{ModelControl, Settings};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::{Answer, model_variant, path, photo, router_over, send, series_value};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The routes over the repository's models, which give a body one second. Clients may load models: where they may not,
/// they learn it before their body is read.
fn impatient() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let settings = Settings {
            body_timeout_s: 1,
            model_control: ModelControl::Explicit,
            ..Settings::default()
        };
        router_over(path("models"), settings)
    });
    ROUTER.clone()
}

/// A body that begins so, and then goes on without an end.
fn never_ending(first: &'static [u8]) -> Body {
    let first = futures_util::stream::once(async move { Ok::<_, Infallible>(Bytes::from_static(first)) });
    Body::from_stream(first.chain(futures_util::stream::pending()))
}

/// Method and path of every operation of the committed document that has a body.
fn operations() -> Vec<(Method, String)> {
    let document = std::fs::read(path("openapi/openapi.json")).expect("openapi/openapi.json");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    let mut found = Vec::new();
    for (route, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if operation.get("requestBody").is_some() {
                let method = method.to_uppercase().parse().expect("a method");
                found.push((method, route.clone()));
            }
        }
    }
    found
}

/// Name and task of every model.
async fn models(router: &Router) -> Vec<(String, String)> {
    let request = Request::get("/v1/models").body(Body::empty()).expect("a request");
    let list = send(router.clone(), request).await.json();
    let text = |member: &Value| member.as_str().expect("a text").to_owned();
    let models = list["models"].as_array().expect("models").iter();
    models
        .map(|model| (text(&model["name"]), text(&model["task"])))
        .collect()
}

/// The models that have the use case of a route; one without a name where the route has none. Of the other routes every
/// task is asked, also where it refuses what it reads (`/predictions` of a VAE, `compare` without `methods`): the body is
/// read first.
fn subjects<'m>(route: &str, models: &'m [(String, String)]) -> Vec<&'m str> {
    if !route.contains('{') {
        return vec![""];
    }
    let only = match route.rsplit('/').next() {
        Some("encode" | "decode" | "sample" | "interpolate") => Some("vae"),
        // That of two pictures. `/explain/compare` is of methods, and every model has some.
        Some("compare") if !route.ends_with("/explain/compare") => Some("embedding"),
        _ => None,
    };
    let models = models.iter();
    let models = models.filter(|(_, task)| only.is_none_or(|only| only == task.as_str()));
    models.map(|(name, _)| name.as_str()).collect()
}

/// A route's path with what its parameters stand for.
fn filled(route: &str, model: &str) -> String {
    let path = route.replace("{name}", model).replace("{model}", model);
    path.replace("{version}", "1")
}

/// Code and text of an error, told as the protocol of this path tells them.
fn told(path: &str, answer: &Answer) -> (String, String) {
    let told = answer.json();
    let text = |member: &str| told[member].as_str().unwrap_or_default().to_owned();
    match path.split('/').nth(1) {
        Some("v1") => (answer.code(), answer.detail()),
        Some("v2") => (text("code"), text("error")),
        _ => {
            assert_eq!(told["code"], answer.status.as_u16(), "{path}");
            // TorchServe has no name of its own for it.
            assert_eq!(told["type"], "InternalServerException", "{path}");
            (text("error"), text("message"))
        }
    }
}

#[tokio::test]
async fn every_operation_gives_a_body_up_that_does_not_arrive() {
    let router = impatient();
    let (models, operations) = (models(&router).await, operations());
    assert!(operations.len() >= 27, "only {} were found", operations.len());
    let mut asked = Vec::new();
    for (method, route) in &operations {
        let subjects = subjects(route, &models);
        assert!(!subjects.is_empty(), "{route}: no model has this use case");
        let paths = subjects.into_iter().map(|model| filled(route, model));
        asked.extend(paths.map(|path| (method.clone(), path)));
    }
    let slow = asked.iter().map(|(method, path)| {
        assert!(!path.contains('{'), "{path}: a parameter that is not known here");
        let request = Request::builder().method(method.clone()).uri(path.as_str());
        let request = request.body(never_ending(b"{")).expect("a request");
        tokio::time::timeout(PATIENCE, send(router.clone(), request))
    });
    let answers = futures_util::future::join_all(slow).await;
    for (answer, (method, path)) in answers.into_iter().zip(&asked) {
        let answer = answer.unwrap_or_else(|_| panic!("{method} {path} waits for ever"));
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(
            answer.status,
            StatusCode::GATEWAY_TIMEOUT,
            "{method} {path}: {body}"
        );
        let (code, text) = told(path, &answer);
        assert_eq!(code, "deadline_exceeded", "{method} {path}: {body}");
        assert!(
            text.contains("the body took longer than 1 s"),
            "{method} {path}: {text}"
        );
    }
}

#[tokio::test]
async fn a_message_of_grpc_is_given_up_that_does_not_end() {
    // Within its prefix, and within itself: it is of ten bytes, and one of them comes.
    for first in [b"\0\0".as_slice(), b"\0\0\0\0\x0a\x0a".as_slice()] {
        let request = Request::post("/inference.GRPCInferenceService/ModelInfer")
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .body(never_ending(first))
            .expect("a request");
        let answer = tokio::time::timeout(PATIENCE, send(impatient(), request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{first:?} is waited for for ever"));
        // An error stands in the head of an answer that is nothing else.
        let said = |name: &str| answer.headers[name].to_str().expect("ASCII");
        assert_eq!(answer.status, StatusCode::OK, "{first:?}");
        assert_eq!(
            (said("grpc-status"), said("lucarne-code")),
            ("4", "deadline_exceeded"),
            "{first:?}"
        );
        let text = said("grpc-message");
        assert!(
            text.contains("the body took longer than 1 s"),
            "{first:?}: {text}"
        );
    }
}

/// Whether the next event of a stream says how far its computation is.
async fn tells_progress(events: &mut BodyDataStream) -> bool {
    let event = tokio::time::timeout(PATIENCE, events.next()).await;
    let event = event.expect("it goes on").expect("it has not ended");
    event.expect("it can be read").starts_with(b"event: progress")
}

/// Asks the model of [`a_deadline_holds_while_another_explanation_runs`], and waits for so many milliseconds.
async fn asked_within(router: &Router, route: &str, ms: &str) -> Answer {
    let request = Request::get(format!("/v1/models/m/{route}"))
        .header("x-request-timeout-ms", ms)
        .body(Body::empty())
        .expect("a request");
    let answer = tokio::time::timeout(PATIENCE, send(router.clone(), request)).await;
    answer.unwrap_or_else(|_| panic!("{route} waits for ever"))
}

#[tokio::test]
async fn a_deadline_holds_while_another_explanation_runs() {
    /// What the explainer has ready: alone, it is answered long before.
    const ROUTES: [&str; 2] = ["layers", "explainers"];
    const DEADLINE_MS: &str = "500";
    /// More events than are kept for a client that does not read them.
    const UNREAD: usize = 20;
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "mobilenet_v2", |manifest| manifest);
    let settings = Settings {
        request_timeout_ms: 600_000,
        ..Settings::default()
    };
    let router = router_over(models.path().to_owned(), settings);
    let long = Request::post("/v1/models/m/explain?method=rise&n_masks=20000")
        .header("accept", "text/event-stream")
        .body(Body::from(photo("coffee.jpg")))
        .expect("a request");
    let long = router.clone().oneshot(long).await.expect("routers do not fail");
    let mut events = long.into_body().into_data_stream();
    // The explainer tells it between two passes: it is busy from then on.
    assert!(tells_progress(&mut events).await);
    for route in ROUTES {
        let answer = asked_within(&router, route, DEADLINE_MS).await;
        assert_eq!(answer.code(), "deadline_exceeded", "{route}");
    }
    // The last of these was told after both deadlines, so the explainer was busy all the time.
    for _ in 0..UNREAD {
        assert!(tells_progress(&mut events).await);
    }
    // Its client leaves: once the explainer is free, the same deadline is long enough.
    drop(events);
    assert_eq!(
        asked_within(&router, "layers", "20000").await.status,
        StatusCode::OK
    );
    for route in ROUTES {
        let answer = asked_within(&router, route, DEADLINE_MS).await;
        assert_eq!(answer.status, StatusCode::OK, "{route}");
    }
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
