//! Spare turns: places for requests that wait for one, and one for what is computed in it.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Requests that wait for a spare turn at most: each holds its inputs.
const MOST_WAITING: usize = 16;

/// The bound on work that no client waits for: few requests wait, and one computes.
#[derive(Debug)]
pub(super) struct Spare {
    /// For those that wait.
    pub(super) waiting: Arc<Semaphore>,
    /// For the one that computes.
    pub(super) computing: Arc<Semaphore>,
}

impl Default for Spare {
    fn default() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            computing: Arc::new(Semaphore::new(1)),
        }
    }
}
