//! Detection: boxes and class scores in one of three contracts, to objects in the original picture. Scores below
//! the threshold stay on the device; what is left is suppressed class by class and mapped back.

mod raw;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use utoipa::{IntoParams, ToSchema};

pub(crate) use super::nms::iou;
use super::nms::{Candidate, suppress};
use super::{Breach, Item, Labels, Subject, Task};
use crate::engine::session::{Call, Session};
use crate::error::{Error, Result};
use crate::image::Placement;
use crate::repository::manifest::{DetectionFormat, DetectionOutput};
pub(crate) use raw::{ClassScores, Raw, argument, parse};

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
            let found = raw.objects(subject, &keys, &item.input.image()?.placement)?;
            let objects = found.into_iter().map(|found| found.object).collect();
            Ok(super::Prediction::Detection(Prediction { objects }))
        };
        Ok(items.iter().zip(found).map(answer).collect())
    }
}

/// The detector's own keys of its manifest.
pub(crate) fn keys(subject: &Subject) -> Result<&DetectionOutput> {
    let keys = subject.manifest.output.detection.as_ref();
    keys.ok_or_else(|| Error::Internal("a detector without its keys".into()))
}

/// Runs a batch `[B, C, H, W]`, and parts the answer into one [`Raw`] an image.
fn forward(session: &Session, batch: &Tensor, format: DetectionFormat) -> Result<Vec<Raw>> {
    parse(session.call("forward", &[argument(batch, format)?])?, format)
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
        subject: &Subject,
        keys: &DetectionOutput,
        placement: &Placement,
    ) -> Result<Vec<Found>> {
        let candidates = self.candidates(subject, keys.score_threshold)?;
        let kept = match keys.format {
            DetectionFormat::Torchvision => best(candidates, keys.max_detections),
            _ => suppress(candidates, keys.iou_threshold, keys.max_detections),
        };
        let found = |candidate: Candidate| {
            let object = object(&candidate, placement, &subject.labels)?;
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
