//! Detection: what a module says of a picture in one of several contracts, to objects in the original picture. Scores
//! below the threshold stay on the device; what is left is suppressed, where the module left overlaps, and mapped back.

mod check;
mod grid;
mod masks;
mod nms;
mod object;
mod parse;
mod raw;
mod rotated;
mod rows;
mod yolo;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use super::bounds::Fraction;
use super::gist::Gist;
use super::operation::{Batch, Batched, Operation, Request, TicketOf, pictures};
use super::row_count::check_count;
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::image::ModelInput;
use crate::manifest::DetectionOutput;
use crate::runtime::Call;
pub(super) use check::Boxes;
pub use masks::Detected;
pub(crate) use nms::iou;
pub use object::{Bounds, Keypoint, Object, ObjectMask, Oriented, Prediction};
pub(crate) use parse::{argument, parse};
pub(crate) use raw::{ClassScores, Found, Limits, Raw, keys};

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
    /// Whether the model can be asked this.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for an `iou_threshold` where nothing is suppressed.
    pub fn check(&self, spec: &ModelSpec) -> Result<()> {
        if self.iou_threshold.is_some() && !keys(spec)?.format.leaves_overlaps() {
            return Err(Error::parameter(
                "iou_threshold",
                "this model answers objects that do not overlap; there is nothing to suppress",
            ));
        }
        Ok(())
    }

    fn over(&self, defaults: &DetectionOutput) -> Limits {
        let defaults = Limits::from(defaults);
        Limits {
            score: self.score_threshold.map_or(defaults.score, Fraction::get),
            iou: self.iou_threshold.map_or(defaults.iou, Fraction::get),
            most: self.max_detections.map_or(defaults.most, NonZeroUsize::get),
        }
    }
}

impl Operation for Detect {
    type Input = ModelInput;
    type Options = Options;
    type Output = Detected;
    type Queue = TicketOf<Self>;

    /// By the classes of its objects, best first, and how sure the model is of each.
    fn gist(output: &Detected) -> Option<Gist> {
        let objects = &output.objects;
        Some(Gist {
            decided: objects.iter().map(|object| object.class_id as u64).collect(),
            ..Gist::of(objects.iter().map(|object| f64::from(object.score)))
        })
    }
}

impl Batched for Detect {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Detected>>> {
        let keys = keys(spec)?;
        let input = argument(&pictures::<Self>(net, spec, batch)?, keys.format)?;
        let found = parse(net.call("forward", &[input])?, spec, keys.format)?;
        check_count("forward", found.len(), batch.len())?;
        let answer = |(asked, raw): (&Request<Self>, Raw)| {
            let placement = &asked.input.placement;
            let found = raw.objects(spec, keys, asked.options.over(keys), placement)?;
            raw.detected(found, *placement)
        };
        let requests = batch.iter().map(|asked| asked.input);
        Ok(requests.zip(found).map(answer).collect())
    }
}
