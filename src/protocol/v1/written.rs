//! Predictions as JSON.

use std::time::Instant;

use super::answer::Answer;
use super::timing::TimingMs;
use super::wire::{ImagePrediction, ImageSize, Prediction, Predictions};
use crate::error::Result;
use crate::image::{Length, PoolThread, Taken};
use crate::service::{Predicted, Service};
use crate::tasks::vae::Reconstruction;

/// An output that can be written as JSON.
pub(super) trait Written: Send + Sized + 'static {
    fn written(self, thread: &PoolThread) -> Result<Prediction>;
}

impl<T: Into<Prediction> + Send + 'static> Written for T {
    fn written(self, _: &PoolThread) -> Result<Prediction> {
        Ok(self.into())
    }
}

impl Written for Reconstruction {
    fn written(self, thread: &PoolThread) -> Result<Prediction> {
        Prediction::reconstruction(thread, self)
    }
}

/// The predictions as JSON.
pub(super) async fn json<O: Written>(
    service: &Service,
    mut done: Predicted<O>,
    started: Instant,
) -> Result<Answer> {
    let held = done.held.take();
    let length = Length::of_bytes(held.as_ref().map_or(0, Taken::bytes));
    let json = service.write(length, move |thread| {
        Answer::json(&predictions(thread, done, started)?)
    });
    Ok(json.await?.holding(held))
}

fn predictions<O: Written>(thread: &PoolThread, done: Predicted<O>, started: Instant) -> Result<Predictions> {
    let timing_ms = TimingMs::new(started, done.spent);
    let mut seen = done.pictures.iter();
    let prediction = |output: O| {
        Ok(ImagePrediction {
            image: seen.next().map(|seen| ImageSize::from(&seen.placement)),
            prediction: output.written(thread)?,
        })
    };
    Ok(Predictions {
        predictions: done.outputs.into_iter().map(prediction).collect::<Result<_>>()?,
        model: done.model.name.clone(),
        version: done.model.version.clone(),
        task: done.model.spec.manifest.task.into(),
        timing_ms,
    })
}
