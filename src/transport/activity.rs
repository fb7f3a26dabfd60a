//! What a connection is doing, as its socket and its answers show it, and whether its client is too slow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pace::Pace;

/// How long a client may take over what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the first byte of a request to the end of its head.
    pub(super) head: Duration,
    /// Between two requests, and before the first.
    pub(super) idle: Duration,
    /// Over reading an answer.
    pub(super) answer: Pace,
}

/// The state of one connection, shared by its socket and by its answers.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// Requests under way on all connections.
    all: Arc<AtomicUsize>,
    /// Whether the socket had nothing to read since the last request.
    was_silent: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Requests whose answer has not ended.
    under_way: usize,
    /// Those of them that wait for their client's next message.
    resting: usize,
    /// Those of them whose body is on its way, since when, and what has come meanwhile.
    receiving: usize,
    received_from: Instant,
    received: u64,
    /// Whether it is HTTP/2, which has several requests at a time.
    is_shared: bool,
    /// Answers of which something was handed over that their client did not take yet: since when. Only where the
    /// connection is shared: otherwise the socket tells it.
    given: HashMap<u64, Instant>,
    next_id: u64,
    phase: Phase,
    /// The present phase began then.
    since: Instant,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come since the last answer.
    Idle,
    /// A part of a head has come.
    Head,
    /// A request is under way.
    Busy,
}

/// The answer that is being written.
#[derive(Debug, Default)]
struct Answer {
    /// Bytes that the client took.
    taken: u64,
    /// How long it made the server wait for that.
    waited: Duration,
    /// Since when it does so now.
    blocked: Option<Instant>,
}

impl Answer {
    fn waited(&self, now: Instant) -> Duration {
        let now = self
            .blocked
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.waited + now
    }
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Idle,
    Head,
    Answer,
}

impl Activity {
    /// Of a connection whose requests are counted in `all`.
    pub(super) fn new(all: Arc<AtomicUsize>) -> Arc<Self> {
        let state = State {
            under_way: 0,
            resting: 0,
            receiving: 0,
            received_from: Instant::now(),
            received: 0,
            is_shared: false,
            given: HashMap::new(),
            next_id: 0,
            phase: Phase::Idle,
            since: Instant::now(),
            answer: Answer::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            all,
            was_silent: AtomicBool::new(true),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's head was read. It is under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.lock();
        if state.is_resting() {
            state.answer = Answer::default();
        }
        state.under_way += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
        state.phase = Phase::Busy;
        state.next_id += 1;
        UnderWay {
            activity: Arc::clone(self),
            id: state.next_id,
            is_shared: state.is_shared,
        }
    }

    /// A request waits for its client's next message, until the guard is dropped.
    pub(super) fn rest(self: &Arc<Self>) -> Resting {
        let mut state = self.lock();
        state.resting += 1;
        state.settle();
        Resting(Arc::clone(self))
    }

    /// The body of a request is read, until the guard is dropped.
    pub(super) fn receive(self: &Arc<Self>) -> Receiving {
        let mut state = self.lock();
        if state.receiving == 0 {
            (state.received_from, state.received) = (Instant::now(), 0);
        }
        state.receiving += 1;
        Receiving(Arc::clone(self))
    }

    /// How long all that is under way has waited for its client to send or to read; that comes to less the more it sends meanwhile.
    pub(super) fn kept_waiting(&self, now: Instant) -> Option<Duration> {
        /// What a client sends at a time.
        const PIECE: u64 = 64 << 10;
        let state = self.lock();
        let since = |then: Instant| now.saturating_duration_since(then);
        let others = state.under_way.saturating_sub(state.resting + state.receiving);
        if others == 0 && state.receiving > 0 {
            let pieces = u32::try_from(1 + state.received / PIECE).unwrap_or(u32::MAX);
            return Some(since(state.received_from) / pieces);
        }
        if !state.is_shared {
            return state.answer.blocked.map(since);
        }
        let all_given = others > 0 && state.given.len() >= others;
        let last = all_given.then(|| state.given.values().max()).flatten();
        last.map(|last| since(*last))
    }

    /// The socket has nothing to read.
    pub(super) fn fell_silent(&self) {
        self.was_silent.store(true, Ordering::Relaxed);
    }

    /// Whether the socket had nothing to read since this was asked last.
    pub(super) fn has_been_silent(&self) -> bool {
        self.was_silent.swap(false, Ordering::Relaxed)
    }

    /// How many requests wait for their client's next message, where all do.
    pub(super) fn resting(&self) -> usize {
        let state = self.lock();
        if state.is_resting() { state.resting } else { 0 }
    }

    /// The client speaks HTTP/2.
    pub(super) fn share(&self) {
        let mut state = self.lock();
        (state.is_shared, state.phase) = (true, Phase::Idle);
    }

    /// Whether the connection is HTTP/2, which says goodbye before it ends.
    pub(super) fn is_shared(&self) -> bool {
        self.lock().is_shared
    }

    /// Requests that are under way, and a head that is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().phase != Phase::Idle
    }

    /// Since when nothing is under way that the server could answer: the longer, the sooner it may be closed for another.
    pub(super) fn without_request_since(&self) -> Option<Instant> {
        let state = self.lock();
        state.is_resting().then_some(state.since)
    }

    /// Which patience has ended.
    pub(super) fn overdue(&self, patience: &Patience, now: Instant) -> Option<Overdue> {
        let state = self.lock();
        let (taken, waited) = (state.answer.taken, state.answer.waited(now));
        let stands_still = |since: &Instant| now.saturating_duration_since(*since) > patience.answer.grace;
        if patience.answer.is_over(taken, waited) || state.given.values().any(stands_still) {
            return Some(Overdue::Answer);
        }
        let took = now.saturating_duration_since(state.since);
        match state.phase {
            Phase::Idle => (took > patience.idle).then_some(Overdue::Idle),
            Phase::Head => (took > patience.head).then_some(Overdue::Head),
            Phase::Busy => None,
        }
    }

    /// So many bytes came.
    pub(super) fn heard(&self, bytes: usize) {
        let mut state = self.lock();
        state.received += bytes as u64;
        // A frame need not be of a head, and a head that does not end is idleness.
        if state.phase == Phase::Idle && !state.is_shared {
            (state.phase, state.since) = (Phase::Head, Instant::now());
        }
    }

    /// The client took so many bytes.
    pub(super) fn wrote(&self, bytes: usize) {
        let answer = &mut self.lock().answer;
        answer.waited = answer.waited(Instant::now());
        answer.blocked = None;
        answer.taken += bytes as u64;
    }

    /// It takes none now.
    pub(super) fn blocked(&self) {
        self.lock().answer.blocked.get_or_insert_with(Instant::now);
    }
}

impl State {
    /// Whether nothing is under way but what waits for its client.
    fn is_resting(&self) -> bool {
        self.under_way <= self.resting
    }

    /// Notes that the last request has ended, or rests.
    fn settle(&mut self) {
        if self.is_resting() && self.phase == Phase::Busy {
            (self.phase, self.since) = (Phase::Idle, Instant::now());
        }
    }
}

/// A request that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    activity: Arc<Activity>,
    id: u64,
    is_shared: bool,
}

impl UnderWay {
    /// Whether others may be under way on the same connection.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// A part of the answer was handed over.
    pub(super) fn given(&self) {
        if self.is_shared {
            self.activity.lock().given.insert(self.id, Instant::now());
        }
    }

    /// The client took what was handed over.
    pub(super) fn taken(&self) {
        if self.is_shared {
            self.activity.lock().given.remove(&self.id);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.taken();
        self.activity.all.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.activity.lock();
        state.under_way = state.under_way.saturating_sub(1);
        state.settle();
    }
}

/// The connection of a request, which the request bears.
#[derive(Debug, Clone)]
pub(super) struct Presence(pub(super) Arc<Activity>);

/// A request that waits for its client, until it is dropped.
#[derive(Debug)]
pub(super) struct Resting(Arc<Activity>);

impl Drop for Resting {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.resting = state.resting.saturating_sub(1);
        if !state.is_resting() {
            state.phase = Phase::Busy;
        }
    }
}

/// A request whose body is read, until it is dropped.
#[derive(Debug)]
pub(super) struct Receiving(Arc<Activity>);

impl Drop for Receiving {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receiving = state.receiving.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
