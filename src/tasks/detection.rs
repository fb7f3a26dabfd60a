//! Detection: boxes and class scores in one of three contracts, to objects in the original picture. Scores below
//! the threshold stay on the device; what is left is suppressed class by class and mapped back.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torch_bridge::Value;
use utoipa::{IntoParams, ToSchema};

use super::classification::scores as activated;
use super::nms::{Candidate, suppress};
use super::{Breach, Item, Labels, Subject, Task};
use crate::engine::session::Session;
use crate::engine::staging::floats;
use crate::error::{Error, Result};
use crate::image::Placement;
use crate::repository::manifest::{DetectionFormat, DetectionOutput};

/// Parameters of a detection; what is not given is as model.toml says.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// Objects with a lower score are left out.
    #[param(required = false, minimum = 0, maximum = 1)]
    pub score_threshold: Option<f32>,
    /// Of two boxes of a class that overlap more (intersection over union), the lesser goes.
    #[param(required = false, minimum = 0, maximum = 1)]
    pub iou_threshold: Option<f32>,
    /// Objects in the answer at most, best first.
    #[param(required = false, minimum = 1)]
    pub max_detections: Option<usize>,
}

impl Options {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("score_threshold", self.score_threshold),
            ("iou_threshold", self.iou_threshold),
        ] {
            if let Some(found) = value.filter(|v| !(0.0..=1.0).contains(v)) {
                return Err(Error::parameter(name, format!("found {found}, expected 0 to 1")));
            }
        }
        if self.max_detections == Some(0) {
            return Err(Error::parameter(
                "max_detections",
                "found 0, expected a whole number, at least 1",
            ));
        }
        Ok(())
    }

    fn over(&self, defaults: &DetectionOutput) -> DetectionOutput {
        DetectionOutput {
            format: defaults.format,
            score_threshold: self.score_threshold.unwrap_or(defaults.score_threshold),
            iou_threshold: self.iou_threshold.unwrap_or(defaults.iou_threshold),
            max_detections: self.max_detections.unwrap_or(defaults.max_detections),
        }
    }
}

/// The objects of one image.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Prediction {
    /// Best first.
    pub objects: Vec<Object>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Object {
    /// The index of the class.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    #[schema(example = "person")]
    pub label: String,
    /// How sure the model is.
    pub score: f32,
    /// Where it is.
    #[serde(rename = "box")]
    pub bounds: Bounds,
}

/// A box in pixels of the original picture, clipped to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Bounds {
    /// Left edge.
    pub x_min: f32,
    /// Upper edge.
    pub y_min: f32,
    /// Right edge.
    pub x_max: f32,
    /// Lower edge.
    pub y_max: f32,
}

/// The task itself.
pub(super) struct Detection;

impl Task for Detection {
    fn check(&self, session: &Session, subject: &Subject, size: usize) -> Result<(), Breach> {
        let input = subject.blank(size, session.device())?;
        let keys = keys(subject)?;
        let found = forward(session, &input, keys.format)?;
        if found.len() != size {
            let answered = found.len();
            return Err(format!("forward answered for {answered} images, expected {size}").into());
        }
        match found.iter().find_map(|f| f.classes) {
            Some(classes) => Ok(subject.labels.name_each_of(classes)?),
            None => Ok(()),
        }
    }

    fn run(
        &self,
        session: &Session,
        subject: &Subject,
        items: &[Item],
    ) -> Result<Vec<Result<super::Prediction>>> {
        let defaults = keys(subject)?;
        let batch = subject.batch_of(items, session.device())?;
        let found = forward(session, &batch, defaults.format)?;
        let answer = |(item, raw): (&Item, Raw)| {
            let super::Options::Detection(options) = &item.options else {
                return Err(Error::Internal("options of another task".into()));
            };
            let keys = options.over(defaults);
            let candidates = raw.candidates(subject, keys.score_threshold)?;
            let kept = match keys.format {
                DetectionFormat::Torchvision => best(candidates, keys.max_detections),
                _ => suppress(candidates, keys.iou_threshold, keys.max_detections),
            };
            let placement = &item.input.image()?.placement;
            let objects = kept
                .iter()
                .filter_map(|c| object(c, placement, &subject.labels))
                .collect();
            Ok(super::Prediction::Detection(Prediction { objects }))
        };
        Ok(items.iter().zip(found).map(answer).collect())
    }
}

fn keys(subject: &Subject) -> Result<&DetectionOutput> {
    let keys = subject.manifest.output.detection.as_ref();
    keys.ok_or_else(|| Error::Internal("a detector without its keys".into()))
}

/// What a model says of one image.
struct Raw {
    /// `[N, 4]` as x0, y0, x1, y1 in pixels of the input.
    boxes: Tensor,
    scores: Scores,
    /// How many classes there are, where the output tells.
    classes: Option<usize>,
}

enum Scores {
    /// `[N, K]`, before the model's activation.
    PerClass(Tensor),
    /// `[N]` with the class `[N]` of each.
    OfLabel(Tensor, Tensor),
}

/// How a batch `[B, C, H, W]` is handed to a detector.
pub(super) fn argument(batch: &Tensor, format: DetectionFormat) -> Result<Value> {
    Ok(match format {
        DetectionFormat::Torchvision => {
            Value::List(batch.f_unbind(0)?.into_iter().map(Value::Tensor).collect())
        }
        DetectionFormat::Dense | DetectionFormat::Yolo => Value::Tensor(batch.shallow_clone()),
    })
}

/// Runs a batch `[B, C, H, W]`, and parts the answer into one [`Raw`] an image.
fn forward(session: &Session, batch: &Tensor, format: DetectionFormat) -> Result<Vec<Raw>> {
    let output = session.call("forward", &[argument(batch, format)?])?;
    match format {
        DetectionFormat::Torchvision => torchvision(output),
        DetectionFormat::Dense => dense(output),
        DetectionFormat::Yolo => yolo(&output.into_tensor()?),
    }
}

fn broken(expected: &str, found: &str) -> Error {
    Error::InferenceFailed(format!("forward answered {found}, expected {expected}"))
}

fn dense(output: Value) -> Result<Vec<Raw>> {
    const EXPECTED: &str = "(boxes[B, N, 4], scores[B, N, K])";
    let mut parts = output.into_elements()?.into_iter();
    let (Some(boxes), Some(scores)) = (parts.next(), parts.next()) else {
        return Err(broken(EXPECTED, "less than two values"));
    };
    per_class(&boxes.into_tensor()?, &scores.into_tensor()?)
}

fn per_class(boxes: &Tensor, scores: &Tensor) -> Result<Vec<Raw>> {
    let (of_boxes, of_scores) = (boxes.size(), scores.size());
    let fits = matches!((&of_boxes[..], &of_scores[..]), ([b, n, 4], [c, m, _]) if b == c && n == m);
    if !fits {
        let found = format!("boxes {of_boxes:?} and scores {of_scores:?}");
        return Err(broken("boxes [B, N, 4] and scores [B, N, K]", &found));
    }
    let classes = usize::try_from(of_scores[2]).ok();
    let raw = |(boxes, scores)| Raw {
        boxes,
        scores: Scores::PerClass(scores),
        classes,
    };
    Ok(boxes
        .f_unbind(0)?
        .into_iter()
        .zip(scores.f_unbind(0)?)
        .map(raw)
        .collect())
}

/// `[B, 4 + K, N]`: the centre, the size, and the class scores of each candidate, down the columns.
fn yolo(output: &Tensor) -> Result<Vec<Raw>> {
    let shape = output.size();
    if !matches!(shape[..], [_, rows, _] if rows > 4) {
        return Err(broken("[B, 4 + K, N]", &format!("{shape:?}")));
    }
    let rows = output.f_transpose(1, 2)?;
    let (centre, size) = (rows.f_narrow(2, 0, 2)?, rows.f_narrow(2, 2, 2)?);
    let half = size.f_div_scalar(2.0)?;
    let boxes = Tensor::f_cat(&[centre.f_sub(&half)?, centre.f_add(&half)?], 2)?;
    per_class(&boxes, &rows.f_narrow(2, 4, shape[1] - 4)?)
}

/// `(losses, list of {boxes, labels, scores})`, or the list alone.
fn torchvision(output: Value) -> Result<Vec<Raw>> {
    const EXPECTED: &str = "(losses, list of {boxes, labels, scores})";
    let mut elements = output.into_elements()?;
    if let Some(Value::List(_)) = elements.last() {
        elements = elements
            .pop()
            .map(Value::into_elements)
            .transpose()?
            .unwrap_or_default();
    }
    let raw = |mut found: Value| {
        let mut part = |key: &str| {
            let missing = || broken(EXPECTED, &format!("nothing under \"{key}\""));
            Ok::<_, Error>(found.take(key).ok_or_else(missing)?.into_tensor()?)
        };
        Ok(Raw {
            boxes: part("boxes")?,
            scores: Scores::OfLabel(part("scores")?, part("labels")?),
            classes: None,
        })
    };
    elements.into_iter().map(raw).collect()
}

impl Raw {
    /// Everything that is sure enough, on the CPU.
    fn candidates(&self, subject: &Subject, threshold: f32) -> Result<Vec<Candidate>> {
        let (scores, rows, class_ids) = match &self.scores {
            Scores::PerClass(raw) => {
                let all = activated(raw, subject.manifest.output.activation)?;
                let sure = all.f_ge(f64::from(threshold))?.f_nonzero()?;
                let (rows, class_ids) = (sure.f_select(1, 0)?, sure.f_select(1, 1)?);
                let flat = rows.f_mul_scalar(raw.size()[1])?.f_add(&class_ids)?;
                (all.f_reshape([-1])?.f_index_select(0, &flat)?, rows, class_ids)
            }
            Scores::OfLabel(scores, labels) => {
                let rows = scores.f_ge(f64::from(threshold))?.f_nonzero()?.f_select(1, 0)?;
                (
                    scores.f_index_select(0, &rows)?,
                    rows.shallow_clone(),
                    labels.f_index_select(0, &rows)?,
                )
            }
        };
        let corners = floats(&self.boxes.f_index_select(0, &rows)?)?;
        let class_ids = class_ids
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Int64)?
            .f_contiguous()?;
        let class_ids = Vec::<i64>::try_from(class_ids)?;
        let scores = floats(&scores)?;
        let candidate = |((corners, class_id), &score): ((&[f32], i64), &f32)| Candidate {
            corners: std::array::from_fn(|side| corners[side]),
            class_id: usize::try_from(class_id).unwrap_or(0),
            score,
        };
        let found = corners.chunks_exact(4).zip(class_ids).zip(&scores).map(candidate);
        // NaN compares as unsure, but a sure score may still have a box that is not finite.
        Ok(found
            .filter(|c| c.corners.iter().all(|v| v.is_finite()))
            .collect())
    }
}

fn best(mut candidates: Vec<Candidate>, most: usize) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(most);
    candidates
}

/// The object in the original picture; nothing where the box lies outside of it.
fn object(candidate: &Candidate, placement: &Placement, labels: &Labels) -> Option<Object> {
    let [x0, y0, x1, y1] = candidate.corners.map(f64::from);
    let (width, height) = placement.original();
    let inside = |(x, y): (f64, f64)| {
        (
            x.clamp(0.0, f64::from(width)) as f32,
            y.clamp(0.0, f64::from(height)) as f32,
        )
    };
    let (x_min, y_min) = inside(placement.to_original(x0, y0));
    let (x_max, y_max) = inside(placement.to_original(x1, y1));
    (x_max > x_min && y_max > y_min).then(|| Object {
        class_id: candidate.class_id,
        label: labels.name(candidate.class_id),
        score: candidate.score,
        bounds: Bounds {
            x_min,
            y_min,
            x_max,
            y_max,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::manifest::Manifest;

    fn subject() -> Subject {
        let text = "task = \"detection\"\n[input]\nsize = [8, 8]\n[output]\nformat = \"dense\"";
        Subject::new(Manifest::parse(text).expect("a detector"), Labels::default())
    }

    fn corners(raw: &Raw, threshold: f32) -> Vec<(usize, [f32; 4])> {
        let found = raw.candidates(&subject(), threshold).expect("candidates");
        found.into_iter().map(|c| (c.class_id, c.corners)).collect()
    }

    #[test]
    fn dense_scores_keep_their_row_and_class() {
        let boxes = Tensor::from_slice(&[0f32, 0., 1., 1., 2., 2., 3., 3.]).view([1, 2, 4]);
        let scores = Tensor::from_slice(&[0.1f32, 0.9, 0.3, 0.8, 0.2, 0.1]).view([1, 2, 3]);
        let raw = dense(Value::Tuple(vec![Value::Tensor(boxes), Value::Tensor(scores)])).expect("dense");
        assert_eq!(
            corners(&raw[0], 0.5),
            [(1, [0., 0., 1., 1.]), (0, [2., 2., 3., 3.])]
        );
        assert_eq!(raw[0].classes, Some(3));
    }

    #[test]
    fn yolo_columns_become_corners() {
        // Two candidates, centres (5, 5) and (2, 3), sizes (4, 2) and (2, 2), one class.
        let output = Tensor::from_slice(&[5f32, 2., 5., 3., 4., 2., 2., 2., 0.9, 0.4]).view([1, 5, 2]);
        let raw = yolo(&output).expect("yolo");
        assert_eq!(
            corners(&raw[0], 0.1),
            [(0, [3., 4., 7., 6.]), (0, [1., 2., 3., 4.])]
        );
    }

    #[test]
    fn torchvision_lists_are_read_with_and_without_losses() {
        let list = || {
            let part = |key: &str, t: Tensor| (Value::from(key), Value::Tensor(t));
            Value::List(vec![Value::Dict(vec![
                part("boxes", Tensor::from_slice(&[1f32, 2., 3., 4.]).view([1, 4])),
                part("labels", Tensor::from_slice(&[7i64])),
                part("scores", Tensor::from_slice(&[0.5f32])),
            ])])
        };
        for output in [list(), Value::Tuple(vec![Value::Dict(Vec::new()), list()])] {
            let raw = torchvision(output).expect("torchvision");
            assert_eq!(corners(&raw[0], 0.1), [(7, [1., 2., 3., 4.])]);
        }
    }

    #[test]
    fn other_shapes_are_refused_with_what_was_found() {
        let error = yolo(&Tensor::from_slice(&[0f32; 8]).view([1, 4, 2]))
            .err()
            .expect("no classes")
            .to_string();
        assert!(
            error.contains("[1, 4, 2]") && error.contains("[B, 4 + K, N]"),
            "{error}"
        );
    }
}
