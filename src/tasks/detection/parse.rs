//! From what `forward` answered for a batch to one [`Raw`] an image.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::raw::{More, Raw, Said};
use super::rows::{broken, corners, finished, per_class};
use super::yolo;
use crate::error::Result;
use crate::manifest::{Activation, DetectionFormat};
use crate::tasks::spec::ModelSpec;

/// How a batch `[B, C, H, W]` is handed to a detector.
pub(crate) fn argument(batch: &Tensor, format: DetectionFormat) -> Result<Value> {
    Ok(match format {
        DetectionFormat::Torchvision => {
            Value::List(batch.f_unbind(0)?.into_iter().map(Value::Tensor).collect())
        }
        _ => Value::Tensor(batch.shallow_clone()),
    })
}

/// Parts what `forward` answered for a batch into one [`Raw`] an image.
///
/// # Errors
/// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) when it is not as the contract says.
pub(crate) fn parse(output: Value, spec: &ModelSpec, format: DetectionFormat) -> Result<Vec<Raw>> {
    match format {
        DetectionFormat::Torchvision => torchvision(output),
        DetectionFormat::Dense => dense(output),
        DetectionFormat::EndToEnd => end_to_end(output),
        DetectionFormat::Detr => detr(output, spec),
        DetectionFormat::Yolo => yolo::plain(&first(output)?),
        DetectionFormat::Yolov5 => yolo::with_objectness(&first(output)?),
        DetectionFormat::YoloPose => yolo::pose(&first(output)?, spec),
        DetectionFormat::YoloObb => yolo::oriented(&first(output)?),
        DetectionFormat::YoloSeg => yolo::segments(output),
    }
}

/// A tensor, or the first of a tuple.
fn first(output: Value) -> Result<Tensor> {
    let first = match output {
        Value::Tuple(elements) => elements.into_iter().next().unwrap_or(Value::None),
        other => other,
    };
    Ok(first.into_tensor()?)
}

fn dense(output: Value) -> Result<Vec<Raw>> {
    const EXPECTED: &str = "(boxes[B, N, 4], scores[B, N, K])";
    let mut parts = output.into_elements()?.into_iter();
    let (Some(boxes), Some(scores)) = (parts.next(), parts.next()) else {
        return Err(broken(EXPECTED, "less than two values"));
    };
    per_class(&boxes.into_tensor()?, &scores.into_tensor()?)
}

/// `[B, N, 6]`: corners, score and class of each object.
fn end_to_end(output: Value) -> Result<Vec<Raw>> {
    let rows = first(output)?;
    let shape = rows.size();
    if !matches!(shape[..], [_, _, 6]) {
        return Err(broken(
            "[B, N, 6], rows of x_min, y_min, x_max, y_max, score, class",
            &format!("{shape:?}"),
        ));
    }
    let raw = |rows: Tensor| finished(&rows, rows.f_narrow(1, 0, 4)?);
    rows.f_unbind(0)?.into_iter().map(raw).collect()
}

/// A dict with `logits` and `pred_boxes`, a tuple that begins with them, or Ultralytics' rows `[B, N, 6]`.
fn detr(output: Value, spec: &ModelSpec) -> Result<Vec<Raw>> {
    const EXPECTED: &str =
        "{logits[B, N, K], pred_boxes[B, N, 4]}, (logits, pred_boxes) or, of Ultralytics' RT-DETR, [B, N, 6]";
    let missing = |key: &str| broken(EXPECTED, &format!("nothing under \"{key}\""));
    let (logits, boxes) = match output {
        Value::Tensor(rows) => return rows_of_detr(&rows, spec),
        mut dict @ Value::Dict(_) => {
            let logits = dict.take("logits").or_else(|| dict.take("pred_logits"));
            let logits = logits.ok_or_else(|| missing("logits"))?;
            (
                logits,
                dict.take("pred_boxes").ok_or_else(|| missing("pred_boxes"))?,
            )
        }
        other => {
            let mut elements = other.into_elements()?.into_iter();
            match (elements.next(), elements.next()) {
                (Some(Value::Tensor(rows)), second)
                    if rows.size().last() == Some(&6) && !matches!(second, Some(Value::Tensor(_))) =>
                {
                    return rows_of_detr(&rows, spec);
                }
                (Some(logits), Some(boxes)) => (logits, boxes),
                _ => return Err(broken(EXPECTED, "less than two values")),
            }
        }
    };
    let (logits, boxes) = (logits.into_tensor()?, boxes.into_tensor()?);
    let activation = spec.manifest.output.activation;
    let least = if activation == Activation::Softmax { 2 } else { 1 };
    let (of_logits, of_boxes) = (logits.size(), boxes.size());
    if !matches!((&of_logits[..], &of_boxes[..]), ([b, n, k], [c, m, 4]) if b == c && n == m && *k >= least) {
        let found = format!("logits {of_logits:?} and boxes {of_boxes:?}");
        return Err(broken(EXPECTED, &found));
    }
    let images = in_pixels(&boxes, spec)?.f_unbind(0)?.into_iter();
    let raw = |(boxes, logits): (Tensor, Tensor)| {
        let count = usize::try_from(of_logits[2]).unwrap_or(0);
        let (scores, classes) = match activation {
            Activation::Softmax => (Said::OrNothing(logits), count - 1),
            _ => (Said::PerClass(logits), count),
        };
        Raw {
            classes: Some(classes),
            is_final: true,
            ..Raw::of(boxes, scores)
        }
    };
    Ok(images.zip(logits.f_unbind(0)?).map(raw).collect())
}

/// `[B, N, 6]`: centre, size, score and class.
fn rows_of_detr(rows: &Tensor, spec: &ModelSpec) -> Result<Vec<Raw>> {
    let shape = rows.size();
    if !matches!(shape[..], [_, _, 6]) || spec.manifest.output.activation != Activation::None {
        return Err(broken(
            "{logits, pred_boxes}; a tensor alone is read as [B, N, 6], rows of cx, cy, w, h, score, class, with \
             output.activation = \"none\"",
            &format!("{shape:?}"),
        ));
    }
    let boxes = in_pixels(&rows.f_narrow(2, 0, 4)?, spec)?;
    let images = rows.f_unbind(0)?.into_iter().zip(boxes.f_unbind(0)?);
    images.map(|(rows, boxes)| finished(&rows, boxes)).collect()
}

/// Centre and size as parts of the input `[…, 4]`, to corners in its pixels.
fn in_pixels(parts: &Tensor, spec: &ModelSpec) -> Result<Tensor> {
    let (height, width) = spec.manifest.image_input()?.fit.size;
    let (height, width) = (f64::from(height) as f32, f64::from(width) as f32);
    let sides = Tensor::f_from_slice(&[width, height, width, height])?.f_to_device(parts.device())?;
    Ok(corners(&parts.f_to_kind(Kind::Float)?)?.f_mul(&sides)?)
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
        let optional = |found: &mut Value, key: &str| -> Result<Option<Tensor>> {
            Ok(found.take(key).map(Value::into_tensor).transpose()?)
        };
        let (keypoints, sure) = (
            optional(&mut found, "keypoints")?,
            optional(&mut found, "keypoints_scores")?,
        );
        let masks = optional(&mut found, "masks")?;
        let mut part = |key: &str| {
            let missing = || broken(EXPECTED, &format!("nothing under \"{key}\""));
            optional(&mut found, key)?.ok_or_else(missing)
        };
        let boxes = part("boxes")?;
        let count = boxes.size().first().copied().unwrap_or(0);
        Ok(Raw {
            more: beside(count, (keypoints, sure), masks)?,
            is_final: true,
            ..Raw::of(boxes, Said::OfLabel(part("scores")?, part("labels")?))
        })
    };
    elements.into_iter().map(raw).collect()
}

/// What torchvision's Keypoint R-CNN and Mask R-CNN say of `count` boxes.
fn beside(
    count: i64,
    (keypoints, sure): (Option<Tensor>, Option<Tensor>),
    masks: Option<Tensor>,
) -> Result<More> {
    if let Some(points) = keypoints {
        let (shape, of_scores) = (points.size(), sure.as_ref().map(Tensor::size));
        let fits = matches!(shape[..], [n, p, 3] if n == count && p > 0)
            && of_scores.as_ref().is_none_or(|of| of[..] == shape[..2]);
        if !fits {
            let found = format!("keypoints {shape:?} with scores {of_scores:?}");
            return Err(broken("keypoints [N, P, 3] with scores [N, P]", &found));
        }
        return Ok(More::Keypoints(points.f_narrow(2, 0, 2)?, sure));
    }
    let Some(masks) = masks else {
        return Ok(More::Nothing);
    };
    let shape = masks.size();
    if !matches!(shape[..], [n, 1, _, _] if n == count) {
        return Err(broken("masks [N, 1, H, W]", &format!("masks {shape:?}")));
    }
    Ok(More::Masks(masks.f_squeeze_dim(1)?))
}
