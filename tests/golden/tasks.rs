//! The other tasks against PyTorch: `models/recipes/goldens.py` made golden.json of each from the committed model.pt.
//!
//! Tolerances: a resize of another make may move a pixel by 1 in 255, which moves a score by less than 0.02 and a
//! box by less than 1 px; where the picture has the model's size already, both see the same numbers: 1e-4.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{path, post};

fn golden(model: &str) -> Value {
    let text =
        std::fs::read_to_string(path("tests/golden").join(model).join("golden.json")).expect("goldens");
    serde_json::from_str(&text).expect("JSON")
}

async fn predict(model: &str, file: &str, query: &str) -> Value {
    let picture = std::fs::read(path("tests/golden").join(model).join(file)).expect("a golden picture");
    let answer = post(&format!("/v1/models/{model}/predict{query}"), &[], picture).await;
    assert!(
        answer.status.is_success(),
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()["predictions"][0].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn assert_close(found: &Value, expected: &Value, tolerance: f64, what: &str) {
    let (found, expected) = (number(found), number(expected));
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, expected {expected}"
    );
}

#[tokio::test]
async fn nanodet_finds_the_objects_of_pytorch() {
    let golden = golden("nanodet");
    for (file, expected) in golden["images"].as_object().expect("images") {
        let answer = predict("nanodet", file, "").await;
        let (width, height) = (
            number(&answer["image"]["width"]),
            number(&answer["image"]["height"]),
        );
        // The golden boxes reach over the picture's edge; the server clips them.
        let edges = [width, height, width, height];
        let found = answer["objects"].as_array().expect("objects");
        for object in expected["objects"].as_array().expect("objects") {
            // An object on the edge of the threshold may fall on either side of it.
            if number(&object["score"]) < 0.28 {
                continue;
            }
            let near = |f: &&Value| {
                let sides = ["x_min", "y_min", "x_max", "y_max"];
                let close = |(i, side): (usize, &&str)| {
                    (number(&f["box"][*side]) - number(&object["box"][i]).clamp(0.0, edges[i])).abs() < 1.0
                };
                f["class_id"] == object["class_id"] && sides.iter().enumerate().all(close)
            };
            let same = found
                .iter()
                .find(near)
                .unwrap_or_else(|| panic!("{file}: {object} is not in {found:?}"));
            assert_close(&same["score"], &object["score"], 0.02, file);
            assert_eq!(same["label"], object["label"]);
        }
    }
}

#[tokio::test]
async fn selfie_covers_as_much_as_in_pytorch() {
    let golden = golden("selfie");
    for (file, expected) in golden["images"].as_object().expect("images") {
        let found = predict("selfie", file, "").await;
        let pixels = expected["pixels"].as_array().expect("pixels");
        let total: f64 = pixels.iter().map(number).sum();
        for (class, pixels) in found["classes"].as_array().expect("classes").iter().zip(pixels) {
            // Counted at the picture's size here, at the model's there.
            assert_close(
                &class["fraction"],
                &Value::from(number(pixels) / total),
                0.01,
                file,
            );
        }
        let size = found["mask"]["size"].as_array().expect("a size");
        assert_eq!(size[0], found["image"]["height"]);
        assert_eq!(
            found["mask"]["rle"].as_array().map(Vec::len),
            found["classes"].as_array().map(Vec::len)
        );
    }
}

#[tokio::test]
async fn gauges_are_read_as_pytorch_reads_them_and_as_they_were_drawn() {
    let golden = golden("gauge");
    let truth = std::fs::read_to_string(path("tests/golden/gauge/truth.json")).expect("the truth");
    let truth: Vec<Value> = serde_json::from_str(&truth).expect("JSON");
    let images = golden["images"].as_object().expect("images");
    for ((file, expected), truth) in images.iter().zip(truth) {
        let found = predict("gauge", file, "").await["values"].clone();
        // Error of training: on 95 of 100 gauges less than 0.13 bar and 0.76 degrees.
        for (index, (name, unit, error)) in [("pressure", "bar", 0.3), ("tilt", "°", 1.5)]
            .into_iter()
            .enumerate()
        {
            assert_eq!(
                (&found[index]["name"], &found[index]["unit"]),
                (&name.into(), &unit.into())
            );
            assert_close(&found[index]["value"], &expected["values"][index], 1e-4, file);
            assert_close(&found[index]["value"], &truth[name], error, file);
        }
    }
}

/// The scenes have the model's own size, so that both sides see the same numbers.
#[tokio::test]
async fn scenes_of_clothes_have_the_masks_of_pytorch() {
    let golden = golden("unet");
    for (file, expected) in golden["images"].as_object().expect("images") {
        let picture = std::fs::read(path("tests/golden/unet").join(file)).expect("a golden picture");
        let answer = post(
            "/v1/models/unet/predict",
            &[("accept", "application/x-npy")],
            picture,
        )
        .await;
        let npy = npyz::NpyFile::new(answer.body.as_slice()).expect("an NPY file");
        assert_eq!(npy.shape(), [96, 96]);
        let mask: Vec<u8> = npy.into_vec().expect("class ids");
        let pixels = expected["pixels"].as_array().expect("pixels");
        let mut others = 0.0;
        for (class, expected) in pixels.iter().enumerate() {
            let found = mask.iter().filter(|&&id| usize::from(id) == class).count();
            others += (number(expected) - found as f64).abs();
        }
        // A pixel whose two best logits are all but equal may go either way; it then counts twice.
        assert!(others <= 2.0 * number(&expected["undecided"]), "{file}: {others}");
        if expected["undecided"] == 0 {
            let digest = Sha256::digest(&mask);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(expected["mask_sha256"], hex, "{file}");
        }
    }
}

#[tokio::test]
async fn captions_and_their_log_probabilities_are_pytorch_s() {
    let golden = golden("captioner");
    for (file, expected) in golden["images"].as_object().expect("images") {
        let found = predict("captioner", file, "?attention=true").await["captions"][0].clone();
        assert_eq!(found["text"], expected["text"], "{file}");
        assert_close(&found["log_prob"], &expected["log_prob"], 1e-4, file);
        let tokens = expected["tokens"].as_array().expect("tokens");
        for (token, expected) in found["tokens"].as_array().expect("tokens").iter().zip(tokens) {
            assert_eq!(token["text"], expected["text"]);
            assert_close(&token["log_prob"], &expected["log_prob"], 1e-4, file);
            let cells = token["attention"]["data"].as_array().expect("attention");
            let sum: f64 = cells.iter().map(number).sum();
            assert!((sum - 1.0).abs() < 1e-4, "attention is a distribution: {sum}");
        }
        let beams = predict("captioner", file, "?beams=3").await["captions"][0].clone();
        assert!(
            number(&beams["log_prob"]) >= number(&found["log_prob"]) - 1e-6,
            "{file}: three beams are no worse"
        );
    }
}

#[tokio::test]
async fn latents_are_pytorch_s_and_reconstructions_are_close() {
    let golden = golden("vae");
    for (file, expected) in golden["images"].as_object().expect("images") {
        let found = predict("vae", file, "").await;
        for part in ["mu", "logvar"] {
            let expected = expected[part].as_array().expect("values");
            let found = found["latent"][part].as_array().expect("values");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert_close(found, expected, 1e-4, file);
            }
        }
        assert!(
            number(&found["error"]["psnr_db"]) > 15.0 && number(&found["error"]["kl"]) > 0.0,
            "{}",
            found["error"]
        );
    }
}
