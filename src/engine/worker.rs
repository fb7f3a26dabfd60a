//! A worker: one OS thread that owns its runner for its whole life, since libtorch keeps per-thread state and
//! leaks on ever-new threads. It takes a batch, runs it, answers; a panic or an error answers that batch and
//! the worker lives on. A batch that fails is run again one by one, so that one bad item fails alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::batcher::Waiting;
use super::job::{Completed, Job};
use super::observer::Observer;
use super::queue::Queue;
use super::turns::{Class, Turns};
use crate::error::{Error, Result};

/// Computes batches. It lives and dies on one thread, so it need not be `Send`.
pub trait Runner<I, O> {
    /// Computes `inputs` (at least one) as one batch, and answers in their order.
    ///
    /// # Errors
    /// When the batch as a whole failed; the worker then tries its items one by one.
    fn run(&mut self, inputs: &[I]) -> Result<Vec<Result<O>>>;

    /// Asked after a failure: whether the device behind this runner answers nothing any more, so that every other
    /// input would fail too.
    fn is_lost(&self) -> bool {
        false
    }
}

/// Cores that a worker takes before each batch.
#[derive(Debug, Clone)]
pub struct Share {
    /// The machine's cores.
    pub turns: Arc<Turns>,
    /// How many of them a batch uses.
    pub cores: usize,
}

pub(super) struct Worker<I, O> {
    /// Its number in the queue, from 0.
    pub(super) index: usize,
    pub(super) queue: Arc<Queue<I, O>>,
    /// `None`: the runner takes its turns itself, pass by pass.
    pub(super) share: Option<Share>,
    pub(super) observer: Arc<dyn Observer>,
}

impl<I, O> Worker<I, O> {
    /// Works until the queue is closed and empty.
    pub(super) fn work(&self, runner: &mut dyn Runner<I, O>) {
        while self.queue.wait(self.index) {
            // The turn comes before the batch: while it is waited for, company arrives.
            let turn = self.share.as_ref().map(|s| s.turns.take(Class::Predict, s.cores));
            let batch = self.queue.take();
            let lost = if batch.is_empty() {
                None
            } else {
                self.compute(runner, batch)
            };
            drop(turn);
            if let Some(error) = lost {
                tracing::error!(%error, "a worker stops: its device is lost");
                self.queue.lose(&error);
                // The runner is kept: nothing good comes of freeing what is on a lost device.
                return self.queue.wait_until_closed(self.index);
            }
        }
    }

    /// Computes and answers a batch; what it met when its device was lost.
    fn compute(&self, runner: &mut dyn Runner<I, O>, batch: Vec<Waiting<Job<I, O>>>) -> Option<Error> {
        let started = Instant::now();
        let size = batch.len();
        let mut inputs = Vec::with_capacity(size);
        let mut replies = Vec::with_capacity(size);
        for waiting in batch {
            let queued = started.saturating_duration_since(waiting.arrived);
            self.observer.queued(queued);
            let (input, job) = waiting.item.split();
            inputs.push(input);
            replies.push((job, queued));
        }
        // The first request's span stands for the batch: its log lines need some request id.
        let span = replies[0].0.span.clone();
        let outputs = span.in_scope(|| run_contained(runner, &inputs));
        // Dropped before the answers go out, so that a client that sends its next image at once finds room.
        drop(inputs);
        let compute = started.elapsed();
        self.observer.batch(size, compute);
        let of_device = |wanted: fn(&Error) -> bool| {
            outputs
                .iter()
                .find_map(|o| o.as_ref().err().filter(|e| wanted(e)))
        };
        let lost = of_device(|e| matches!(e, Error::DeviceLost(_))).cloned();
        let full = of_device(|e| matches!(e, Error::OutOfMemory(_))).cloned();
        self.queue.learn(compute, full);
        for ((job, queue), output) in replies.into_iter().zip(outputs) {
            job.answer(output.map(|output| Completed {
                output,
                queue,
                compute,
            }));
        }
        lost
    }
}

/// Runs a batch; if it fails as a whole, runs each item alone, unless the device is lost. Always one answer an input.
fn run_contained<I, O>(runner: &mut dyn Runner<I, O>, inputs: &[I]) -> Vec<Result<O>> {
    let outcome = attempt(runner, inputs);
    let failure = match &outcome {
        Ok(outputs) => outputs.iter().find_map(|o| {
            o.as_ref()
                .err()
                .filter(|e| matches!(e, Error::InferenceFailed(_)))
        }),
        Err(error) => Some(error),
    };
    if let Some(error) = failure.filter(|_| runner.is_lost()) {
        let lost = Error::DeviceLost(error.to_string());
        return inputs.iter().map(|_| Err(lost.clone())).collect();
    }
    match outcome {
        Ok(outputs) => outputs,
        Err(error) if inputs.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(%error, batch_size = inputs.len(), "batch failed; running its items one by one");
            inputs
                .iter()
                .map(|input| {
                    attempt(runner, std::slice::from_ref(input))
                        .and_then(|mut one| one.pop().expect("attempt answers once for each input"))
                })
                .collect()
        }
    }
}

fn attempt<I, O>(runner: &mut dyn Runner<I, O>, inputs: &[I]) -> Result<Vec<Result<O>>> {
    let outcome = catch_unwind(AssertUnwindSafe(|| runner.run(inputs)));
    let outputs = outcome.unwrap_or_else(|panic| Err(Error::InferenceFailed(panic_text(panic.as_ref()))))?;
    if outputs.len() == inputs.len() {
        Ok(outputs)
    } else {
        let (found, expected) = (outputs.len(), inputs.len());
        Err(Error::InferenceFailed(format!(
            "{found} answers for a batch of {expected}"
        )))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}
