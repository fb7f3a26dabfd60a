//! What a request cost, as its answer says it.

use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::Spent;

/// Milliseconds of each stage; for several images, of the slowest.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct TimingMs {
    /// Decoding and resizing.
    #[schema(example = 2.1)]
    decode: f64,
    /// Waiting for a worker.
    #[schema(example = 0.0)]
    queue: f64,
    /// The batch's computation.
    #[schema(example = 9.8)]
    compute: f64,
    /// From the head of the request to the answer, reading the body included.
    #[schema(example = 12.1)]
    total: f64,
}

impl TimingMs {
    pub(super) fn new(started: Instant, spent: Spent) -> Self {
        Self {
            decode: ms(spent.decode),
            queue: ms(spent.queue),
            compute: ms(spent.compute),
            total: ms(started.elapsed()),
        }
    }
}

/// Whole microseconds: more digits are noise.
fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
