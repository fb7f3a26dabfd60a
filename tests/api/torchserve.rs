//! TorchServe's protocol: its paths, its shapes, its errors.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::support::{Answer, get, multipart, photo, post, router, send};

async fn put(uri: &str, body: Vec<u8>) -> Answer {
    send(
        router(),
        Request::put(uri).body(Body::from(body)).expect("a request"),
    )
    .await
}

#[tokio::test]
async fn a_classifier_answers_its_five_best_labels() {
    // As `curl -T` sends it.
    let answer = put("/predictions/mobilenet_v2", photo("coffee.jpg")).await.json();
    let own = post(
        "/v1/models/mobilenet_v2/predict?top_k=5",
        &[],
        photo("coffee.jpg"),
    )
    .await
    .json();
    let scores = answer.as_object().expect("labels");
    assert_eq!(scores.len(), 5);
    for class in own["predictions"][0]["classes"].as_array().expect("classes") {
        let found = scores[class["label"].as_str().expect("a label")]
            .as_f64()
            .expect("a score");
        assert!(
            (found - class["score"].as_f64().expect("a score")).abs() < 1e-6,
            "{answer}"
        );
    }
    let of_version = post("/predictions/mobilenet_v2/1?top_k=2", &[], photo("coffee.jpg"))
        .await
        .json();
    assert_eq!(of_version.as_object().expect("labels").len(), 2);
}

#[tokio::test]
async fn several_pictures_of_a_form_are_a_list() {
    let (coffee, cat) = (photo("coffee.jpg"), photo("chelsea.png"));
    let (kind, body) = multipart(&[("img1", &coffee), ("img2", &cat)], &[]);
    let answer = post("/predictions/mobilenet_v2", &[("content-type", &kind)], body)
        .await
        .json();
    assert_eq!(answer.as_array().expect("a list").len(), 2);
    let (kind, body) = multipart(&[("data", &coffee)], &[]);
    let one = post("/predictions/mobilenet_v2", &[("content-type", &kind)], body)
        .await
        .json();
    assert_eq!(one, answer[0]);
}

#[tokio::test]
async fn a_text_of_a_form_is_a_picture_in_base64() {
    let picture = photo("coffee.jpg");
    let expected = put("/predictions/mobilenet_v2", picture.clone()).await.json();
    let text = BASE64_STANDARD.encode(&picture);
    let (kind, body) = multipart(&[], &[("data", &text)]);
    let form = [("content-type", kind.as_str())];
    let answer = post("/predictions/mobilenet_v2", &form, body).await.json();
    assert_eq!(answer, expected, "as a part");
    // As Python's `requests` sends `data={"data": …}`.
    let encoded = serde_urlencoded::to_string([("data", &text)]).expect("a form");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = post("/predictions/mobilenet_v2", &form, encoded.clone())
        .await
        .json();
    assert_eq!(answer, expected, "as a form");
    let more = format!("{encoded}{}", "&a".repeat(100_000));
    let answer = post("/predictions/mobilenet_v2", &form, more).await.json();
    assert_eq!(answer, expected, "whatever comes behind it");
    let refused = post("/predictions/mobilenet_v2", &form, "data=no%20picture").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.json()["message"]
            .as_str()
            .is_some_and(|why| why.contains("base64"))
    );
    let bytes = post("/predictions/mobilenet_v2", &form, picture).await.json();
    assert_eq!(bytes, expected, "curl --data-binary says so of any bytes");
}

#[tokio::test]
async fn a_detector_answers_labels_with_boxes() {
    let answer = post("/predictions/nanodet", &[], photo("coffee.jpg"))
        .await
        .json();
    let own = post("/v1/models/nanodet/predict", &[], photo("coffee.jpg"))
        .await
        .json();
    let own = own["predictions"][0]["objects"].as_array().expect("objects");
    let objects = answer.as_array().expect("objects");
    assert_eq!(objects.len(), own.len());
    for (object, own) in objects.iter().zip(own) {
        let bounds = &own["box"];
        let corners = object[own["label"].as_str().expect("a label")]
            .as_array()
            .expect("corners");
        let sides = ["x_min", "y_min", "x_max", "y_max"].map(|side| &bounds[side]);
        for (found, own) in corners
            .iter()
            .chain([&object["score"]])
            .zip(sides.into_iter().chain([&own["score"]]))
        {
            let (found, own) = (found.as_f64().expect("a number"), own.as_f64().expect("a number"));
            assert!((found - own).abs() < 1e-3, "{object} {own}");
        }
    }
}

#[tokio::test]
async fn a_segmenter_answers_class_and_probability_of_each_cell() {
    let answer = post("/predictions/unet", &[], photo("coffee.jpg")).await.json();
    let rows = answer.as_array().expect("rows");
    let cells = rows[0].as_array().expect("cells");
    let manifest = get("/v1/models/unet").await.json();
    assert_eq!(
        json!([rows.len(), cells.len()]),
        manifest["input"]["size"],
        "{manifest}"
    );
    for cell in rows.iter().flat_map(|row| row.as_array().expect("cells")) {
        let (class, probability) = (
            cell[0].as_u64().expect("a class"),
            cell[1].as_f64().expect("a probability"),
        );
        assert!(class < 64 && probability > 0.0 && probability <= 1.0, "{cell}");
    }
}

#[tokio::test]
async fn an_explanation_is_its_map() {
    let answer = post(
        "/explanations/mobilenet_v2?method=grad_cam",
        &[],
        photo("coffee.jpg"),
    )
    .await
    .json();
    let own = post(
        "/v1/models/mobilenet_v2/explain?method=grad_cam",
        &[],
        photo("coffee.jpg"),
    )
    .await
    .json();
    let own = &own["explanations"][0]["map"];
    let rows = answer.as_array().expect("rows");
    assert_eq!(
        json!([rows.len(), rows[0].as_array().expect("cells").len()]),
        own["shape"]
    );
    let flat: Vec<f64> = rows
        .iter()
        .flat_map(|row| row.as_array().expect("cells"))
        .map(|v| v.as_f64().expect("a number"))
        .collect();
    for (found, own) in flat.iter().zip(own["data"].as_array().expect("numbers")) {
        assert!((found - own.as_f64().expect("a number")).abs() < 1e-5);
    }
}

#[tokio::test]
async fn management_lists_what_is_served() {
    let all = get("/models").await.json();
    let names: Vec<&str> = all["models"]
        .as_array()
        .expect("models")
        .iter()
        .map(|model| model["modelName"].as_str().expect("a name"))
        .collect();
    assert!(names.contains(&"mobilenet_v2"), "{all}");
    let page = get("/models?limit=2&next_page_token=1").await.json();
    assert_eq!(page["models"], json!([all["models"][1], all["models"][2]]));
    assert_eq!(page["nextPageToken"], "3");
    for path in [
        "/models/mobilenet_v2",
        "/models/mobilenet_v2/1",
        "/models/mobilenet_v2/all",
    ] {
        let one = get(path).await.json();
        assert_eq!(
            (&one[0]["modelName"], &one[0]["modelVersion"]),
            (&json!("mobilenet_v2"), &json!("1")),
            "{path}"
        );
        assert_eq!(one[0]["workers"][0]["status"], "READY");
    }
    assert_eq!(get("/ping").await.json(), json!({"status": "Healthy"}));
}

#[tokio::test]
async fn errors_are_exceptions_by_their_names() {
    for (path, body, status, kind, word) in [
        (
            "/predictions/nobody",
            photo("coffee.jpg"),
            404,
            "ModelNotFoundException",
            "nobody",
        ),
        (
            "/predictions/mobilenet_v2/9",
            photo("coffee.jpg"),
            404,
            "ModelNotFoundException",
            "9",
        ),
        (
            "/predictions/mobilenet_v2",
            b"no picture".to_vec(),
            415,
            "BadRequestException",
            "",
        ),
        (
            "/predictions/mobilenet_v2",
            Vec::new(),
            400,
            "BadRequestException",
            "empty",
        ),
        (
            "/predictions/mobilenet_v2?top_k=x",
            photo("coffee.jpg"),
            400,
            "BadRequestException",
            "top_k",
        ),
        (
            "/predictions/vae",
            photo("coffee.jpg"),
            422,
            "BadRequestException",
            "no handler",
        ),
        (
            "/explanations/mobilenet_v2?method=none",
            photo("coffee.jpg"),
            400,
            "BadRequestException",
            "method",
        ),
        ("/models", Vec::new(), 405, "MethodNotAllowedException", "POST"),
    ] {
        let refused = post(path, &[], body).await;
        let said = refused.json();
        assert_eq!(refused.status.as_u16(), status, "{path} {said}");
        assert_eq!(
            (&said["code"], &said["type"]),
            (&json!(status), &json!(kind)),
            "{path} {said}"
        );
        assert!(
            said["message"].as_str().is_some_and(|text| text.contains(word)),
            "{path} {said}"
        );
        assert_eq!(
            said["request_id"],
            refused.headers["x-request-id"].to_str().expect("ASCII")
        );
    }
    assert_eq!(get("/models?limit=x").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get("/models?limit=0").await.status, StatusCode::BAD_REQUEST);
    let refused = post(
        "/predictions/mobilenet_v2",
        &[("content-type", "application/json")],
        "{}",
    )
    .await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
