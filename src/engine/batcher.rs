//! When is which item computed? The batcher is a plain state machine: no clock, no thread, no channel.
//! Time comes in as an argument, so that every rule below is tested with a made-up clock.
//!
//! Invariants:
//! - places reserved plus items waiting never exceed the capacity;
//! - an item leaves exactly once: in a batch, as expired, or as departed;
//! - items leave by their priority, and of one priority in the order in which they came;
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
            waiting: VecDeque::new(),
        }
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Batches that the items that wait make up.
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
        self.release(1);
        let waiting = Waiting {
            item,
            arrived: now,
            deadline,
            priority,
        };
        let place = self.waiting.partition_point(|other| other.priority <= priority);
        self.waiting.insert(place, waiting);
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
        if self.draining || self.waiting.len() >= self.policy.max_batch || due <= now {
            return Ok(());
        }
        let first_deadline = self.waiting.iter().filter_map(|w| w.deadline).min();
        Err(Some(first_deadline.map_or(due, |d| d.min(due))))
    }

    /// Gives a free worker its next batch, after the sweep.
    pub fn take(&mut self, now: Instant, departed: impl Fn(&T) -> bool) -> Taken<T> {
        let mut taken = self.sweep(now, departed);
        match self.ready(now) {
            Ok(()) => {
                let n = self.waiting.len().min(self.policy.max_batch);
                taken.batch.extend(self.waiting.drain(..n));
            }
            Err(wake_at) => taken.wake_at = wake_at,
        }
        taken
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batcher(max_batch: usize, delay_ms: u64, capacity: usize) -> Batcher<u32> {
        Batcher::new(Policy {
            max_batch,
            max_delay: Duration::from_millis(delay_ms),
            capacity,
        })
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn items(batch: &[Waiting<u32>]) -> Vec<u32> {
        batch.iter().map(|w| w.item).collect()
    }

    #[test]
    fn continuous_batching_takes_what_is_there() {
        let (mut b, t0) = (batcher(4, 0, 10), Instant::now());
        assert!(b.reserve(6));
        (0..6).for_each(|i| b.push(i, t0, None));
        assert_eq!(items(&b.take(t0, |_| false).batch), [0, 1, 2, 3]);
        assert_eq!(items(&b.take(t0, |_| false).batch), [4, 5]);
        assert!(b.is_idle());
    }

    #[test]
    fn a_delay_waits_for_company_but_not_past_it() {
        let (mut b, t0) = (batcher(4, 10, 10), Instant::now());
        assert!(b.reserve(1));
        b.push(1, t0, None);
        let early = b.take(t0 + ms(3), |_| false);
        assert!(early.batch.is_empty());
        assert_eq!(early.wake_at, Some(t0 + ms(10)));
        assert_eq!(items(&b.take(t0 + ms(10), |_| false).batch), [1]);
    }

    #[test]
    fn a_deadline_before_the_delay_ends_wakes_the_worker() {
        let (mut b, t0) = (batcher(4, 10, 10), Instant::now());
        assert!(b.reserve(1));
        b.push(1, t0, Some(t0 + ms(4)));
        assert_eq!(b.take(t0, |_| false).wake_at, Some(t0 + ms(4)));
        assert_eq!(items(&b.take(t0 + ms(4), |_| false).expired), [1]);
    }

    #[test]
    fn a_lower_level_leaves_first_and_nobody_waits_longer_for_it() {
        let (mut b, t0) = (batcher(2, 10, 10), Instant::now());
        assert!(b.reserve(5));
        b.push(1, t0, None);
        for (item, level) in [(2, 5), (3, 1), (4, 5), (5, 0)] {
            b.push_before(Priority::level(level), item, t0 + ms(9), None);
        }
        let mut left = || items(&b.take(t0 + ms(20), |_| false).batch);
        assert_eq!([left(), left(), left()], [vec![3, 2], vec![4, 1], vec![5]]);
        assert!(b.reserve(2));
        b.push(1, t0, None);
        b.push_before(Priority::level(1), 2, t0 + ms(9), None);
        let mut b = Batcher {
            policy: Policy {
                max_batch: 3,
                ..b.policy
            },
            ..b
        };
        let early = b.take(t0 + ms(9), |_| false);
        assert_eq!((items(&early.batch), early.wake_at), (vec![], Some(t0 + ms(10))));
        assert_eq!(items(&b.take(t0 + ms(10), |_| false).batch), [2, 1]);
    }

    #[test]
    fn draining_waits_for_nobody() {
        let (mut b, t0) = (batcher(4, 1000, 10), Instant::now());
        assert!(b.reserve(1));
        b.push(1, t0, None);
        b.drain();
        assert_eq!(items(&b.take(t0, |_| false).batch), [1]);
    }

    #[test]
    fn a_departed_client_frees_its_place() {
        let (mut b, t0) = (batcher(4, 0, 2), Instant::now());
        assert!(b.reserve(2));
        b.push(1, t0, None);
        b.push(2, t0, None);
        assert!(!b.reserve(1));
        assert_eq!(items(&b.sweep(t0, |&i| i == 1).departed), [1]);
        assert!(b.reserve(1));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Reserve(usize),
        Push(Option<u64>),
        Release,
        Depart,
        Take,
        Tick(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1usize..4).prop_map(Step::Reserve),
            proptest::option::of(0u64..30).prop_map(Step::Push),
            Just(Step::Release),
            Just(Step::Depart),
            Just(Step::Take),
            (0u64..15).prop_map(Step::Tick),
        ]
    }

    /// What the property below remembers of a run.
    #[derive(Default)]
    struct Model {
        next: u32,
        held: usize,
        gone: Vec<u32>,
        left: Vec<u32>,
        last_computed: Option<u32>,
    }

    impl Model {
        fn check(&mut self, taken: &Taken<u32>, now: Instant, max_batch: usize) {
            assert!(taken.batch.len() <= max_batch);
            for w in &taken.batch {
                assert!(w.deadline.is_none_or(|d| d > now), "expired item in a batch");
                assert!(!self.gone.contains(&w.item), "departed item in a batch");
                assert!(self.last_computed.is_none_or(|l| l < w.item), "out of order");
                self.last_computed = Some(w.item);
            }
            assert!(taken.expired.iter().all(|w| w.deadline.is_some_and(|d| d <= now)));
            assert!(taken.departed.iter().all(|w| self.gone.contains(&w.item)));
            let all = taken.batch.iter().chain(&taken.expired).chain(&taken.departed);
            self.left.extend(all.map(|w| w.item));
        }
    }

    proptest! {
        #[test]
        fn every_item_leaves_once_in_order_and_within_bounds(
            steps in proptest::collection::vec(step(), 1..200),
            max_batch in 1usize..6, delay in 0u64..20, capacity in 1usize..12,
        ) {
            let mut b = batcher(max_batch, delay, capacity);
            let mut now = Instant::now();
            let mut m = Model::default();
            for step in steps {
                match step {
                    Step::Reserve(n) => m.held += if b.reserve(n) { n } else { 0 },
                    Step::Push(ttl) if m.held > 0 => {
                        b.push(m.next, now, ttl.map(|t| now + ms(t)));
                        m.next += 1;
                        m.held -= 1;
                    }
                    Step::Release if m.held > 0 => { b.release(1); m.held -= 1; }
                    Step::Depart => m.gone.push(m.next.saturating_sub(1)),
                    Step::Take => {
                        let gone = m.gone.clone();
                        let taken = b.take(now, |i| gone.contains(i));
                        m.check(&taken, now, max_batch);
                        prop_assert!(taken.wake_at.is_none_or(|t| t > now && taken.batch.is_empty()));
                    }
                    Step::Tick(t) => now += ms(t),
                    _ => {}
                }
                prop_assert!(b.len() + m.held <= capacity);
            }
            b.drain();
            while !b.is_empty() {
                let taken = b.take(now, |_| false);
                m.gone.retain(|i| m.left.contains(i));
                m.check(&taken, now, max_batch);
            }
            m.left.sort_unstable();
            prop_assert_eq!(m.left, (0..m.next).collect::<Vec<_>>());
        }
    }
}
