//! What a detector says before thresholds and suppression, in one form for the three contracts.

use tch::{Device, Kind, Tensor};
use torch_bridge::Value;

use super::nms::Candidate;
use crate::error::{Error, Result};
use crate::manifest::DetectionFormat;
use crate::runtime::staging::floats;
use crate::tasks::classification::scores as activated;
use crate::tasks::spec::ModelSpec;

/// What a model says of one image.
pub(crate) struct Raw {
    /// `[N, 4]` as x0, y0, x1, y1 in pixels of the input.
    pub(crate) boxes: Tensor,
    scores: ClassScores,
    /// How many classes there are, where the output tells.
    pub(super) classes: Option<usize>,
}

/// How sure a model is of each box.
pub(crate) enum ClassScores {
    /// `[N, K]`
    PerClass(Tensor),
    /// `[N]` with the class `[N]` of each.
    OfLabel(Tensor, Tensor),
}

/// How a batch `[B, C, H, W]` is handed to a detector.
pub(crate) fn argument(batch: &Tensor, format: DetectionFormat) -> Result<Value> {
    Ok(match format {
        DetectionFormat::Torchvision => {
            Value::List(batch.f_unbind(0)?.into_iter().map(Value::Tensor).collect())
        }
        DetectionFormat::Dense | DetectionFormat::Yolo => Value::Tensor(batch.shallow_clone()),
    })
}

/// Parts what `forward` answered for a batch into one [`Raw`] an image.
///
/// # Errors
/// [`Error::InferenceFailed`] when it is not as the contract says.
pub(crate) fn parse(output: Value, format: DetectionFormat) -> Result<Vec<Raw>> {
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
        scores: ClassScores::PerClass(scores),
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
            scores: ClassScores::OfLabel(part("scores")?, part("labels")?),
            classes: None,
        })
    };
    elements.into_iter().map(raw).collect()
}

impl Raw {
    /// The scores after the model's activation.
    pub(crate) fn class_scores(&self, spec: &ModelSpec) -> Result<ClassScores> {
        Ok(match &self.scores {
            ClassScores::PerClass(raw) => {
                ClassScores::PerClass(activated(raw, spec.manifest.output.activation)?)
            }
            ClassScores::OfLabel(scores, labels) => {
                ClassScores::OfLabel(scores.shallow_clone(), labels.shallow_clone())
            }
        })
    }

    /// Everything that is sure enough, on the CPU.
    pub(super) fn candidates(&self, spec: &ModelSpec, threshold: f32) -> Result<Vec<Candidate>> {
        let (scores, rows, class_ids) = match self.class_scores(spec)? {
            ClassScores::PerClass(all) => {
                let sure = all.f_ge(f64::from(threshold))?.f_nonzero()?;
                let (rows, class_ids) = (sure.f_select(1, 0)?, sure.f_select(1, 1)?);
                let flat = rows.f_mul_scalar(all.size()[1])?.f_add(&class_ids)?;
                (all.f_reshape([-1])?.f_index_select(0, &flat)?, rows, class_ids)
            }
            ClassScores::OfLabel(scores, labels) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec() -> ModelSpec {
        let text = "task = \"detection\"\n[input]\nsize = [8, 8]\n[output]\nformat = \"dense\"";
        ModelSpec::new(Manifest::parse(text).expect("a detector"), Labels::default())
    }

    fn corners(raw: &Raw, threshold: f32) -> Vec<(usize, [f32; 4])> {
        let found = raw.candidates(&spec(), threshold).expect("candidates");
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
