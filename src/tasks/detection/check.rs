//! Whether a detector keeps its contract: the shapes of what it answers, and the values. Heads of one family differ by a
//! few rows, and a keypoint or an angle that is read as the score of a class is an answer, only a wrong one.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::parse::{argument, parse};
use super::raw::{More, Raw, Said, keys};
use crate::error::Result;
use crate::manifest::{Activation, DetectionFormat, DetectionOutput};
use crate::runtime::Call;
use crate::tasks::operation::{Breach, Contract};
use crate::tasks::spec::ModelSpec;

/// Objects in one of the [`DetectionFormat`]s.
pub(in crate::tasks) struct Boxes;

impl Contract for Boxes {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let keys = keys(spec)?;
        examine(net, (spec, keys), &spec.blank(size, net.device())?)?;
        if size == 1 {
            // What a black picture leaves at zero shows in noise.
            examine(net, (spec, keys), &spec.noise(net.device())?).map_err(|breach| match breach {
                Breach::Answer(problem) => Breach::Answer(format!("of a picture of noise: {problem}")),
                raised @ Breach::Raised(_) => raised,
            })?;
        }
        Ok(())
    }
}

fn examine(
    net: &dyn Call,
    (spec, keys): (&ModelSpec, &DetectionOutput),
    input: &Tensor,
) -> Result<(), Breach> {
    let output = net.call("forward", &[argument(input, keys.format)?])?;
    if let Some((shape, hint)) = other_layout(&output, keys.format) {
        return Err(format!("forward answered {shape:?}, {hint}").into());
    }
    let found = parse(output, spec, keys.format)?;
    let (answered, size) = (found.len(), input.size()[0]);
    if answered as i64 != size {
        return Err(format!("forward answered for {answered} images, expected {size}").into());
    }
    for raw in &found {
        if raw.has_masks() {
            spec.learn_masks();
        }
        classes(raw, spec, keys.format)?;
        keypoints(raw, keys)?;
        values(raw, spec, keys.format)?;
    }
    Ok(())
}

/// The rows that YOLO's heads answer, a tensor of three dimensions, alone or first; and whether prototypes come second.
fn rows(output: &Value) -> Option<(Vec<i64>, bool)> {
    match output {
        Value::Tensor(rows) if rows.dim() == 3 => Some((rows.size(), false)),
        Value::Tuple(elements) => {
            let (shape, _) = rows(elements.first()?)?;
            let are_prototypes = matches!(elements.get(1), Some(Value::Tensor(second)) if second.dim() == 4);
            Some((shape, are_prototypes))
        }
        _ => None,
    }
}

/// Which layout this is instead, where the shape tells.
fn other_layout(output: &Value, format: DetectionFormat) -> Option<(Vec<i64>, &'static str)> {
    let (shape, has_prototypes) = rows(output)?;
    let [_, first, last] = shape[..] else { return None };
    let hint = match format {
        DetectionFormat::Yolo | DetectionFormat::EndToEnd if has_prototypes => {
            "and prototypes of masks; that is output.format = \"yolo_seg\""
        }
        // Six values a row of YOLOv5 are a box, objectness and one class.
        DetectionFormat::Yolo if last == 6 && first > last => {
            "which looks like objects after suppression, one a row: x_min, y_min, x_max, y_max, score, class; that is \
             output.format = \"end_to_end\", or \"detr\" for RT-DETR"
        }
        DetectionFormat::Yolov5 if last > first && first > 4 => {
            "which looks like candidates down the columns, without objectness; that is output.format = \"yolo\", or \
             \"yolo_pose\", \"yolo_obb\" or \"yolo_seg\""
        }
        DetectionFormat::EndToEnd if last > 6 && first > last => {
            "more than 6 values a row: with keypoints, an angle or parts of a mask that is output.format = \"yolo_pose\", \
             \"yolo_obb\" or \"yolo_seg\"; with class scores it is \"yolov5\""
        }
        DetectionFormat::EndToEnd if last != 6 && last > first => {
            "which looks like candidates before suppression, down the columns; that is output.format = \"yolo\""
        }
        _ => return None,
    };
    Some((shape, hint))
}

fn classes(raw: &Raw, spec: &ModelSpec, format: DetectionFormat) -> Result<(), Breach> {
    let Some(found) = raw.classes else { return Ok(()) };
    spec.labels.name_each_of(found).map_err(|problem| {
        let more = found as i64 - spec.labels.len() as i64;
        let has_few_boxes = raw.boxes.size()[0] < found as i64;
        let hint = match (format, more) {
            (DetectionFormat::Yolo, _) if has_few_boxes => {
                "; with fewer boxes than classes this may be the layout of output.format = \"yolov5\", or \"detr\" for RT-DETR"
            }
            (DetectionFormat::Yolo, 1) => {
                "; one row more is the angle of output.format = \"yolo_obb\", or the objectness of a layout that is not \
                 served"
            }
            (DetectionFormat::Yolo, 32) => "; 32 rows more are the parts of masks of output.format = \"yolo_seg\"",
            (DetectionFormat::Yolo, more) if more > 0 && more % 3 == 0 => {
                "; rows beside the classes may be keypoints, three a keypoint: output.format = \"yolo_pose\""
            }
            (DetectionFormat::YoloPose, _) => "; is the number of output.keypoints right?",
            (DetectionFormat::Detr, 1) => {
                "; with no object as the last class it is output.activation = \"softmax\""
            }
            (DetectionFormat::Detr, -1) => {
                "; without a class for no object it is output.activation = \"sigmoid\""
            }
            _ => "",
        };
        Breach::Answer(format!("{problem}{hint}"))
    })
}

/// Whether there are as many keypoints as model.toml says.
fn keypoints(raw: &Raw, keys: &DetectionOutput) -> Result<(), Breach> {
    match (&raw.more, &keys.keypoints) {
        (More::Keypoints(points, _), Some(known)) if points.size()[1] != known.count as i64 => {
            let (found, known) = (points.size()[1], known.count);
            Err(
                format!("forward answered {found} keypoints an object, but output.keypoints has {known}")
                    .into(),
            )
        }
        _ => Ok(()),
    }
}

/// What values cannot be, where the contract says it.
fn values(raw: &Raw, spec: &ModelSpec, format: DetectionFormat) -> Result<(), Breach> {
    let Some((low, high)) = range(&raw.boxes)? else {
        return Ok(());
    };
    let (height, width) = spec.manifest.image_input()?.fit.size;
    match format {
        DetectionFormat::Dense | DetectionFormat::Torchvision => return Ok(()),
        DetectionFormat::Detr => {
            let most = f64::from(height.max(width)) * 2.0;
            if low < -most || high > most {
                return Err(format!(
                    "boxes go from {low:.0} to {high:.0} once they are in pixels of an input of {height}×{width}; \
                     expected parts of it, 0 to 1"
                )
                .into());
            }
        }
        _ if high > 0.0 && high <= 1.5 && low >= -1.5 && height.min(width) > 4 => {
            return Err(format!(
                "every box lies between {low:.2} and {high:.2}, which looks like parts of the input, expected pixels; \
                 RT-DETR's are output.format = \"detr\""
            )
            .into());
        }
        _ => {}
    }
    scores(raw, spec, format)
}

fn scores(raw: &Raw, spec: &ModelSpec, format: DetectionFormat) -> Result<(), Breach> {
    let (scores, labels) = match &raw.said {
        Said::PerClass(_) if spec.manifest.output.activation != Activation::None => return Ok(()),
        Said::OrNothing(_) => return Ok(()),
        Said::PerClass(scores) => (scores, None),
        Said::OfLabel(scores, labels) => (scores, Some(labels)),
    };
    if let Some((low, high)) = range(scores)?
        && (low < -0.01 || high > 1.01)
    {
        let hint = match format {
            DetectionFormat::Yolo => {
                "keypoints are output.format = \"yolo_pose\", an angle \"yolo_obb\", parts of masks \"yolo_seg\", rows of \
                 [B, N, 5 + K] \"yolov5\"; logits are output.activation = \"sigmoid\""
            }
            DetectionFormat::EndToEnd => "expected rows of x_min, y_min, x_max, y_max, score, class",
            DetectionFormat::YoloPose => "is output.keypoints right?",
            _ => "logits are output.activation = \"sigmoid\"",
        };
        return Err(format!("scores go from {low:.2} to {high:.2}, expected 0 to 1: {hint}").into());
    }
    match labels {
        Some(labels) => numbered(labels, spec),
        None if format == DetectionFormat::Yolo => angle(scores),
        None => Ok(()),
    }
}

/// Whether the last class is sure of half a picture of nothing at every place, as only an angle is.
fn angle(scores: &Tensor) -> Result<(), Breach> {
    /// Fewer candidates say nothing.
    const MANY: i64 = 16;
    let (candidates, classes) = (scores.size()[0], scores.size()[1]);
    if candidates < MANY || classes < 2 {
        return Ok(());
    }
    let part = |first: i64, count: i64| -> Result<_> { range(&scores.f_narrow(1, first, count)?) };
    let (last, others) = (part(classes - 1, 1)?, part(0, classes - 1)?);
    match (last, others) {
        (Some((low, _)), Some((_, high))) if low > 0.5 && high < 0.5 => Err(format!(
            "the last class has a score of at least {low:.2} at each of {candidates} places; as an angle that is \
             output.format = \"yolo_obb\""
        )
        .into()),
        _ => Ok(()),
    }
}

/// Whether these can be the classes of rows that are objects.
fn numbered(labels: &Tensor, spec: &ModelSpec) -> Result<(), Breach> {
    let Some((low, high)) = range(labels)? else {
        return Ok(());
    };
    let fraction = |labels: &Tensor| -> Result<_> {
        let labels = labels.f_to_kind(Kind::Float)?;
        range(&labels.f_sub(&labels.f_round()?)?.f_abs()?)
    };
    let broken = fraction(labels)?.map_or(0.0, |(_, most)| most);
    if low < 0.0 || broken > 1e-3 {
        return Err(format!(
            "classes go from {low:.2} to {high:.2}, expected whole numbers from 0; are the columns x_min, y_min, x_max, \
             y_max, score, class?"
        )
        .into());
    }
    let known = spec.labels.len();
    if known > 0 && high >= known as f64 {
        return Err(format!(
            "there is a class {high:.0}, but output.labels has {known} labels, for 0 to {}; where the model counts from \
             1, the first line is for the background",
            known - 1
        )
        .into());
    }
    Ok(())
}

/// The least and the greatest value; nothing where there is none, or one is NaN.
fn range(values: &Tensor) -> Result<Option<(f64, f64)>> {
    if values.numel() == 0 {
        return Ok(None);
    }
    let values = values.f_to_kind(Kind::Float)?;
    let ends = (values.f_min()?, values.f_max()?);
    let (low, high) = (f64::try_from(ends.0)?, f64::try_from(ends.1)?);
    Ok((!low.is_nan() && !high.is_nan()).then_some((low, high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_values_a_row_are_objects_unless_one_is_objectness() {
        let answer = Value::Tensor(Tensor::zeros([1, 300, 6], (tch::Kind::Float, tch::Device::Cpu)));
        assert!(other_layout(&answer, DetectionFormat::Yolo).is_some());
        assert!(other_layout(&answer, DetectionFormat::Yolov5).is_none());
    }
}
