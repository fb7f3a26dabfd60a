//! What a connection is doing, as its socket and its answers show it, and whether its client is too slow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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
}

#[derive(Debug)]
struct State {
    /// Requests whose answer has not ended.
    under_way: usize,
    /// Those of them that wait for their client's next message.
    resting: usize,
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

    /// Something came.
    pub(super) fn heard(&self) {
        let mut state = self.lock();
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        answer: Pace {
            grace: Duration::from_secs(10),
            bytes_a_second: 1000,
        },
    };

    #[test]
    fn each_phase_has_its_own_patience() {
        let activity = Activity::new(Arc::default());
        let overdue = |seconds| activity.overdue(&PATIENCE, Instant::now() + seconds * SECOND);
        assert_eq!((overdue(70), overdue(80)), (None, Some(Overdue::Idle)));
        activity.heard();
        assert_eq!((overdue(9), overdue(11)), (None, Some(Overdue::Head)));
        let request = activity.begin();
        assert_eq!(overdue(3600), None, "the server is at work");
        activity.heard();
        assert_eq!(overdue(3600), None, "a body is not a head");
        drop(request);
        assert_eq!(overdue(80), Some(Overdue::Idle));
    }

    #[test]
    fn of_a_shared_connection_each_answer_has_to_move() {
        let activity = Activity::new(Arc::default());
        activity.share();
        activity.heard();
        let overdue = |seconds| activity.overdue(&PATIENCE, Instant::now() + seconds * SECOND);
        assert_eq!((overdue(70), overdue(80)), (None, Some(Overdue::Idle)), "no head");
        let (moving, still) = (activity.begin(), activity.begin());
        moving.given();
        moving.taken();
        assert_eq!(overdue(3600), None, "the server is at work");
        still.given();
        assert_eq!((overdue(9), overdue(11)), (None, Some(Overdue::Answer)));
        drop(still);
        assert_eq!(overdue(3600), None);
    }

    #[test]
    fn who_waits_for_a_message_is_idle() {
        let activity = Activity::new(Arc::default());
        let _stream = activity.begin();
        assert!(activity.is_busy());
        let resting = activity.rest();
        assert_eq!(activity.resting(), 1);
        assert!(!activity.is_busy() && activity.without_request_since().is_some());
        let request = activity.begin();
        assert_eq!((activity.is_busy(), activity.resting()), (true, 0));
        drop(request);
        drop(resting);
        assert!(activity.is_busy() && activity.without_request_since().is_none());
    }

    #[test]
    fn an_answer_is_taken_at_some_pace() {
        let activity = Activity::new(Arc::default());
        let _request = activity.begin();
        let overdue = |seconds| activity.overdue(&PATIENCE, Instant::now() + seconds * SECOND);
        activity.wrote(20_000);
        assert_eq!(overdue(100), None, "the client does not make anybody wait");
        activity.blocked();
        assert_eq!((overdue(29), overdue(31)), (None, Some(Overdue::Answer)));
        activity.wrote(1);
        assert_eq!(overdue(100), None, "it reads on");
    }
}
