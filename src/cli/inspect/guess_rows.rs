//! Which of the contracts of detectors rows of numbers may be; the contract itself tells by its values which it is.

use super::entrance::Entrance;
use super::facts::Facts;
use super::guess::{Guess, Pictures, Range};
use super::probe::{Fed, Run};

/// Classes of transformers' detectors whose scores are a sigmoid of each class; the others' are a softmax with no object.
const SIGMOID: [&str; 8] = [
    "RTDetr",
    "RTDETR",
    "ConditionalDetr",
    "DeformableDetr",
    "DabDetr",
    "DFine",
    "GroundingDino",
    "Deta",
];

/// Values of an object at most: a box, its score and class, and dozens of keypoints or parts of a mask.
const MOST_OF_OBJECT: i64 = 256;

fn detector(format: &str, why: impl Into<String>) -> Guess {
    Guess::new("detection", why)
        .key("format", format!("\"{format}\""))
        .pictures(Pictures::Letterbox)
}

/// `[B, R, C]`: candidates, objects, or a map.
pub(super) fn rows(facts: &Facts, run: &Run) -> Vec<Guess> {
    let [_, first, last] = facts.shape[..] else {
        return Vec::new();
    };
    let shown = format!("forward answers [B, {first}, {last}]");
    let mut guesses = Vec::new();
    if let Some(map) = map(facts, run, &shown) {
        guesses.push(map);
    }
    if facts.is_whole {
        return guesses;
    }
    let is_wide = last > first && first > 4;
    if is_wide {
        guesses.extend(candidates(facts, first, &shown));
    }
    // A few objects with many keypoints are wide, too.
    if last > 5 && (!is_wide || last <= MOST_OF_OBJECT) {
        guesses.extend(objects(last, &shown));
    }
    if last > 5 && !is_wide {
        guesses.push(
            detector(
                "yolov5",
                format!("{shown}, candidates with objectness, one a row"),
            )
            .classes(last - 5),
        );
    }
    guesses
}

/// Candidates before suppression, down the columns: a box, scores, and what comes with them.
fn candidates(facts: &Facts, values: i64, shown: &str) -> Vec<Guess> {
    let plain = detector("yolo", format!("{shown}, candidates down the columns")).classes(values - 4);
    let classes = facts.score_rows;
    let rest = values - 4 - classes;
    // Coordinates of keypoints are pixels, so the first that is no score tells where they begin.
    let points = (classes > 0 && rest > 0 && rest % 3 == 0).then(|| {
        detector(
            "yolo_pose",
            format!("{shown}, candidates with {} keypoints", rest / 3),
        )
        .key("keypoints", (rest / 3).to_string())
        .classes(classes)
    });
    let angle = (values > 5)
        .then(|| detector("yolo_obb", format!("{shown}, candidates with an angle")).classes(values - 5));
    [plain].into_iter().chain(points).chain(angle).collect()
}

/// Objects after suppression, one a row.
fn objects(values: i64, shown: &str) -> Vec<Guess> {
    let keypoints = (values > 6 && values % 3 == 0).then_some((values - 6) / 3);
    let relative = detector(
        "detr",
        format!("{shown}, boxes as parts of the picture and scores of classes"),
    )
    .key("activation", "\"none\"")
    .classes(values - 4);
    match values {
        6 => vec![
            detector("end_to_end", format!("{shown}, the objects themselves")),
            relative,
        ],
        7 => vec![
            detector("yolo_obb", format!("{shown}, objects with an angle")),
            relative,
        ],
        _ => {
            let points = keypoints.map(|points| {
                detector("yolo_pose", format!("{shown}, objects with {points} keypoints"))
                    .key("keypoints", points.to_string())
            });
            points.into_iter().chain([relative]).collect()
        }
    }
}

/// `[B, h, w]`, one number a pixel.
fn map(facts: &Facts, run: &Run, shown: &str) -> Option<Guess> {
    let Fed::Pictures { size, .. } = run.input else {
        return None;
    };
    let [_, rows, columns] = facts.shape[..] else {
        return None;
    };
    let ratio = (
        rows as f64 / f64::from(size.0),
        columns as f64 / f64::from(size.1),
    );
    let is_map = rows > 8 && ratio.0 >= 0.2 && (ratio.0 / ratio.1 - 1.0).abs() < 0.05;
    (is_map && !facts.is_whole)
        .then(|| Guess::image(format!("{shown}, a number for each pixel"), Range::MinMax))
}

/// `[B, R, C]` with prototypes `[B, M, h, w]`.
pub(super) fn with_prototypes(facts: &Facts) -> Guess {
    detector(
        "yolo_seg",
        format!("forward answers {:?} and prototypes of masks", facts.shape),
    )
}

/// `([B, N, 4], [B, N, K])`, as corners in pixels or as parts of the picture, in one order or the other.
pub(super) fn boxes_and_scores(one: &Facts, other: &Facts, entrance: &Entrance) -> Vec<Guess> {
    let (boxes, scores) = if one.shape[2] == 4 {
        (one, other)
    } else {
        (other, one)
    };
    let is_scored = scores.are_probabilities();
    let dense =
        detector("dense", "forward answers boxes [B, N, 4] and scores [B, N, K]").classes(scores.shape[2]);
    let dense = dense.key("activation", if is_scored { "\"none\"" } else { "\"sigmoid\"" });
    let likely = if is_scored {
        "none"
    } else {
        activation(entrance, scores)
    };
    let relative = queries(
        likely,
        scores,
        "forward answers logits and boxes as parts of the picture",
    );
    if boxes.are_probabilities() {
        vec![relative, dense]
    } else {
        vec![dense, relative]
    }
}

/// `{logits, pred_boxes}`, or `{pred_logits, pred_boxes}`.
pub(super) fn detr(logits: &Facts, entrance: &Entrance) -> Vec<Guess> {
    let likely = activation(entrance, logits);
    let other = if likely == "softmax" { "sigmoid" } else { "softmax" };
    let why = |activation: &str| {
        format!("forward answers logits and pred_boxes; activation may be \"{activation}\" too")
    };
    vec![
        queries(likely, logits, &why(other)),
        queries(other, logits, &why(likely)),
    ]
}

fn queries(activation: &str, logits: &Facts, why: &str) -> Guess {
    let values = logits.shape.last().copied().unwrap_or(0);
    detector("detr", why)
        .key("activation", format!("\"{activation}\""))
        .classes(values - i64::from(activation == "softmax"))
        .pictures(Pictures::ImageNet)
}

/// How a detector of queries makes scores of its logits: by the names of its layers, else by how sure it is of noise.
fn activation(entrance: &Entrance, logits: &Facts) -> &'static str {
    let has = |names: &[&str]| {
        let is_of = |kind: &String| names.iter().any(|name| kind.starts_with(name));
        entrance.kinds.iter().any(is_of)
    };
    if has(&SIGMOID) {
        "sigmoid"
    } else if has(&["Detr", "Yolos", "TableTransformer"]) || logits.range.1 > 0.0 {
        "softmax"
    } else {
        "sigmoid"
    }
}
