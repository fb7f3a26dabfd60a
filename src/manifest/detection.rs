//! The keys of a detector under `[output]`, their defaults and bounds.

use std::collections::HashSet;

use serde::Deserialize;

use super::keys::{Activation, DetectionFormat, DetectionOutput, Keypoints};
use super::reader::Section;

/// Objects in an answer at most, whatever is asked for.
pub const MOST_DETECTIONS: usize = 1000;

/// Keypoints of an object at most, and lines between them.
const MOST_KEYPOINTS: usize = 512;

/// Characters of a keypoint's name at most.
const MOST_NAME: usize = 64;

/// The `keypoints` key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Count(usize),
    Names(Vec<String>),
}

/// The keys of a detector; `activation` is what stands in the file.
pub(super) fn read(s: &mut Section<'_>, activation: Option<Activation>) -> DetectionOutput {
    let formats = "\"dense\", \"torchvision\", \"yolo\", \"yolov5\", \"yolo_pose\", \"yolo_obb\", \"yolo_seg\", \
                   \"end_to_end\" or \"detr\"";
    let format = s.required("format", formats);
    let is = |wanted| format == Some(wanted);
    if is(DetectionFormat::Detr) {
        s.check(activation.is_some(), "activation", || {
            "is missing, and `detr` cannot do without: \"sigmoid\" (RT-DETR, Deformable and Conditional DETR), \
             \"softmax\" with no object as the last class (DETR, YOLOS, Table Transformer) or \"none\" (scores)"
                .into()
        });
    }
    let leaves_overlaps = format.is_none_or(DetectionFormat::leaves_overlaps);
    DetectionOutput {
        format: format.unwrap_or(DetectionFormat::Dense),
        score_threshold: s.fraction("score_threshold", 0.25),
        iou_threshold: if leaves_overlaps {
            s.fraction("iou_threshold", 0.5)
        } else {
            1.0
        },
        max_detections: s.count("max_detections", 100, MOST_DETECTIONS),
        multi_label: if leaves_overlaps {
            let multi_label = s.optional("multi_label", "true or false");
            multi_label.unwrap_or(is(DetectionFormat::Dense))
        } else {
            activation == Some(Activation::Sigmoid)
        },
        keypoints: if is(DetectionFormat::YoloPose) || is(DetectionFormat::Torchvision) {
            keypoints(s, is(DetectionFormat::YoloPose))
        } else {
            None
        },
    }
}

fn keypoints(s: &mut Section<'_>, is_required: bool) -> Option<Keypoints> {
    let expected = "how many keypoints an object has, or a list of their names";
    let named: Option<Named> = if is_required {
        s.required("keypoints", expected)
    } else {
        s.optional("keypoints", expected)
    };
    let skeleton: Vec<[usize; 2]> = s
        .optional(
            "skeleton",
            "pairs of keypoints by index, such as [[0, 1], [1, 2]]",
        )
        .unwrap_or_default();
    let (count, names) = match named {
        None => {
            s.check(skeleton.is_empty() || is_required, "skeleton", || {
                "is for a model whose `keypoints` are given".into()
            });
            return None;
        }
        Some(Named::Count(count)) => (count, Vec::new()),
        Some(Named::Names(names)) => (names.len(), names),
    };
    s.check((1..=MOST_KEYPOINTS).contains(&count), "keypoints", || {
        format!("found {count}, expected 1 to {MOST_KEYPOINTS}")
    });
    let is_name = |name: &String| (1..=MOST_NAME).contains(&name.chars().count());
    let differ = names.iter().collect::<HashSet<_>>().len() == names.len();
    s.check(differ && names.iter().all(is_name), "keypoints", || {
        format!("expected names of 1 to {MOST_NAME} characters, no two alike")
    });
    s.check(skeleton.len() <= MOST_KEYPOINTS, "skeleton", || {
        format!(
            "found {} lines, expected at most {MOST_KEYPOINTS}",
            skeleton.len()
        )
    });
    let joins = |line: &[usize; 2]| line.iter().all(|&end| end < count);
    s.check(skeleton.iter().all(joins), "skeleton", || {
        format!(
            "expected pairs of keypoints from 0 to {}",
            count.saturating_sub(1)
        )
    });
    Some(Keypoints {
        count,
        names,
        skeleton,
    })
}
