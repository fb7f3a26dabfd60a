//! Detection: boxes and class scores in one of three contracts, to objects in the original picture. Scores below
//! the threshold stay on the device; what is left is suppressed class by class and mapped back.

mod nms;
mod raw;

use std::num::NonZeroUsize;

use tch::Tensor;

use super::bounds::Fraction;
use super::labels::Labels;
use super::operation::{Batch, Batched, Breach, Contract, Operation, Request, TicketOf, pictures};
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::image::{ModelInput, Placement};
use crate::manifest::{DetectionFormat, DetectionOutput};
use crate::runtime::Call;
pub(crate) use nms::iou;
use nms::{Candidate, suppress};
pub(crate) use raw::{ClassScores, Raw, argument, parse};

/// A picture to the objects in it.
#[derive(Debug, Clone, Copy)]
pub struct Detect;

/// What is asked of a detection; what is not given is as model.toml says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Options {
    /// Objects with a lower score are left out.
    pub score_threshold: Option<Fraction>,
    /// Of two boxes of a class that overlap more (intersection over union), the lesser goes.
    pub iou_threshold: Option<Fraction>,
    /// Objects in the answer at most, best first.
    pub max_detections: Option<NonZeroUsize>,
}

impl Options {
    fn over(&self, defaults: &DetectionOutput) -> DetectionOutput {
        DetectionOutput {
            format: defaults.format,
            score_threshold: self
                .score_threshold
                .map_or(defaults.score_threshold, Fraction::get),
            iou_threshold: self.iou_threshold.map_or(defaults.iou_threshold, Fraction::get),
            max_detections: self
                .max_detections
                .map_or(defaults.max_detections, NonZeroUsize::get),
        }
    }
}

/// The objects of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Best first.
    pub objects: Vec<Object>,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The index of the class.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    pub label: String,
    /// How sure the model is.
    pub score: f32,
    /// Where it is.
    pub bounds: Bounds,
}

/// A box in pixels of the original picture, clipped to it.
#[derive(Debug, Clone, Copy, PartialEq)]
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

impl Operation for Detect {
    type Input = ModelInput;
    type Options = Options;
    type Output = Prediction;
    type Queue = TicketOf<Self>;
}

impl Batched for Detect {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let defaults = keys(spec)?;
        let found = forward(net, &pictures::<Self>(net, spec, batch)?, defaults.format)?;
        let answer = |(asked, raw): (&Request<Self>, Raw)| {
            let keys = asked.options.over(defaults);
            let found = raw.objects(spec, &keys, &asked.input.placement)?;
            let objects = found.into_iter().map(|found| found.object).collect();
            Ok(Prediction { objects })
        };
        let requests = batch.iter().map(|asked| asked.input);
        Ok(requests.zip(found).map(answer).collect())
    }
}

/// Boxes and scores in one of the [`DetectionFormat`]s.
pub(super) struct Boxes;

impl Contract for Boxes {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let input = spec.blank(size, net.device())?;
        let found = forward(net, &input, keys(spec)?.format)?;
        if found.len() != size {
            let answered = found.len();
            return Err(format!("forward answered for {answered} images, expected {size}").into());
        }
        match found.iter().find_map(|f| f.classes) {
            Some(classes) => Ok(spec.labels.name_each_of(classes)?),
            None => Ok(()),
        }
    }
}

/// The detector's own keys of its manifest.
pub(crate) fn keys(spec: &ModelSpec) -> Result<&DetectionOutput> {
    let keys = spec.manifest.output.detection.as_ref();
    keys.ok_or_else(|| Error::Internal("a detector without its keys".into()))
}

/// Runs a batch `[B, C, H, W]`, and parts the answer into one [`Raw`] an image.
fn forward(net: &dyn Call, batch: &Tensor, format: DetectionFormat) -> Result<Vec<Raw>> {
    parse(net.call("forward", &[argument(batch, format)?])?, format)
}

/// An object, and the candidate that it was.
pub(crate) struct Found {
    /// In pixels of the model's input.
    pub(crate) candidate: Candidate,
    /// In pixels of the original.
    pub(crate) object: Object,
}

impl Raw {
    /// What is left after thresholds and suppression, best first.
    pub(crate) fn objects(
        &self,
        spec: &ModelSpec,
        keys: &DetectionOutput,
        placement: &Placement,
    ) -> Result<Vec<Found>> {
        let candidates = self.candidates(spec, keys.score_threshold)?;
        let kept = match keys.format {
            DetectionFormat::Torchvision => best(candidates, keys.max_detections),
            _ => suppress(candidates, keys.iou_threshold, keys.max_detections),
        };
        let found = |candidate: Candidate| {
            let object = object(&candidate, placement, &spec.labels)?;
            Some(Found { candidate, object })
        };
        Ok(kept.into_iter().filter_map(found).collect())
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
