//! What an error says: what was found, and what would be right.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::image::Picture;

use crate::support::{get, multipart, path, photo, png, post, router, send};

/// A picture that the model takes.
fn picture(model: &str) -> Vec<u8> {
    match model {
        "captioner" => std::fs::read(path("tests/golden/captioner/scene_0.png")).expect("a scene"),
        "vae" => std::fs::read(path("tests/golden/vae/bag.png")).expect("a bag"),
        _ => photo("astronaut.jpg"),
    }
}

/// A model, an operation of it, a query that it refuses, and what the refusal says.
const REFUSED: [(&str, &str, &str, &str); 13] = [
    (
        "mobilenet_v2",
        "predict",
        "top_k=1.5",
        "`top_k`: found `1.5`, expected a whole number, at least 1",
    ),
    (
        "captioner",
        "predict",
        "beams=x",
        "`beams`: found `x`, expected a whole number, 1 to 32",
    ),
    (
        "captioner",
        "predict",
        "length_penalty=x",
        "`length_penalty`: found `x`, expected a number, 0 to 4",
    ),
    (
        "captioner",
        "predict",
        "attention=yes",
        "`attention`: found `yes`, expected true or false",
    ),
    (
        "nanodet",
        "predict",
        "score_threshold=high",
        "`score_threshold`: found `high`, expected a number, 0 to 1",
    ),
    (
        "nanodet",
        "predict",
        "max_detections=1e3",
        "`max_detections`: found `1e3`, expected a whole number, 1 to 1000",
    ),
    (
        "selfie",
        "predict",
        "render=heat",
        "`render`: found `heat`, expected one of `mask`, `overlay`",
    ),
    (
        "vae",
        "sample",
        "seed=-1",
        "`seed`: found `-1`, expected a whole number, at least 0",
    ),
    (
        "vae",
        "sample",
        "temperature=hot",
        "`temperature`: found `hot`, expected a number, 0 to 10",
    ),
    (
        "mobilenet_v2",
        "visualize",
        "channel=x",
        "`channel`: found `x`, expected a whole number, at least 0",
    ),
    (
        "mobilenet_v2",
        "visualize",
        "jitter=65536000000",
        "`jitter`: found `65536000000`, expected a whole number, 0 to 64",
    ),
    ("vae", "sample", "n=65", "found 65, expected 1 to 64"),
    (
        "vae",
        "sample",
        "m=1",
        "unknown field `m`, expected one of `n`, `seed`, `temperature`",
    ),
];

#[tokio::test]
async fn a_parameter_of_another_kind_is_answered_with_the_kind_and_the_bounds() {
    for (model, operation, query, expected) in REFUSED {
        let body = match operation {
            "predict" => picture(model),
            _ => Vec::new(),
        };
        let refused = post(&format!("/v1/models/{model}/{operation}?{query}"), &[], body).await;
        assert_eq!(refused.code(), "invalid_parameter", "{model} {query}");
        assert!(refused.detail().contains(expected), "{}", refused.detail());
    }
    for found in ["1.0", "true"] {
        let body = format!(r#"{{"parameters": {{"n": {found}}}}}"#);
        let refused = post("/v1/models/vae/sample", &[], body).await;
        let expected = format!("found `{found}`, expected a whole number, 1 to 64");
        assert!(refused.detail().contains(&expected), "{}", refused.detail());
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_no_json_is_not_read_as_json() {
    let (content_type, form) = multipart(&[], &[("n", "2")]);
    let json = br#"{"parameters": {"n": 2}}"#.to_vec();
    for uri in ["/v1/models/vae/sample", "/v1/models/mobilenet_v2/visualize"] {
        for kind in [content_type.as_str(), "text/plain"] {
            let refused = post(uri, &[("content-type", kind)], form.clone()).await;
            let found = (refused.status, refused.code());
            let expected = (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type".to_owned(),
            );
            assert_eq!(found, expected, "{uri} {kind}");
            assert!(
                refused.detail().contains("send application/json"),
                "{}",
                refused.detail()
            );
        }
    }
    for (headers, body) in [
        (vec![], json.clone()),
        (
            vec![("content-type", "application/x-www-form-urlencoded")],
            json.clone(),
        ),
        (vec![("content-type", "application/json")], json),
        (vec![("content-type", content_type.as_str())], Vec::new()),
    ] {
        let answer = post("/v1/models/vae/sample?seed=1", &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{headers:?}");
    }
    let refused = post("/v1/models/vae/decode", &[], Vec::new()).await;
    assert!(
        refused.detail().contains("JSON with `latents`"),
        "{}",
        refused.detail()
    );
}

#[tokio::test]
async fn an_image_whose_target_is_not_there_is_named_by_its_place() {
    let black = png(&Picture::new(64, 64, vec![0; 64 * 64 * 3]).expect("a picture"));
    let astronaut = picture("nanodet");
    let explain = async |files: &[(&str, &[u8])]| {
        let (content_type, body) = multipart(files, &[("target", "person")]);
        post(
            "/v1/models/nanodet/explain",
            &[("content-type", &content_type)],
            body,
        )
        .await
    };
    let refused = explain(&[("a.jpg", &astronaut), ("b.png", &black)]).await;
    assert_eq!(refused.code(), "nothing_detected");
    assert!(refused.detail().contains("image 1: "), "{}", refused.detail());
    let alone = explain(&[("b.png", &black)]).await;
    assert!(!alone.detail().contains("image 0"), "{}", alone.detail());
}

#[tokio::test]
async fn no_parameter_is_left_out_without_a_word() {
    for uri in [
        "/v1/models",
        "/v1/models/selfie",
        "/v1/models/selfie/layers",
        "/v1/models/selfie/explainers",
    ] {
        let refused = get(&format!("{uri}?verbose=1")).await;
        assert_eq!(refused.code(), "invalid_parameter", "{uri}");
        assert!(refused.detail().contains("`verbose`"), "{}", refused.detail());
        assert_eq!(get(&format!("{uri}?")).await.status, StatusCode::OK, "{uri}");
    }
    let missing = get("/v1/models/nobody?verbose=1").await;
    assert_eq!(missing.code(), "model_not_found");
    let grid = "/v1/models/mobilenet_v2/explain?grid=3,3";
    for uri in [grid.to_owned(), format!("{grid}&layer=features.13")] {
        let refused = post(&uri, &[], picture("mobilenet_v2")).await;
        assert_eq!(refused.code(), "invalid_parameter");
        assert!(
            refused
                .detail()
                .contains("`grid`: is for layers that give tokens"),
            "{}",
            refused.detail()
        );
    }
}

#[tokio::test]
async fn words_are_those_of_the_documents() {
    let one = post("/v1/models/vae/interpolate", &[], picture("vae")).await;
    assert!(one.detail().contains("found 1 image,"), "{}", one.detail());
    let request = Request::post("/v1/models/mobilenet_v2/sample").body(Body::empty());
    let refused = send(router(), request.expect("a request")).await;
    assert!(
        refused.detail().contains("of the task classification;"),
        "{}",
        refused.detail()
    );
}
