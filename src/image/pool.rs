//! Threads for decoding, drawing and compressing: work for the CPU, which must not hold up the threads that answer
//! requests. What compresses asks for a [`PoolThread`], which only the pool hands out.
//!
//! Requests take turns: of one with many pictures, one is worked on, then one of the next request. Long work goes behind
//! short work, and never takes the last thread, so that a small picture waits for no gigantic one.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A fixed number of threads, with the work that waits for them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: usize,
    next_turn: AtomicU64,
}

/// Whose work it is: the pieces of one request have one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn(u64);

/// How long a piece of work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Some tens of milliseconds.
    Short,
    /// Perhaps seconds.
    Long,
}

impl Length {
    /// Pixels that are worked on in a short time.
    pub const SHORT_PIXELS: u64 = 5_000_000;

    /// Bytes that are read or written in a short time, number by number.
    const SHORT_BYTES: u64 = 32 << 20;

    /// How long work on so many pixels may take.
    #[must_use]
    pub fn of_pixels(pixels: u64) -> Self {
        Self::of(pixels, Self::SHORT_PIXELS)
    }

    /// How long it may take to read or to write so many bytes.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        Self::of(bytes, Self::SHORT_BYTES)
    }

    fn of(work: u64, short: u64) -> Self {
        if work > short { Self::Long } else { Self::Short }
    }
}

/// The knowledge that the code runs on a thread of a [`Pool`].
///
/// ```
/// # use lucarne::{error::Result, image::{Picture, PoolThread, encode_png}};
/// fn compress(thread: &PoolThread, picture: &Picture) -> Result<Vec<u8>> {
///     encode_png(thread, picture)
/// }
/// ```
///
/// Without it nothing is compressed:
///
/// ```compile_fail
/// # use lucarne::{error::Result, image::{Picture, encode_png}};
/// fn compress(picture: &Picture) -> Result<Vec<u8>> {
///     encode_png(picture)
/// }
/// ```
#[derive(Debug)]
pub struct PoolThread(());

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
}

/// What waits.
#[derive(Default)]
struct Queues {
    short: Lane,
    long: Lane,
    /// Long work that is under way, and how much of it there may be.
    long_running: usize,
    most_long: usize,
    /// How often short work went before long work that waited.
    overtaken: usize,
    stopped: bool,
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// Work by turn; the turn at the front is next.
#[derive(Default)]
struct Lane(VecDeque<(Turn, VecDeque<Job>)>);

impl Lane {
    fn push(&mut self, turn: Turn, job: Job) {
        match self.0.iter_mut().find(|(known, _)| *known == turn) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.0.push_back((turn, VecDeque::from([job]))),
        }
    }

    fn pop(&mut self) -> Option<Job> {
        let (turn, mut jobs) = self.0.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.0.push_back((turn, jobs));
        }
        job
    }
}

impl Queues {
    /// How often short work may go before long work that waits.
    const PATIENCE: usize = 8;

    fn next(&mut self) -> Option<(Length, Job)> {
        let long_waits = !self.long.0.is_empty() && self.long_running < self.most_long;
        let short_is_next = !long_waits || self.overtaken < Self::PATIENCE;
        if short_is_next && let Some(job) = self.short.pop() {
            self.overtaken = if long_waits { self.overtaken + 1 } else { 0 };
            return Some((Length::Short, job));
        }
        if !long_waits {
            return None;
        }
        self.overtaken = 0;
        self.long_running += 1;
        self.long.pop().map(|job| (Length::Long, job))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does until the pool is dropped.
    fn work(&self) {
        let mut queues = self.lock();
        loop {
            match queues.next() {
                Some((length, job)) => {
                    drop(queues);
                    // It was logged where it happened; the caller that waits for the job learns that it has no answer.
                    drop(catch_unwind(AssertUnwindSafe(job)));
                    if length == Length::Long {
                        // Between two large pictures the heap would grow: the hole that one leaves no longer fits the next.
                        torch_bridge::release_heap(0);
                    }
                    queues = self.lock();
                    if length == Length::Long {
                        queues.long_running -= 1;
                        self.changed.notify_one();
                    }
                }
                None if queues.stopped => return,
                None => queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Pool {
    /// A pool of so many threads; 0 for one a core.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when they cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = if threads == 0 { cores } else { threads };
        let pool = Self {
            shared: Arc::new(Shared {
                queues: Mutex::new(Queues {
                    most_long: (threads - 1).max(1),
                    ..Queues::default()
                }),
                changed: Condvar::new(),
            }),
            threads,
            next_turn: AtomicU64::new(0),
        };
        for index in 0..threads {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new()
                .name(format!("decode/{index}"))
                .spawn(move || shared.work())
                .map_err(|e| Error::InvalidSettings(format!("decode_threads: {e}")))?;
        }
        Ok(pool)
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// A turn for the work of one request.
    pub fn turn(&self) -> Turn {
        Turn(self.next_turn.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs short `work` on the pool. A caller that drops the future before the work has begun takes it back.
    ///
    /// # Errors
    /// What `work` answers; [`Error::Internal`] when it panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PoolThread) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run_for(Length::Short, work).await
    }

    /// [`Pool::run`] for work of this length.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub async fn run_for<T: Send + 'static>(
        &self,
        length: Length,
        work: impl FnOnce(&PoolThread) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run_in_turn(self.turn(), length, work).await
    }

    /// [`Pool::run`] for work that takes about as long as it takes to copy so many bytes: where they are few it is done here, since
    /// waking a thread takes longer than that.
    ///
    /// # Errors
    /// What `work` answers; as [`Pool::run`].
    pub async fn run_over<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        const FEW: usize = 512 << 10;
        match bytes {
            ..=FEW => work(),
            _ => {
                self.run_for(Length::of_bytes(bytes as u64), move |_| work())
                    .await
            }
        }
    }

    /// [`Pool::run`] for a piece of work of this turn and length.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub fn run_in_turn<T: Send + 'static, W: FnOnce(&PoolThread) -> Result<T> + Send + 'static>(
        &self,
        turn: Turn,
        length: Length,
        work: W,
    ) -> impl Future<Output = Result<T>> + use<T, W> {
        let (done, is_done) = oneshot::channel();
        let job = Box::new(move || {
            if !done.is_closed() {
                drop(done.send(work(&PoolThread(()))));
            }
        });
        let mut queues = self.shared.lock();
        match length {
            Length::Short => queues.short.push(turn, job),
            Length::Long => queues.long.push(turn, job),
        }
        drop(queues);
        self.shared.changed.notify_one();
        async move {
            let panicked = |_| Err(Error::Internal("a panic while an image was worked on".into()));
            is_done.await.unwrap_or_else(panicked)
        }
    }

    /// Runs `work` on the calling thread as if it were one of the pool's; not for threads that answer requests.
    pub fn block<T>(&self, work: impl FnOnce(&PoolThread) -> T) -> T {
        work(&PoolThread(()))
    }
}

impl Drop for Pool {
    /// The threads end with what waits.
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn job(sent: &mpsc::Sender<&'static str>, name: &'static str) -> Job {
        let sent = sent.clone();
        Box::new(move || sent.send(name).expect("a receiver"))
    }

    /// The names of what is run, in order, where all of it waits from the start.
    fn order(mut queues: Queues, ran: &mpsc::Receiver<&'static str>) -> Vec<&'static str> {
        while let Some((length, job)) = queues.next() {
            job();
            if length == Length::Long {
                queues.long_running -= 1;
            }
        }
        ran.try_iter().collect()
    }

    #[test]
    fn requests_take_turns() {
        let (sent, ran) = mpsc::channel();
        let mut queues = Queues::default();
        for name in ["many 1", "many 2", "many 3"] {
            queues.short.push(Turn(1), job(&sent, name));
        }
        queues.short.push(Turn(2), job(&sent, "one"));
        assert_eq!(order(queues, &ran), ["many 1", "one", "many 2", "many 3"]);
    }

    #[test]
    fn long_work_goes_behind_short_work_but_not_for_ever() {
        let (sent, ran) = mpsc::channel();
        let mut queues = Queues {
            most_long: 1,
            ..Queues::default()
        };
        queues.long.push(Turn(0), job(&sent, "long"));
        (1..=10).for_each(|turn| queues.short.push(Turn(turn), job(&sent, "short")));
        let order = order(queues, &ran);
        assert_eq!(
            order.iter().position(|name| *name == "long"),
            Some(Queues::PATIENCE)
        );
        assert_eq!(order.len(), 11);
    }

    #[tokio::test]
    async fn long_work_leaves_a_thread_to_short_work() {
        let pool = Pool::new(2).expect("threads");
        let (end, ends) = mpsc::channel::<()>();
        let ends = Arc::new(Mutex::new(ends));
        let long = |_| {
            let ends = Arc::clone(&ends);
            pool.run_in_turn(pool.turn(), Length::Long, move |_| {
                ends.lock().expect("nobody panicked").recv().unwrap_or_default();
                Ok(())
            })
        };
        let long: Vec<_> = (0..4).map(long).collect();
        assert_eq!(pool.run(|_| Ok(7)).await, Ok(7), "it does not wait for them");
        drop(end);
        for one in long {
            assert_eq!(one.await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_threads_go_on() {
        let pool = Pool::new(1).expect("a thread");
        let panics = pool.run::<()>(|_| panic!("on purpose"));
        assert!(matches!(panics.await, Err(Error::Internal(_))));
        assert_eq!(pool.run(|_| Ok(1)).await, Ok(1));
    }
}
