//! A worker: one OS thread that owns its runner for its whole life, since libtorch keeps per-thread state and
//! leaks on ever-new threads. It takes a batch, has it computed and answered, and lives on whatever comes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batcher::Waiting;
use super::cores::{Class, CorePermit, Share};
use super::observer::Observer;
use super::queue::Queue;
use super::station::Station;
use super::ticket::{Work, panic_text};
use crate::error::Error;
use crate::spans;

/// Computes batches. It lives and dies on one thread, so it need not be `Send`.
pub trait Runner<W> {
    /// Computes `batch` (at least one piece of work) and answers each; see [`compute`](super::compute). The answer is what
    /// was met when the device was lost.
    fn run(&mut self, batch: Vec<W>, station: &Station<'_>) -> Option<Error>;
}

pub(super) struct Worker<W> {
    /// Its number in the queue, from 0.
    pub(super) index: usize,
    pub(super) queue: Arc<Queue<W>>,
    pub(super) share: Share,
    pub(super) observer: Arc<dyn Observer>,
}

impl<W: Work> Worker<W> {
    /// Works until the queue is closed and empty.
    pub(super) fn work(&self, runner: &mut dyn Runner<W>) {
        while self.queue.wait(self.index) {
            // The permit comes before the batch: while it is waited for, company arrives.
            let permit = self.share.acquire(Class::Predict);
            let batch = self.queue.take();
            let lost = if batch.is_empty() {
                None
            } else {
                self.compute(runner, batch, &permit)
            };
            drop(permit);
            if let Some(error) = lost {
                tracing::error!(%error, "a worker stops: its device is lost");
                self.queue.lose(&error);
                // The runner is kept: nothing good comes of freeing what is on a lost device.
                return self.queue.wait_until_closed(self.index);
            }
        }
    }

    /// Has a batch computed and answered; what was met when its device was lost.
    fn compute(
        &self,
        runner: &mut dyn Runner<W>,
        batch: Vec<Waiting<W>>,
        permit: &CorePermit<'_>,
    ) -> Option<Error> {
        let started = Instant::now();
        let requests = batch.iter().map(|waiting| &waiting.item.pending().span);
        let span = spans::batch(self.queue.name(), requests);
        let mut works = Vec::with_capacity(batch.len());
        for Waiting {
            mut item, arrived, ..
        } in batch
        {
            let queue = started.saturating_duration_since(arrived);
            self.observer.queued(queue);
            let pending = item.pending_mut();
            pending.queue = queue;
            // The wait ends before the computation begins.
            pending.stage = tracing::Span::none();
            pending.stage = spans::compute(&pending.span, &span);
            works.push(item);
        }
        let report = |size: usize, compute: Duration, full: Option<Error>| {
            self.observer.batch(size, compute);
            self.queue.learn(compute, full);
        };
        let station = Station {
            permit,
            report: &report,
        };
        // The first request's span stands for the batch: its log lines need some request id.
        let first = works.first().map(|work| work.pending().span.clone());
        let _entered = first.as_ref().map(tracing::Span::enter);
        catch_unwind(AssertUnwindSafe(|| runner.run(works, &station))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(panic.as_ref()), "a batch was lost");
            None
        })
    }
}
