//! Manifests that are right, and the words for those that are not.

mod temperature;
mod tensors;
mod versions;

use super::*;
use crate::image::ResizeMode;
use std::time::Duration;

const RIGHT: &str = r#"
task = "classification"
[input]
size = [224, 200]
resize_to = 256
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"#;

#[test]
fn a_short_manifest_gets_defaults() {
    let m = Manifest::parse(RIGHT).expect("it is right");
    assert_eq!(m.task, TaskKind::Classification);
    assert_eq!(m.artifact.file, None);
    let input = m.image_input().expect("a classifier takes images");
    assert_eq!(input.fit.size, (224, 200));
    assert_eq!(input.fit.mode, ResizeMode::ShorterSide);
    assert_eq!(input.scale, 1.0 / 255.0);
    assert_eq!(m.output.activation, Activation::Softmax);
    assert_eq!((m.batching.max_batch_size, m.batching.queue_capacity), (16, 256));
    assert_eq!(m.batching.max_delay, Duration::ZERO);
    assert_eq!(m.instances.device, DeviceChoice::Auto);
}

#[test]
fn a_task_is_called_as_it_is_written() {
    use TaskKind::{
        Captioning, Classification, Detection, Embedding, ImageToImage, Regression, Segmentation, Tensor, Vae,
    };
    let all = [
        Classification,
        Segmentation,
        Detection,
        Captioning,
        Vae,
        Embedding,
        Regression,
        ImageToImage,
        Tensor,
    ];
    for task in all {
        let read = serde_json::from_value(task.to_string().into()).map_err(|e| e.to_string());
        assert_eq!(read, Ok(task));
    }
}

#[test]
fn keys_of_another_task_are_unknown() {
    let with = |task: &str, output: &str| {
        Manifest::parse(&format!(
            "task = \"{task}\"\n[input]\nsize = [8, 8]\n[output]\n{output}"
        ))
    };
    let embedding = with("embedding", "normalise = true\nkey = 1").expect("its own keys");
    assert!(embedding.output.embedding.is_some_and(|keys| keys.normalise));
    assert!(with("embedding", "").is_ok_and(|m| m.output.embedding.is_some_and(|keys| !keys.normalise)));
    for (task, output) in [
        ("embedding", "labels = \"labels.txt\""),
        ("embedding", "activation = \"none\""),
        ("classification", "normalise = true"),
    ] {
        let problems = with(task, output).expect_err("another task's");
        assert!(problems[0].contains("unknown key"), "{task}: {problems:?}");
    }
}

#[test]
fn lists_of_a_regression_agree() {
    let with = |output: &str| {
        Manifest::parse(&format!(
            "task = \"regression\"\n[input]\nsize = [8, 8]\n[output]\n{output}"
        ))
    };
    let right =
        with("names = [\"age\", \"height\"]\nunits = [\"years\", \"\"]\nscale = [10, -2.5]").expect("right");
    let keys = right.output.regression.expect("its own keys");
    assert_eq!((keys.count(), keys.offset.len()), (Some(2), 0));
    assert!(with("").is_ok_and(|m| m.output.regression.is_some_and(|keys| keys.count().is_none())));
    for (output, problem) in [
        (
            "names = [\"a\", \"b\"]\nunits = [\"m\"]",
            "output.units: found 1, expected as many",
        ),
        ("names = [\"a\", \"A\"]", "output.names: expected names"),
        ("names = [\"\"]", "output.names: expected names"),
        ("scale = [0.0]", "output.scale: expected finite"),
        ("scale = [1e-60]", "output.scale: expected finite"),
        ("offset = [1e60]", "output.offset: expected finite"),
        ("offset = [nan]", "output.offset: expected finite"),
        ("scale = 2", "output.scale: found 2 (integer), expected a list"),
        ("labels = \"labels.txt\"", "output.labels: unknown key"),
    ] {
        let problems = with(output).expect_err(output);
        assert!(problems[0].starts_with(problem), "{output}: {problems:?}");
    }
}

#[test]
fn what_is_black_and_what_is_white_must_be_said() {
    let with = |output: &str| {
        let text = format!("task = \"image_to_image\"\n[input]\nsize = [8, 8]\n[output]\n{output}");
        Manifest::parse(&text).map(|m| m.output.picture.expect("its own keys").range)
    };
    assert_eq!(with("range = \"input\""), Ok(Range::Input));
    assert_eq!(with("range = \"minmax\""), Ok(Range::MinMax));
    assert_eq!(with("range = [-1, 1.0]"), Ok(Range::Of([-1.0, 1.0])));
    for (output, problem) in [
        ("", "output.range: is missing"),
        ("range = \"bytes\"", "output.range: expected \"input\""),
        ("range = [1, 0]", "output.range: expected"),
        ("range = [0, inf]", "output.range: expected"),
        ("range = [-3e38, 3e38]", "output.range: expected"),
        ("range = [0, 1, 2]", "output.range: found [0, 1, 2]"),
        (
            "range = \"input\"\nactivation = \"none\"",
            "output.activation: unknown key",
        ),
    ] {
        let problems = with(output).expect_err(output);
        assert!(problems[0].starts_with(problem), "{output}: {problems:?}");
    }
}

#[test]
fn every_problem_is_reported_at_once_with_key_and_cure() {
    let wrong = r#"
task = "clasification"
colour = 1
[input]
size = [224]
resize = "squash"
meen = [0.5]
std = [0.0, 1.0, 1.0]
[batching]
max_batch_size = 0
max_delay_ms = -1
[instances]
device = "gpu"
[artifact]
file = "../model.pt"
sha256 = "abc"
"#;
    let problems = Manifest::parse(wrong).expect_err("it is wrong");
    let starts = [
        "task: found \"clasification\" (string), expected one of",
        "artifact.file: found \"../model.pt\", expected a file name",
        "artifact.sha256: expected 64",
        "input.size: found [224] (array), expected [height, width]",
        "input.resize: found \"squash\" (string), expected \"shorter_side\"",
        "input.std: must be greater than 0",
        "input.meen: unknown key; did you mean `mean`?",
        "batching.max_delay_ms: found -1, expected 0 to 10000",
        "batching.max_batch_size: found 0, expected a whole number from 1 to 1024",
        "instances.device: found \"gpu\" (string), expected \"auto\"",
        "colour: unknown key; known here: task",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for (problem, start) in problems.iter().zip(starts) {
        assert!(
            problem.starts_with(start),
            "{problem:?} does not start with {start:?}"
        );
    }
}

#[test]
fn channels_follow_the_colour() {
    let gray = "task = \"classification\"\n[input]\nsize = [28, 28]\ncolor = \"gray\"\nmean = [0.5]";
    let parsed = Manifest::parse(gray).expect("gray has one channel");
    assert_eq!(parsed.image_input().expect("images").std, [1.0]);
    let wrong = Manifest::parse(&gray.replace("gray", "rgb")).expect_err("rgb has three");
    assert_eq!(
        wrong,
        ["input.mean: found 1 numbers, expected a list of 3 numbers, one a channel"]
    );
}

#[test]
fn what_is_not_toml_is_said_with_its_place() {
    let problems = Manifest::parse("task = ").expect_err("no value");
    assert!(problems[0].contains("line 1"), "{problems:?}");
}

#[test]
fn versions_are_numbered_folders_or_the_file_itself() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let artifact = Artifact {
        file: Some("model.pt".into()),
        format: Some(ArtifactFormat::Torchscript),
        sha256: None,
    };
    let names = || versions(dir.path(), &artifact).map(|v| v.into_iter().map(|v| v.name).collect::<Vec<_>>());
    assert!(names().is_err());
    std::fs::write(dir.path().join("model.pt"), "x").expect("writable");
    assert_eq!(names(), Ok(vec!["1".to_owned()]));
    for number in ["10", "9"] {
        std::fs::create_dir(dir.path().join(number)).expect("writable");
        std::fs::write(dir.path().join(number).join("model.pt"), "x").expect("writable");
    }
    assert_eq!(
        names(),
        Ok(vec!["9".to_owned(), "10".to_owned()]),
        "by number, not by spelling"
    );
}

#[test]
fn each_task_has_keys_of_its_own() {
    let detector =
        "task = \"detection\"\n[input]\nsize = [8, 8]\n[output]\nformat = \"yolo\"\nscore_threshold = 0.4";
    let output = Manifest::parse(detector).expect("a detector").output;
    let keys = output.detection.expect("its keys");
    assert_eq!(
        (keys.format, keys.score_threshold, keys.max_detections),
        (DetectionFormat::Yolo, 0.4, 100)
    );
    let classifier =
        Manifest::parse(&detector.replace("detection", "classification")).expect_err("not its keys");
    assert!(
        classifier[0].starts_with("output.format: unknown key"),
        "{classifier:?}"
    );
    let missing =
        Manifest::parse(&detector.replace("format = \"yolo\"", "")).expect_err("format is required");
    assert!(
        missing[0].starts_with("output.format: is missing, expected \"dense\""),
        "{missing:?}"
    );
}

#[test]
fn packages_are_found_by_their_batch_size() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in [
        "model.pt",
        "model.b8.pt2",
        "model.b16.pt2",
        "model.b0.pt2",
        "model.bx.pt2",
        "other.b4.pt2",
    ] {
        std::fs::write(dir.path().join(name), "x").expect("writable");
    }
    let found = packages(&dir.path().join("model.pt"));
    assert_eq!(found.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [8, 16]);
    assert!(found[0].1.ends_with("model.b8.pt2"));
}

#[test]
fn a_package_has_one_method_and_its_own_precision() {
    let with = |format: &str| format!("{RIGHT}[artifact]\nformat = \"{format}\"\n");
    let packaged = Manifest::parse(&with("aoti")).expect("a classifier can be packaged");
    assert_eq!(packaged.artifact.format, Some(ArtifactFormat::Aoti));
    let other = Manifest::parse(&with("onnx")).expect_err("there is no such format");
    assert!(
        other[0].starts_with("artifact.format: found \"onnx\""),
        "{other:?}"
    );
    let vae = with("aoti").replace("classification", "vae");
    let half = format!("{}[instances]\nprecision = \"bf16\"\n", with("aoti"));
    for (wrong, key) in [(vae, "artifact.format: "), (half, "instances.precision: ")] {
        let problems = Manifest::parse(&wrong).expect_err("it cannot be packaged");
        assert!(problems[0].starts_with(key), "{problems:?}");
    }
}

#[test]
fn a_detector_has_the_keys_of_its_format() {
    let parse = |output: &str| {
        let head = "task = \"detection\"\n[input]\nsize = [8, 8]\nresize = \"stretch\"\n[output]\n";
        Manifest::parse(&format!("{head}{output}"))
    };
    let keys = |output: &str| parse(output).expect(output).output.detection.expect("its keys");
    assert!(keys("format = \"dense\"").multi_label && !keys("format = \"yolo\"").multi_label);
    assert!(keys("format = \"yolo\"\nmulti_label = true").multi_label);
    assert!(keys("format = \"detr\"\nactivation = \"sigmoid\"").multi_label);
    let pose = keys("format = \"yolo_pose\"\nkeypoints = [\"nose\", \"tail\"]\nskeleton = [[0, 1]]");
    let expected = Keypoints {
        count: 2,
        names: vec!["nose".into(), "tail".into()],
        skeleton: vec![[0, 1]],
    };
    assert_eq!(pose.keypoints, Some(expected));
    for (output, problem) in [
        (
            "format = \"detr\"",
            "output.activation: is missing, and `detr` cannot do without",
        ),
        ("format = \"yolo_obb\"", "input.resize: found \"stretch\""),
        ("format = \"yolo_pose\"", "output.keypoints: is missing"),
        (
            "format = \"yolo_pose\"\nkeypoints = 0",
            "output.keypoints: found 0",
        ),
        (
            "format = \"yolo_pose\"\nkeypoints = 100000000",
            "output.keypoints: found 100000000",
        ),
        (
            "format = \"yolo_pose\"\nkeypoints = [\"a\", \"a\"]",
            "output.keypoints: expected names",
        ),
        (
            "format = \"yolo_pose\"\nkeypoints = 2\nskeleton = [[0, 2]]",
            "output.skeleton: expected pairs",
        ),
        (
            "format = \"torchvision\"\nskeleton = [[0, 1]]",
            "output.skeleton: is for a model whose",
        ),
        (
            "format = \"end_to_end\"\niou_threshold = 0.5",
            "output.iou_threshold: unknown key",
        ),
        (
            "format = \"yolo\"\nkeypoints = 17",
            "output.keypoints: unknown key",
        ),
    ] {
        let problems = parse(output).expect_err(output);
        assert!(problems[0].starts_with(problem), "{output}: {problems:?}");
    }
}

#[test]
fn numbers_that_make_no_finite_pixel_are_refused() {
    for (numbers, expected) in [
        ("scale = nan", "input.scale: found NaN, expected a finite"),
        ("scale = 1e308", "input.scale: found 1e308, expected a finite"),
        ("scale = 3e38", "input.scale: with this scale, mean and std"),
        ("mean = [inf, 0, 0]", "input.mean: found inf, expected a finite"),
        ("std = [1.0, 1.0, inf]", "input.std: found inf, expected a finite"),
        (
            "std = [1.0, 1.0, 1e-300]",
            "input.scale: with this scale, mean and std",
        ),
    ] {
        let text = format!("task = \"classification\"\n[input]\nsize = [8, 8]\n{numbers}\n");
        let problems = Manifest::parse(&text).expect_err(numbers);
        assert!(
            problems.len() == 1 && problems[0].starts_with(expected),
            "{problems:?}"
        );
    }
}

#[test]
fn what_is_said_of_a_file_is_bounded_however_much_is_wrong_with_it() {
    let nested = format!("task = 1\nx = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let problems = Manifest::parse(&nested).expect_err("too deep");
    assert!(
        problems[0].starts_with("is not TOML: line 2, column "),
        "{problems:?}"
    );
    let many: String = (0..10_000).map(|key| format!("k{key} = 1\n")).collect();
    let long = format!(
        "task = \"{}\"\n{} = 1\n",
        "a".repeat(100_000),
        "b".repeat(100_000)
    );
    for text in [nested, many, long] {
        let problems = Manifest::parse(&text).expect_err("it is wrong");
        let said: usize = problems.iter().map(String::len).sum();
        assert!(said < 32 << 10, "{said} bytes in {} problems", problems.len());
    }
}
