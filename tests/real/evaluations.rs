//! `lucarne calibrate` and `lucarne evaluate` on small folders whose answers are known.

use std::ffi::OsStr;
use std::path::Path;

use lucarne::image::{Picture, Pool, encode_gray_png};
use serde_json::{Value, json};

use crate::commands::lucarne;
use crate::support::{model_variant, path, png};

fn put(photo: &str, folder: &Path, names: &[&str]) {
    std::fs::create_dir_all(folder).expect("writable");
    for name in names {
        std::fs::copy(path("tests/golden/photos").join(photo), folder.join(name)).expect("a copy");
    }
}

fn read(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

fn run(arguments: &[&dyn AsRef<OsStr>]) -> String {
    let (succeeded, said) = lucarne(arguments);
    assert!(succeeded, "{said}");
    said
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[test]
fn a_temperature_is_found_measured_drawn_and_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pictures = folder.path().join("pictures");
    // Of three of four pictures to fit on the model is right, and surer than that; of those held out as well.
    put(
        "coffee.jpg",
        &pictures.join("espresso"),
        &["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"],
    );
    put("coffee.jpg", &pictures.join("teapot"), &["a.jpg", "b.jpg"]);
    let models = folder.path().join("models");
    model_variant(&models, "m", "mobilenet_v2", |text| {
        text.replace("activation = \"softmax\"", "activation = \"softmax\" # mine")
    });
    let (png, figures) = (folder.path().join("r.png"), folder.path().join("r.json"));
    let calibrate = |write: &[&dyn AsRef<OsStr>]| {
        let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![
            &"calibrate",
            &"m",
            &pictures,
            &"--models",
            &models,
            &"--diagram",
            &png,
            &"--json",
            &figures,
        ];
        arguments.extend(write);
        run(&arguments)
    };
    let said = calibrate(&[]);
    assert!(
        said.contains("4 pictures to fit on, 4 held out") && said.contains("are few"),
        "{said}"
    );
    let found = read(&figures);
    let temperature = number(&found, "/temperature");
    assert!(
        said.contains(&format!("[output]\ntemperature = {temperature}")),
        "{said}"
    );
    // At the best temperature the likelihood of the truths is the largest; half of the pictures are the same as the others.
    assert!(temperature > 1.0 && number(&found, "/before/temperature") == 1.0);
    assert!(number(&found, "/after/nll_nats") < number(&found, "/before/nll_nats"));
    assert!(
        number(&found, "/after/ece") < number(&found, "/before/ece"),
        "{found}"
    );
    // The model says about 0.95 and is right three times of four.
    assert!((number(&found, "/before/accuracy") - 0.75).abs() < 1e-9);
    assert!(std::fs::read(&png).expect("drawn").starts_with(b"\x89PNG"));
    let toml = || std::fs::read_to_string(models.join("m/model.toml")).expect("it is there");
    assert!(!toml().contains("temperature"), "only --write writes");
    let said = calibrate(&[&"--write"]);
    assert!(said.contains("written into"), "{said}");
    assert!(toml().contains(&format!("temperature = {temperature}")) && toml().contains("# mine"));
    // What is found does not hang on what model.toml says already, and nothing is left to gain.
    let said = calibrate(&[&"--write"]);
    assert!(said.contains("not written"), "{said}");
    let again = read(&figures);
    assert!(
        (number(&again, "/temperature") - temperature).abs() < 1e-3,
        "{again}"
    );
    assert_eq!(number(&again, "/before/temperature"), temperature);
}

#[test]
fn folders_that_are_no_class_or_several_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    put("coffee.jpg", &folder.path().join("expresso"), &["a.jpg"]);
    // ImageNet has a dog and a jacket of that name.
    put("coffee.jpg", &folder.path().join("CARDIGAN"), &["a.jpg"]);
    for command in ["calibrate", "evaluate"] {
        let (succeeded, said) = lucarne(&[&command, &"mobilenet_v2", &folder.path()]);
        assert!(
            !succeeded && said.contains("did you mean \"espresso\"?"),
            "{said}"
        );
        assert!(
            said.contains("\"CARDIGAN\" may be any of the classes 264, 474"),
            "{said}"
        );
    }
    let (succeeded, said) = lucarne(&[&"calibrate", &"gauge", &folder.path()]);
    assert!(!succeeded && said.contains("unsupported_for_task"), "{said}");
}

#[test]
fn a_classifier_is_evaluated_with_a_page_of_its_worst_pictures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pictures = folder.path().join("pictures");
    put("coffee.jpg", &pictures.join("espresso"), &["a.jpg"]);
    put("chelsea.png", &pictures.join("285"), &["cat.png"]);
    put("chelsea.png", &pictures.join("teapot"), &["<b>'no' & teapot.png"]);
    std::fs::write(pictures.join("teapot/text.jpg"), "no picture").expect("writable");
    let (html, figures) = (folder.path().join("r.html"), folder.path().join("r.json"));
    let said = run(&[
        &"evaluate",
        &"mobilenet_v2",
        &pictures,
        &"-o",
        &html,
        &"--json",
        &figures,
    ]);
    assert!(
        said.contains("text.jpg: ") && said.contains("1 of 4 pictures were not answered"),
        "{said}"
    );
    let found = read(&figures);
    assert!((number(&found, "/accuracy") - 2.0 / 3.0).abs() < 1e-9, "{found}");
    assert_eq!(
        (found["pictures"].as_u64(), found["not_answered"].as_u64()),
        (Some(3), Some(1))
    );
    let pairs = found["confusion"].as_array().expect("pairs");
    assert!(
        pairs.contains(&json!({"true": 849, "answered": 285, "count": 1})),
        "{pairs:?}"
    );
    assert!(said.contains("teapot → Egyptian cat"), "{said}");
    let page = std::fs::read_to_string(&html).expect("written");
    assert!(
        page.contains("&lt;b&gt;&#39;no&#39; &amp; teapot.png") && !page.contains("<b>"),
        "names are text"
    );
    assert_eq!(
        page.matches("src=\"data:image/png;base64,").count(),
        2,
        "the picture and its map"
    );
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"));
}

/// A model that finds masks, of tests/golden/detectors, as the folder `m` below `models`; and the picture that it is asked of.
fn with_masks(models: &Path) -> Vec<u8> {
    let goldens = path("tests/golden/detectors");
    let golden = &read(&goldens.join("expected.json"))["yolo_seg"];
    let folder = models.join("m");
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::copy(goldens.join("yolo_seg.pt"), folder.join("model.pt")).expect("a copy");
    std::fs::write(folder.join("labels.txt"), "a\nb\nc\n").expect("writable");
    let model_toml = golden["model_toml"].as_str().expect("a text");
    let labelled = format!("{model_toml}labels = \"labels.txt\"\n");
    std::fs::write(folder.join("model.toml"), labelled).expect("writable");
    png(&Picture::new(100, 50, vec![114; 100 * 50 * 3]).expect("a picture"))
}

#[test]
fn masks_of_a_detector_are_evaluated_against_coco_s_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, pictures) = (folder.path().join("models"), folder.path().join("pictures"));
    std::fs::create_dir(&pictures).expect("writable");
    let photo = pictures.join("a.png");
    std::fs::write(&photo, with_masks(&models)).expect("writable");
    let said = run(&[&"predict", &"m", &photo, &"--models", &models]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    let objects = answer["predictions"][0]["objects"].as_array().expect("objects");
    assert!(objects.len() > 1, "{answer}");
    let (coco, figures) = (folder.path().join("coco.json"), folder.path().join("r.json"));
    let evaluated = |segmentation: &dyn Fn(&Value) -> Value| {
        let annotation = |object: &Value| {
            let edge = |name: &str| number(object, &format!("/box/{name}"));
            let (x, y) = (edge("x_min"), edge("y_min"));
            let bbox = [x, y, edge("x_max") - x, edge("y_max") - y];
            json!({"image_id": 1, "category_id": object["class_id"], "bbox": bbox, "segmentation": segmentation(object)})
        };
        let content = json!({
            "images": [{"id": 1, "file_name": "a.png"}],
            "annotations": objects.iter().map(annotation).collect::<Value>(),
            "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": 2, "name": "c"}],
        });
        std::fs::write(&coco, content.to_string()).expect("writable");
        lucarne(&[
            &"evaluate",
            &"m",
            &pictures,
            &"--models",
            &models,
            &"--coco",
            &coco,
            &"--json",
            &figures,
        ])
    };
    let masks = |found: &Value| {
        assert_eq!(number(found, "/map"), 1.0, "the boxes are its own");
        found["mask_map"].as_f64()
    };
    // The model's own masks are the truth.
    let (succeeded, said) = evaluated(&|object| object["mask"].clone());
    assert!(succeeded && said.contains("mask mAP@[.5:.95]"), "{said}");
    assert_eq!(masks(&read(&figures)), Some(1.0));
    // Its boxes are right, its masks are not.
    let (succeeded, said) = evaluated(&|_| json!([[96, 0, 100, 0, 100, 3, 96, 3]]));
    assert!(succeeded, "{said}");
    assert_eq!(masks(&read(&figures)), Some(0.0));
    let (succeeded, said) = evaluated(&|_| json!([]));
    assert!(
        succeeded && said.contains("the file has no segmentation"),
        "{said}"
    );
    assert_eq!(masks(&read(&figures)), None);
    let (succeeded, said) = evaluated(&|_| json!({"size": [100, 50], "counts": [5000]}));
    assert!(!succeeded && said.contains("not of 100×50 pixels"), "{said}");
}

#[test]
fn a_detector_is_evaluated_against_coco_s_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    put("astronaut.jpg", folder.path(), &["a.jpg"]);
    let photo = folder.path().join("a.jpg");
    let (_, said) = lucarne(&[&"predict", &"nanodet", &photo, &"-p", &"max_detections=1"]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    let object = &answer["predictions"][0]["objects"][0];
    let edge = |name: &str| number(object, &format!("/box/{name}"));
    let (x, y) = (edge("x_min"), edge("y_min"));
    let coco = folder.path().join("coco.json");
    let write = |bbox: [f64; 4], file: &str| {
        let category = object["label"].clone();
        let content = json!({
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": file}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": bbox, "area": 1, "iscrowd": 0}],
            "categories": [{"id": 7, "name": category}, {"id": 8, "name": "yeti"}],
        });
        std::fs::write(&coco, content.to_string()).expect("writable");
    };
    let figures = folder.path().join("r.json");
    let evaluate = || {
        run(&[
            &"evaluate",
            &"nanodet",
            &folder.path(),
            &"--coco",
            &coco,
            &"--json",
            &figures,
        ])
    };
    // The model's own surest object is the truth: it is found at every overlap.
    write([x, y, edge("x_max") - x, edge("y_max") - y], "missing.jpg");
    let said = evaluate();
    assert!(said.contains("missing.jpg: ") && said.contains("yeti"), "{said}");
    let found = read(&figures);
    assert_eq!(
        (number(&found, "/map"), number(&found, "/map_50")),
        (1.0, 1.0),
        "{found}"
    );
    assert_eq!(
        (found["pictures"].as_u64(), found["not_answered"].as_u64()),
        (Some(1), Some(1))
    );
    // Elsewhere it is missed.
    write([0.0, 0.0, 1.0, 1.0], "missing.jpg");
    evaluate();
    assert_eq!(number(&read(&figures), "/map_50"), 0.0);
    let (succeeded, said) = lucarne(&[&"evaluate", &"nanodet", &folder.path()]);
    assert!(!succeeded && said.contains("--coco"), "{said}");
}

#[test]
fn a_segmenter_is_evaluated_against_pngs_of_ids() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (pictures, masks) = (folder.path().join("pictures"), folder.path().join("masks"));
    put("astronaut.jpg", &pictures, &["a.jpg", "without.jpg"]);
    let (_, said) = lucarne(&[&"predict", &"selfie", &pictures.join("a.jpg")]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    let prediction = &answer["predictions"][0];
    let side =
        |name: &str| u32::try_from(prediction["image"][name].as_u64().expect("a side")).expect("small");
    let (width, height) = (side("width"), side("height"));
    let background = prediction["classes"]
        .as_array()
        .expect("classes")
        .iter()
        .find(|class| class["class_id"] == 0);
    let background = number(background.expect("some of it"), "/fraction");
    // Nothing is a person: the background is missed where the model saw one.
    std::fs::create_dir_all(&masks).expect("writable");
    let pool = Pool::new(1).expect("a thread");
    let zeros = vec![0; (width * height) as usize];
    let png = pool
        .block(|thread| encode_gray_png(thread, width, height, &zeros))
        .expect("a PNG");
    std::fs::write(masks.join("a.png"), png).expect("writable");
    let (figures, html) = (folder.path().join("r.json"), folder.path().join("r.html"));
    let said = run(&[
        &"evaluate",
        &"selfie",
        &pictures,
        &"--masks",
        &masks,
        &"--json",
        &figures,
        &"-o",
        &html,
    ]);
    assert!(
        said.contains("without.png"),
        "a picture without its mask is named: {said}"
    );
    let found = read(&figures);
    assert!(
        (number(&found, "/classes/0/iou") - background).abs() < 1e-9,
        "{found}"
    );
    assert!(
        (number(&found, "/mean_iou") - background / 2.0).abs() < 1e-9,
        "a person that is nowhere true has 0"
    );
    assert!((number(&found, "/pixel_accuracy") - background).abs() < 1e-9);
    let page = std::fs::read_to_string(&html).expect("written");
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 2);
}
