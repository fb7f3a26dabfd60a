//! Many passes through a model: in batches, each on a turn of its own so that predictions go between them, within a
//! budget, for as long as somebody waits for the answer, with a word on how far it is.

use std::ops::Range;
use std::sync::Weak;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::engine::turns::{Class, Turn, Turns};
use crate::error::{Error, Result};

/// Passes through the model, in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Passes {
    /// Those that were made.
    pub done: usize,
    /// Those that the method asks for; more than `done` when the budget ended first.
    pub planned: usize,
}

/// Where progress goes while an explanation is made.
pub type Listener = mpsc::Sender<Passes>;

/// Who waits for an explanation, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Patience {
    /// Methods of many passes stop after this long.
    pub budget: Option<Duration>,
    /// Gone when nobody waits any more; `None`: somebody always does.
    pub client: Option<Weak<()>>,
    /// Who hears of progress.
    pub listener: Option<Listener>,
}

/// See the module's text.
pub(super) struct Pace<'a> {
    pub(super) turns: &'a Turns,
    pub(super) threads: usize,
    /// Images a pass at most.
    pub(super) batch: usize,
    pub(super) patience: &'a Patience,
    pub(super) started: Instant,
}

impl Pace<'_> {
    /// Waits for the cores.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.turns.take(Class::Explain, self.threads)
    }

    /// Calls `each` with one batch after another of `total` images, until all are done or the budget is spent; at
    /// least one batch is made.
    ///
    /// # Errors
    /// What `each` answers; [`Error::DeadlineExceeded`] when nobody waits any more.
    pub(super) fn batches(
        &self,
        total: usize,
        batch: usize,
        mut each: impl FnMut(Range<usize>) -> Result<()>,
    ) -> Result<Passes> {
        let mut passes = Passes {
            done: 0,
            planned: total,
        };
        while passes.done < total && (passes.done == 0 || !self.is_spent()) {
            if self.is_left_alone() {
                return Err(Error::DeadlineExceeded(
                    "the client left before its explanation was made".into(),
                ));
            }
            let next = passes.done..total.min(passes.done + batch.max(1));
            let turn = self.turn();
            each(next.clone())?;
            drop(turn);
            passes.done = next.end;
            if let Some(listener) = &self.patience.listener {
                // A listener that is behind misses a number, not the answer.
                listener.try_send(passes).ok();
            }
        }
        Ok(passes)
    }

    fn is_spent(&self) -> bool {
        self.patience
            .budget
            .is_some_and(|budget| self.started.elapsed() >= budget)
    }

    fn is_left_alone(&self) -> bool {
        self.patience
            .client
            .as_ref()
            .is_some_and(|client| client.strong_count() == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn run(patience: &Patience) -> (Result<Passes>, Vec<Range<usize>>) {
        let turns = Turns::of_this_machine();
        let pace = Pace {
            turns: &turns,
            threads: 1,
            batch: 4,
            patience,
            started: Instant::now(),
        };
        let mut ranges = Vec::new();
        let passes = pace.batches(10, pace.batch, |range| {
            ranges.push(range);
            Ok(())
        });
        (passes, ranges)
    }

    #[test]
    fn batches_cover_everything_once() {
        let (passes, ranges) = run(&Patience::default());
        assert_eq!(
            passes,
            Ok(Passes {
                done: 10,
                planned: 10
            })
        );
        assert_eq!(ranges, [0..4, 4..8, 8..10]);
    }

    #[test]
    fn a_spent_budget_stops_after_one_batch_and_says_so() {
        let patience = Patience {
            budget: Some(Duration::ZERO),
            ..Patience::default()
        };
        assert_eq!(run(&patience).0, Ok(Passes { done: 4, planned: 10 }));
    }

    #[test]
    fn nothing_is_computed_for_a_client_that_left() {
        let client = Arc::new(());
        let mut patience = Patience {
            client: Some(Arc::downgrade(&client)),
            ..Patience::default()
        };
        assert!(run(&patience).0.is_ok());
        drop(client);
        let (listener, mut heard) = mpsc::channel(8);
        patience.listener = Some(listener);
        let (passes, ranges) = run(&patience);
        assert!(passes.is_err() && ranges.is_empty() && heard.try_recv().is_err());
    }

    #[test]
    fn progress_is_told() {
        let (listener, mut heard) = mpsc::channel(8);
        let patience = Patience {
            listener: Some(listener),
            ..Patience::default()
        };
        assert!(run(&patience).0.is_ok());
        let told: Vec<usize> = std::iter::from_fn(|| heard.try_recv().ok())
            .map(|p| p.done)
            .collect();
        assert_eq!(told, [4, 8, 10]);
    }
}
