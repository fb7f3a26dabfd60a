//! What a request may ask for, and how much of it: each bound has a code, and what was wrong is named.

use std::io::Write;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use lucarne::config::Settings;
use lucarne::image::Picture;

use crate::support::{Answer, model_variant, path, photo, png, post, router, router_over, send};

const PREDICT: &str = "/v1/models/mobilenet_v2/predict?top_k=1";
const EXPLAIN: &str = "/v1/models/mobilenet_v2/explain";

async fn encoded(encoding: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(PREDICT).header("content-encoding", encoding);
    send(router(), request.body(Body::from(body)).expect("a request")).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn a_compressed_body_is_the_body() {
    let plain = post(PREDICT, &[], photo("coffee.jpg")).await.json()["predictions"].clone();
    let zstd = zstd::encode_all(&photo("coffee.jpg")[..], 3).expect("memory");
    for (encoding, body) in [
        ("gzip", gzip(&photo("coffee.jpg"))),
        ("deflate", zlib(&photo("coffee.jpg"))),
        ("zstd", zstd),
        ("identity", photo("coffee.jpg")),
    ] {
        let answer = encoded(encoding, body).await;
        assert_eq!(answer.json()["predictions"], plain, "{encoding}");
    }
}

#[tokio::test]
async fn what_comes_out_of_a_compressed_body_is_what_is_bounded() {
    let bomb = encoded("gzip", gzip(&vec![0; 40 << 20])).await;
    assert_eq!(
        (bomb.status, bomb.code().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
    );
    let unknown = encoded("br", photo("coffee.jpg")).await;
    assert_eq!(unknown.code(), "unsupported_media_type");
    assert_eq!(unknown.headers["accept-encoding"], "gzip, deflate, zstd");
    let broken = encoded("gzip", photo("coffee.jpg")).await;
    assert_eq!(broken.code(), "invalid_body");
}

#[tokio::test]
async fn an_answer_that_would_never_fit_is_refused_before_it_is_made() {
    let settings = Settings {
        max_answers_mb: 16,
        ..Settings::default()
    };
    let router = router_over(path("models"), settings);
    let large = Picture::new(2000, 1000, vec![7; 2000 * 1000 * 3]).expect("a picture");
    for query in ["resolution=original", "overlay=true"] {
        let request = Request::post(format!("{EXPLAIN}?{query}"));
        let request = request.body(Body::from(png(&large))).expect("a request");
        let answer = send(router.clone(), request).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "answer_too_large"),
            "{query}"
        );
        assert!(answer.detail().contains("max_answers_mb"), "{}", answer.detail());
    }
    let request =
        Request::post(format!("{EXPLAIN}?resolution=original")).header("accept", "application/x-npy");
    let request = request.body(Body::from(png(&large))).expect("a request");
    let array = send(router.clone(), request).await;
    assert_eq!(
        array.status,
        StatusCode::OK,
        "an array takes half of what JSON does"
    );
    let request = Request::post(EXPLAIN)
        .body(Body::from(png(&large)))
        .expect("a request");
    assert_eq!(
        send(router, request).await.status,
        StatusCode::OK,
        "the map by itself is small"
    );
}

#[tokio::test]
async fn maps_and_passes_have_bounds() {
    let settings = Settings {
        max_maps: 2,
        max_passes: 100,
        ..Settings::default()
    };
    let router = router_over(path("models"), settings);
    let ask = async |query: &str| {
        let request = Request::post(format!("{EXPLAIN}?{query}"));
        let request = request.body(Body::from(photo("coffee.jpg"))).expect("a request");
        send(router.clone(), request).await
    };
    for (query, named) in [
        ("layer=features.18,features.17,features.16", "max_maps"),
        ("method=rise&n_masks=200", "max_passes"),
        ("layer=features.18,features.18", "more than once"),
    ] {
        let answer = ask(query).await;
        assert_eq!(answer.code(), "invalid_parameter", "{query}");
        assert!(answer.detail().contains(named), "{query}: {}", answer.detail());
    }
    assert_eq!(ask("layer=features.18,features.17").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_id_that_may_not_be_logged_is_replaced() {
    for id in ["x".repeat(200), "two words".to_owned(), String::new()] {
        let request = Request::post(PREDICT).header("x-request-id", &id);
        let answer = send(router(), request.body(Body::empty()).expect("a request")).await;
        let given = answer.json()["request_id"].as_str().expect("an id").to_owned();
        assert_ne!(given, id);
        assert_eq!(answer.headers["x-request-id"], given);
    }
}

#[tokio::test]
async fn what_no_handler_sees_is_a_problem_too() {
    for uri in ["/v1/models/%ff/layers", "/docs/nope"] {
        let request = Request::get(uri).body(Body::empty()).expect("a request");
        let answer = send(router(), request).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::NOT_FOUND, "not_found"),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn a_page_runs_nothing_from_elsewhere_and_stands_in_no_frame() {
    let request = Request::get("/docs/").body(Body::empty()).expect("a request");
    let page = send(router(), request).await;
    let header = |name: &str| page.headers[name].to_str().expect("text").to_owned();
    assert!(header("content-security-policy").contains("default-src 'self'"));
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_phone_s_photo_is_drawn_on_by_default() {
    const SIZE: (u32, u32) = (4032, 3024);
    let pixels = vec![127; SIZE.0 as usize * SIZE.1 as usize * 3];
    let photo = png(&Picture::new(SIZE.0, SIZE.1, pixels).expect("a picture"));
    let models = tempfile::tempdir().expect("a temporary folder");
    for name in ["selfie", "nanodet", "mobilenet_v2"] {
        model_variant(models.path(), name, name, |manifest| manifest);
    }
    // On its own: what others draw meanwhile takes memory of the same budget.
    let router = router_over(models.path().to_owned(), Settings::default());
    for uri in [
        "/v1/models/selfie/predict",
        "/v1/models/selfie/predict?render=overlay",
        "/v1/models/nanodet/predict",
        "/v1/models/mobilenet_v2/explain",
    ] {
        let request = Request::post(uri).header("accept", "image/png");
        let request = request.body(Body::from(photo.clone())).expect("a request");
        let answer = send(router.clone(), request).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}");
        let drawn = &answer.body[16..24];
        assert_eq!(
            drawn,
            [SIZE.0.to_be_bytes(), SIZE.1.to_be_bytes()].concat(),
            "{uri}"
        );
    }
}
