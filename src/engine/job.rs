//! What travels through a queue: the input of one image, and the way back for its answer.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Result;

/// An answer with what it cost.
#[derive(Debug)]
pub struct Completed<O> {
    /// What the runner made of the input.
    pub output: O,
    /// From the push to the start of its batch.
    pub queue: Duration,
    /// From the start of its batch to the end.
    pub compute: Duration,
}

/// One input on its way to a worker.
#[derive(Debug)]
pub(super) struct Job<I, O> {
    pub(super) input: I,
    pub(super) span: tracing::Span,
    reply: oneshot::Sender<Result<Completed<O>>>,
}

/// The other end of a [`Job`].
pub(super) type Reply<O> = oneshot::Receiver<Result<Completed<O>>>;

impl<I, O> Job<I, O> {
    pub(super) fn new(input: I) -> (Self, Reply<O>) {
        let (reply, receiver) = oneshot::channel();
        let span = tracing::Span::current();
        (Self { input, span, reply }, receiver)
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_departed(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn answer(self, answer: Result<Completed<O>>) {
        // A client that left between the last look and now is no error.
        drop(self.reply.send(answer));
    }

    /// Parts the job into what the runner needs and the rest.
    pub(super) fn split(self) -> (I, Job<(), O>) {
        let rest = Job {
            input: (),
            span: self.span,
            reply: self.reply,
        };
        (self.input, rest)
    }
}
