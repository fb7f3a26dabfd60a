//! NaN from a model is an error with a code of its own, whatever the task, and never a label, an empty answer or `null`. The
//! models are those of tests/golden/not_finite/make_models.py: for a white picture they answer NaN.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::Settings;
use lucarne::image::Picture;

use crate::support::{Answer, multipart, path, png, router_over, send};

const IMAGE: &str = "[input]\nsize = [8, 8]\nresize = \"none\"\n[output]\n";
const TENSORS: &str = "[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 2]\n[[outputs]]\nname = \"y\"\n\
                       dtype = \"f32\"\nshape = [-1, 2]\n";

/// Each task, and the rest of its model.toml.
const TASKS: [(&str, &str); 6] = [
    ("classification", ""),
    ("segmentation", ""),
    ("detection", "format = \"end_to_end\"\n"),
    ("captioning", "labels = \"labels.txt\"\n"),
    ("vae", ""),
    ("tensor", TENSORS),
];

fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        for (task, rest) in TASKS {
            let folder = models.path().join(task);
            std::fs::create_dir(&folder).expect("writable");
            let file = path("tests/golden/not_finite").join(format!("{task}.pt"));
            std::fs::copy(file, folder.join("model.pt")).expect("a copy");
            let image = if task == "tensor" { "" } else { IMAGE };
            let manifest = format!("task = \"{task}\"\n{image}{rest}");
            std::fs::write(folder.join("model.toml"), manifest).expect("writable");
            std::fs::write(folder.join("labels.txt"), "<start>\n<end>\nword\n").expect("writable");
        }
        // Kept: explanations load the file when the first of them is asked for.
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

fn gray(level: u8) -> Vec<u8> {
    png(&Picture::new(8, 8, vec![level; 8 * 8 * 3]).expect("a picture"))
}

async fn ask(uri: &str, content_type: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(uri)
        .header("content-type", content_type)
        .body(Body::from(body));
    send(router(), request.expect("a request")).await
}

fn assert_not_finite(answer: &Answer, what: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}: {text}");
    assert_eq!(answer.code(), "not_finite", "{what}");
    assert!(
        answer.detail().contains("the model answered NaN or infinity: "),
        "{what}: {text}"
    );
}

#[tokio::test]
async fn a_prediction_that_is_not_a_number_is_an_error() {
    for (task, _) in TASKS.iter().filter(|(task, _)| *task != "tensor") {
        let uri = format!("/v1/models/{task}/predict");
        let dark = ask(&uri, "image/png", gray(40)).await;
        let text = String::from_utf8_lossy(&dark.body);
        assert_eq!(dark.status, StatusCode::OK, "{task}: {text}");
        assert!(!text.contains("null"), "{task}: {text}");
        assert_not_finite(&ask(&uri, "image/png", gray(255)).await, task);
    }
    for uri in ["/v1/models/segmentation/predict", "/v1/models/vae/encode"] {
        assert_not_finite(&ask(uri, "image/png", gray(255)).await, uri);
    }
    let tensor = |x: f32| {
        let body = format!("{{\"inputs\": [{{\"name\": \"x\", \"shape\": [1, 2], \"data\": [4.0, {x}]}}]}}");
        ask("/v1/models/tensor/predict", "application/json", body.into_bytes())
    };
    assert_eq!(
        tensor(9.0).await.json()["predictions"][0]["outputs"][0]["data"][1],
        3.0
    );
    let refused = tensor(-1.0).await;
    assert_not_finite(&refused, "tensor");
    assert!(
        refused.detail().contains("output `y`, 1 of 2 values"),
        "{}",
        refused.detail()
    );
}

#[tokio::test]
async fn an_explanation_of_what_is_not_a_number_is_an_error() {
    for (task, query) in [
        ("classification", ""),
        ("classification", "&target=1"),
        ("segmentation", ""),
        ("segmentation", "&target=1@pixel=3,3"),
        ("detection", ""),
        ("captioning", "&target=words"),
        ("vae", ""),
    ] {
        let uri = format!("/v1/models/{task}/explain?method=saliency{query}");
        let dark = ask(&uri, "image/png", gray(40)).await;
        assert_eq!(
            dark.status,
            StatusCode::OK,
            "{uri}: {}",
            String::from_utf8_lossy(&dark.body)
        );
        assert_not_finite(&ask(&uri, "image/png", gray(255)).await, &uri);
    }
}

#[tokio::test]
async fn of_pictures_side_by_side_the_others_are_answered() {
    let (white, dark) = (gray(255), gray(40));
    let (content_type, both) = multipart(&[("a.png", &white), ("b.png", &dark)], &[]);
    // Of one request, one answer.
    assert_not_finite(
        &ask("/v1/models/captioning/predict", &content_type, both).await,
        "both",
    );
    let uri = "/v1/models/captioning/predict";
    let (of_white, of_dark) = tokio::join!(ask(uri, "image/png", white), ask(uri, "image/png", dark));
    assert_not_finite(&of_white, "white");
    assert_eq!(of_dark.json()["predictions"][0]["captions"][0]["text"], "word");
}
