//! When is which item computed? The batcher is a plain state machine: no clock, no thread, no channel.
//! Time comes in as an argument, so that every rule below is tested with a made-up clock.
//!
//! Invariants:
//! - places reserved plus items waiting never exceed the capacity;
//! - an item leaves exactly once: in a batch, as expired, or as departed;
//! - items leave by their priority, and of one priority in the order in which they came;
//! - a batch has the items of one party, or only such as are of none;
//! - an item whose deadline has passed, or whose client has left, is never in a batch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How items become batches.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Items in a batch at most, at least 1.
    pub max_batch: usize,
    /// How long the oldest item may wait for company. Zero: a free worker takes what is there.
    pub max_delay: Duration,
    /// Places for items that are reserved or waiting.
    pub capacity: usize,
}

/// The rank of an item in the queue: a lower level leaves first, and what has none last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u32);

impl Default for Priority {
    /// After all levels.
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Priority {
    /// Of this level, 1 being the first; 0 is none.
    #[must_use]
    pub fn level(level: u32) -> Self {
        match level {
            0 => Self::default(),
            level => Self(level),
        }
    }
}

/// The items of a request that shares its batches with no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party(u64);

/// An item that waits.
#[derive(Debug)]
pub struct Waiting<T> {
    /// The work itself.
    pub item: T,
    /// When it was pushed.
    pub arrived: Instant,
    /// After this instant, nobody wants the answer.
    pub deadline: Option<Instant>,
    /// Its rank among the items that wait.
    pub priority: Priority,
    /// Whom it shares its batch with; of none, with all that are of none. A party is inserted as a whole.
    pub party: Option<Party>,
}

/// What [`Batcher::take`] found.
#[derive(Debug)]
pub struct Taken<T> {
    /// To be computed now, in order; may be empty.
    pub batch: Vec<Waiting<T>>,
    /// Deadline passed while waiting.
    pub expired: Vec<Waiting<T>>,
    /// The client left while waiting.
    pub departed: Vec<Waiting<T>>,
    /// With an empty batch: when to look again. `None`: when something is pushed.
    pub wake_at: Option<Instant>,
}

/// The queue of one model, as a state machine.
#[derive(Debug)]
pub struct Batcher<T> {
    policy: Policy,
    reserved: usize,
    draining: bool,
    parties: u64,
    waiting: VecDeque<Waiting<T>>,
}

impl<T> Batcher<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            reserved: 0,
            draining: false,
            parties: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Batches that the items that wait make up, at least.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.waiting.len().div_ceil(self.policy.max_batch)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing waits and nobody holds a place.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.reserved == 0
    }

    /// Reserves `n` places for items that are still being made; false when there are not that many.
    #[must_use]
    pub fn reserve(&mut self, n: usize) -> bool {
        let fits = self.reserved + self.waiting.len() + n <= self.policy.capacity;
        if fits {
            self.reserved += n;
        }
        fits
    }

    /// Gives `n` reserved places back.
    pub fn release(&mut self, n: usize) {
        debug_assert!(n <= self.reserved);
        self.reserved = self.reserved.saturating_sub(n);
    }

    /// Puts an item without a priority in a place that was reserved for it.
    pub fn push(&mut self, item: T, now: Instant, deadline: Option<Instant>) {
        self.push_before(Priority::default(), item, now, deadline);
    }

    /// [`Batcher::push`] before those that wait with a lesser priority.
    pub fn push_before(&mut self, priority: Priority, item: T, now: Instant, deadline: Option<Instant>) {
        self.insert(Waiting {
            item,
            arrived: now,
            deadline,
            priority,
            party: None,
        });
    }

    /// Puts `waiting` in a place that was reserved for it.
    pub fn insert(&mut self, waiting: Waiting<T>) {
        self.release(1);
        let place = self
            .waiting
            .partition_point(|other| other.priority <= waiting.priority);
        self.waiting.insert(place, waiting);
    }

    /// A party of nobody yet.
    pub fn party(&mut self) -> Party {
        self.parties += 1;
        Party(self.parties)
    }

    /// Takes out everything that waits: there is nobody left to compute it.
    pub fn take_all(&mut self) -> Vec<Waiting<T>> {
        self.waiting.drain(..).collect()
    }

    /// From now on nothing waits for company.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Takes out what has expired or departed, without starting a batch.
    pub fn sweep(&mut self, now: Instant, departed: impl Fn(&T) -> bool) -> Taken<T> {
        let mut taken = Taken {
            batch: Vec::new(),
            expired: Vec::new(),
            departed: Vec::new(),
            wake_at: None,
        };
        let stays = |w: &Waiting<T>| w.deadline.is_none_or(|d| d > now) && !departed(&w.item);
        if self.waiting.iter().all(stays) {
            return taken;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.deadline.is_some_and(|d| d <= now) {
                taken.expired.push(waiting);
            } else if departed(&waiting.item) {
                taken.departed.push(waiting);
            } else {
                self.waiting.push_back(waiting);
            }
        }
        taken
    }

    /// Whether a worker that asks now would get a batch; otherwise when to ask again.
    pub fn ready(&self, now: Instant) -> Result<(), Option<Instant>> {
        let Some(oldest) = self.waiting.iter().map(|waiting| waiting.arrived).min() else {
            return Err(None);
        };
        let due = oldest + self.policy.max_delay;
        let is_full = self.waiting.len() >= self.policy.max_batch;
        if self.draining || is_full || self.next_party().is_some() || due <= now {
            return Ok(());
        }
        let first_deadline = self.waiting.iter().filter_map(|w| w.deadline).min();
        Err(Some(first_deadline.map_or(due, |d| d.min(due))))
    }

    /// Whose the next batch is.
    fn next_party(&self) -> Option<Party> {
        self.waiting.front()?.party
    }

    /// Gives a free worker its next batch, after the sweep.
    pub fn take(&mut self, now: Instant, departed: impl Fn(&T) -> bool) -> Taken<T> {
        let mut taken = self.sweep(now, departed);
        match self.ready(now) {
            Ok(()) => {
                let party = self.next_party();
                let next = self.waiting.iter().take(self.policy.max_batch);
                let n = next.take_while(|waiting| waiting.party == party).count();
                taken.batch.extend(self.waiting.drain(..n));
            }
            Err(wake_at) => taken.wake_at = wake_at,
        }
        taken
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests;
