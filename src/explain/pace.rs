//! The passes of one explanation: each under a permit of its own so that predictions go between them, for as long as the
//! answer is wanted, in batches within a budget, with a word on how far it is.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::engine::context::{Context, Event, Passes};
use crate::engine::cores::Class;
use crate::engine::{CorePermit, Share};
use crate::error::Result;

/// The bounds of one explanation, which its method asks before each pass.
#[derive(Clone, Copy)]
pub(super) struct Pace<'a> {
    /// The cores of a pass.
    pub(super) share: &'a Share,
    /// Images of a pass at most.
    pub(super) batch: usize,
    /// Methods of many passes stop after this long.
    pub(super) budget: Option<Duration>,
    pub(super) context: &'a Context,
    pub(super) started: Instant,
}

impl Pace<'_> {
    /// Waits for the cores of a pass.
    ///
    /// # Errors
    /// As [`Context::check`], when the answer is no longer wanted.
    pub(super) fn permit(&self) -> Result<CorePermit<'_>> {
        self.context.check()?;
        let permit = self.share.acquire(Class::Explain);
        // The client may have left meanwhile.
        self.context.check()?;
        Ok(permit)
    }

    /// Lets others compute first, and waits for the cores of another pass.
    ///
    /// # Errors
    /// As [`Pace::permit`].
    pub(super) fn again(&self, permit: &CorePermit<'_>) -> Result<()> {
        self.context.check()?;
        permit.renew(Class::Explain);
        self.context.check()
    }

    /// Whether the budget has ended.
    pub(super) fn is_spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.started.elapsed() >= budget)
    }

    /// Calls `each` with one batch after another of `total` images, until all are done or the budget is spent; at
    /// least one batch is made.
    ///
    /// # Errors
    /// What `each` answers; as [`Pace::permit`].
    pub(super) fn batches(
        &self,
        total: usize,
        batch: usize,
        each: impl FnMut(Range<usize>, &CorePermit<'_>) -> Result<()>,
    ) -> Result<Passes> {
        self.until(total, batch, || self.is_spent(), each)
    }

    /// [`Pace::batches`] whatever the budget is: for what means nothing before it is whole.
    ///
    /// # Errors
    /// As [`Pace::batches`].
    pub(super) fn all_batches(
        &self,
        total: usize,
        batch: usize,
        each: impl FnMut(Range<usize>, &CorePermit<'_>) -> Result<()>,
    ) -> Result<()> {
        self.until(total, batch, || false, each).map(drop)
    }

    fn until(
        &self,
        total: usize,
        batch: usize,
        is_spent: impl Fn() -> bool,
        mut each: impl FnMut(Range<usize>, &CorePermit<'_>) -> Result<()>,
    ) -> Result<Passes> {
        let mut passes = Passes {
            done: 0,
            planned: total,
        };
        while passes.done < total && (passes.done == 0 || !is_spent()) {
            let next = passes.done..total.min(passes.done + batch.max(1));
            let permit = self.permit()?;
            each(next.clone(), &permit)?;
            drop(permit);
            passes.done = next.end;
            self.context.progress.tell(Event::Passes(passes));
        }
        Ok(passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::context::Progress;
    use crate::engine::cores::Cores;
    use crate::error::Error;

    fn run(context: &Context, budget: Option<Duration>) -> (Result<Passes>, Vec<Range<usize>>) {
        let share = Share {
            cores: Cores::of_this_machine(),
            count: 1,
        };
        let pace = Pace {
            share: &share,
            batch: 4,
            budget,
            context,
            started: Instant::now(),
        };
        let mut ranges = Vec::new();
        let passes = pace.batches(10, pace.batch, |range, permit| {
            assert_eq!(permit.count(), 1);
            ranges.push(range);
            Ok(())
        });
        (passes, ranges)
    }

    #[test]
    fn batches_cover_everything_once() {
        let (passes, ranges) = run(&Context::default(), None);
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
        let (passes, _) = run(&Context::default(), Some(Duration::ZERO));
        assert_eq!(passes, Ok(Passes { done: 4, planned: 10 }));
    }

    #[test]
    fn nothing_is_computed_for_a_client_that_left() {
        let (progress, mut events) = Progress::channel(8);
        let context = Context {
            progress,
            ..Context::default()
        };
        context.cancellation.cancel();
        let (passes, ranges) = run(&context, None);
        assert!(matches!(passes, Err(Error::Cancelled(_))) && ranges.is_empty());
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn progress_is_told() {
        let (progress, mut events) = Progress::channel(8);
        let context = Context {
            progress,
            ..Context::default()
        };
        assert!(run(&context, None).0.is_ok());
        let told: Vec<Event> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        let passes = |done| Event::Passes(Passes { done, planned: 10 });
        assert_eq!(told, [passes(4), passes(8), passes(10)]);
    }
}
