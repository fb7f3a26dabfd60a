//! Who may: each scope, each kind of route, each protocol.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, Version};
use lucarne::config::{ModelControl, Settings};
use sha2::{Digest, Sha256};
use tower::ServiceExt as _;

use crate::support::{Answer, model_variant, path, photo, router_over, send};

const SCOPES: [&str; 4] = ["predict", "explain", "admin", "metrics"];

/// What every key is for.
const LISTING: &str = "listing";

/// What a route is for, or nothing where it is for everybody.
const ROUTES: [(&str, &str, Option<&str>); 36] = [
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/ping", None),
    ("GET", "/openapi.json", None),
    ("GET", "/v2/health/live", None),
    ("GET", "/v2/health/ready", None),
    ("POST", "/grpc.health.v1.Health/Check", None),
    ("GET", "/metrics", Some("metrics")),
    ("GET", "/v1/models", Some(LISTING)),
    ("GET", "/v1/models/m", Some(LISTING)),
    ("POST", "/v1/models/m/predict", Some("predict")),
    ("POST", "/v1/models/m:predict", Some("predict")),
    ("POST", "/v1/models/m/versions/1/predict", Some("predict")),
    ("POST", "/v1/models/m/sample", Some("predict")),
    ("POST", "/v1/models/m/explain", Some("explain")),
    ("POST", "/v1/models/m:explain", Some("explain")),
    ("POST", "/v1/models/m/versions/1/explain", Some("explain")),
    ("POST", "/v1/models/m/explain/compare", Some("explain")),
    ("POST", "/v1/models/m/versions/1/explain/compare", Some("explain")),
    ("POST", "/v1/models/m/visualize", Some("explain")),
    ("GET", "/v1/models/m/layers", Some("explain")),
    ("PUT", "/v1/models/m", Some("admin")),
    ("DELETE", "/v1/models/m/versions/9", Some("admin")),
    ("GET", "/v2", Some(LISTING)),
    ("GET", "/v2/models/m", Some(LISTING)),
    ("GET", "/v2/models/stats", Some(LISTING)),
    ("POST", "/v2/models/m/infer", Some("predict")),
    ("POST", "/v2/models/m/infer?explain=saliency", Some("explain")),
    ("POST", "/v2/repository/index", Some(LISTING)),
    ("POST", "/v2/repository/models/nobody/load", Some("admin")),
    ("POST", "/predictions/m", Some("predict")),
    ("POST", "/explanations/m", Some("explain")),
    ("GET", "/models", Some(LISTING)),
    ("POST", "/inference.GRPCInferenceService/ServerLive", None),
    (
        "POST",
        "/inference.GRPCInferenceService/ModelInfer",
        Some("predict"),
    ),
    (
        "POST",
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        Some("admin"),
    ),
];

fn key(scope: &str) -> String {
    format!("the key for {scope}").replace(' ', "-")
}

fn guarded() -> (tempfile::TempDir, Router) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = folder.path().join("models");
    std::fs::create_dir(&models).expect("writable");
    model_variant(&models, "m", "selfie", |text| text);
    let keys: String = SCOPES
        .iter()
        .map(|scope| {
            let digest: String = Sha256::digest(key(scope))
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("[[keys]]\nname = \"{scope}\"\nsha256 = \"{digest}\"\nscopes = [\"{scope}\"]\n")
        })
        .collect();
    let file = folder.path().join("keys.toml");
    std::fs::write(&file, keys).expect("writable");
    let settings = Settings {
        keys_file: Some(file),
        model_control: ModelControl::Explicit,
        ..Settings::default()
    };
    let router = router_over(models, settings);
    (folder, router)
}

async fn ask(router: &Router, (method, uri): (&str, &str), key: Option<&str>) -> Answer {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(uri);
    if uri.contains("GRPC") || uri.contains("grpc") {
        request = request
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc");
    } else {
        request = request.header("content-type", "image/png");
    }
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    send(router.clone(), request.body(Body::from("x")).expect("a request")).await
}

/// 401 and 403 as they are told, whatever the protocol.
fn denied(answer: &Answer) -> Option<u16> {
    match answer.headers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"16") => Some(401),
        Some(b"7") => Some(403),
        Some(_) => None,
        None => Some(answer.status.as_u16()).filter(|status| [401, 403].contains(status)),
    }
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_others() {
    let (_folder, router) = guarded();
    for (method, uri, needed) in ROUTES {
        let nobody = denied(&ask(&router, (method, uri), None).await);
        // Whether a prediction is to be explained is known once it is read.
        assert_eq!(nobody, needed.map(|_| 401), "{method} {uri} without a key");
        let wrong = denied(&ask(&router, (method, uri), Some("the-key-for-predicT")).await);
        assert_eq!(wrong, needed.map(|_| 401), "{method} {uri} with a wrong key");
        for scope in SCOPES {
            let found = denied(&ask(&router, (method, uri), Some(&key(scope))).await);
            let expected = needed
                .filter(|needed| ![scope, LISTING].contains(needed))
                .map(|_| 403);
            if uri.contains("explain=saliency") && scope == "explain" {
                // It needs both.
                assert_eq!(found, Some(403), "{uri}");
                continue;
            }
            assert_eq!(found, expected, "{method} {uri} with {scope}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_how_to_mend_it_and_nothing_of_the_key() {
    let (_folder, router) = guarded();
    let refused = ask(&router, ("GET", "/v1/models"), None).await;
    assert_eq!(
        (
            refused.code().as_str(),
            refused.headers["www-authenticate"].as_bytes()
        ),
        ("unauthorized", &b"Bearer"[..])
    );
    assert!(
        refused.detail().contains("Authorization: Bearer"),
        "{}",
        refused.detail()
    );
    let refused = ask(&router, ("PUT", "/v1/models/m"), Some(&key("predict"))).await;
    assert_eq!(refused.code(), "forbidden");
    assert!(refused.detail().contains("`admin`"), "{}", refused.detail());
    let unknown = ask(&router, ("GET", "/v1/models"), Some("never-tell-this")).await;
    for answer in [&refused, &unknown] {
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            !text.contains("the-key-for") && !text.contains("never-tell-this"),
            "{text}"
        );
    }
    let metrics = ask(&router, ("GET", "/metrics"), Some(&key("metrics"))).await;
    let text = String::from_utf8_lossy(&metrics.body);
    assert!(
        !text.contains("the-key-for") && text.contains("unauthorized"),
        "{text}"
    );
}

#[tokio::test]
async fn a_stream_of_events_has_a_place_until_it_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = folder.path().join("models");
    std::fs::create_dir(&models).expect("writable");
    model_variant(&models, "m", "selfie", |text| text);
    let digest: String = Sha256::digest("one")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = folder.path().join("keys.toml");
    let keys =
        format!("[[keys]]\nname = \"one\"\nsha256 = \"{digest}\"\nscopes = [\"explain\"]\nconcurrency = 1\n");
    std::fs::write(&file, keys).expect("writable");
    let settings = Settings {
        keys_file: Some(file),
        ..Settings::default()
    };
    let router = router_over(models, settings);
    let asked = || {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/models/m/explain?method=grad_cam")
            .header("content-type", "image/jpeg")
            .header("accept", "text/event-stream")
            .header("authorization", "Bearer one");
        let request = request.body(Body::from(photo("astronaut.jpg")));
        router.clone().oneshot(request.expect("a request"))
    };
    let first = asked().await.expect("an answer");
    assert_eq!(first.status(), StatusCode::OK);
    let second = asked().await.expect("an answer");
    assert_eq!(
        second.status(),
        StatusCode::TOO_MANY_REQUESTS,
        "the first has not ended"
    );
    drop(first);
    assert_eq!(asked().await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn pages_of_other_origins_may_send_a_key_and_read_where_tensors_begin() {
    let settings = Settings {
        cors_origins: vec!["https://a.example".into()],
        ..Settings::default()
    };
    let router = router_over(path("models"), settings);
    let asked = |method: Method, header: (&'static str, &'static str)| {
        let request = Request::builder()
            .method(method)
            .uri("/v2")
            .header("origin", "https://a.example")
            .header("access-control-request-method", "GET")
            .header(header.0, header.1);
        send(router.clone(), request.body(Body::empty()).expect("a request"))
    };
    let preflight = asked(
        Method::OPTIONS,
        ("access-control-request-headers", "authorization,x-api-key"),
    )
    .await;
    let allowed = &preflight.headers["access-control-allow-headers"];
    assert_eq!(allowed, "authorization,x-api-key");
    let answer = asked(Method::GET, ("accept", "*/*")).await;
    let exposed = answer.headers["access-control-expose-headers"].to_str();
    let exposed = exposed.unwrap_or_default();
    assert!(exposed.contains("inference-header-content-length"), "{exposed}");
}
