//! `[output]` of a detector: how it answers, and what is made of that.

use std::collections::HashSet;

use serde::Deserialize;

use super::keys::Activation;
use super::reader::Section;

/// Objects in an answer at most, whatever is asked for.
pub const MOST_DETECTIONS: usize = 1000;

/// Keypoints of an object at most, and lines between them.
const MOST_KEYPOINTS: usize = 512;

/// Characters of a keypoint's name at most.
const MOST_NAME: usize = 64;

/// How a detector answers (B = batch, N = candidates, K = classes, P = keypoints; boxes in pixels of the model's input
/// where nothing else is said).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectionFormat {
    /// `forward(x) → (boxes[B, N, 4] as x0, y0, x1, y1, scores[B, N, K])`
    Dense,
    /// `forward(list of [C, H, W]) → (losses, list of {boxes, labels, scores})`, torchvision's scripted detectors; with
    /// `keypoints` and `keypoints_scores`, or `masks`, where they have them.
    Torchvision,
    /// `forward(x) → [B, 4 + K, N]`: centre x, centre y, width, height, class scores.
    Yolo,
    /// `forward(x) → [B, N, 5 + K]`: centre x, centre y, width, height, objectness, class scores.
    Yolov5,
    /// `forward(x) → [B, 4 + K + 3·P, N]`: as `yolo`, then x, y and visibility of each keypoint.
    YoloPose,
    /// `forward(x) → [B, 4 + K + 1, N]`: as `yolo`, then the angle in radians.
    YoloObb,
    /// `forward(x) → ([B, 4 + K + M, N], [B, M, h, w])`: as `yolo`, then what each of M prototypes gives to the mask.
    YoloSeg,
    /// `forward(x) → [B, N, 6]`: x0, y0, x1, y1, score, class of the objects themselves.
    EndToEnd,
    /// `forward(x) → {logits[B, N, K or K + 1], pred_boxes[B, N, 4]}`: centre x, centre y, width, height as parts of the
    /// input.
    Detr,
}

impl DetectionFormat {
    /// Whether overlaps are left to the server to suppress.
    #[must_use]
    pub fn leaves_overlaps(self) -> bool {
        !matches!(self, Self::Torchvision | Self::EndToEnd | Self::Detr)
    }
}

/// `[output]` of a detector; a request may override the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionOutput {
    /// How it answers.
    pub format: DetectionFormat,
    /// Objects below it are left out, 0 to 1.
    pub score_threshold: f32,
    /// Of two boxes of a class that overlap more (intersection over union), the lesser goes, 0 to 1.
    pub iou_threshold: f32,
    /// Objects in an answer at most.
    pub max_detections: usize,
    /// Whether a box is an object of every class that is sure enough, not of the best alone.
    pub multi_label: bool,
    /// What the keypoints of an object are, where they are named.
    pub keypoints: Option<Keypoints>,
}

/// The keypoints of each object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keypoints {
    /// How many, at least one.
    pub count: usize,
    /// The name of each; empty where they have none.
    pub names: Vec<String>,
    /// Which are joined by a line where they are drawn, by index.
    pub skeleton: Vec<[usize; 2]>,
}

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
