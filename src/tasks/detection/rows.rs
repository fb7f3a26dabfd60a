//! Boxes and scores of a batch, to one [`Raw`] an image.

use tch::Tensor;

use super::raw::{Raw, Said};
use crate::error::{Error, Result};

/// An answer that is not as the contract says.
pub(super) fn broken(expected: &str, found: &str) -> Error {
    Error::InferenceFailed(format!("forward answered {found}, expected {expected}"))
}

/// Boxes `[B, N, 4]` as corners and scores `[B, N, K]`, image by image.
pub(super) fn per_class(boxes: &Tensor, scores: &Tensor) -> Result<Vec<Raw>> {
    let (of_boxes, of_scores) = (boxes.size(), scores.size());
    let fits =
        matches!((&of_boxes[..], &of_scores[..]), ([b, n, 4], [c, m, k]) if b == c && n == m && *k > 0);
    if !fits {
        let found = format!("boxes {of_boxes:?} and scores {of_scores:?}");
        return Err(broken("boxes [B, N, 4] and scores [B, N, K]", &found));
    }
    let classes = usize::try_from(of_scores[2]).ok();
    let raw = |(boxes, scores)| Raw {
        classes,
        ..Raw::of(boxes, Said::PerClass(scores))
    };
    let images = boxes.f_unbind(0)?.into_iter().zip(scores.f_unbind(0)?);
    Ok(images.map(raw).collect())
}

/// From centre and size to corners, in the last dimension of `[…, 4]`.
pub(super) fn corners(centred: &Tensor) -> Result<Tensor> {
    let (centre, size) = (centred.f_narrow(-1, 0, 2)?, centred.f_narrow(-1, 2, 2)?);
    let half = size.f_div_scalar(2.0)?;
    Ok(Tensor::f_cat(&[centre.f_sub(&half)?, centre.f_add(&half)?], -1)?)
}

/// Rows `[N, 6…]` that are objects: the score is the fifth value, the class the sixth.
pub(super) fn finished(rows: &Tensor, boxes: Tensor) -> Result<Raw> {
    let scores = Said::OfLabel(rows.f_select(1, 4)?, rows.f_select(1, 5)?);
    Ok(Raw {
        is_final: true,
        ..Raw::of(boxes, scores)
    })
}
