//! The service in-process, with the models of the repository, and short ways to ask it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use lucarne::app::Server;
use lucarne::config::Settings;
use lucarne::image::{Picture, Pool, encode_png};
use serde_json::Value;
use tower::ServiceExt;

/// A file below the project's root.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The bytes of a golden photo.
pub fn photo(name: &str) -> Vec<u8> {
    std::fs::read(path("tests/golden/photos").join(name)).expect("a golden photo")
}

/// Waits for `work` outside of the test's own runtime, whose threads must not block.
pub fn blocking<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| tokio::runtime::Runtime::new().expect("threads").block_on(work));
        waiting.join().expect("no panic")
    })
}

/// A server over `models`, loaded.
pub fn server_over(models: PathBuf, settings: Settings) -> Server {
    lucarne::runtime::process::configure_process();
    let server = Server::new(&Settings { models, ..settings }).expect("the folder can be read");
    blocking(server.load()).expect("nobody stops it");
    server
}

/// The routes over `models`, loaded.
pub fn router_over(models: PathBuf, settings: Settings) -> Router {
    server_over(models, settings).router()
}

/// The PNG of `picture`.
pub fn png(picture: &Picture) -> Vec<u8> {
    let pool = Pool::new(1).expect("a thread");
    pool.block(|thread| encode_png(thread, picture)).expect("a PNG")
}

/// The routes over the repository's own models, loaded once a process.
pub fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| router_over(path("models"), Settings::default()));
    ROUTER.clone()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem's code, after checking that it is a whole problem with this status.
    pub fn code(&self) -> String {
        let problem = self.json();
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(
            problem["request_id"],
            self.headers["x-request-id"].to_str().expect("ASCII")
        );
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem["code"].as_str().expect("a code").to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().expect("a detail").to_owned()
    }
}

/// Sends one request.
pub async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("routers do not fail");
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.expect("a whole body").to_bytes().to_vec(),
    }
}

pub async fn get(uri: &str) -> Answer {
    send(
        router(),
        Request::get(uri).body(Body::empty()).expect("a request"),
    )
    .await
}

/// Posts a raw body with these headers.
pub async fn post(uri: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router(), request.body(body.into()).expect("a request")).await
}

/// The value of one series in the text of `/metrics`.
pub fn series_value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("{series}\n{text}"));
    let value = line.rsplit(' ').next().and_then(|v| v.parse().ok());
    value.expect("a number")
}

/// A multipart body of files, and of text fields.
pub fn multipart(files: &[(&str, &[u8])], fields: &[(&str, &str)]) -> (String, Vec<u8>) {
    let boundary = "a-boundary-that-no-photo-holds";
    let mut body = Vec::new();
    for (name, value) in fields {
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(head.as_bytes());
    }
    for (name, bytes) in files {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// A copy of a model of the repository in a folder of its own, with its model.toml changed by `edit`.
pub fn model_variant(models: &Path, name: &str, from: &str, edit: impl FnOnce(String) -> String) {
    let (source, target) = (path("models").join(from), models.join(name));
    std::fs::create_dir_all(&target).expect("writable");
    for file in ["model.pt", "labels.txt"] {
        std::fs::hard_link(source.join(file), target.join(file))
            .or_else(|_| std::fs::copy(source.join(file), target.join(file)).map(drop))
            .expect("a copy");
    }
    let manifest = std::fs::read_to_string(source.join("model.toml")).expect("a model.toml");
    std::fs::write(target.join("model.toml"), edit(manifest)).expect("writable");
}
