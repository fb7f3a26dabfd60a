//! The page that people open: the files of `page/`, which stand in the program.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{Embed, EmbeddedFile};

use crate::error::Error;
use crate::transport::App;

/// What a browser may do with it: run what comes from here, draw what it has in memory, and ask this server.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                          connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";

#[derive(Embed)]
#[folder = "page/"]
#[exclude = "*.md"]
struct Files;

/// `/`, and the files that it asks for under `/page/`.
pub fn routes() -> Router<App> {
    Router::new()
        .route(
            "/",
            get(async |headers: HeaderMap| answer("index.html", &headers)),
        )
        .route(
            "/page/{*file}",
            get(async |Path(file): Path<String>, headers: HeaderMap| answer(&file, &headers)),
        )
}

/// The file of this name, or that the browser has it as it is.
fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(name) else {
        return Error::RouteNotFound("the page has no such file; it begins at /".into()).into_response();
    };
    let tag = tag(&file);
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|tags| tags.split(','));
    let is_known = known.any(|known| known.trim().trim_start_matches("W/") == tag);
    let kind = file.metadata.mimetype();
    let kind = match kind.starts_with("text/") {
        true => format!("{kind}; charset=utf-8"),
        false => kind.to_owned(),
    };
    let of_cache = [
        (header::ETAG, tag),
        // Another version of the program may stand here tomorrow.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    match is_known {
        true => (StatusCode::NOT_MODIFIED, of_cache).into_response(),
        false => (of_cache, [(header::CONTENT_TYPE, kind)], file.data).into_response(),
    }
}

/// What changes when the file does.
fn tag(file: &EmbeddedFile) -> String {
    let digest = file.metadata.sha256_hash();
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type_that_browsers_run() {
        assert!(Files::get("index.html").is_some());
        for name in Files::iter() {
            let answer = answer(&name, &HeaderMap::new());
            let kind = answer.headers()[header::CONTENT_TYPE]
                .to_str()
                .expect("text")
                .to_owned();
            let is_right = match name.rsplit_once('.').map(|(_, end)| end) {
                Some("js") => kind.starts_with("text/javascript"),
                Some("css") => kind.starts_with("text/css"),
                Some("html") => kind.starts_with("text/html"),
                Some("svg" | "png" | "webp" | "jpg") => kind.starts_with("image/"),
                Some("json" | "webmanifest") => kind.starts_with("application/"),
                _ => false,
            };
            assert!(is_right, "{name}: {kind}");
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, answer.headers()[header::ETAG].clone());
            assert_eq!(
                super::answer(&name, &headers).status(),
                StatusCode::NOT_MODIFIED,
                "{name}"
            );
        }
        assert_eq!(
            answer("../Cargo.toml", &HeaderMap::new()).status(),
            StatusCode::NOT_FOUND
        );
    }
}
