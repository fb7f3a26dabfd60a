//! Bodies as the HTTP libraries of other languages write them.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::support::{Answer, photo, post};

const PREDICT: &str = "/v1/models/mobilenet_v2/predict";

/// A multipart of a photo behind parts with these heads and bodies.
async fn parts(parts: &[(&str, &[u8])]) -> Answer {
    let picture = photo("chelsea.png");
    let file: (&str, &[u8]) = (
        "Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"",
        &picture,
    );
    let mut body = Vec::new();
    for (head, bytes) in parts.iter().chain([&file]) {
        body.extend_from_slice(format!("--edge\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    post(
        PREDICT,
        &[("content-type", "multipart/form-data; boundary=edge")],
        body,
    )
    .await
}

fn classes(answer: &Answer) -> Option<usize> {
    answer.json()["predictions"][0]["classes"]
        .as_array()
        .map(Vec::len)
}

#[tokio::test]
async fn a_text_of_any_usual_spelling_is_a_parameter() {
    for (who, head, text) in [
        ("curl", "Content-Disposition: form-data; name=\"top_k\"", "2"),
        (
            ".NET",
            "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=top_k",
            "2",
        ),
        (
            "Apache HttpClient",
            "Content-Disposition: form-data; name=\"top_k\"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n\
             Content-Transfer-Encoding: 8bit",
            "2",
        ),
        (
            "Spring",
            "Content-Disposition: form-data; name=\"top_k\"\r\nContent-Type: application/json",
            "2",
        ),
        (
            "Spring",
            "Content-Disposition: form-data; name=\"top_k\"\r\nContent-Type: application/json",
            "\"2\"",
        ),
        (
            "an object",
            "Content-Disposition: form-data; name=\"parameters\"\r\nContent-Type: application/json; charset=UTF-8",
            " {\"top_k\": 2}",
        ),
        (
            "RFC 5987",
            "Content-Disposition: form-data; name*=utf-8''top_k",
            "2",
        ),
    ] {
        let answer = parts(&[(head, text.as_bytes())]).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{who}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        assert_eq!(classes(&answer), Some(2), "{who}");
    }
}

#[tokio::test]
async fn a_file_may_be_without_a_name_or_named_for_other_alphabets() {
    let picture = photo("coffee.jpg");
    for head in [
        "Content-Disposition: form-data; name=\"image\"\r\nContent-Type: image/jpeg",
        "Content-Disposition: form-data; name=\"image\"\r\nContent-Type: application/octet-stream",
        "Content-Disposition: form-data; name=image; filename*=utf-8''caf%C3%A9.jpg",
        "Content-Disposition: form-data; name=\"image\"; filename=\"=?utf-8?B?Y2Fmw6kuanBn?=\"\r\nContent-Type: text/plain",
    ] {
        let answer = parts(&[(head, &picture)]).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{head}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        assert_eq!(
            answer.json()["predictions"].as_array().map(Vec::len),
            Some(2),
            "{head}"
        );
    }
}

#[tokio::test]
async fn parts_that_cannot_be_meant_are_refused_by_name() {
    let json = "Content-Disposition: form-data; name=\"parameters\"\r\nContent-Type: application/json";
    let encoded = "Content-Disposition: form-data; name=\"top_k\"\r\nContent-Transfer-Encoding: base64";
    for (head, text, code, detail) in [
        (
            json,
            "{\"top_k\": ",
            "invalid_body",
            "part `parameters` is no JSON",
        ),
        (
            json,
            "{\"top_k\": 1, \"top_k\": 2}",
            "invalid_parameter",
            "more than once",
        ),
        (
            json,
            "{\"top_k\": {}}",
            "invalid_parameter",
            "`top_k`: expected text",
        ),
        (json, "3", "invalid_parameter", "`parameters`"),
        (
            encoded,
            "Mg==",
            "invalid_body",
            "content-transfer-encoding `base64`",
        ),
    ] {
        let refused = parts(&[(head, text.as_bytes())]).await;
        assert_eq!(refused.code(), code, "{text}");
        assert!(refused.detail().contains(detail), "{}", refused.detail());
    }
    let long = vec![b' '; 300 << 10];
    assert!(parts(&[(json, &long)]).await.detail().contains("bytes of JSON"));
}

#[tokio::test]
async fn base64_is_read_as_it_is_written_elsewhere() {
    let text = BASE64_STANDARD.encode(photo("chelsea.png"));
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    let spellings = [
        lines.join("\r\n"),
        text.trim_end_matches('=').replace('+', "-").replace('/', "_"),
        format!("DATA:image/png;charset=utf-8;base64,{text}"),
        format!(" {text}\n"),
    ];
    let images: Vec<_> = spellings.iter().map(|b64| json!({"b64": b64})).collect();
    let body = json!({"images": images, "parameters": null}).to_string();
    let answer = post(PREDICT, &[("content-type", "application/json")], body).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    for index in 0..spellings.len() {
        assert_eq!(
            answer.json()["predictions"][index]["classes"][0]["label"],
            "Egyptian cat",
            "{index}"
        );
    }
    let spaced = json!({"images": [{"b64": text.replacen('+', " ", 1)}]}).to_string();
    let refused = post(PREDICT, &[("content-type", "application/json")], spaced).await;
    assert_eq!(refused.code(), "invalid_body");
    assert!(
        refused.detail().contains("images[0].b64: it is not base64"),
        "{}",
        refused.detail()
    );
    let sampled = post("/v1/models/vae/sample", &[], "{\"parameters\": null}").await;
    assert_eq!(sampled.status, StatusCode::OK);
}
