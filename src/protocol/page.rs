//! The page that people open: the files of `page/`, which stand in the program.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{Embed, EmbeddedFile};

use crate::error::Error;
use crate::transport::App;

/// The types that gzip makes shorter.
const TEXTS: [&str; 4] = [
    "text/",
    "application/json",
    "application/manifest+json",
    "image/svg+xml",
];

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
    let kind = file.metadata.mimetype();
    let is_text = TEXTS.iter().any(|text| kind.starts_with(text));
    let is_packed = is_text && takes_gzip(headers);
    let tag = tag(&file, is_packed);
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|tags| tags.split(','));
    let is_known = known.any(|known| known.trim().trim_start_matches("W/") == tag);
    let of_cache = [
        (header::ETAG, tag),
        // Another version of the program may stand here tomorrow.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::VARY, header::ACCEPT_ENCODING.to_string()),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, of_cache).into_response();
    }
    let kind = match kind.starts_with("text/") {
        true => format!("{kind}; charset=utf-8"),
        false => kind.to_owned(),
    };
    let of_kind = [(header::CONTENT_TYPE, kind)];
    match is_packed {
        true => {
            let of_form = [(header::CONTENT_ENCODING, "gzip")];
            (of_cache, of_kind, of_form, packed(name, &file)).into_response()
        }
        false => (of_cache, of_kind, file.data).into_response(),
    }
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|codings| codings.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|weight| weight.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// The file of this name with gzip, which is done once for each.
fn packed(name: &str, file: &EmbeddedFile) -> Bytes {
    static DONE: Mutex<BTreeMap<String, Bytes>> = Mutex::new(BTreeMap::new());
    if let Some(done) = DONE.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
        return done.clone();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    drop(encoder.write_all(&file.data));
    let made = Bytes::from(encoder.finish().unwrap_or_default());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    done.insert(name.to_owned(), made.clone());
    made
}

/// What changes when the file does, and with its form.
fn tag(file: &EmbeddedFile, is_packed: bool) -> String {
    let digest = file.metadata.sha256_hash();
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}{}\"", if is_packed { "-gzip" } else { "" })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::to_bytes;
    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;

    use super::*;

    #[tokio::test]
    async fn texts_are_packed_for_who_takes_it() {
        let asked = |coding: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
            answer("index.html", &headers)
        };
        let plain = Files::get("index.html").expect("the page").data;
        for coding in ["gzip, deflate, br", "br, GZIP;q=0.5"] {
            let answer = asked(coding);
            assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip", "{coding}");
            assert_eq!(answer.headers()[header::VARY], "accept-encoding");
            assert_ne!(
                answer.headers()[header::ETAG],
                asked("br").headers()[header::ETAG]
            );
            let packed = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
            let mut text = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut text).expect("gzip");
            assert!(text == *plain && packed.len() < plain.len(), "{coding}");
        }
        for coding in ["br", "gzip;q=0", "gzip; q=0.0, deflate", ""] {
            assert!(
                !asked(coding).headers().contains_key(header::CONTENT_ENCODING),
                "{coding}"
            );
        }
    }

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
