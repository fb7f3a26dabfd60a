//! Models that come and go while requests run, as clients say.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use lucarne::config::{ModelControl, Settings};
use serde_json::{Value, json};

use crate::support::{Answer, path, router_over, send};

/// Puts a version of the model `name` into its folder.
fn put(models: &Path, name: &str, version: &str) {
    let folder = models.join(name);
    std::fs::create_dir_all(folder.join(version)).expect("writable");
    std::fs::copy(
        path("tests/golden/closed_forms/linear.pt"),
        folder.join(version).join("model.pt"),
    )
    .expect("a copy");
    let manifest = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 3, 6, 8]\n\
                    [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]\n";
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
}

fn serving(control: ModelControl) -> (tempfile::TempDir, Router) {
    let models = tempfile::tempdir().expect("a temporary folder");
    put(models.path(), "m", "1");
    let settings = Settings {
        model_control: control,
        ..Settings::default()
    };
    let router = router_over(models.path().to_owned(), settings);
    (models, router)
}

async fn ask(router: &Router, method: Method, uri: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder().method(method).uri(uri).body(body.into());
    send(router.clone(), request.expect("a request")).await
}

async fn predict(router: &Router, uri: &str) -> Answer {
    let call =
        json!({"inputs": [{"name": "x", "shape": [1, 3, 6, 8], "datatype": "FP32", "data": vec![0.5; 144]}]});
    ask(router, Method::POST, uri, call.to_string()).await
}

async fn versions(router: &Router) -> Value {
    ask(router, Method::GET, "/v2/models/m", "").await.json()["versions"].clone()
}

#[tokio::test]
async fn a_version_is_loaded_and_unloaded_by_each_protocol_s_way() {
    let (models, router) = serving(ModelControl::Explicit);
    put(models.path(), "m", "2");
    let loaded = ask(&router, Method::PUT, "/v1/models/m", "").await;
    assert_eq!(
        (loaded.status, loaded.json()["version"].clone()),
        (StatusCode::OK, json!("2"))
    );
    assert_eq!(
        predict(&router, "/v2/models/m/infer").await.json()["model_version"],
        "2"
    );
    // The one before has ended, and is not asked for any more.
    assert_eq!(
        predict(&router, "/v2/models/m/versions/1/infer").await.status,
        StatusCode::NOT_FOUND
    );
    let config = json!({"version_policy": {"specific": {"versions": [1, 2]}}}).to_string();
    let call = json!({"parameters": {"config": config}}).to_string();
    assert_eq!(
        ask(&router, Method::POST, "/v2/repository/models/m/load", call)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(versions(&router).await, json!(["1", "2"]));
    for version in ["1", "2"] {
        let answer = predict(&router, &format!("/v2/models/m/versions/{version}/infer")).await;
        assert_eq!(answer.json()["model_version"], version);
    }
    for wrong in [
        r#"{"parameters": {"foo": 1}}"#,
        r#"{"parameters": {"unload_dependents": "x"}}"#,
        "[]",
        "[{}]",
    ] {
        let refused = ask(&router, Method::POST, "/v2/repository/models/m/unload", wrong).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let unloaded = ask(&router, Method::DELETE, "/v1/models/m/versions/2", "").await;
    assert_eq!(unloaded.status, StatusCode::NO_CONTENT);
    assert_eq!(
        predict(&router, "/v2/models/m/infer").await.json()["model_version"],
        "1"
    );
    assert_eq!(
        ask(&router, Method::POST, "/v2/repository/models/m/unload", "")
            .await
            .status,
        StatusCode::OK
    );
    let refused = predict(&router, "/v2/models/m/infer").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        refused.json()["error"]
            .as_str()
            .is_some_and(|text| text.contains("unloaded"))
    );
    let index = ask(&router, Method::POST, "/v2/repository/index", "")
        .await
        .json();
    assert_eq!(
        (&index[0]["state"], &index[0]["reason"]),
        (&json!("UNAVAILABLE"), &json!("unloaded"))
    );
    assert_eq!(
        ask(&router, Method::GET, "/readyz", "").await.status,
        StatusCode::OK,
        "on purpose"
    );
    let again = ask(&router, Method::PUT, "/v1/models/m/versions/1", "").await;
    assert_eq!(again.json()["version"], "1");
}

#[tokio::test]
async fn a_folder_that_came_since_is_loaded_by_its_name() {
    let (models, router) = serving(ModelControl::Explicit);
    put(models.path(), "late", "7");
    let loaded = ask(&router, Method::PUT, "/v1/models/late", "").await;
    assert_eq!(
        (loaded.status, loaded.json()["version"].clone()),
        (StatusCode::OK, json!("7"))
    );
    for stranger in ["..", "%2e%2e%2fm", "m%2f..", ".hidden", "nobody"] {
        let refused = ask(&router, Method::PUT, &format!("/v1/models/{stranger}"), "").await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{stranger}");
    }
}

#[tokio::test]
async fn what_cannot_be_loaded_says_why_and_the_one_before_goes_on() {
    let (models, router) = serving(ModelControl::Explicit);
    put(models.path(), "m", "2");
    std::fs::write(models.path().join("m/2/model.pt"), "no model").expect("writable");
    for (method, uri) in [
        (Method::PUT, "/v1/models/m"),
        (Method::POST, "/v2/repository/models/m/load"),
    ] {
        let refused = ask(&router, method, uri, "").await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{uri}");
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(
            text.contains("model.pt") && text.contains("model_not_loaded"),
            "{text}"
        );
    }
    assert_eq!(
        predict(&router, "/v2/models/m/infer").await.json()["model_version"],
        "1"
    );
    for stranger in ["9", "--help", "-1", "1%2f..", ""] {
        let refused = ask(
            &router,
            Method::PUT,
            &format!("/v1/models/m/versions/{stranger}"),
            "",
        )
        .await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{stranger}");
    }
}

/// A load of several versions by Triton's policy.
async fn load(router: &Router, policy: Value) -> Answer {
    let config = json!({"version_policy": policy}).to_string();
    let call = json!({"parameters": {"config": config}}).to_string();
    ask(router, Method::POST, "/v2/repository/models/m/load", call).await
}

#[tokio::test]
async fn versions_that_stay_are_not_touched_and_a_policy_is_done_whole_or_not() {
    let (models, router) = serving(ModelControl::Explicit);
    put(models.path(), "m", "2");
    assert_eq!(load(&router, json!({"all": {}})).await.status, StatusCode::OK);
    let of_version = async |version: &str| {
        predict(&router, &format!("/v2/models/m/versions/{version}/infer"))
            .await
            .status
    };
    put(models.path(), "m", "3");
    let (loaded, asked) = futures_util::future::join(load(&router, json!({"all": {}})), async {
        let mut statuses = Vec::new();
        for _ in 0..50 {
            statuses.extend([of_version("1").await, of_version("2").await]);
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        statuses
    })
    .await;
    assert_eq!(loaded.status, StatusCode::OK);
    assert!(asked.iter().all(|status| *status == StatusCode::OK), "{asked:?}");
    assert_eq!(versions(&router).await, json!(["1", "2", "3"]));
    put(models.path(), "m", "4");
    put(models.path(), "m", "5");
    std::fs::write(models.path().join("m/5/model.pt"), "no model").expect("writable");
    assert_eq!(
        load(&router, json!({"all": {}})).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        versions(&router).await,
        json!(["1", "2", "3"]),
        "nothing has changed"
    );
    assert_eq!(
        load(&router, json!({"specific": {"versions": [1, 2]}}))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(versions(&router).await, json!(["1", "2"]));
    assert_eq!(
        predict(&router, "/v2/models/m/infer").await.json()["model_version"],
        "2"
    );
}

#[tokio::test]
async fn nobody_loads_where_it_is_not_said() {
    for control in [ModelControl::None, ModelControl::Poll] {
        let (_models, router) = serving(control);
        for (method, uri) in [
            (Method::PUT, "/v1/models/m"),
            (Method::PUT, "/v1/models/m/versions/1"),
            (Method::DELETE, "/v1/models/m"),
            (Method::DELETE, "/v1/models/m/versions/1"),
            (Method::POST, "/v2/repository/models/m/load"),
            (Method::POST, "/v2/repository/models/m/unload"),
        ] {
            let refused = ask(&router, method, uri, "").await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{uri}");
            let text = String::from_utf8_lossy(&refused.body).into_owned();
            assert!(text.contains("--model-control explicit"), "{text}");
        }
        assert_eq!(
            predict(&router, "/v2/models/m/infer").await.status,
            StatusCode::OK
        );
    }
}
