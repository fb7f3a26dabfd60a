//! What changes while the server runs: folders of models, and the file of keys.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sha2::{Digest, Sha256};

use crate::server::Server;
use crate::support::{model_variant, path};

/// Asks until the answer is as it should be.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Puts a version of a small model of tensors into a folder.
fn put(models: &Path, name: &str, version: &str) {
    let folder = models.join(name).join(version);
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::copy(
        path("tests/golden/closed_forms/linear.pt"),
        folder.join("model.pt"),
    )
    .expect("a copy");
    let manifest = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 3, 6, 8]\n\
                    [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]\n";
    std::fs::write(models.join(name).join("model.toml"), manifest).expect("writable");
}

#[tokio::test]
async fn models_follow_their_folders() {
    let models = tempfile::tempdir().expect("a temporary folder");
    put(models.path(), "m", "1");
    let flags = ["--model-control", "poll", "--poll-interval-s", "1"];
    let server = Server::start_on(models, &flags, Stdio::inherit()).await;
    let version = async |name: &str| {
        let answer = server
            .client
            .get(format!("{}/v1/models/{name}", server.url))
            .send()
            .await
            .ok()?;
        let status = answer.status();
        let body: serde_json::Value = answer.json().await.ok()?;
        status
            .is_success()
            .then(|| body["version"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(version("m").await.as_deref(), Some("1"));
    put(server.models(), "m", "2");
    until("a new version answers", async || {
        version("m").await.as_deref() == Some("2")
    })
    .await;
    put(server.models(), "n", "1");
    until("a new folder is served", async || {
        version("n").await.as_deref() == Some("1")
    })
    .await;
    std::fs::create_dir(server.models().join("m/3")).expect("writable");
    std::fs::write(server.models().join("m/3/model.pt"), "no model").expect("writable");
    std::fs::remove_dir_all(server.models().join("n")).expect("removable");
    until("a folder that is gone is not served", async || {
        version("n").await.is_none()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        version("m").await.as_deref(),
        Some("2"),
        "one that cannot be loaded changes nothing"
    );
}

#[tokio::test]
async fn a_load_tells_how_far_it_is() {
    let models = tempfile::tempdir().expect("a temporary folder");
    put(models.path(), "m", "1");
    let server = Server::start_on(models, &["--model-control", "explicit"], Stdio::inherit()).await;
    put(server.models(), "m", "2");
    let load = async |version: &str| {
        let request = server
            .client
            .put(format!("{}/v1/models/m/versions/{version}", server.url))
            .header("accept", "text/event-stream");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer.text().await.expect("a text");
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(':'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let stages = ["waiting", "trying", "loading"].map(|stage| format!("data: {{\"stage\":\"{stage}\"}}"));
    let told = load("2").await;
    let data: Vec<&String> = told
        .iter()
        .filter(|line| line.starts_with("data: {\"stage\""))
        .collect();
    assert_eq!(data, stages.iter().collect::<Vec<_>>(), "{told:?}");
    assert_eq!(told[told.len() - 2], "event: model", "{told:?}");
    assert!(told[told.len() - 1].contains("\"version\":\"2\""), "{told:?}");
    std::fs::create_dir(server.models().join("m/3")).expect("writable");
    std::fs::write(server.models().join("m/3/model.pt"), "no model").expect("writable");
    let told = load("3").await;
    assert_eq!(told[told.len() - 2], "event: error", "{told:?}");
    assert!(told[told.len() - 1].contains("model_not_loaded"), "{told:?}");
}

fn keys(file: &Path, key: &str) {
    let mut digest = String::new();
    for byte in Sha256::digest(key) {
        write!(digest, "{byte:02x}").expect("memory");
    }
    let text = format!("[[keys]]\nname = \"one\"\nsha256 = \"{digest}\"\nscopes = [\"predict\"]\n");
    std::fs::write(file, text).expect("writable");
}

#[tokio::test]
async fn keys_are_replaced_without_a_restart() {
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "selfie", |text| text);
    let file = models.path().join("keys.toml");
    keys(&file, "first");
    let flag = file.to_str().expect("a path").to_owned();
    let server = Server::start_on(models, &["--keys-file", &flag], Stdio::inherit()).await;
    let status = async |key: &str| {
        let request = server
            .client
            .get(format!("{}/v1/models", server.url))
            .bearer_auth(key);
        request.send().await.expect("an answer").status()
    };
    assert_eq!(status("first").await, StatusCode::OK);
    assert_eq!(status("second").await, StatusCode::UNAUTHORIZED);
    std::fs::write(&file, "[[keys]]\nname = 7\n").expect("writable");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        status("first").await,
        StatusCode::OK,
        "a file that is wrong changes nothing"
    );
    keys(&file, "second");
    until("the new key is known", async || {
        status("second").await == StatusCode::OK
    })
    .await;
    assert_eq!(status("first").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn another_name_for_this_machine_is_refused() {
    let server = Server::start(|text| text, &["--allowed-host", "lucarne.test"]).await;
    for (host, expected) in [
        ("evil.example", StatusCode::FORBIDDEN),
        ("lucarne.test", StatusCode::OK),
        ("localhost:1", StatusCode::OK),
    ] {
        let request = server
            .client
            .get(format!("{}/v1/models", server.url))
            .header("host", host);
        assert_eq!(
            request.send().await.expect("an answer").status(),
            expected,
            "{host}"
        );
    }
}
