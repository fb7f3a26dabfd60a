//! An object: the score of the box that stands for it. In a masked copy that is the box of the same class with the
//! best overlap; suppression only selects, so gradients flow through it.

use std::sync::Arc;

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::runtime::Call;
use crate::tasks::ModelSpec;
use crate::tasks::detection::{self, Bounds, ClassScores, Found, Limits, Raw};

struct OfBoxes {
    spec: Arc<ModelSpec>,
    wanted: Vec<Wanted>,
    /// Of the input, in pixels.
    width: f32,
}

/// An object of the untouched image.
struct Wanted {
    /// x0, y0, x1, y1 in pixels of the input.
    corners: [f32; 4],
    class_id: i64,
    /// `[K]`, where the model gives every class a score.
    classes: Option<Tensor>,
}

impl Objective for OfBoxes {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        self.each(output, |raw, wanted| wanted.score(&self.spec, raw))
    }

    fn mirrored(&self) -> Result<Option<Box<dyn Objective>>> {
        let mirrored = |wanted: &Wanted| -> Result<Wanted> {
            let [x0, y0, x1, y1] = wanted.corners;
            Ok(Wanted {
                corners: [self.width - x1, y0, self.width - x0, y1],
                class_id: wanted.class_id,
                classes: wanted.classes.as_ref().map(Tensor::shallow_clone),
            })
        };
        Ok(Some(Box::new(Self {
            spec: Arc::clone(&self.spec),
            wanted: self.wanted.iter().map(mirrored).collect::<Result<_>>()?,
            width: self.width,
        })))
    }

    fn similarities(&self, output: &Value) -> Result<Tensor> {
        self.each(output, |raw, wanted| wanted.similarity(&self.spec, raw))
    }
}

impl OfBoxes {
    fn each(&self, output: &Value, of: impl Fn(&Raw, &Wanted) -> Result<Tensor>) -> Result<Tensor> {
        let format = detection::keys(&self.spec)?.format;
        let images = detection::parse(output.shallow_clone(), &self.spec, format)?;
        let row = |raw: &Raw| -> Result<Tensor> {
            let values = self
                .wanted
                .iter()
                .map(|wanted| of(raw, wanted))
                .collect::<Result<Vec<_>>>()?;
            Ok(Tensor::f_stack(&values, 0)?)
        };
        Ok(Tensor::f_stack(
            &images.iter().map(row).collect::<Result<Vec<_>>>()?,
            0,
        )?)
    }
}

impl Wanted {
    /// The score of the box that overlaps most, among those of the class; 0 where there is none.
    fn score(&self, spec: &ModelSpec, raw: &Raw) -> Result<Tensor> {
        let overlaps = overlaps(&raw.boxes, &self.corners)?;
        let (scores, overlaps) = match raw.class_scores(spec)? {
            ClassScores::PerClass(per_class) => (per_class.f_select(1, self.class_id)?, overlaps),
            ClassScores::OfLabel(scores, labels) => {
                let same = labels.f_eq(self.class_id)?.f_nonzero()?.f_select(1, 0)?;
                (
                    scores.f_index_select(0, &same)?,
                    overlaps.f_index_select(0, &same)?,
                )
            }
        };
        if scores.numel() == 0 {
            return Ok(Tensor::f_zeros([], (Kind::Float, raw.boxes.device()))?);
        }
        let best = overlaps.f_argmax(0, false)?;
        Ok(scores
            .f_index_select(0, &best.f_view([1])?)?
            .f_select(0, 0)?
            .f_to_kind(Kind::Float)?)
    }

    /// D-RISE, eq. 4: the greatest IoU · cosine of the class scores · objectness; the best class score stands for the
    /// objectness, and where a model gives one class a box the cosine is whether it is the same.
    fn similarity(&self, spec: &ModelSpec, raw: &Raw) -> Result<Tensor> {
        let overlaps = overlaps(&raw.boxes, &self.corners)?;
        let likeness = match (raw.class_scores(spec)?, &self.classes) {
            (ClassScores::PerClass(per_class), Some(classes)) => {
                let cosine = Tensor::f_cosine_similarity(&per_class, &classes.f_unsqueeze(0)?, 1, 1e-8)?;
                cosine.f_mul(&per_class.f_amax([1i64].as_slice(), false)?)?
            }
            (ClassScores::OfLabel(scores, labels), _) => labels.f_eq(self.class_id)?.f_mul(&scores)?,
            (ClassScores::PerClass(per_class), None) => per_class.f_select(1, self.class_id)?,
        };
        if overlaps.numel() == 0 {
            return Ok(Tensor::f_zeros([], (Kind::Float, raw.boxes.device()))?);
        }
        Ok(overlaps.f_mul(&likeness)?.f_max()?.f_to_kind(Kind::Float)?)
    }
}

/// Intersection over union of `boxes [N, 4]` with one box: `[N]`, without gradients.
fn overlaps(boxes: &Tensor, corners: &[f32; 4]) -> Result<Tensor> {
    let boxes = boxes.f_detach()?;
    let corners = Tensor::from_slice(corners)
        .f_to_device(boxes.device())?
        .f_unsqueeze(0)?;
    let (low, high) = (|t: &Tensor| t.f_narrow(1, 0, 2), |t: &Tensor| t.f_narrow(1, 2, 2));
    let area = |t: &Tensor| -> Result<Tensor> {
        Ok(high(t)?.f_sub(&low(t)?)?.f_prod_dim_int(1, false, Kind::Float)?)
    };
    let sides = high(&boxes)?
        .f_minimum(&high(&corners)?)?
        .f_sub(&low(&boxes)?.f_maximum(&low(&corners)?)?)?;
    let both = sides.f_clamp_min(0.0)?.f_prod_dim_int(1, false, Kind::Float)?;
    let either = area(&boxes)?.f_add(&area(&corners)?)?.f_sub(&both)?;
    Ok(both.f_div(&either.f_clamp_min(1e-9)?)?)
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let keys = detection::keys(untouched.spec)?;
    let images = detection::parse(output.shallow_clone(), untouched.spec, keys.format)?;
    let raw = images
        .first()
        .ok_or_else(|| refused("the model answered for no image"))?;
    let placement = untouched.placement()?;
    let found = raw.objects(untouched.spec, keys, Limits::from(keys), placement)?;
    let chosen = choose(untouched, target, &found)?;
    let per_class = match raw.class_scores(untouched.spec)? {
        ClassScores::PerClass(per_class) => Some(per_class),
        ClassScores::OfLabel(..) => None,
    };
    let wanted = |&index: &usize| -> Result<Wanted> {
        let candidate = &found[index].candidate;
        let corners = candidate.corners;
        let classes = match &per_class {
            Some(per_class) => {
                let row = overlaps(&raw.boxes, &corners)?.f_argmax(0, false)?;
                Some(per_class.f_index_select(0, &row.f_view([1])?)?.f_select(0, 0)?)
            }
            None => None,
        };
        Ok(Wanted {
            corners,
            class_id: candidate.class_id as i64,
            classes,
        })
    };
    let target = |&index: &usize| {
        let object = &found[index].object;
        ResolvedTarget::Object {
            object: index,
            class_id: object.class_id,
            label: object.label.clone(),
            score: object.score,
            bounds: object.bounds,
        }
    };
    Ok(Resolved {
        targets: chosen.iter().map(target).collect(),
        objective: Box::new(OfBoxes {
            wanted: chosen.iter().map(wanted).collect::<Result<_>>()?,
            spec: Arc::clone(untouched.spec),
            width: placement.input_size().0 as f32,
        }),
    })
}

/// The objects that are meant, by their index in the answer of a prediction.
fn choose(untouched: &Untouched<'_>, target: &Target, found: &[Found]) -> Result<Vec<usize>> {
    let labels: Vec<&str> = found.iter().map(|f| f.object.label.as_str()).collect();
    let seen = format!("the model found {}: {}", labels.len(), labels.join(", "));
    if found.is_empty() {
        let threshold = detection::keys(untouched.spec)?.score_threshold;
        return Err(Error::NothingDetected(format!(
            "the model finds no object in this image whose score is {threshold} or more, so there is none to explain; lower \
             output.score_threshold of its model.toml"
        )));
    }
    match target {
        Target::Top => Ok(vec![0]),
        Target::All => Ok((0..found.len()).collect()),
        Target::Class(ClassName::Id(index)) if *index < found.len() => Ok(vec![*index]),
        Target::Class(ClassName::Id(index)) => Err(refused(format!("there is no object {index}; {seen}"))),
        Target::Class(class) => {
            let classes = untouched.spec.labels.len();
            let class_id = class.find(&untouched.spec.labels, classes)?;
            let best = found.iter().position(|f| Some(f.object.class_id) == class_id);
            best.map(|index| vec![index])
                .ok_or_else(|| Error::NothingDetected(format!("no object is a \"{class}\"; {seen}")))
        }
        Target::Box(corners) => {
            let overlap = |f: &Found| overlap(&f.object.bounds, corners);
            let best = (0..found.len()).max_by(|&a, &b| overlap(&found[a]).total_cmp(&overlap(&found[b])));
            best.filter(|&index| overlap(&found[index]) > 0.0)
                .map(|index| vec![index])
                .ok_or_else(|| Error::NothingDetected(format!("no object overlaps with that box; {seen}")))
        }
        _ => Err(refused(
            "a detector explains an object: give its index, its label, `box=x0,y0,x1,y1`, or `all`",
        )),
    }
}

fn overlap(bounds: &Bounds, corners: &[f64; 4]) -> f32 {
    let bounds = [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max];
    detection::iou(&bounds, &corners.map(|v| v as f32))
}
