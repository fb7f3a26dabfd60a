//! Bad input: each kind has a status and a code of its own, and is never a 500.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::Settings;

use crate::support::{multipart, path, photo, post, router, router_over, send};

const PREDICT: &str = "/v1/models/mobilenet_v2/predict";

/// A PNG whose header claims `width` × `height`, and has nothing behind it.
fn claim(width: u32, height: u32) -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(width.to_be_bytes());
    ihdr.extend(height.to_be_bytes());
    ihdr.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&ihdr);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(ihdr);
    png.extend(crc.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    };
    !bytes.iter().fold(!0, step)
}

/// Where, with which headers and body, and the status and code that answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16, &'a str);

#[tokio::test]
async fn each_bad_input_has_a_status_and_code_of_its_own() {
    let jpeg = photo("coffee.jpg");
    let truncated = jpeg[..jpeg.len() / 2].to_vec();
    let json = [("content-type", "application/json")];
    let query = |query: &str| format!("{PREDICT}?{query}");
    let (zero, negative, unknown, twice) = (
        query("top_k=0"),
        query("top_k=-1"),
        query("topk=3"),
        query("top_k=1&top_k=2"),
    );
    let cases: Vec<Case<'_>> = vec![
        (PREDICT, &[], Vec::new(), 400, "empty_body"),
        (
            PREDICT,
            &[],
            b"this is a text file\n".to_vec(),
            415,
            "unsupported_media_type",
        ),
        (
            PREDICT,
            &[("content-type", "text/plain")],
            b"text".to_vec(),
            415,
            "unsupported_media_type",
        ),
        (PREDICT, &[], truncated, 422, "invalid_image"),
        (PREDICT, &[], claim(60_000, 60_000), 413, "image_too_large"),
        (PREDICT, &json, b"{\"images\": [".to_vec(), 400, "invalid_body"),
        (PREDICT, &json, b"{\"image\": []}".to_vec(), 400, "invalid_body"),
        (
            PREDICT,
            &json,
            b"{\"images\": [{\"b64\": \"%%%\"}]}".to_vec(),
            400,
            "invalid_body",
        ),
        (PREDICT, &json, b"{\"images\": []}".to_vec(), 400, "empty_body"),
        (
            PREDICT,
            &json,
            b"{\"images\": [{\"b64\": \"\"}]}".to_vec(),
            400,
            "empty_body",
        ),
        (
            PREDICT,
            &[("content-type", "multipart/form-data")],
            b"x".to_vec(),
            400,
            "invalid_body",
        ),
        (
            "/v1/models/mobilenet_v3/predict",
            &[],
            jpeg.clone(),
            404,
            "model_not_found",
        ),
        (&zero, &[], jpeg.clone(), 400, "invalid_parameter"),
        (&negative, &[], jpeg.clone(), 400, "invalid_parameter"),
        (&unknown, &[], jpeg.clone(), 400, "invalid_parameter"),
        (&twice, &[], jpeg.clone(), 400, "invalid_parameter"),
        (
            PREDICT,
            &[("x-request-timeout-ms", "soon")],
            jpeg.clone(),
            400,
            "invalid_parameter",
        ),
        (
            "/v1/models/mobilenet_v2/divine",
            &[],
            jpeg.clone(),
            404,
            "not_found",
        ),
        ("/v1/models", &[], jpeg.clone(), 405, "method_not_allowed"),
    ];
    for (uri, headers, body, status, code) in cases {
        let answer = post(uri, headers, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{uri} {headers:?}"
        );
    }
}

#[tokio::test]
async fn a_bad_file_among_good_ones_is_named_by_its_place() {
    let jpeg = photo("coffee.jpg");
    let (content_type, body) = multipart(&[("a.jpg", &jpeg), ("b.txt", b"text"), ("c.jpg", &jpeg)], &[]);
    let answer = post(PREDICT, &[("content-type", &content_type)], body).await;
    assert_eq!(answer.code(), "unsupported_media_type");
    assert!(answer.detail().contains("image 1"), "{}", answer.detail());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let size = 33 << 20;
    let announced = Request::post(PREDICT)
        .header("content-length", size)
        .body(Body::empty())
        .expect("a request");
    let answer = send(router(), announced).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
    );
    let chunks = futures_util::stream::iter((0..33).map(|_| Ok::<_, std::io::Error>(vec![0u8; 1 << 20])));
    let streamed = Request::post(PREDICT)
        .body(Body::from_stream(chunks))
        .expect("a request");
    assert_eq!(send(router(), streamed).await.code(), "body_too_large");
}

#[tokio::test]
async fn a_body_that_hardly_moves_gives_way_to_one_that_comes() {
    let settings = Settings {
        max_body_mb: 1,
        max_inflight_mb: 2,
        ..Settings::default()
    };
    let router = router_over(path("models"), settings);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let stream = futures_util::stream::unfold(receiver, async |mut r| r.recv().await.map(|item| (item, r)));
    let slow = Request::post(PREDICT)
        .body(Body::from_stream(stream))
        .expect("a request");
    let slow = tokio::spawn(send(router.clone(), slow));
    // The second send returns when the first megabyte less one byte was taken out of the channel and counted.
    sender
        .send(Ok(vec![0; (1 << 20) - 1]))
        .await
        .expect("the body is read");
    sender.send(Ok(vec![0; 0])).await.expect("the body is read");
    sender.send(Ok(vec![0; 0])).await.expect("the body is read");
    let comes = Request::post(PREDICT)
        .body(Body::from(photo("coffee.jpg")))
        .expect("a request");
    assert_eq!(send(router.clone(), comes).await.status, StatusCode::OK);
    assert_eq!(slow.await.expect("it ends").code(), "deadline_exceeded");
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_says_why_and_the_others_serve() {
    let models = tempfile::tempdir().expect("a temporary folder");
    crate::support::model_variant(models.path(), "good", "mobilenet_v2", |text| text);
    crate::support::model_variant(models.path(), "bad", "mobilenet_v2", |text| {
        text.replace("[224, 224]", "[224]")
    });
    let router = router_over(models.path().to_owned(), Settings::default());
    let ask = |uri: &str, body: Vec<u8>| {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::from(body))
            .expect("a request");
        send(router.clone(), request)
    };
    assert_eq!(
        ask("/v1/models/good/predict", photo("coffee.jpg")).await.status,
        StatusCode::OK
    );
    let refused = ask("/v1/models/bad/predict", photo("coffee.jpg")).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    );
    let info = ask("/v1/models/bad", Vec::new()).await.json();
    assert_eq!(info["state"], "failed");
    assert!(
        info["error"]
            .as_str()
            .is_some_and(|e| e.contains("model.toml: input.size")),
        "{info}"
    );
    assert_eq!(ask("/readyz", Vec::new()).await.code(), "not_ready");
}
