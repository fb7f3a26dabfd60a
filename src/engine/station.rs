//! Where a batch is computed.

use std::time::Duration;

use super::cores::CorePermit;
use crate::error::Error;

/// The cores of a batch, and the queue that hears what it cost.
pub struct Station<'a> {
    /// The cores that the batch may use.
    pub permit: &'a CorePermit<'a>,
    pub(super) report: &'a dyn Fn(usize, Duration, Option<Error>),
}

impl std::fmt::Debug for Station<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Station")
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}

impl Station<'_> {
    /// Says that a batch of `size` took so long, and whether its device was full even for one.
    pub(super) fn report(&self, size: usize, compute: Duration, full: Option<Error>) {
        (self.report)(size, compute, full);
    }
}
