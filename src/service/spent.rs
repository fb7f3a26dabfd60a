//! What a request cost.

use std::time::Duration;

use crate::engine::Completed;

/// The stages of a request; for several images, of the slowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Decoding and resizing, from the first image to the last.
    pub decode: Duration,
    /// Waiting for a worker.
    pub queue: Duration,
    /// The batch's computation.
    pub compute: Duration,
}

impl Spent {
    pub(super) fn new<O>(decode: Duration, completed: &[Completed<O>]) -> Self {
        let slowest = |of: fn(&Completed<O>) -> Duration| completed.iter().map(of).max().unwrap_or_default();
        Self {
            decode,
            queue: slowest(|completed| completed.queue),
            compute: slowest(|completed| completed.compute),
        }
    }
}
