//! What goes with a request from its protocol down to every pass that is made for it: how long its client waits, whether
//! the client is still there, and where progress is told.

use std::time::Instant;

use tokio::sync::mpsc;

use super::batcher::Priority;
use super::sync::Arc;
use super::sync::atomic::{AtomicBool, Ordering};
use crate::error::{Error, Result};

/// The deadline, priority, cancellation and progress of one request. Clones are of the same request.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// After this instant nobody wants the answer; `None`: the client waits for ever.
    pub deadline: Option<Instant>,
    /// Its rank in the queue.
    pub priority: Priority,
    /// Whether its inputs share no batch with those of other requests: numbers hang on the size of a batch in their last digits, and
    /// so are the same whenever the same is asked.
    pub apart: bool,
    /// Whether the client left.
    pub cancellation: Cancellation,
    /// Where progress is told.
    pub progress: Progress,
}

impl Context {
    /// A context with this deadline, whose progress is told nowhere.
    #[must_use]
    pub fn until(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }

    /// Whether the answer is still wanted: looked at before each pass of a long piece of work.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the client left, [`Error::DeadlineExceeded`] when its deadline has passed.
    pub fn check(&self) -> Result<()> {
        if self.cancellation.is_cancelled() {
            return Err(Error::Cancelled(
                "the client left before its answer was ready".into(),
            ));
        }
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Self::late());
        }
        Ok(())
    }

    /// The error of a request whose deadline passed.
    #[must_use]
    pub fn late() -> Error {
        Error::DeadlineExceeded("the deadline passed before the answer was ready".into())
    }
}

/// Whether a request was given up. Clones are of the same request; once cancelled, it stays so.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Gives the request up: what has not begun is not computed, and long work stops before its next pass.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the request was given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Cancels when it is dropped, unless it is disarmed before: what a future holds while it waits.
    #[must_use]
    pub fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(Some(self.clone()))
    }
}

/// See [`Cancellation::on_drop`].
#[derive(Debug)]
pub struct CancelOnDrop(Option<Cancellation>);

impl CancelOnDrop {
    /// The answer has come: nothing is left to cancel.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancellation) = self.0.take() {
            cancellation.cancel();
        }
    }
}

/// Passes through a model, in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passes {
    /// Those that were made.
    pub done: usize,
    /// Those that were asked for; more than `done` when a budget ended first.
    pub planned: usize,
}

/// Something that is known before the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// How far a method of many passes is.
    Passes(Passes),
    /// The work has come to the stage of this name.
    Stage(&'static str),
    /// A word of a text that will not change any more.
    Word {
        /// Its place in the text, from 0.
        index: usize,
        /// The word.
        text: String,
    },
}

/// Where events go; by default nowhere.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<mpsc::Sender<Event>>);

impl Progress {
    /// Progress that is received at the other end. Of events that find `room` others waiting, none is kept.
    #[must_use]
    pub fn channel(room: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(room.max(1));
        (Self(Some(sender)), receiver)
    }

    /// Tells of `event`. It never waits: a receiver that is behind misses an event, not the answer.
    pub fn tell(&self, event: Event) {
        if let Some(sender) = &self.0 {
            drop(sender.try_send(event));
        }
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_context_is_wanted_until_its_client_leaves_or_its_deadline_passes() {
        let context = Context::default();
        assert_eq!(context.check(), Ok(()));
        let held = context.cancellation.on_drop();
        held.disarm();
        assert_eq!(context.check(), Ok(()), "the answer came");
        drop(context.clone().cancellation.on_drop());
        assert!(matches!(context.check(), Err(Error::Cancelled(_))));
        let past = Instant::now().checked_sub(Duration::from_millis(1));
        assert!(matches!(
            Context::until(past).check(),
            Err(Error::DeadlineExceeded(_))
        ));
    }

    #[test]
    fn progress_never_waits() {
        let (progress, mut events) = Progress::channel(1);
        let passes = |done| Event::Passes(Passes { done, planned: 3 });
        progress.tell(passes(1));
        progress.tell(passes(2));
        assert_eq!(events.try_recv(), Ok(passes(1)));
        progress.tell(passes(3));
        assert_eq!(events.try_recv(), Ok(passes(3)));
        Progress::default().tell(passes(1));
    }
}
