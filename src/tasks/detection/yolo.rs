//! The rows of YOLO's heads: down the columns of `[B, 4 + K + …, N]` before suppression, or `[B, N, 6 + …]` of objects
//! themselves, as the heads without suppression (YOLO26) give them.

use tch::Tensor;
use torch_bridge::Value;

use super::raw::{More, Raw};
use super::rows::{broken, corners, finished, per_class};
use crate::error::Result;
use crate::tasks::spec::ModelSpec;

/// `[B, 4 + K, N]`
pub(super) fn plain(output: &Tensor) -> Result<Vec<Raw>> {
    let shape = output.size();
    if !matches!(shape[..], [_, rows, _] if rows > 4) {
        return Err(broken("[B, 4 + K, N]", &format!("{shape:?}")));
    }
    let rows = output.f_transpose(1, 2)?;
    let boxes = corners(&rows.f_narrow(2, 0, 4)?)?;
    per_class(&boxes, &rows.f_narrow(2, 4, shape[1] - 4)?)
}

/// `[B, N, 5 + K]`: a class's score is that of the object times its own.
pub(super) fn with_objectness(output: &Tensor) -> Result<Vec<Raw>> {
    let shape = output.size();
    if !matches!(shape[..], [_, _, columns] if columns > 5) {
        return Err(broken("[B, N, 5 + K]", &format!("{shape:?}")));
    }
    let boxes = corners(&output.f_narrow(2, 0, 4)?)?;
    let scores = output
        .f_narrow(2, 5, shape[2] - 5)?
        .f_mul(&output.f_narrow(2, 4, 1)?)?;
    per_class(&boxes, &scores)
}

/// What is said of one image, the first four values of each row, `[N, 4]`, and the last, `[N, extra]`.
type Extended = (Raw, Tensor, Tensor);

/// `[B, 4 + K + extra, N]`, or `[B, N, 6 + extra]` of objects; the first four values are corners there, or a centre and a
/// size.
fn extended(output: &Tensor, extra: i64, expected: &str, are_corners: bool) -> Result<Vec<Extended>> {
    let shape = output.size();
    match shape[..] {
        [_, _, columns] if columns == 6 + extra => {
            let raw = |rows: Tensor| {
                let first = rows.f_narrow(1, 0, 4)?;
                let boxes = if are_corners {
                    first.shallow_clone()
                } else {
                    corners(&first)?
                };
                Ok((finished(&rows, boxes)?, first, rows.f_narrow(1, 6, extra)?))
            };
            output.f_unbind(0)?.into_iter().map(raw).collect()
        }
        [_, height, _] if height > 4 + extra => {
            let raws = plain(&output.f_narrow(1, 0, height - extra)?)?;
            let with = |(raw, columns): (Raw, Tensor)| {
                let rows = columns.f_transpose(0, 1)?;
                Ok((
                    raw,
                    rows.f_narrow(1, 0, 4)?,
                    rows.f_narrow(1, height - extra, extra)?,
                ))
            };
            raws.into_iter().zip(output.f_unbind(0)?).map(with).collect()
        }
        _ => Err(broken(expected, &format!("{shape:?}"))),
    }
}

/// `[B, 4 + K + 3·P, N]`, or 2·P where the labels say that keypoints have no score.
pub(super) fn pose(output: &Tensor, spec: &ModelSpec) -> Result<Vec<Raw>> {
    let keys = spec.manifest.output.detection.as_ref();
    let keypoints = keys.and_then(|keys| keys.keypoints.as_ref());
    let count = keypoints.map_or(1, |keypoints| keypoints.count as i64);
    let labels = spec.labels.len() as i64;
    let is_bare = matches!(output.size()[..], [_, rows, columns]
        if (labels > 0 && rows == 4 + labels + 2 * count) || columns == 6 + 2 * count);
    let values = if is_bare { 2 } else { 3 };
    let expected = format!("[B, 4 + K + {values}·P, N] with P = {count} (output.keypoints)");
    let with_keypoints = |(raw, _, last): Extended| {
        let points = last.f_reshape([-1, count, values])?;
        let scores = if is_bare {
            None
        } else {
            Some(points.f_select(2, 2)?)
        };
        Ok(Raw {
            more: More::Keypoints(points.f_narrow(2, 0, 2)?, scores),
            ..raw
        })
    };
    let extended = extended(output, values * count, &expected, true)?;
    extended.into_iter().map(with_keypoints).collect()
}

/// `[B, 4 + K + 1, N]`
pub(super) fn oriented(output: &Tensor) -> Result<Vec<Raw>> {
    let with_angle = |(raw, first, last): Extended| {
        let rectangles = Tensor::f_cat(&[first, last], 1)?;
        Ok(Raw {
            boxes: envelopes(&rectangles)?,
            more: More::Oriented(rectangles),
            ..raw
        })
    };
    let extended = extended(output, 1, "[B, 4 + K + 1, N]", false)?;
    extended.into_iter().map(with_angle).collect()
}

/// `([B, 4 + K + M, N], [B, M, h, w])`, or a tuple that begins with that.
pub(super) fn segments(output: Value) -> Result<Vec<Raw>> {
    const EXPECTED: &str = "([B, 4 + K + M, N], [B, M, h, w])";
    let mut elements = output.into_elements()?;
    if let Some(Value::Tuple(_)) = elements.first() {
        elements = elements.swap_remove(0).into_elements()?;
    }
    let mut elements = elements.into_iter();
    let (Some(rows), Some(prototypes)) = (elements.next(), elements.next()) else {
        return Err(broken(EXPECTED, "less than two values"));
    };
    let (rows, prototypes) = (rows.into_tensor()?, prototypes.into_tensor()?);
    let shape = prototypes.size();
    let [batch, count, height, width] = shape[..] else {
        return Err(broken(EXPECTED, &format!("{shape:?}")));
    };
    if rows.size().first() != Some(&batch) || [count, height, width].contains(&0) {
        return Err(broken(EXPECTED, &format!("{:?}", rows.size())));
    }
    let with_masks = |((raw, _, last), prototypes): (Extended, Tensor)| Raw {
        more: More::Prototypes(last, prototypes),
        ..raw
    };
    let extended = extended(&rows, count, EXPECTED, true)?;
    Ok(extended
        .into_iter()
        .zip(prototypes.f_unbind(0)?)
        .map(with_masks)
        .collect())
}

/// The upright boxes `[N, 4]` around rectangles `[N, 5]`.
fn envelopes(rectangles: &Tensor) -> Result<Tensor> {
    let column = |index: i64| rectangles.f_narrow(1, index, 1);
    let (width, height, angle) = (column(2)?, column(3)?, column(4)?);
    let (sin, cos) = (angle.f_sin()?.f_abs()?, angle.f_cos()?.f_abs()?);
    let across = width.f_mul(&cos)?.f_add(&height.f_mul(&sin)?)?;
    let down = width.f_mul(&sin)?.f_add(&height.f_mul(&cos)?)?;
    corners(&Tensor::f_cat(&[column(0)?, column(1)?, across, down], 1)?)
}
