//! Admission, queue, batcher, workers: how concurrent requests become batches on threads that own a model.
//!
//! The engine knows nothing of images or tasks. It is given a [`Runner`] a worker, and inputs; it promises:
//! nothing waits beyond the queue's capacity, what expired or lost its client is never computed, one bad
//! input fails alone, a panic never ends a worker, and closing loses nothing that was admitted.
//!
//! [`session`] and [`staging`] are the torch side of it: a loaded module, and bytes into batches.

pub mod batcher;
pub mod device;
mod job;
pub mod observer;
mod packages;
mod parts;
pub mod plan;
mod queue;
pub mod session;
mod specialised;
mod stages;
pub mod staging;
pub mod turns;
mod worker;

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

pub use job::Completed;
use job::Job;
pub use queue::Permit;
use queue::Queue;
use worker::Worker;
pub use worker::{Runner, Share};

use crate::error::{Error, Result};
use batcher::Policy;
use observer::Observer;

/// How an engine is set up.
pub struct Setup {
    /// For messages and thread names.
    pub name: String,
    /// How items become batches.
    pub policy: Policy,
    /// Worker threads.
    pub workers: usize,
    /// Cores that a batch takes; `None` if the runner takes its turns itself.
    pub share: Option<Share>,
    /// Who hears of what happens.
    pub observer: Arc<dyn Observer>,
}

/// Queue and workers of one model.
pub struct Engine<I, O> {
    queue: Arc<Queue<I, O>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl<I, O> std::fmt::Debug for Engine<I, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl<I: Send + 'static, O: Send + 'static> Engine<I, O> {
    /// Starts the workers. `make_runner` is called on each worker's own thread, with its number from 0; this returns
    /// when all are made.
    ///
    /// # Errors
    /// The first error of `make_runner`; then no worker is left running.
    pub fn start<R>(
        setup: &Setup,
        make_runner: impl Fn(usize) -> Result<R> + Send + Sync + 'static,
    ) -> Result<Self>
    where
        R: Runner<I, O> + 'static,
    {
        let observer = Arc::clone(&setup.observer);
        let queue = Arc::new(Queue::new(&setup.name, setup.policy, setup.workers, observer));
        let engine = Self {
            queue: Arc::clone(&queue),
            workers: Mutex::new(Vec::new()),
        };
        let make_runner = Arc::new(make_runner);
        for index in 0..setup.workers {
            let worker = Worker {
                index,
                queue: Arc::clone(&queue),
                share: setup.share.clone(),
                observer: Arc::clone(&setup.observer),
            };
            let make_runner = Arc::clone(&make_runner);
            let handle = spawn(&format!("{}/{index}", setup.name), worker, move || {
                make_runner(index)
            })?;
            engine.handles().push(handle);
        }
        Ok(engine)
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves places before the inputs are made.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::NotReady`] while shutting down, [`Error::DeviceLost`].
    pub fn admit(&self, places: usize) -> Result<Permit<I, O>> {
        self.queue.admit(places)
    }

    /// Computes `inputs` (as many as `permit` has places for) and answers in their order. Dropping the future
    /// takes back what has not begun.
    ///
    /// # Errors
    /// The first error among the inputs', in their order; [`Error::DeadlineExceeded`] when `deadline` passes.
    pub async fn submit(
        &self,
        permit: Permit<I, O>,
        inputs: Vec<I>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Completed<O>>> {
        let (jobs, replies): (Vec<_>, Vec<_>) = inputs.into_iter().map(Job::new).unzip();
        permit.push(jobs, deadline);
        let mut answers = Vec::with_capacity(replies.len());
        for reply in replies {
            let answer = reply.await;
            answers.push(answer.unwrap_or_else(|_| Err(Error::NotReady("the model was unloaded".into())))?);
        }
        Ok(answers)
    }

    /// What is wrong with a device that this engine computes on, if anything is: [`Error::DeviceLost`] for good, or
    /// [`Error::OutOfMemory`] until a batch gets through.
    #[must_use]
    pub fn trouble(&self) -> Option<Error> {
        self.queue.trouble()
    }

    /// Closes the queue: no more admissions; what was admitted is still answered.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<I, O> Drop for Engine<I, O> {
    fn drop(&mut self) {
        self.queue.close();
        let workers = std::mem::take(self.workers.get_mut().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // Workers contain every panic of their runner; there is nothing to learn from a failed join.
            drop(worker.join());
        }
    }
}

/// Starts a worker's thread and waits until its runner is made.
fn spawn<I, O, R>(
    name: &str,
    worker: Worker<I, O>,
    make_runner: impl FnOnce() -> Result<R> + Send + 'static,
) -> Result<JoinHandle<()>>
where
    I: Send + 'static,
    O: Send + 'static,
    R: Runner<I, O> + 'static,
{
    let (made, is_made) = mpsc::sync_channel(1);
    let body = move || match make_runner() {
        Ok(mut runner) => {
            drop(made.send(Ok(())));
            worker.work(&mut runner);
        }
        Err(error) => drop(made.send(Err(error))),
    };
    let handle = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| Error::NotReady(format!("cannot start the worker thread {name}: {e}")))?;
    match is_made.recv() {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::InferenceFailed(format!(
            "the worker {name} panicked while it was made"
        ))),
    }
}

#[cfg(test)]
mod tests;
