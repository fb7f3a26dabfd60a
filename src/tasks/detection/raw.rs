//! What a detector says before thresholds and suppression, in one form for all contracts.

use tch::{Device, Kind, Tensor};

use super::nms::{Candidate, best, suppress};
use super::object::{Detail, Object, object};
use super::rotated;
use crate::error::{Error, Result};
use crate::image::Placement;
use crate::manifest::{Activation, DetectionOutput};
use crate::runtime::staging::{all_finite, finite, floats};
use crate::tasks::classification::activated;
use crate::tasks::spec::ModelSpec;

/// The detector's own keys of its manifest.
pub(crate) fn keys(spec: &ModelSpec) -> Result<&DetectionOutput> {
    let keys = spec.manifest.output.detection.as_ref();
    keys.ok_or_else(|| Error::Internal("a detector without its keys".into()))
}

/// What a model says of one image.
pub(crate) struct Raw {
    /// `[N, 4]` as x0, y0, x1, y1 in pixels of the input.
    pub(crate) boxes: Tensor,
    pub(super) said: Said,
    pub(super) more: More,
    /// Whether these are the objects themselves, not candidates that overlap.
    pub(super) is_final: bool,
    /// How many classes there are, where the output tells.
    pub(super) classes: Option<usize>,
}

/// What a model says of the classes of each box.
pub(super) enum Said {
    /// `[N, K]`, before the activation.
    PerClass(Tensor),
    /// `[N, K + 1]`, before a softmax whose last class is no object.
    OrNothing(Tensor),
    /// `[N]` with the class `[N]` of each.
    OfLabel(Tensor, Tensor),
}

/// How sure a model is of each box.
pub(crate) enum ClassScores {
    /// `[N, K]`
    PerClass(Tensor),
    /// `[N]` with the class `[N]` of each.
    OfLabel(Tensor, Tensor),
}

/// What it says of each box beside that, in pixels of the input.
pub(super) enum More {
    Nothing,
    /// `[N, P, 2]` as x, y, and `[N, P]`, how sure the model is of each.
    Keypoints(Tensor, Option<Tensor>),
    /// `[N, 5]` as centre x, centre y, width, height, angle.
    Oriented(Tensor),
    /// What each prototype gives, `[N, M]`, and the prototypes `[M, h, w]`, which cover the input.
    Prototypes(Tensor, Tensor),
    /// `[N, H, W]`, from 0 to 1.
    Masks(Tensor),
}

/// What is left of the boxes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) score: f32,
    pub(crate) iou: f32,
    pub(crate) most: usize,
}

impl From<&DetectionOutput> for Limits {
    fn from(keys: &DetectionOutput) -> Self {
        Self {
            score: keys.score_threshold,
            iou: keys.iou_threshold,
            most: keys.max_detections,
        }
    }
}

/// An object, and the candidate that it was.
pub(crate) struct Found {
    /// In pixels of the model's input.
    pub(crate) candidate: Candidate,
    /// In pixels of the original.
    pub(crate) object: Object,
}

impl Raw {
    /// Boxes without anything beside them.
    pub(super) fn of(boxes: Tensor, said: Said) -> Self {
        Self {
            boxes,
            said,
            more: More::Nothing,
            is_final: false,
            classes: None,
        }
    }

    /// The scores after the model's activation: of each class, or of the label of each box.
    pub(crate) fn class_scores(&self, spec: &ModelSpec) -> Result<ClassScores> {
        let activation = spec.manifest.output.activation;
        Ok(match &self.said {
            Said::PerClass(raw) => ClassScores::PerClass(activated(raw, activation)?),
            Said::OrNothing(raw) => {
                let all = activated(raw, Activation::Softmax)?;
                let classes = all.size()[1] - 1;
                ClassScores::PerClass(all.f_narrow(1, 0, classes)?)
            }
            Said::OfLabel(scores, labels) => {
                ClassScores::OfLabel(scores.shallow_clone(), labels.shallow_clone())
            }
        })
    }

    /// What is left after thresholds and suppression, best first.
    pub(crate) fn objects(
        &self,
        spec: &ModelSpec,
        keys: &DetectionOutput,
        limits: Limits,
        placement: &Placement,
    ) -> Result<Vec<Found>> {
        let candidates = self.candidates(spec, keys, limits.score)?;
        let kept = match &self.more {
            _ if self.is_final => best(candidates, limits.most),
            More::Oriented(all) => {
                let rectangles = rectangles(all, &candidates)?;
                rotated::suppress(candidates, &rectangles, limits.iou, limits.most)
            }
            _ => suppress(candidates, limits.iou, limits.most),
        };
        let details = self.more.of(&kept)?;
        let found = |(candidate, detail): (Candidate, Detail)| {
            let object = object(&candidate, &detail, placement, spec)?;
            Some(Found { candidate, object })
        };
        Ok(kept.into_iter().zip(details).filter_map(found).collect())
    }

    /// Whether its objects have masks.
    pub(super) fn has_masks(&self) -> bool {
        matches!(self.more, More::Prototypes(..) | More::Masks(_))
    }

    /// Everything that is sure enough, on the CPU.
    fn candidates(&self, spec: &ModelSpec, keys: &DetectionOutput, threshold: f32) -> Result<Vec<Candidate>> {
        let threshold = f64::from(threshold);
        let (scores, rows, class_ids) = match self.class_scores(spec)? {
            ClassScores::PerClass(all) if keys.multi_label => {
                sound(&all)?;
                let sure = all.f_ge(threshold)?.f_nonzero()?;
                let (rows, class_ids) = (sure.f_select(1, 0)?, sure.f_select(1, 1)?);
                let flat = rows.f_mul_scalar(all.size()[1])?.f_add(&class_ids)?;
                (all.f_reshape([-1])?.f_index_select(0, &flat)?, rows, class_ids)
            }
            ClassScores::PerClass(all) => {
                let (best, class_ids) = all.f_max_dim(1, false)?;
                sound(&best)?;
                sure_of(&best, &class_ids, threshold)?
            }
            ClassScores::OfLabel(scores, labels) => {
                sound(&scores)?;
                sure_of(&scores, &labels, threshold)?
            }
        };
        let corners = finite(&self.boxes.f_index_select(0, &rows)?, "boxes")?;
        let scores = floats(&scores)?;
        let of_each = corners.chunks_exact(4).zip(indices(&class_ids)?);
        let of_each = of_each.zip(&scores).zip(indices(&rows)?);
        let candidate = |(((corners, class_id), &score), row): (((&[f32], i64), &f32), i64)| {
            Some(Candidate {
                corners: std::array::from_fn(|side| corners[side]),
                class_id: usize::try_from(class_id).ok()?,
                score,
                row: usize::try_from(row).ok()?,
            })
        };
        Ok(of_each.filter_map(candidate).collect())
    }
}

/// Refuses scores that are no numbers: NaN compares as unsure, and would be a picture without objects.
fn sound(scores: &Tensor) -> Result<()> {
    if scores.numel() == 0 {
        return Ok(());
    }
    // The largest is NaN where any is.
    let largest = scores.f_max()?.f_double_value(&[])? as f32;
    match largest {
        f32::NEG_INFINITY => Ok(()),
        largest => all_finite(&[largest], "the best score of the boxes"),
    }
}

/// Scores, rows and labels of the boxes with one label each that are sure enough.
fn sure_of(scores: &Tensor, labels: &Tensor, threshold: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let rows = scores.f_ge(threshold)?.f_nonzero()?.f_select(1, 0)?;
    Ok((
        scores.f_index_select(0, &rows)?,
        rows.shallow_clone(),
        labels.f_index_select(0, &rows)?,
    ))
}

fn indices(tensor: &Tensor) -> Result<Vec<i64>> {
    let here = tensor
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Int64)?
        .f_contiguous()?;
    Ok(Vec::<i64>::try_from(here)?)
}

/// The rows of `candidates`, where `beside` is.
pub(super) fn rows(candidates: &[Candidate], beside: &Tensor) -> Result<Tensor> {
    let rows: Vec<i64> = candidates.iter().map(|c| c.row as i64).collect();
    Ok(Tensor::f_from_slice(&rows)?.f_to_device(beside.device())?)
}

impl More {
    /// What is said of each of `kept`, without masks.
    fn of(&self, kept: &[Candidate]) -> Result<Vec<Detail>> {
        Ok(match self {
            Self::Keypoints(points, scores) => {
                let count = usize::try_from(points.size()[1]).unwrap_or(0).max(1);
                let points = finite(&points.f_index_select(0, &rows(kept, points)?)?, "keypoints")?;
                let (points, _) = points.as_chunks::<2>();
                let scores = match scores {
                    Some(scores) => {
                        let scores = scores.f_index_select(0, &rows(kept, scores)?)?;
                        let scores = finite(&scores, "the scores of keypoints")?;
                        scores.into_iter().map(Some).collect()
                    }
                    None => vec![None; points.len()],
                };
                let of_object = |(points, scores): (&[[f32; 2]], &[Option<f32>])| {
                    Detail::Keypoints(points.iter().copied().zip(scores.iter().copied()).collect())
                };
                points
                    .chunks_exact(count)
                    .zip(scores.chunks_exact(count))
                    .map(of_object)
                    .collect()
            }
            Self::Oriented(all) => rectangles(all, kept)?.into_iter().map(Detail::Oriented).collect(),
            Self::Nothing | Self::Prototypes(..) | Self::Masks(_) => vec![Detail::Nothing; kept.len()],
        })
    }
}

/// Centre x, centre y, width, height and angle of each of `candidates`.
fn rectangles(all: &Tensor, candidates: &[Candidate]) -> Result<Vec<[f32; 5]>> {
    let values = finite(&all.f_index_select(0, &rows(candidates, all)?)?, "rectangles")?;
    Ok(values.as_chunks().0.to_vec())
}
