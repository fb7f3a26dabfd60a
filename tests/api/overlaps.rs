//! Classes that overlap, against PyTorch. The model, the picture and the masks are those of
//! tests/golden/overlaps/make_goldens.py.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::Settings;
use lucarne::image::{Limits, decode};
use lucarne::tasks::Rle;

use crate::support::{Answer, path, router_over, send};

const HEIGHT: usize = 50;
const WIDTH: usize = 70;
const CLASSES: usize = 3;

const MANIFEST: &str = "task = \"segmentation\"\n[input]\nsize = [24, 32]\nresize = \"stretch\"\nscale = 0.00392156862745098\n\
                        [output]\nlabels = \"labels.txt\"\nactivation = \"sigmoid\"\nscore_threshold = ";

fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        for (name, thresholds) in [("each", "[0.5, 0.35, 0.6]"), ("sure", "0.9999999")] {
            let folder = models.path().join(name);
            std::fs::create_dir(&folder).expect("writable");
            std::fs::copy(path("tests/golden/overlaps/model.pt"), folder.join("model.pt")).expect("a copy");
            std::fs::write(folder.join("model.toml"), format!("{MANIFEST}{thresholds}\n")).expect("writable");
            std::fs::write(folder.join("labels.txt"), "red\nwet\nround\n").expect("writable");
        }
        // Kept: explanations load the file when the first of them is asked for.
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

async fn ask(uri: &str, accept: &str) -> Answer {
    let picture = std::fs::read(path("tests/golden/overlaps/picture.png")).expect("a picture");
    let request = Request::post(format!("/v1/models/{uri}")).header("accept", accept);
    let answer = send(router(), request.body(Body::from(picture)).expect("a request")).await;
    assert!(answer.status != StatusCode::INTERNAL_SERVER_ERROR, "{uri}");
    answer
}

fn golden(name: &str) -> Vec<u8> {
    let bytes = std::fs::read(path("tests/golden/overlaps").join(name)).expect("a golden array");
    npyz::NpyFile::new(&bytes[..])
        .and_then(npyz::NpyFile::into_vec)
        .expect("bytes")
}

/// [K, H, W] of the prediction.
async fn predicted() -> Vec<u8> {
    let answer = ask("each/predict", "application/x-npy").await;
    let file = npyz::NpyFile::new(&answer.body[..]).expect("an array");
    assert_eq!(file.shape(), [CLASSES as u64, HEIGHT as u64, WIDTH as u64]);
    file.into_vec().expect("bytes")
}

#[tokio::test]
async fn masks_are_those_of_pytorch() {
    let (found, expected, near) = (predicted().await, golden("masks.npy"), golden("near.npy"));
    let differ = found
        .iter()
        .zip(&expected)
        .zip(&near)
        .filter(|((f, e), near)| f != e && **near == 0);
    assert_eq!(differ.count(), 0);
    let of_pixel = |pixel: usize| {
        (0..CLASSES)
            .filter(|class| found[class * HEIGHT * WIDTH + pixel] == 1)
            .count()
    };
    assert!(
        (0..HEIGHT * WIDTH).any(|pixel| of_pixel(pixel) > 1),
        "some overlap"
    );
    assert!(
        (0..HEIGHT * WIDTH).any(|pixel| of_pixel(pixel) == 0),
        "some are of none"
    );
}

#[tokio::test]
async fn areas_and_runs_are_of_the_same_masks() {
    let found = predicted().await;
    let answer = ask("each/predict", "application/json").await.json();
    let (classes, mask) = (
        &answer["predictions"][0]["classes"],
        &answer["predictions"][0]["mask"],
    );
    assert_eq!(classes.as_array().map(Vec::len), Some(CLASSES));
    for (class, label) in ["red", "wet", "round"].into_iter().enumerate() {
        let own = &found[class * HEIGHT * WIDTH..][..HEIGHT * WIDTH];
        let pixels = own.iter().filter(|v| **v == 1).count();
        assert_eq!(
            (&classes[class]["label"], &classes[class]["class_id"]),
            (&label.into(), &class.into())
        );
        assert_eq!(classes[class]["pixels"], pixels);
        let rle = Rle {
            size: [HEIGHT, WIDTH],
            counts: mask["rle"][class]["counts"].as_str().expect("text").to_owned(),
        };
        let mut drawn = vec![0; HEIGHT * WIDTH];
        rle.ones()
            .flatten()
            .for_each(|at| drawn[at % HEIGHT * WIDTH + at / HEIGHT] = 1);
        assert_eq!(drawn, own, "{label}");
    }
}

#[tokio::test]
async fn colours_are_blended_where_classes_overlap() {
    let found = predicted().await;
    let picture = |answer: &Answer| decode(&answer.body, &Limits::default()).expect("a PNG");
    let mask = picture(&ask("each/predict", "image/png").await);
    let of = |pixel: usize| -> Vec<usize> {
        (0..CLASSES)
            .filter(|class| found[class * HEIGHT * WIDTH + pixel] == 1)
            .collect()
    };
    let color = |pixel: usize| -> [u8; 3] { std::array::from_fn(|channel| mask.data()[3 * pixel + channel]) };
    let alone = |class: usize| {
        let pixel = (0..HEIGHT * WIDTH).find(|pixel| of(*pixel) == [class]);
        pixel.map(color)
    };
    let colors: Vec<_> = (0..CLASSES).map(alone).collect();
    let mut blended = 0;
    for pixel in 0..HEIGHT * WIDTH {
        match of(pixel)[..] {
            [] => assert_eq!(color(pixel), [0, 0, 0]),
            [one, other] => {
                let (Some(one), Some(other)) = (colors[one], colors[other]) else {
                    continue;
                };
                let mean: [u8; 3] =
                    std::array::from_fn(|c| ((f32::from(one[c]) + f32::from(other[c])) / 2.0).round() as u8);
                assert_eq!(color(pixel), mean);
                blended += 1;
            }
            _ => {}
        }
    }
    assert!(blended > 0);
    let overlay = picture(&ask("each/predict?render=overlay&alpha=1", "image/png").await);
    let untouched = std::fs::read(path("tests/golden/overlaps/picture.png")).expect("a picture");
    let untouched = decode(&untouched, &Limits::default()).expect("a PNG");
    for pixel in 0..HEIGHT * WIDTH {
        let expected = if of(pixel).is_empty() {
            untouched.data()
        } else {
            mask.data()
        };
        assert_eq!(overlay.data()[3 * pixel..][..3], expected[3 * pixel..][..3]);
    }
}

#[tokio::test]
async fn each_class_can_be_explained_also_the_first() {
    let all = ask("each/explain?method=saliency&target=all", "application/json")
        .await
        .json();
    let labels: Vec<&str> = all["explanations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["target"]["label"].as_str())
        .collect();
    assert_eq!(labels, ["red", "wet", "round"]);
    let one = ask(
        "each/explain?method=rise&n_masks=20&target=red",
        "application/json",
    )
    .await
    .json();
    assert_eq!(one["explanations"][0]["target"]["class_id"], 0);
    for query in ["", "?target=wet"] {
        let none = ask(&format!("sure/explain{query}"), "application/json").await;
        assert_eq!(
            (none.status, none.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "nothing_detected")
        );
        assert!(none.detail().contains("@pixel=x,y"), "{}", none.detail());
    }
    let at = ask("sure/explain?target=wet@pixel=3,4", "application/json").await;
    assert_eq!(at.status, StatusCode::OK);
}
