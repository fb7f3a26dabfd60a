//! What only some tasks have: other forms of an answer, operations and parameters of their own.

use axum::http::{StatusCode, header};
use lucarne::image::{Limits, decode};
use serde_json::{Value, json};

use crate::support::{get, multipart, path, photo, post};

fn golden(file: &str) -> Vec<u8> {
    std::fs::read(path("tests/golden").join(file)).expect("a golden picture")
}

const PNG: (&str, &str) = ("accept", "image/png");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test]
async fn a_mask_answers_as_png_overlay_and_npy() {
    let uri = "/v1/models/selfie/predict";
    let picture = golden("selfie/astronaut.jpg");
    let size = decode(&picture, &Limits::default())
        .map(|p| (p.width(), p.height()))
        .expect("a picture");
    let json = post(uri, &[], picture.clone()).await.json()["predictions"][0].clone();
    let npy = post(uri, &[("accept", "application/x-npy")], picture.clone()).await;
    let npy = npyz::NpyFile::new(npy.body.as_slice()).expect("an NPY file");
    assert_eq!(npy.shape(), [u64::from(size.1), u64::from(size.0)]);
    let class_ids: Vec<u8> = npy.into_vec().expect("bytes");
    let person = json["classes"]
        .as_array()
        .expect("classes")
        .iter()
        .find(|c| c["label"] == "person")
        .expect("a person");
    assert_eq!(
        class_ids.iter().filter(|&&id| id == 1).count() as u64,
        person["pixels"].as_u64().expect("a count")
    );
    let mask = decode(&post(uri, &[PNG], picture.clone()).await.body, &Limits::default()).expect("a PNG");
    assert_eq!((mask.width(), mask.height()), size);
    let colors = |id: u8| if id == 1 { [128, 0, 0] } else { [0, 0, 0] };
    assert!(
        mask.data()
            .chunks_exact(3)
            .zip(&class_ids)
            .all(|(pixel, &id)| pixel == colors(id))
    );
    let overlay = post(&format!("{uri}?render=overlay&alpha=1"), &[PNG], picture).await;
    let overlay = decode(&overlay.body, &Limits::default()).expect("a PNG");
    let tinted = overlay
        .data()
        .chunks_exact(3)
        .zip(&class_ids)
        .filter(|(_, id)| **id == 1);
    assert!(tinted.into_iter().all(|(pixel, _)| pixel == [128, 0, 0]));
}

#[tokio::test]
async fn thresholds_and_limits_of_a_detector_are_parameters() {
    let count = async |query: &str| {
        let json = post(
            &format!("/v1/models/nanodet/predict?{query}"),
            &[],
            photo("astronaut.jpg"),
        )
        .await
        .json();
        json["predictions"][0]["objects"]
            .as_array()
            .map(Vec::len)
            .unwrap_or_else(|| panic!("{json}"))
    };
    let (few, many) = (
        count("score_threshold=0.5").await,
        count("score_threshold=0.1").await,
    );
    assert!(few >= 1 && many > few, "{few} {many}");
    assert_eq!(count("score_threshold=0.1&max_detections=2").await, 2);
    assert!(
        count("score_threshold=0.1&iou_threshold=1").await > many,
        "nothing is suppressed"
    );
    let png = post("/v1/models/nanodet/predict", &[PNG], photo("astronaut.jpg")).await;
    assert_eq!(decode(&png.body, &Limits::default()).map(|p| p.width()), Ok(400));
    let wrong = post(
        "/v1/models/nanodet/predict?iou_threshold=2",
        &[],
        photo("astronaut.jpg"),
    )
    .await;
    assert_eq!(wrong.code(), "invalid_parameter");
}

#[tokio::test]
async fn a_caption_streams_word_by_word_and_ends_with_the_answer() {
    let picture = golden("captioner/scene_0.png");
    let answer = post("/v1/models/captioner/predict?beams=3", &[EVENTS], picture.clone()).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/event-stream");
    let text = String::from_utf8(answer.body).expect("UTF-8");
    let events: Vec<(&str, Value)> = text
        .split("\n\n")
        .filter_map(|event| {
            let (name, data) = event.split_once('\n')?;
            let data = serde_json::from_str(data.strip_prefix("data: ")?).expect("JSON");
            Some((name.strip_prefix("event: ")?, data))
        })
        .collect();
    let (last, words) = events.split_last().expect("events");
    assert_eq!(last.0, "caption");
    let streamed: Vec<&str> = words
        .iter()
        .filter_map(|(_, word)| word["text"].as_str())
        .collect();
    assert_eq!(
        last.1["predictions"][0]["captions"][0]["text"],
        streamed.join(" ")
    );
    let plain = post("/v1/models/captioner/predict?beams=3", &[], picture)
        .await
        .json();
    assert_eq!(plain["predictions"][0]["captions"][0]["text"], streamed.join(" "));
    assert!(
        plain["predictions"][0]["captions"][0]["tokens"][0]
            .get("attention")
            .is_none()
    );
}

#[tokio::test]
async fn a_vae_encodes_decodes_samples_and_goes_from_one_image_to_another() {
    let (bag, boot) = (golden("vae/bag.png"), golden("vae/ankle_boot.png"));
    let encoded = post("/v1/models/vae/encode", &[], bag.clone()).await.json();
    let mu = &encoded["predictions"][0]["latent"]["mu"];
    let decoded = post(
        "/v1/models/vae/decode",
        &[],
        json!({"latents": [mu, mu]}).to_string(),
    )
    .await
    .json();
    let reconstructed = post("/v1/models/vae/predict", &[], bag.clone()).await.json();
    let png = &reconstructed["predictions"][0]["reconstruction"]["png_b64"];
    assert!(
        png.is_string() && decoded["images"][0]["png_b64"] == *png && decoded["images"][1]["png_b64"] == *png
    );
    let sample = async |query: &str| {
        post(&format!("/v1/models/vae/sample?{query}"), &[], "")
            .await
            .json()["images"]
            .clone()
    };
    let three = sample("n=3&seed=5").await;
    assert_eq!(three.as_array().map(Vec::len), Some(3));
    assert_eq!(three, sample("n=3&seed=5").await);
    assert_ne!(three, sample("n=3&seed=6").await);
    let (content_type, body) = multipart(
        &[("a", &bag), ("b", &boot)],
        &[("steps", "5"), ("path", "spherical")],
    );
    let way = post(
        "/v1/models/vae/interpolate",
        &[("content-type", &content_type)],
        body.clone(),
    )
    .await
    .json();
    assert_eq!(way["images"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        way["images"][0]["png_b64"], *png,
        "the first is the reconstruction of the first image"
    );
    let row = post(
        "/v1/models/vae/interpolate",
        &[("content-type", &content_type), PNG],
        body,
    )
    .await;
    let row = decode(&row.body, &Limits::default()).expect("a PNG");
    assert_eq!((row.width(), row.height()), (5 * 30 - 2, 28));
}

#[tokio::test]
async fn what_a_task_cannot_do_is_said() {
    let bag = golden("vae/bag.png");
    for (uri, headers, body, status, code) in [
        (
            "/v1/models/mobilenet_v2/encode",
            &[][..],
            bag.clone(),
            422,
            "unsupported_for_task",
        ),
        (
            "/v1/models/selfie/explain?method=attention",
            &[],
            photo("coffee.jpg"),
            422,
            "unsupported_for_task",
        ),
        (
            "/v1/models/mobilenet_v2/predict",
            &[PNG],
            photo("coffee.jpg"),
            406,
            "not_acceptable",
        ),
        (
            "/v1/models/vae/decode",
            &[],
            b"{\"latents\": [[1, 2]]}".to_vec(),
            400,
            "invalid_parameter",
        ),
        (
            "/v1/models/vae/decode",
            &[],
            b"{\"latents\": []}".to_vec(),
            400,
            "empty_body",
        ),
        (
            "/v1/models/vae/sample?n=0",
            &[],
            Vec::new(),
            400,
            "invalid_parameter",
        ),
        ("/v1/models/vae/interpolate", &[], bag, 400, "invalid_body"),
        (
            "/v1/models/captioner/predict?beams=99",
            &[],
            photo("coffee.jpg"),
            400,
            "invalid_parameter",
        ),
        (
            "/v1/models/nanodet/predict?top_k=3",
            &[],
            photo("coffee.jpg"),
            400,
            "invalid_parameter",
        ),
    ] {
        let answer = post(uri, headers, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn layers_are_listed_for_every_task() {
    for model in ["selfie", "nanodet", "captioner", "vae"] {
        let answer = get(&format!("/v1/models/{model}/layers")).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{model}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        assert!(
            answer.json()["layers"]
                .as_array()
                .is_some_and(|layers| !layers.is_empty()),
            "{model}"
        );
    }
}
