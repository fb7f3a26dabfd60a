//! Which thread may compute now? Every model has threads of its own, but the machine has only so many cores. A thread that
//! computes holds a [`CorePermit`] for the cores that it uses, so that the sum never exceeds what is there: oversubscribed CPUs
//! turn milliseconds into seconds. A program cannot be called without one (`runtime::Program`).
//!
//! Permits are granted first come, first served within a class. Predictions go before explanations, so that an
//! explanation delays a prediction by at most the one pass that is already running, which of a captioner is that of all its
//! words; an explanation that was
//! overtaken [`PATIENCE`] times goes first, so that it ends at all under full load.
//!
//! A pass that does not end keeps its cores. Once it has held them for longer than [`Cores::giving_up_on`] says, nobody waits for
//! them any more: a caller that asks for more cores than are left gets those that are left. One is always left, because a pass
//! that loops keeps one core busy and only waits on the others.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How many predictions may overtake a waiting explanation.
pub const PATIENCE: usize = 4;

/// The class of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A batch of predictions.
    Predict,
    /// One pass of an explanation, or of a model that is loaded.
    Explain,
}

#[derive(Debug)]
struct State {
    next_ticket: u64,
    overtaken: usize,
    predict: VecDeque<(u64, usize)>,
    explain: VecDeque<(u64, usize)>,
    held: BTreeMap<u64, Held>,
}

/// A permit that was granted.
#[derive(Debug)]
struct Held {
    since: Instant,
    count: usize,
}

impl State {
    fn new() -> Self {
        Self {
            next_ticket: 0,
            overtaken: 0,
            predict: VecDeque::new(),
            explain: VecDeque::new(),
            held: BTreeMap::new(),
        }
    }

    fn queue(&mut self, class: Class) -> &mut VecDeque<(u64, usize)> {
        match class {
            Class::Predict => &mut self.predict,
            Class::Explain => &mut self.explain,
        }
    }

    /// The class whose head is next, regardless of whether there are enough free cores for it.
    fn next_class(&self) -> Option<Class> {
        match (self.predict.is_empty(), self.explain.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Class::Predict),
            (true, false) => Some(Class::Explain),
            (false, false) if self.overtaken >= PATIENCE => Some(Class::Explain),
            (false, false) => Some(Class::Predict),
        }
    }

    /// Grants the permit to `ticket` if it is next and its cores are `free`, or as many of them as there can ever be: `most`.
    /// Answers how many that are.
    fn grant(&mut self, class: Class, ticket: u64, most: usize, free: usize) -> Option<usize> {
        if self.next_class() != Some(class) {
            return None;
        }
        let &(head, wanted) = self.queue(class).front()?;
        let count = wanted.min(most);
        if head != ticket || count == 0 || count > free {
            return None;
        }
        self.queue(class).pop_front();
        self.overtaken = match class {
            Class::Predict if !self.explain.is_empty() => self.overtaken + 1,
            _ => 0,
        };
        Some(count)
    }

    /// How many cores are held.
    fn held(&self) -> usize {
        self.held.values().map(|held| held.count).sum()
    }

    /// How many cores are held for so long that nobody waits for them, and when there will be more of those.
    fn given_up(&self, patience: Duration, now: Instant) -> (usize, Option<Instant>) {
        let (mut count, mut next) = (0, None);
        for held in self.held.values().filter(|held| held.count > 0) {
            match held.since.checked_add(patience) {
                Some(end) if end <= now => count += held.count,
                Some(end) => next = Some(next.map_or(end, |next: Instant| next.min(end))),
                None => {}
            }
        }
        (count, next)
    }
}

/// How many cores this process may use.
#[must_use]
pub fn cores_of_this_machine() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The cores of the machine, shared by all workers.
#[derive(Debug)]
pub struct Cores {
    count: usize,
    /// How long a pass may take before nobody waits for its cores.
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

impl Cores {
    /// So many cores; each pass is waited for, however long it takes.
    #[must_use]
    pub fn new(count: NonZeroUsize) -> Arc<Self> {
        Self::giving_up_on(count, Duration::MAX)
    }

    /// So many cores; those of a pass that takes longer than `patience` are not waited for.
    #[must_use]
    pub fn giving_up_on(count: NonZeroUsize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            count: count.get(),
            patience,
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
        })
    }

    /// Every core that this process may use.
    #[must_use]
    pub fn of_this_machine() -> Arc<Self> {
        Self::new(cores_of_this_machine())
    }

    /// What a worker computes on, so many of these cores.
    #[must_use]
    pub fn share(self: &Arc<Self>, count: usize) -> Share {
        Share {
            cores: Arc::clone(self),
            count,
        }
    }

    /// How many cores there are to share.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many cores are held now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.lock().held().min(self.count)
    }

    /// How long the oldest permit has been held: how long a pass has taken that has not ended.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let oldest = self.lock().held.values().map(|held| held.since).min();
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How many wait for a permit now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.lock();
        state.predict.len() + state.explain.len()
    }

    /// Waits for a change, or for so long.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, long: Option<Duration>) -> MutexGuard<'a, State> {
        let Some(long) = long else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let waited = self.changed.wait_timeout(state, long);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between statements that cannot panic, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what `ticket` holds, if it holds anything.
    fn release(&self, ticket: u64) {
        let mut state = self.lock();
        state.held.remove(&ticket);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for `count` cores, at most all of those whose passes end, which are held until the permit is dropped. A permit of
    /// no core, for a thread that only hands work to a GPU, is granted at once.
    pub fn acquire(&self, class: Class, count: usize) -> CorePermit<'_> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let count = if count == 0 {
            0
        } else {
            state.queue(class).push_back((ticket, count));
            loop {
                let now = Instant::now();
                let (given_up, next) = state.given_up(self.patience, now);
                let left = self.count.saturating_sub(given_up).max(1);
                let free = left.saturating_sub(state.held() - given_up);
                if let Some(count) = state.grant(class, ticket, left, free) {
                    break count;
                }
                state = self.wait(state, next.map(|next| next.saturating_duration_since(now)));
            }
        };
        let since = Instant::now();
        state.held.insert(ticket, Held { since, count });
        drop(state);
        // Cores may be left over for the one behind.
        self.changed.notify_all();
        CorePermit {
            cores: self,
            count: Cell::new(count),
            ticket: Cell::new(ticket),
        }
    }
}

/// The right to compute on some cores, until dropped. Only [`Cores::acquire`] makes one.
#[derive(Debug)]
pub struct CorePermit<'a> {
    cores: &'a Cores,
    count: Cell<usize>,
    ticket: Cell<u64>,
}

impl CorePermit<'_> {
    /// How many cores are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// Gives the cores back, and waits for as many of them behind those that wait already: between two passes of which the
    /// second needs what the first left behind.
    pub fn renew(&self, class: Class) {
        self.cores.release(self.ticket.get());
        let fresh = self.cores.acquire(class, self.count.get());
        // The cores of `fresh` are held by this permit from here on, and the ticket that it drops is nobody's any more.
        self.count.set(fresh.count.get());
        self.ticket.swap(&fresh.ticket);
    }
}

impl Drop for CorePermit<'_> {
    fn drop(&mut self) {
        self.cores.release(self.ticket.get());
    }
}

/// The cores that one worker computes on.
#[derive(Debug, Clone)]
pub struct Share {
    /// The machine's cores.
    pub cores: Arc<Cores>,
    /// How many of them a pass uses; none where it runs on a GPU.
    pub count: usize,
}

impl Share {
    /// Waits for this share of the cores.
    pub fn acquire(&self, class: Class) -> CorePermit<'_> {
        self.cores.acquire(class, self.count)
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests;
