//! The bounded queue of one model: the [`Batcher`] behind a lock, with a bell for each of its workers.
//!
//! Of the workers that sleep, the one that was busy last is woken first: its core has most of the weights and the
//! memory of the last pass in its caches. No more are woken than there are batches.
//!
//! A request first reserves its places with [`Queue::admit`], before its image is decoded, so that a burst
//! costs no memory; then it pushes its work. What waits in the queue and is swept out is answered here.

use std::time::{Duration, Instant};

use super::batcher::{Batcher, Policy, Taken, Waiting};
use super::observer::Observer;
use super::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use super::ticket::Work;
use crate::error::{Error, Result, counted};

/// How long a device that was full counts as full.
const FULL_FOR: Duration = Duration::from_secs(30);

struct State<W> {
    batcher: Batcher<W>,
    closed: bool,
    /// Workers whose device answers.
    workers: usize,
    /// Numbers of those that sleep until their bell rings; the one that was busy last is at the end.
    asleep: Vec<usize>,
    /// What is wrong with a device, and since when: for good when a worker lost it; when it was full, until the next batch or
    /// until [`FULL_FOR`] has passed. An orchestrator that takes the server out of
    /// service then sends no batch that would show it well.
    health: Option<(Error, Instant)>,
    /// Moving average of what one batch costs, for Retry-After.
    batch_cost: Duration,
}

/// What waits for the workers of one model, and the places that are held for what is still to be pushed.
pub(super) struct Queue<W> {
    name: String,
    policy: Policy,
    state: Mutex<State<W>>,
    /// By the worker's number.
    bells: Box<[Condvar]>,
    observer: Arc<dyn Observer>,
}

/// Places in a queue that are held for a request until its work is pushed.
pub struct Places<W: Work> {
    queue: Arc<Queue<W>>,
    count: usize,
}

impl<W: Work> Drop for Places<W> {
    fn drop(&mut self) {
        if self.count > 0 {
            let mut state = self.queue.lock();
            state.batcher.release(self.count);
            if state.closed {
                // It may have been what the workers wait for before they end.
                drop(state);
                self.queue.ring_all();
            }
        }
    }
}

impl<W: Work> std::fmt::Debug for Places<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<W: Work> Places<W> {
    /// Puts `works` into the queue, as many as there are places.
    pub(super) fn push(mut self, works: Vec<W>) {
        debug_assert_eq!(works.len(), self.count);
        let queue = Arc::clone(&self.queue);
        let mut state = queue.lock();
        if let Some(lost) = state.lost() {
            // The last device was lost after the places were reserved, which are given back when `self` is dropped.
            drop(state);
            works.into_iter().for_each(|work| work.refuse(lost.clone()));
            return;
        }
        let arrived = Instant::now();
        let is_apart = works.first().is_some_and(|work| work.pending().context.apart);
        let party = is_apart.then(|| state.batcher.party());
        for work in works {
            let context = &work.pending().context;
            let (priority, deadline) = (context.priority, context.deadline);
            state.batcher.insert(Waiting {
                item: work,
                arrived,
                deadline,
                priority,
                party,
            });
            self.count = self.count.saturating_sub(1);
        }
        queue.observer.depth(state.batcher.len());
        queue.ring_for_batches(state);
    }
}

impl<W> State<W> {
    /// The failure of every device, if there is none left.
    fn lost(&self) -> Option<Error> {
        let (error, _) = self.health.as_ref().filter(|_| self.workers == 0)?;
        Some(error.clone())
    }
}

impl<W: Work> Queue<W> {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }

    pub(super) fn new(name: &str, policy: Policy, workers: usize, observer: Arc<dyn Observer>) -> Self {
        Self {
            name: name.to_owned(),
            policy,
            state: Mutex::new(State {
                batcher: Batcher::new(policy),
                closed: false,
                workers,
                asleep: Vec::with_capacity(workers),
                health: None,
                batch_cost: Duration::ZERO,
            }),
            bells: (0..workers).map(|_| Condvar::new()).collect(),
            observer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // The batcher's methods leave it consistent; a panic elsewhere under the lock cannot tear it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves `places` for a request.
    ///
    /// # Errors
    /// [`Error::QueueFull`] when there are not that many, [`Error::NotReady`] when the queue is closed,
    /// [`Error::DeviceLost`] when no worker has a device any more,
    /// [`Error::InvalidParameter`] when the queue could never hold that many.
    pub(super) fn admit(self: &Arc<Self>, places: usize) -> Result<Places<W>> {
        if places > self.policy.capacity {
            let (images, capacity) = (counted(places, "image"), counted(self.policy.capacity, "place"));
            return Err(Error::InvalidBody(format!(
                "{images} in one request, but the queue of {} has {capacity}; send fewer at a time",
                self.name
            )));
        }
        let mut state = self.lock();
        if state.closed {
            return Err(Error::NotReady("the server is shutting down".into()));
        }
        if let Some(lost) = state.lost() {
            return Err(lost);
        }
        if !state.batcher.reserve(places) {
            let swept = state.batcher.sweep(Instant::now(), is_departed);
            let fits = state.batcher.reserve(places);
            let retry_after = self.retry_after(&state);
            drop(state);
            self.dismiss(swept);
            if !fits {
                self.observer.rejected(places);
                return Err(Error::QueueFull {
                    queue: self.name.clone(),
                    retry_after,
                });
            }
        }
        Ok(Places {
            queue: Arc::clone(self),
            count: places,
        })
    }

    /// Whether nothing waits and nobody holds a place.
    #[cfg(any(test, interleaved))]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().batcher.is_idle()
    }

    /// How many workers sleep until their bell rings.
    #[cfg(all(test, not(interleaved)))]
    pub(super) fn sleeping(&self) -> usize {
        self.lock().asleep.len()
    }

    /// About how long until the queue has been worked off: whole seconds, at least one.
    fn retry_after(&self, state: &State<W>) -> Duration {
        let total = state.batch_cost * u32::try_from(state.batcher.batches()).unwrap_or(u32::MAX);
        Duration::from_secs(total.as_secs_f64().ceil().max(1.0) as u64)
    }

    /// Answers those that were swept out. Called without the lock.
    fn dismiss(&self, swept: Taken<W>) {
        for waiting in swept.expired {
            self.observer.expired();
            let waited_ms = waiting.arrived.elapsed().as_millis();
            waiting.item.refuse(Error::DeadlineExceeded(format!(
                "the deadline passed after {waited_ms} ms in the queue; nothing was computed"
            )));
        }
        for _ in swept.departed {
            self.observer.cancelled();
        }
    }

    /// Wakes as many of the workers that sleep as there are batches that wait.
    fn ring_for_batches(&self, mut state: MutexGuard<'_, State<W>>) {
        let stay = state.asleep.len().saturating_sub(state.batcher.batches());
        let woken: Vec<usize> = state.asleep.drain(stay..).collect();
        // A worker that wakes needs the lock at once.
        drop(state);
        for worker in woken {
            self.bells[worker].notify_one();
        }
    }

    /// Wakes every worker, also those without a device. Called without the lock.
    fn ring_all(&self) {
        self.bells.iter().for_each(Condvar::notify_one);
    }

    /// Sleeps until the bell of `worker` rings or `until` comes; it may also wake for no reason.
    fn sleep<'a>(
        &'a self,
        worker: usize,
        mut state: MutexGuard<'a, State<W>>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State<W>> {
        state.asleep.push(worker);
        let bell = &self.bells[worker];
        let mut state = match until {
            None => bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let pause = at.saturating_duration_since(Instant::now());
                let woken = bell.wait_timeout(state, pause);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        // A bell that rings takes the worker out of the list, but it may have woken by itself.
        state.asleep.retain(|&other| other != worker);
        state
    }

    /// Makes `worker` wait until a batch could be taken; false when the queue is closed and empty.
    pub(super) fn wait(&self, worker: usize) -> bool {
        let mut state = self.lock();
        loop {
            let asleep_until = match state.batcher.ready(Instant::now()) {
                Ok(()) => return true,
                Err(_) if state.closed && state.batcher.is_idle() => {
                    // The others may sleep since there was a place that somebody held.
                    drop(state);
                    self.ring_all();
                    return false;
                }
                Err(wake_at) => wake_at,
            };
            state = self.sleep(worker, state, asleep_until);
            let swept = state.batcher.sweep(Instant::now(), is_departed);
            if !(swept.expired.is_empty() && swept.departed.is_empty()) {
                drop(state);
                self.dismiss(swept);
                state = self.lock();
            }
        }
    }

    /// Takes a batch; empty when another worker was quicker.
    pub(super) fn take(&self) -> Vec<Waiting<W>> {
        let mut state = self.lock();
        let mut taken = state.batcher.take(Instant::now(), is_departed);
        let batch = std::mem::take(&mut taken.batch);
        self.observer.depth(state.batcher.len());
        // Those that came while this worker was on its way may have found nobody asleep.
        self.ring_for_batches(state);
        self.dismiss(taken);
        batch
    }

    /// What is wrong with a device of this queue's workers.
    pub(super) fn health(&self) -> Option<Error> {
        let state = self.lock();
        let (error, since) = state.health.as_ref()?;
        let is_lost = matches!(error, Error::DeviceLost(_));
        (is_lost || since.elapsed() < FULL_FOR).then(|| error.clone())
    }

    /// Remembers that the device of one worker was lost. When it was the last, requests that wait are answered, and
    /// none is admitted any more.
    pub(super) fn lose(&self, error: &Error) {
        let mut state = self.lock();
        state.workers = state.workers.saturating_sub(1);
        state.health = Some((error.clone(), Instant::now()));
        let stranded = if state.workers == 0 {
            state.batcher.take_all()
        } else {
            Vec::new()
        };
        drop(state);
        stranded
            .into_iter()
            .for_each(|waiting| waiting.item.refuse(error.clone()));
    }

    /// Makes `worker`, whose device is lost, wait until the queue is closed.
    pub(super) fn wait_until_closed(&self, worker: usize) {
        let mut state = self.lock();
        while !state.closed {
            // Not among those that sleep, or a batch could ring for it.
            let woken = self.bells[worker].wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Remembers what a batch cost, and whether its device was full even for one.
    pub(super) fn learn(&self, cost: Duration, full: Option<Error>) {
        let mut state = self.lock();
        if !matches!(state.health, Some((Error::DeviceLost(_), _))) {
            state.health = full.map(|error| (error, Instant::now()));
        }
        state.batch_cost = if state.batch_cost.is_zero() {
            cost
        } else {
            (state.batch_cost * 7 + cost) / 8
        };
    }

    /// No more admissions; what is inside is worked off without waiting for company.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.batcher.drain();
        drop(state);
        self.ring_all();
    }
}

/// Whether the client left.
fn is_departed<W: Work>(work: &W) -> bool {
    work.pending().context.cancellation.is_cancelled()
}
