//! The layer that is looked at when none is asked for: the last one with a map on which the answer hangs, and which is not
//! the answer itself.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::cells::{Cells, as_channels};
use super::layers::LayerMap;
use super::pace::Pace;
use crate::error::Result;
use crate::manifest::TaskKind;
use crate::runtime;

/// The part of a detector's rows, at their beginning and at their end, that must hang on the layer: a layer of one level
/// of a pyramid says nothing about objects of the other levels.
const PART_OF_ROWS: i64 = 64;

/// Coordinates of a box, which come first in a row.
const BOX: i64 = 4;

/// What one layer gave a blank image.
pub(super) struct Seen {
    /// The layer.
    pub(super) layer: LayerMap,
    /// Its last execution's first tensor that has a map, else its first.
    pub(super) output: Option<Tensor>,
}

/// A layer that could be looked at.
struct Candidate<'a> {
    seen: &'a Seen,
    output: &'a Tensor,
    cells: Cells,
}

/// The path of that layer among `seen`, in the order of execution, of a pass that answered `answer`.
pub(super) fn find(seen: &[Seen], answer: &Value, task: TaskKind, pace: &Pace<'_>) -> Result<Option<String>> {
    let answers = answer.tensors();
    let mut candidates = Vec::new();
    for seen in seen {
        if let (Some(output), Some(cells)) = (&seen.output, seen.layer.cells)
            && (task == TaskKind::Captioning || !is_answer(output, seen.layer.channels(), &answers, task)?)
        {
            candidates.push(Candidate { seen, output, cells });
        }
    }
    let path = |candidate: &Candidate<'_>| candidate.seen.layer.path.clone();
    let matters = mattering(&candidates, &answers, task, pace)?;
    if !matters.contains(&true) {
        // Without gradients, or to a blank picture that the model answers without looking, the order is all there is.
        return Ok(candidates.last().map(path));
    }
    let last = |wanted: &dyn Fn(&Candidate<'_>) -> bool| {
        let all = candidates.iter().zip(&matters);
        let fitting = all.filter(|(candidate, matters)| **matters && wanted(candidate));
        fitting.map(|(candidate, _)| candidate).next_back()
    };
    let is_tokens = |candidate: &Candidate<'_>| matches!(candidate.cells, Cells::Tokens { .. });
    let found = last(&|_| true);
    let Some(tokens) = found.filter(|found| is_tokens(found)) else {
        return Ok(found.map(path));
    };
    // Of a transformer's layers those that give what goes on from block to block, and not its queries or its hidden units.
    let width = candidates.iter().rfind(|candidate| is_tokens(candidate));
    let width = width.map_or(0, |last| last.seen.layer.channels());
    let of_width = last(&|candidate| is_tokens(candidate) && candidate.seen.layer.channels() == width);
    Ok(Some(path(of_width.unwrap_or(tokens))))
}

/// Whether the answer hangs on each candidate. Of a detector on what goes to both ends of its rows; where nothing does, to every
/// level of its pyramid, or else to one end.
fn mattering(
    candidates: &[Candidate<'_>],
    answers: &[&Tensor],
    task: TaskKind,
    pace: &Pace<'_>,
) -> Result<Vec<bool>> {
    let by_all = |reached_by: &[Vec<bool>]| -> Vec<bool> {
        let by_all =
            |index: usize| !reached_by.is_empty() && reached_by.iter().all(|of_scalar| of_scalar[index]);
        (0..candidates.len()).map(by_all).collect()
    };
    let reached_by = all_reached(candidates, &scalars(answers, task)?, pace)?;
    let mut matters = by_all(&reached_by);
    if task == TaskKind::Detection && !matters.contains(&true) {
        // A module that suppresses by itself answers a black picture with nothing, or with objects of one level.
        matters = by_all(&all_reached(candidates, &levels(candidates)?, pace)?);
    }
    if matters.contains(&true) {
        return Ok(matters);
    }
    let by_any = |index: usize| reached_by.iter().any(|of_scalar| of_scalar[index]);
    Ok((0..candidates.len()).map(by_any).collect())
}

/// What the last map of each level of a detector's pyramid comes to: of each grid that has one in the second half.
fn levels(candidates: &[Candidate<'_>]) -> Result<Vec<Tensor>> {
    let mut last: BTreeMap<[i64; 2], &Tensor> = BTreeMap::new();
    for candidate in &candidates[candidates.len() / 2..] {
        if candidate.output.requires_grad() {
            last.insert(grid(candidate), candidate.output);
        }
    }
    let sum = |output: &&Tensor| -> Result<Tensor> { Ok(output.f_square()?.f_sum(Kind::Float)?) };
    last.values().map(sum).collect()
}

/// Rows and columns of a layer's cells.
fn grid(candidate: &Candidate<'_>) -> [i64; 2] {
    let size = candidate.output.size();
    let side = |axis: usize| size.get(axis).copied().unwrap_or(0);
    match candidate.cells {
        Cells::ChannelsFirst => [side(2), side(3)],
        Cells::ChannelsLast => [side(1), side(2)],
        Cells::Tokens { rows, columns, .. } => [rows, columns],
    }
}

/// Whether a layer's output is one of the model's answers, or for a segmentation its logits on another grid, and likewise for a
/// picture.
fn is_answer(output: &Tensor, channels: i64, answers: &[&Tensor], task: TaskKind) -> Result<bool> {
    for answer in answers {
        let size = answer.size();
        // A map without its axis of one channel is the same map.
        let is_like = answer.numel() == output.numel() && answer.kind() == output.kind();
        if is_like && answer.f_flatten(0, -1)?.f_equal(&output.f_flatten(0, -1)?)? {
            return Ok(true);
        }
        let of_map = match (task, &size[..]) {
            (TaskKind::Segmentation | TaskKind::ImageToImage, [_, of_map, _, _]) => Some(*of_map),
            (TaskKind::ImageToImage, [_, _, _]) => Some(1),
            _ => None,
        };
        if of_map == Some(channels) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the answer comes to; of a detector, at both ends of its rows.
fn scalars(answers: &[&Tensor], task: TaskKind) -> Result<Vec<Tensor>> {
    let with_gradient = || answers.iter().filter(|tensor| tensor.requires_grad());
    // Boxes alone tell nothing of what is explained, which is the score.
    let is_boxes = |tensor: &Tensor| task == TaskKind::Detection && tensor.size().last() == Some(&BOX);
    let scores = with_gradient().find(|tensor| !is_boxes(tensor));
    let Some(answer) = scores.or_else(|| with_gradient().next()) else {
        return Ok(Vec::new());
    };
    let sum = |part: &Tensor| -> Result<Tensor> { Ok(part.f_square()?.f_sum(Kind::Float)?) };
    let size = answer.size();
    let rows = size.iter().enumerate().max_by_key(|(_, side)| **side);
    match (task, size.len(), rows) {
        (TaskKind::Detection, 3, Some((axis, &count))) if axis > 0 => {
            let part = (count / PART_OF_ROWS).max(1);
            let ends = [0, count - part];
            let other = if axis == 1 { 2 } else { 1 };
            let (axis, values) = (axis as i64, size[other as usize]);
            // Behind the box.
            let scores = if values > BOX {
                answer.f_narrow(other, BOX, values - BOX)?
            } else {
                answer.shallow_clone()
            };
            let of_end = |&start| sum(&scores.f_narrow(axis, start, part)?);
            ends.iter().map(of_end).collect()
        }
        _ => Ok(vec![sum(answer)?]),
    }
}

/// [`reached`] for each of `scalars`.
fn all_reached(candidates: &[Candidate<'_>], scalars: &[Tensor], pace: &Pace<'_>) -> Result<Vec<Vec<bool>>> {
    let of_scalar = |scalar| reached(candidates, scalar, pace);
    scalars.iter().map(of_scalar).collect()
}

/// Whether each candidate's cells have a gradient to `scalar`.
fn reached(candidates: &[Candidate<'_>], scalar: &Tensor, pace: &Pace<'_>) -> Result<Vec<bool>> {
    let with_gradient: Vec<&Tensor> = candidates
        .iter()
        .map(|candidate| candidate.output)
        .filter(|output| output.requires_grad())
        .collect();
    if with_gradient.is_empty() {
        return Ok(vec![false; candidates.len()]);
    }
    let permit = pace.permit()?;
    let mut gradients = runtime::gradients(&permit, scalar, &with_gradient, true)?.into_iter();
    let reaches = |candidate: &Candidate<'_>| {
        let gradient = candidate
            .output
            .requires_grad()
            .then(|| gradients.next())
            .flatten();
        let Some(gradient) = gradient.flatten() else {
            return Ok(false);
        };
        let of_cells = as_channels(&gradient, candidate.cells)?;
        Ok(f64::try_from(of_cells.f_abs()?.f_max()?)? > 0.0)
    };
    candidates.iter().map(reaches).collect()
}
