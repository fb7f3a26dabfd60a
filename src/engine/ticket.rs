//! What travels through a queue: one input, and the typed way back for its answer.
//!
//! A [`Ticket<I, O>`] ties an input to the answer that it gets. A queue of one operation holds tickets; one that several
//! operations share holds an enum with a ticket in each variant, which implements [`Work`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::context::Context;
use super::station::Station;
use crate::error::{Error, Result};
use crate::spans;

/// An answer with what it cost.
#[derive(Debug)]
pub struct Completed<O> {
    /// What was made of the input.
    pub output: O,
    /// From the push to the start of its batch.
    pub queue: Duration,
    /// From the start of its batch to the end.
    pub compute: Duration,
}

/// What became of an input that has no answer.
#[derive(Debug)]
pub struct Failed {
    /// Which of the inputs it is, from 0.
    pub index: usize,
    /// What went wrong.
    pub error: Error,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Something that waits in a queue.
pub trait Work: Send + 'static {
    /// What does not depend on the operation.
    fn pending(&self) -> &Pending;

    /// The same, to note how long it waited.
    fn pending_mut(&mut self) -> &mut Pending;

    /// Answers with `error`.
    fn refuse(self, error: Error);
}

/// What the queue knows of a piece of work, whatever its operation is.
#[derive(Debug)]
pub struct Pending {
    /// The request's.
    pub context: Context,
    /// The span of the request, for the log lines of the worker.
    pub(super) span: tracing::Span,
    /// The span of what is done with the work now: it waits, then it is computed.
    pub(super) stage: tracing::Span,
    /// How long it waited, once it was taken.
    pub(super) queue: Duration,
    /// As how many inputs it counts.
    pub(super) rows: usize,
}

/// One input on its way to a worker.
#[derive(Debug)]
pub struct Ticket<I, O> {
    input: I,
    reply: Reply<O>,
}

/// A ticket without its input.
#[derive(Debug)]
struct Reply<O> {
    pending: Pending,
    sender: oneshot::Sender<Result<Completed<O>>>,
}

/// The other end of a [`Ticket`].
pub(super) type Answer<O> = oneshot::Receiver<Result<Completed<O>>>;

/// An input that is being computed, and the context of its request.
#[derive(Debug)]
pub struct Asked<'a, I> {
    /// What is computed on.
    pub input: &'a I,
    /// Whose it is.
    pub context: &'a Context,
}

impl<I, O> Ticket<I, O> {
    /// An input of the current request, which counts as so many, on its way into the queue of this name.
    pub(super) fn new((input, rows): (I, usize), context: &Context, queue: &str) -> (Self, Answer<O>) {
        let (sender, answer) = oneshot::channel();
        let pending = Pending {
            context: context.clone(),
            span: tracing::Span::current(),
            stage: spans::queue(queue),
            queue: Duration::ZERO,
            rows,
        };
        let reply = Reply { pending, sender };
        (Self { input, reply }, answer)
    }
}

impl<O> Reply<O> {
    fn answer(self, answer: Result<Completed<O>>) {
        // The stage ends before its answer is there.
        drop(self.pending);
        // A client that left between the last look and now is no error.
        drop(self.sender.send(answer));
    }
}

impl<I: Send + 'static, O: Send + 'static> Work for Ticket<I, O> {
    fn pending(&self) -> &Pending {
        &self.reply.pending
    }

    fn pending_mut(&mut self) -> &mut Pending {
        &mut self.reply.pending
    }

    fn refuse(self, error: Error) {
        self.reply.answer(Err(error));
    }
}

/// Computes `tickets` (at least one) as one batch with `run`, which answers in their order, and answers each of them. A
/// batch that fails as a whole is run again one by one, so that one bad input fails alone; a panic is a failure. So are those
/// for which the answer was no numbers: what a module does with one input may spoil its whole batch. After a
/// failure `is_lost` says whether the device answers nothing any more, so that every other input would fail too.
///
/// The answer is what was met when the device was lost.
pub fn compute<I, O>(
    tickets: Vec<Ticket<I, O>>,
    station: &Station<'_>,
    is_lost: impl Fn() -> bool,
    mut run: impl FnMut(&[Asked<'_, I>]) -> Result<Vec<Result<O>>>,
) -> Option<Error> {
    let started = Instant::now();
    let (inputs, replies): (Vec<I>, Vec<Reply<O>>) = tickets
        .into_iter()
        .map(|ticket| (ticket.input, ticket.reply))
        .unzip();
    let outputs = {
        let contexts = replies.iter().map(|reply| &reply.pending.context);
        let asked = inputs.iter().zip(contexts);
        let asked: Vec<_> = asked.map(|(input, context)| Asked { input, context }).collect();
        contained(&asked, is_lost, &mut run)
    };
    // Dropped before the answers go out, so that a client that sends its next image at once finds room.
    drop(inputs);
    let compute = started.elapsed();
    let of_device = |wanted: fn(&Error) -> bool| {
        let errors = outputs.iter().filter_map(|output| output.as_ref().err());
        errors.into_iter().find(|error| wanted(error)).cloned()
    };
    let lost = of_device(|error| matches!(error, Error::DeviceLost(_)));
    let full = of_device(|error| matches!(error, Error::OutOfMemory(_)));
    let rows = replies.iter().map(|reply| reply.pending.rows).sum();
    station.report(rows, compute, full);
    for (reply, output) in replies.into_iter().zip(outputs) {
        let queue = reply.pending.queue;
        reply.answer(output.map(|output| Completed {
            output,
            queue,
            compute,
        }));
    }
    lost
}

/// Runs a batch; if it fails as a whole, runs each input alone, unless the device is lost. Always one answer an input.
fn contained<I, O>(
    asked: &[Asked<'_, I>],
    is_lost: impl Fn() -> bool,
    run: &mut impl FnMut(&[Asked<'_, I>]) -> Result<Vec<Result<O>>>,
) -> Vec<Result<O>> {
    let outcome = attempt(asked, run);
    let failure = match &outcome {
        Ok(outputs) => outputs.iter().find_map(|output| {
            let error = output.as_ref().err();
            error.filter(|error| matches!(error, Error::InferenceFailed(_)))
        }),
        Err(error) => Some(error),
    };
    if let Some(error) = failure.filter(|_| is_lost()) {
        let lost = Error::DeviceLost(error.to_string());
        return asked.iter().map(|_| Err(lost.clone())).collect();
    }
    match outcome {
        Ok(outputs) if asked.len() == 1 => outputs,
        Ok(outputs) => {
            let again = |(index, output): (usize, Result<O>)| match output {
                Err(Error::NotFinite(_)) => one_alone(&asked[index..=index], run),
                other => other,
            };
            outputs.into_iter().enumerate().map(again).collect()
        }
        Err(error) if asked.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(%error, batch_size = asked.len(), "batch failed; running its items one by one");
            asked.chunks(1).map(|one| one_alone(one, run)).collect()
        }
    }
}

/// The answer for `one` input.
fn one_alone<I, O>(
    one: &[Asked<'_, I>],
    run: &mut impl FnMut(&[Asked<'_, I>]) -> Result<Vec<Result<O>>>,
) -> Result<O> {
    let no_answer = || Error::Internal("a batch of one without an answer".into());
    attempt(one, run)?.pop().ok_or_else(no_answer)?
}

/// One answer an input, or the failure of all.
fn attempt<I, O>(
    asked: &[Asked<'_, I>],
    run: &mut impl FnMut(&[Asked<'_, I>]) -> Result<Vec<Result<O>>>,
) -> Result<Vec<Result<O>>> {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(asked)));
    let outputs = outcome.unwrap_or_else(|panic| Err(Error::InferenceFailed(panic_text(panic.as_ref()))))?;
    if outputs.len() == asked.len() {
        return Ok(outputs);
    }
    let (found, expected) = (outputs.len(), asked.len());
    Err(Error::InferenceFailed(format!(
        "{found} answers for a batch of {expected}"
    )))
}

/// What a panic says.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}
