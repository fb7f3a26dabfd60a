//! Models that nobody asks for: they rest, and wake as they were.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use lucarne::config::{ModelControl, Settings};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::server_over;
use crate::versions::{act, folder, get, metric, post, version};

/// A server over `models` whose models rest when nobody asks, until what is returned beside its routes is aborted.
fn with_rests(models: &Path, settings: Settings) -> (Router, JoinHandle<()>) {
    let server = server_over(models.to_owned(), settings);
    let service = server.service().clone();
    let resting = tokio::spawn(async move { service.catalog().rest().await });
    (server.router(), resting)
}

/// Waits until the model rests.
async fn until_resting(router: &Router) {
    let state = async || get(router, "/v1/models/m").await.json()["state"].clone();
    for _ in 0..200 {
        if state().await == "resting" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(state().await, "resting");
}

fn explicit() -> Settings {
    Settings {
        model_control: ModelControl::Explicit,
        ..Settings::default()
    }
}

/// A server whose model rests, with the folder of its models, of which two versions are to be loaded.
async fn with_two_that_rest() -> (TempDir, Router, JoinHandle<()>) {
    let models = folder("unload_after_s = 1", "load = { latest = 2 }");
    let (router, resting) = with_rests(models.path(), explicit());
    until_resting(&router).await;
    (models, router, resting)
}

#[tokio::test]
async fn a_model_that_nobody_asks_for_rests_and_comes_back() {
    let models = folder("unload_after_s = 1", "load = { latest = 2 }");
    let (router, resting) = with_rests(models.path(), explicit());
    assert_eq!(version(&router, "/v1/models/m/predict", None).await, "3");
    until_resting(&router).await;
    assert_eq!(get(&router, "/v1/models/m").await.json()["state"], "resting");
    assert_eq!(
        get(&router, "/readyz").await.status,
        StatusCode::OK,
        "it would answer"
    );
    // How long a client waits counts the loading, whichever way it says it: no model is there within a microsecond.
    let late = post(&router, "/v2/models/m/infer?timeout=1", None).await;
    assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT);
    // Many at once wake it once, and each is answered.
    let asked = (0..8).map(|_| version(&router, "/v1/models/m/predict", None));
    assert!(
        futures_util::future::join_all(asked)
            .await
            .iter()
            .all(|version| version == "3")
    );
    assert_eq!(
        get(&router, "/v1/models/m").await.json()["loaded"],
        json!(["2", "3"])
    );
    resting.abort();
}

#[tokio::test]
async fn a_client_that_leaves_takes_no_version_along() {
    let (_models, router, resting) = with_two_that_rest().await;
    // It asked, so that the model is loaded, but waits for nothing.
    let late = post(&router, "/v2/models/m/infer?timeout=1", None).await;
    assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT);
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let info = get(&router, "/v1/models/m").await.json();
        if (&info["state"], &info["loaded"]) == (&json!("ready"), &json!(["2", "3"])) {
            break;
        }
        assert!(std::time::Instant::now() < patience, "{info}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    resting.abort();
}

#[tokio::test]
async fn what_is_unloaded_while_it_wakes_stays_unloaded() {
    let (_models, router, resting) = with_two_that_rest().await;
    let asks = tokio::spawn({
        let router = router.clone();
        async move { post(&router, "/v1/models/m/predict", None).await.status }
    });
    tokio::task::yield_now().await;
    let unloaded = act(&router, "DELETE", "/v1/models/m").await;
    assert_eq!(unloaded.status, StatusCode::NO_CONTENT);
    asks.await.expect("it is answered somehow");
    assert_eq!(get(&router, "/v1/models/m").await.json()["state"], "unloaded");
    resting.abort();
}

#[tokio::test]
async fn whoever_asks_for_a_version_that_is_not_there_wakes_nobody() {
    let (_models, router, resting) = with_two_that_rest().await;
    let ready = async |version: &str| {
        get(&router, &format!("/v2/models/m/versions/{version}/ready"))
            .await
            .status
    };
    assert_eq!(ready("2").await, StatusCode::OK);
    assert_eq!(ready("9").await, StatusCode::NOT_FOUND);
    let refused = post(&router, "/v1/models/m/versions/9/predict", None).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/v1/models/m").await.json()["state"], "resting");
    resting.abort();
}

#[tokio::test]
async fn a_model_that_could_not_wake_is_tried_again() {
    let models = folder("unload_after_s = 1", "");
    let (router, resting) = with_rests(models.path(), Settings::default());
    until_resting(&router).await;
    assert_eq!(get(&router, "/v2/models/m/ready").await.status, StatusCode::OK);
    let manifest = models.path().join("m/model.toml");
    let aside = models.path().join("aside");
    std::fs::rename(&manifest, &aside).expect("writable");
    let refused = post(&router, "/v1/models/m/predict", None).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready".into())
    );
    // Whoever watches sees it, in every protocol.
    let info = get(&router, "/v1/models/m").await.json();
    assert_eq!(
        (&info["state"], &info["ready"]),
        (&json!("failed"), &json!(false))
    );
    assert!(
        info["error"]
            .as_str()
            .is_some_and(|why| why.contains("model.toml")),
        "{info}"
    );
    for path in ["/readyz", "/v2/models/m/ready"] {
        assert_eq!(
            get(&router, path).await.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{path}"
        );
    }
    assert_eq!(
        metric(&router, "lucarne_model_ready{model=\"m\"}").await,
        Some(0.0)
    );
    std::fs::rename(&aside, &manifest).expect("writable");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(version(&router, "/v1/models/m/predict", None).await, "3");
    assert_eq!(get(&router, "/readyz").await.status, StatusCode::OK);
    resting.abort();
}

#[tokio::test]
async fn a_model_that_could_not_wake_wakes_by_itself_when_it_can() {
    let models = folder("unload_after_s = 1", "");
    let (router, resting) = with_rests(models.path(), Settings::default());
    until_resting(&router).await;
    let (file, aside) = (models.path().join("m/3/model.pt"), models.path().join("aside"));
    std::fs::rename(&file, &aside).expect("writable");
    assert_ne!(
        post(&router, "/v1/models/m/predict", None).await.status,
        StatusCode::OK
    );
    std::fs::rename(&aside, &file).expect("writable");
    // A server that is not ready is asked nothing else.
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    while get(&router, "/readyz").await.status != StatusCode::OK {
        assert!(std::time::Instant::now() < patience, "it stays as it was");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    resting.abort();
}

#[tokio::test]
async fn a_model_wakes_as_it_was() {
    let models = folder("unload_after_s = 1", "load = \"all\"");
    let (router, resting) = with_rests(models.path(), explicit());
    // Rolled back.
    assert_eq!(
        act(&router, "PUT", "/v1/models/m/versions/1").await.status,
        StatusCode::OK
    );
    until_resting(&router).await;
    // What comes into the folder meanwhile is loaded by nobody.
    let newer = models.path().join("m/4");
    std::fs::create_dir(&newer).expect("writable");
    std::fs::write(newer.join("model.pt"), "half of a file").expect("writable");
    assert_eq!(version(&router, "/v1/models/m/predict", None).await, "1");
    assert_eq!(
        get(&router, "/v1/models/m").await.json()["loaded"],
        json!(["1", "2", "3"])
    );
    until_resting(&router).await;
    // It is described without being woken, and a version is taken out of what will be.
    let stats = get(&router, "/v2/models/m/stats").await.json();
    let of_one = &stats["model_stats"][0];
    assert_eq!(
        (&of_one["version"], &of_one["inference_count"]),
        (&json!("1"), &json!(1))
    );
    assert_eq!(get(&router, "/v1/models/m").await.json()["ready"], true);
    assert_eq!(
        act(&router, "DELETE", "/v1/models/m/versions/1").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(get(&router, "/v1/models/m").await.json()["state"], "resting");
    assert_eq!(version(&router, "/v1/models/m/predict", None).await, "3");
    assert_eq!(
        get(&router, "/v1/models/m").await.json()["loaded"],
        json!(["2", "3"])
    );
    resting.abort();
}
