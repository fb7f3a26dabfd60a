//! Which version answers: names, shares, shadows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::{ModelControl, Settings};
use serde_json::{Value, json};

use crate::support::{Answer, path, png, router_over, send};

const MANIFEST: &str = "task = \"classification\"\n[input]\nsize = [6, 8]\nresize = \"stretch\"\n";

/// Two ways to answer the same: `linear` and `pooled`.
fn put(models: &Path, version: &str, file: &str) {
    let folder = models.join("m").join(version);
    std::fs::create_dir_all(&folder).expect("writable");
    let file = path("tests/golden/closed_forms").join(format!("{file}.pt"));
    std::fs::copy(file, folder.join("model.pt")).expect("a copy");
}

/// A folder of versions 1 to 3, of which 2 is pooled, and these lines at the end of its model.toml.
pub(crate) fn folder(head: &str, versions: &str) -> tempfile::TempDir {
    let models = tempfile::tempdir().expect("a temporary folder");
    for (version, file) in [("1", "linear"), ("2", "pooled"), ("3", "linear")] {
        put(models.path(), version, file);
    }
    let manifest = format!("{head}\n{MANIFEST}[versions]\n{versions}\n");
    std::fs::write(models.path().join("m/model.toml"), manifest).expect("writable");
    models
}

fn picture() -> Vec<u8> {
    let samples: Vec<u8> = (0..6 * 8 * 3).map(|i| (i * 37 % 251) as u8).collect();
    png(&lucarne::image::Picture::new(8, 6, samples).expect("a picture"))
}

pub(crate) async fn post(router: &Router, uri: &str, key: Option<&str>) -> Answer {
    let mut request = Request::post(uri).header("content-type", "image/png");
    if let Some(key) = key {
        request = request.header("x-routing-key", key);
    }
    send(router.clone(), request.body(picture().into()).expect("a request")).await
}

pub(crate) async fn get(router: &Router, uri: &str) -> Answer {
    let request = Request::get(uri).body(Body::empty()).expect("a request");
    send(router.clone(), request).await
}

pub(crate) async fn version(router: &Router, uri: &str, key: Option<&str>) -> String {
    let answer = post(router, uri, key).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()["version"].as_str().expect("a version").to_owned()
}

#[tokio::test]
async fn versions_have_names_and_model_toml_says_which_are_loaded() {
    let models = folder(
        "",
        "serve = \"stable\"\naliases = { stable = \"1\", next = \"3\" }",
    );
    let router = router_over(models.path().to_owned(), Settings::default());
    let info = get(&router, "/v1/models/m").await.json();
    assert_eq!(
        (&info["version"], &info["loaded"], &info["aliases"]),
        (
            &json!("1"),
            &json!(["1", "3"]),
            &json!({"stable": "1", "next": "3"})
        )
    );
    assert_eq!(version(&router, "/v1/models/m/predict", None).await, "1");
    assert_eq!(
        version(&router, "/v1/models/m/versions/next/predict", None).await,
        "3"
    );
    assert_eq!(
        version(&router, "/v1/models/m/versions/3/predict", None).await,
        "3"
    );
    let unknown = post(&router, "/v1/models/m/versions/2/predict", None).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let index = send(
        router.clone(),
        Request::post("/v2/repository/index")
            .body(Body::empty())
            .expect("a request"),
    );
    let index: Vec<Value> = serde_json::from_slice(&index.await.body).expect("JSON");
    let found: Vec<_> = index.iter().map(|one| (&one["version"], &one["state"])).collect();
    assert_eq!(
        found,
        [(&json!("1"), &json!("READY")), (&json!("3"), &json!("READY"))]
    );
    for (load, loaded) in [
        ("load = \"all\"", json!(["1", "2", "3"])),
        ("load = { latest = 2 }", json!(["2", "3"])),
        ("load = [\"2\"]\nserve = \"2\"", json!(["2"])),
        ("", json!(["3"])),
        // What is not there is said in the log; what serves goes on.
        ("load = [\"2\", \"9\"]", json!(["2", "3"])),
    ] {
        let models = folder("", load);
        let router = router_over(models.path().to_owned(), Settings::default());
        assert_eq!(
            get(&router, "/v1/models/m").await.json()["loaded"],
            loaded,
            "{load}"
        );
    }
}

#[tokio::test]
async fn a_canary_answers_its_share_and_a_key_stays_on_its_side() {
    let models = folder(
        "",
        "aliases = { canary = \"2\" }\ncanary = { version = \"canary\", share = 0.1 }",
    );
    let router = router_over(models.path().to_owned(), Settings::default());
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..500 {
        *answered
            .entry(version(&router, "/v1/models/m/predict", None).await)
            .or_default() += 1;
    }
    let canary = answered["2"];
    assert!(
        (48..=52).contains(&canary) && answered["3"] == 500 - canary,
        "{answered:?}"
    );
    let mut of_canary = 0;
    for user in 0..200 {
        let key = format!("user-{user}");
        let first = version(&router, "/v1/models/m/predict", Some(&key)).await;
        let triton = post(&router, "/v1/models/m/explain?method=saliency", Some(&key))
            .await
            .json();
        assert_eq!(triton["version"], first, "{key}");
        of_canary += usize::from(first == "2");
    }
    assert!((8..=36).contains(&of_canary), "{of_canary}");
    // Who says a version gets it.
    assert_eq!(
        version(&router, "/v1/models/m/versions/3/predict", Some("user-0")).await,
        "3"
    );
    let metrics = String::from_utf8(get(&router, "/metrics").await.body).expect("UTF-8");
    for version in ["2", "3"] {
        let line = format!("nv_inference_request_success{{model=\"m\",version=\"{version}\"}}");
        assert!(metrics.contains(&line), "{line}");
    }
    let twice = Request::post("/v1/models/m/predict")
        .header("x-routing-key", "a")
        .header("x-routing-key", "b");
    let refused = send(router.clone(), twice.body(picture().into()).expect("a request")).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::BAD_REQUEST, "invalid_parameter".into())
    );
}

/// The value of the metric that begins so, if it is there.
pub(crate) async fn metric(router: &Router, line: &str) -> Option<f64> {
    let metrics = String::from_utf8(get(router, "/metrics").await.body).expect("UTF-8");
    metrics
        .lines()
        .find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[tokio::test]
async fn a_shadow_computes_what_others_are_answered_and_is_compared() {
    for (shadow, is_other) in [("2", true), ("1", false)] {
        let models = folder("", &format!("shadow = {{ version = \"{shadow}\" }}"));
        let router = router_over(models.path().to_owned(), Settings::default());
        let compared =
            format!("lucarne_shadow_inputs_total{{model=\"m\",version=\"{shadow}\",outcome=\"compared\"}}");
        for _ in 0..400 {
            assert_eq!(version(&router, "/v1/models/m/predict", None).await, "3");
            if metric(&router, &compared).await.is_some_and(|count| count >= 3.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let labels = format!("{{model=\"m\",version=\"{shadow}\"}}");
        let difference = metric(&router, &format!("lucarne_shadow_largest_difference{labels}")).await;
        let agreement = metric(&router, &format!("lucarne_shadow_agreement_total{labels}")).await;
        let count = metric(&router, &compared).await;
        assert!(count.is_some_and(|count| count >= 3.0), "{count:?}");
        assert_eq!(
            difference.is_some_and(|found| found > 1e-3),
            is_other,
            "{difference:?}"
        );
        assert!(is_other || agreement == count, "{agreement:?} of {count:?}");
    }
}

pub(crate) async fn act(router: &Router, method: &str, uri: &str) -> Answer {
    let request = Request::builder().method(method).uri(uri).body(Body::empty());
    send(router.clone(), request.expect("a request")).await
}

#[tokio::test]
async fn every_way_to_load_and_unload_goes_by_model_toml() {
    let rules =
        "serve = \"stable\"\naliases = { stable = \"1\", next = \"2\" }\nshadow = { version = \"3\" }";
    let models = folder("", rules);
    let settings = Settings {
        model_control: ModelControl::Explicit,
        ..Settings::default()
    };
    let router = router_over(models.path().to_owned(), settings);
    for (method, uri) in [("PUT", "/v1/models/m"), ("POST", "/v2/repository/models/m/load")] {
        assert_eq!(act(&router, method, uri).await.status, StatusCode::OK, "{uri}");
        let info = get(&router, "/v1/models/m").await.json();
        assert_eq!(
            (&info["version"], &info["loaded"]),
            (&json!("1"), &json!(["1", "2", "3"])),
            "{uri}"
        );
    }
    let unloaded = act(&router, "DELETE", "/v1/models/m/versions/stable").await;
    assert_eq!(unloaded.status, StatusCode::NO_CONTENT);
    assert_eq!(
        version(&router, "/v1/models/m/predict", None).await,
        "2",
        "the shadow is the last choice"
    );
    assert_eq!(
        act(&router, "PUT", "/v1/models/m/versions/stable").await.json()["version"],
        "1"
    );
}

#[tokio::test]
async fn what_cannot_be_loaded_beside_says_why_and_checks_find_it() {
    let models = folder("", "canary = { version = \"2\", share = 0.5 }");
    std::fs::write(models.path().join("m/2/model.pt"), "no model").expect("writable");
    let router = router_over(models.path().to_owned(), Settings::default());
    let canary = get(&router, "/v1/models/m").await.json()["canary"].clone();
    assert_eq!(canary["loaded"], false);
    assert!(
        canary["error"]
            .as_str()
            .is_some_and(|why| why.contains("model.pt")),
        "{canary}"
    );
    assert_eq!(version(&router, "/v1/models/m/predict", None).await, "3");
}
