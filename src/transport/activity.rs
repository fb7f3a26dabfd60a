//! What a connection is doing, as its socket shows it, and whether its client is too slow.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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

/// See the module's text.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests whose answer has not ended.
    under_way: usize,
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
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            under_way: 0,
            phase: Phase::Idle,
            since: Instant::now(),
            answer: Answer::default(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's head was read. It is under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.lock();
        state.under_way += 1;
        state.phase = Phase::Busy;
        state.answer = Answer::default();
        UnderWay(Arc::clone(self))
    }

    /// Requests that are under way, and a head that is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().phase != Phase::Idle
    }

    /// Since when nothing is under way that the server could answer: the longer, the sooner it may be closed for another.
    pub(super) fn without_request_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.under_way == 0).then_some(state.since)
    }

    /// Which patience has ended.
    pub(super) fn overdue(&self, patience: &Patience, now: Instant) -> Option<Overdue> {
        let state = self.lock();
        let (taken, waited) = (state.answer.taken, state.answer.waited(now));
        if patience.answer.is_over(taken, waited) {
            return Some(Overdue::Answer);
        }
        let took = now.saturating_duration_since(state.since);
        match state.phase {
            Phase::Idle => (took > patience.idle).then_some(Overdue::Idle),
            Phase::Head => (took > patience.head).then_some(Overdue::Head),
            Phase::Busy => None,
        }
    }

    fn heard(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Idle {
            (state.phase, state.since) = (Phase::Head, Instant::now());
        }
    }

    fn wrote(&self, bytes: usize) {
        let answer = &mut self.lock().answer;
        answer.waited = answer.waited(Instant::now());
        answer.blocked = None;
        answer.taken += bytes as u64;
    }

    fn blocked(&self) {
        self.lock().answer.blocked.get_or_insert_with(Instant::now);
    }
}

/// A request that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way = state.under_way.saturating_sub(1);
        if state.under_way == 0 {
            (state.phase, state.since) = (Phase::Idle, Instant::now());
        }
    }
}

/// A socket that tells what happens on it.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }

    fn tell(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.activity.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.tell(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.tell(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
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
        let activity = Activity::new();
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
    fn an_answer_is_taken_at_some_pace() {
        let activity = Activity::new();
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
