//! Admission, queue, batcher, workers: how concurrent requests become batches on threads that own a model.
//!
//! The engine knows nothing of images, models or tasks. It is given a [`Runner`] a worker, and [`Work`]; it promises:
//! nothing waits beyond the queue's capacity, what expired or lost its client is never computed, one bad
//! input fails alone, a panic never ends a worker, and closing loses nothing that was admitted.

pub mod batcher;
pub mod context;
pub mod cores;
#[cfg(interleaved)]
pub mod interleaved;
pub mod observer;
mod queue;
mod station;
mod sync;
mod ticket;
mod worker;

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

pub use context::Context;
pub use cores::{CorePermit, Share};
pub use queue::Places;
use queue::Queue;
pub use station::Station;
pub use ticket::{Asked, Completed, Failed, Pending, Ticket, Work, compute, panic_text};
pub use worker::Runner;
use worker::Worker;

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
    /// The cores that a batch takes; none where the runner takes them pass by pass.
    pub share: Share,
    /// Is told of what happens.
    pub observer: Arc<dyn Observer>,
}

/// Queue and workers of one model.
pub struct Engine<W: Work> {
    queue: Arc<Queue<W>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Work> std::fmt::Debug for Engine<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl<W: Work> Engine<W> {
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
        R: Runner<W> + 'static,
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
            match spawn(&format!("{}/{index}", setup.name), worker, move || {
                make_runner(index)
            }) {
                Ok(handle) => engine.handles().push(handle),
                Err(error) => {
                    join(engine.retire());
                    return Err(error);
                }
            }
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
    pub fn admit(&self, count: usize) -> Result<Places<W>> {
        self.queue.admit(count)
    }

    /// Computes `inputs` (as many as there are `places`) and answers in their order. Dropping the future cancels the
    /// request, and so takes back what has not begun.
    ///
    /// # Errors
    /// The first error among the inputs', in their order, and whose it is; [`Error::DeadlineExceeded`] when the deadline
    /// passes.
    pub async fn submit<I, O>(
        &self,
        places: Places<W>,
        inputs: Vec<I>,
        context: &Context,
    ) -> Result<Vec<Completed<O>>, Failed>
    where
        W: From<Ticket<I, O>>,
    {
        let inputs = inputs.into_iter().map(|input| (input, 1));
        self.submit_rows(places, inputs.collect(), context).await
    }

    /// [`Engine::submit`] of inputs that count as several each.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn submit_rows<I, O>(
        &self,
        places: Places<W>,
        inputs: Vec<(I, usize)>,
        context: &Context,
    ) -> Result<Vec<Completed<O>>, Failed>
    where
        W: From<Ticket<I, O>>,
    {
        let (works, answers): (Vec<W>, Vec<_>) = inputs
            .into_iter()
            .map(|input| {
                let (ticket, answer) = Ticket::new(input, context, self.queue.name());
                (W::from(ticket), answer)
            })
            .unzip();
        let leaves = context.cancellation.on_drop();
        places.push(works);
        let mut completed = Vec::with_capacity(answers.len());
        for (index, answer) in answers.into_iter().enumerate() {
            let lost = |_| Err(Error::Internal("a worker dropped its work".into()));
            let answer = answer.await.unwrap_or_else(lost);
            completed.push(answer.map_err(|error| Failed { index, error })?);
        }
        leaves.disarm();
        Ok(completed)
    }

    /// What is wrong with a device that this engine computes on, if anything is: [`Error::DeviceLost`] for good, or
    /// [`Error::OutOfMemory`] until a batch gets through.
    #[must_use]
    pub fn health(&self) -> Option<Error> {
        self.queue.health()
    }

    /// The observer that is told of what happens.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(self.queue.observer())
    }

    /// Closes the queue: no more admissions; what was admitted is still answered.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Closes the queue, and hands over the workers, which end when it is worked off. See [`join`].
    pub fn retire(&self) -> Vec<JoinHandle<()>> {
        self.close();
        std::mem::take(&mut *self.handles())
    }
}

impl<W: Work> Drop for Engine<W> {
    /// Workers that nobody retired before end by themselves: dropping must not wait, wherever it happens.
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Waits until retired workers have ended.
pub fn join(workers: Vec<JoinHandle<()>>) {
    for worker in workers {
        // Workers contain every panic of their runner; there is nothing to learn from a failed join.
        drop(worker.join());
    }
}

/// Starts a worker's thread and waits until its runner is made.
fn spawn<W: Work, R>(
    name: &str,
    worker: Worker<W>,
    make_runner: impl FnOnce() -> Result<R> + Send + 'static,
) -> Result<JoinHandle<()>>
where
    R: Runner<W> + 'static,
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

#[cfg(all(test, not(interleaved)))]
mod tests;
