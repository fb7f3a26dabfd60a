use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::*;
use crate::engine::Context;
use crate::image::{Picture, Placement, Pool, fit};
use crate::manifest::{DetectionFormat, Manifest};
use crate::tasks::{Allowance, Labels};

/// A detector of 16×16 pictures with these keys.
fn spec(keys: &str) -> ModelSpec {
    let text = format!("task = \"detection\"\n[input]\nsize = [16, 16]\nresize = \"none\"\n[output]\n{keys}");
    ModelSpec::new(Manifest::parse(&text).expect("a detector"), Labels::default())
}

fn raws(spec: &ModelSpec, output: impl Into<Value>) -> Result<Vec<Raw>> {
    parse(output.into(), spec, keys(spec).expect("keys").format)
}

/// A picture of 16×16 as it is.
fn placement() -> Placement {
    let picture = Picture::new(16, 16, vec![0; 16 * 16 * 3]).expect("a picture");
    let spec = spec("format = \"dense\"");
    let input = spec.manifest.image_input().expect("pictures");
    fit(&picture, &input.fit).expect("it fits").placement
}

/// What is found with a score of at least `score` in the first image.
fn found(spec: &ModelSpec, output: impl Into<Value>, score: f32) -> Vec<Found> {
    let keys = keys(spec).expect("keys");
    let limits = Limits {
        score,
        ..Limits::from(keys)
    };
    let raw = &raws(spec, output).expect("the contract is kept")[0];
    raw.objects(spec, keys, limits, &placement()).expect("objects")
}

fn boxes(found: &[Found]) -> Vec<(usize, [f32; 4])> {
    found
        .iter()
        .map(|f| (f.candidate.class_id, f.candidate.corners))
        .collect()
}

fn tensor(values: &[f32], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).view(shape)
}

#[test]
fn dense_scores_keep_their_row_and_class() {
    let boxes_of = tensor(&[0., 0., 1., 1., 2., 2., 3., 3.], &[1, 2, 4]);
    let scores = tensor(&[0.1, 0.9, 0.3, 0.8, 0.2, 0.6], &[1, 2, 3]);
    let output = || {
        Value::Tuple(vec![
            Value::Tensor(boxes_of.shallow_clone()),
            Value::Tensor(scores.shallow_clone()),
        ])
    };
    let every = spec("format = \"dense\"");
    assert_eq!(
        boxes(&found(&every, output(), 0.5)),
        [
            (1, [0., 0., 1., 1.]),
            (0, [2., 2., 3., 3.]),
            (2, [2., 2., 3., 3.])
        ]
    );
    let best = spec("format = \"dense\"\nmulti_label = false");
    assert_eq!(
        boxes(&found(&best, output(), 0.5)),
        [(1, [0., 0., 1., 1.]), (0, [2., 2., 3., 3.])],
        "the best class of a box alone"
    );
}

#[test]
fn yolo_columns_become_corners() {
    // Two candidates, centres (5, 5) and (2, 3), sizes (4, 2) and (2, 2), one class.
    let columns = tensor(&[5., 2., 5., 3., 4., 2., 2., 2., 0.9, 0.4], &[1, 5, 2]);
    let yolo = spec("format = \"yolo\"");
    let expected = [(0, [3., 4., 7., 6.]), (0, [1., 2., 3., 4.])];
    assert_eq!(boxes(&found(&yolo, columns.shallow_clone(), 0.1)), expected);
    let first = Value::Tuple(vec![Value::Tensor(columns), Value::List(Vec::new())]);
    assert_eq!(boxes(&found(&yolo, first, 0.1)), expected, "the first of a tuple");
}

#[test]
fn torchvision_lists_are_read_with_and_without_losses() {
    let list = || {
        let part = |key: &str, t: Tensor| (Value::from(key), Value::Tensor(t));
        Value::List(vec![Value::Dict(vec![
            part("boxes", tensor(&[1., 2., 3., 4.], &[1, 4])),
            part("labels", Tensor::from_slice(&[7i64])),
            part("scores", Tensor::from_slice(&[0.5f32])),
        ])])
    };
    for output in [list(), Value::Tuple(vec![Value::Dict(Vec::new()), list()])] {
        let found = found(&spec("format = \"torchvision\""), output, 0.1);
        assert_eq!(boxes(&found), [(7, [1., 2., 3., 4.])]);
    }
}

#[test]
fn other_shapes_are_refused_with_what_was_found() {
    for (keys, shape, expected) in [
        ("format = \"yolo\"", [1, 4, 2], "[B, 4 + K, N]"),
        ("format = \"yolov5\"", [1, 2, 5], "[B, N, 5 + K]"),
        ("format = \"end_to_end\"", [1, 2, 7], "[B, N, 6]"),
        ("format = \"yolo_obb\"", [1, 5, 2], "[B, 4 + K + 1, N]"),
        (
            "format = \"yolo_pose\"\nkeypoints = 17",
            [1, 55, 2],
            "P = 17 (output.keypoints)",
        ),
        (
            "format = \"detr\"\nactivation = \"sigmoid\"",
            [1, 3, 6],
            "\"none\"",
        ),
    ] {
        let zeros = Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
        let error = raws(&spec(keys), zeros).err().expect(keys).to_string();
        let shape = format!("{shape:?}");
        assert!(error.contains(&shape) && error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_not_finite_is_an_error_and_not_a_picture_without_objects() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let refused = |keys: &str, values: &[f32], shape: &[i64]| {
        let spec = spec(keys);
        let raws = raws(&spec, tensor(values, shape)).expect("it is parsed");
        let own = super::keys(&spec).expect("keys");
        let limits = Limits {
            score: 0.1,
            ..Limits::from(own)
        };
        let objects = raws[0].objects(&spec, own, limits, &placement());
        matches!(objects, Err(Error::NotFinite(_)))
    };
    for (row, expected) in [
        ([1., 1., 9., 9., 0.9, 0.], false),
        ([1., 1., 9., 9., 0.9, -1.], false),
        ([nan, 1., 9., 9., 0.9, 0.], true),
        ([1., 1., inf, 9., 0.9, 0.], true),
        ([1., 1., 9., 9., nan, 0.], true),
        ([1., 1., 9., 9., inf, 0.], true),
        // Nobody asks where it is.
        ([nan, 1., 9., 9., 0.05, 0.], false),
        ([1., 1., 9., 9., -inf, 0.], false),
    ] {
        assert_eq!(
            refused("format = \"end_to_end\"", &row, &[1, 1, 6]),
            expected,
            "{row:?}"
        );
    }
    // x, y and visibility of one keypoint.
    for (keypoint, expected) in [
        ([5., 5., 1.], false),
        ([nan, 5., 1.], true),
        ([5., inf, 1.], true),
        ([5., 5., nan], true),
    ] {
        let column = [&[5., 5., 4., 4., 0.9], &keypoint[..]].concat();
        let pose = "format = \"yolo_pose\"\nkeypoints = 1\niou_threshold = 1";
        assert_eq!(refused(pose, &column, &[1, 8, 1]), expected, "{keypoint:?}");
    }
}

#[test]
fn a_rectangle_without_an_area_is_no_object() {
    let turned = spec("format = \"yolo_obb\"\niou_threshold = 1");
    let columns = [
        [8.0, 8.0, 8.0, 40.0],
        [8.0, 8.0, 8.0, 8.0],
        [6.0, -6.0, 6.0, 6.0],
        [2.0, 2.0, 0.0, 2.0],
        [0.9, 0.8, 0.7, 0.6],
        [1.6, 1.6, 1.6, 1.6],
    ];
    let found = found(&turned, tensor(columns.as_flattened(), &[1, 6, 4]), 0.1);
    assert_eq!(
        found.len(),
        1,
        "of one the width, of one the height, and one lies outside"
    );
    let bounds = found[0].object.bounds;
    assert!(
        bounds.y_max - bounds.y_min > bounds.x_max - bounds.x_min,
        "it stands"
    );
}

#[test]
fn keypoints_bear_their_names() {
    let columns = tensor(&[5., 5., 4., 4., 0.9, 3., 4., 0.5, 6., 7., 0.25], &[1, 11, 1]);
    let pose = spec("format = \"yolo_pose\"\nkeypoints = [\"nose\", \"tail\"]");
    let found = found(&pose, columns, 0.1);
    let points = &found[0].object.keypoints;
    let names: Vec<_> = points.iter().map(|p| p.name.as_deref()).collect();
    assert_eq!(names, [Some("nose"), Some("tail")]);
    assert_eq!((points[1].x, points[1].y, points[1].score), (6., 7., Some(0.25)));
}

/// A box over 8×8 pixels of 16, whose mask is what `prototype` [4, 4] has above 0.
fn segmented(prototype: &[f32; 16], part: f32) -> Result<Detected> {
    let seg = spec("format = \"yolo_seg\"");
    let rows = tensor(&[8., 8., 8., 8., 0.9, part], &[1, 6, 1]);
    let output = Value::Tuple(vec![
        Value::Tensor(rows),
        Value::Tensor(tensor(prototype, &[1, 1, 4, 4])),
    ]);
    let found = found(&seg, output.shallow_clone(), 0.1);
    let raw = &raws(&seg, output).expect("the contract is kept")[0];
    raw.detected(found, placement())
}

fn finished(detected: Result<Detected>, bytes: u64, context: &Context) -> Result<Prediction> {
    let detected = detected?;
    let pool = Pool::new(1).expect("a thread");
    pool.block(|thread| detected.finish(thread, &mut Allowance::of_bytes(bytes, ""), context))
}

#[test]
fn a_mask_ends_at_its_box_and_an_object_without_a_pixel_is_none() {
    let context = Context::default();
    let whole = finished(segmented(&[1.0; 16], 1.0), 1 << 20, &context).expect("a mask");
    let mask = whole.objects[0].mask.as_ref().expect("a mask");
    assert_eq!((mask.pixels, mask.rle.size), (64, [16, 16]));
    for nothing in [-1.0, 0.0] {
        let none = finished(segmented(&[1.0; 16], nothing), 1 << 20, &context).expect("no mask");
        assert_eq!(none.objects, [], "{nothing}");
    }
    let strange = finished(segmented(&[1.0; 16], f32::NAN), 1 << 20, &context);
    assert!(matches!(strange, Err(Error::NotFinite(_))), "{strange:?}");
}

#[test]
fn masks_are_bounded_and_made_for_nobody_that_left() {
    let left = Context::default();
    left.cancellation.cancel();
    let checkered: [f32; 16] = std::array::from_fn(|i| if (i + i / 4) % 2 == 0 { 1.0 } else { -1.0 });
    let too_much = finished(segmented(&checkered, 1.0), 8, &Context::default());
    assert!(matches!(too_much, Err(Error::AnswerTooLarge(_))), "{too_much:?}");
    let cancelled = finished(segmented(&checkered, 1.0), 1 << 20, &left);
    assert!(matches!(cancelled, Err(Error::Cancelled(_))), "{cancelled:?}");
}

#[test]
fn every_format_is_read_as_it_is_written() {
    for format in [
        "dense",
        "torchvision",
        "yolo",
        "yolov5",
        "yolo_pose",
        "yolo_obb",
        "yolo_seg",
        "end_to_end",
        "detr",
    ] {
        let read: std::result::Result<DetectionFormat, _> = serde_json::from_value(format.into());
        assert!(read.is_ok(), "{format}");
    }
}
