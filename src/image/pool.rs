//! Threads for decoding, drawing and compressing: work for the CPU, which must not hold up the threads that answer
//! requests. What compresses asks for a [`PoolThread`], which only the pool hands out.
//!
//! Requests take turns: of one with many pictures, one is worked on, then one of the next request. Shorter work goes before longer
//! work, and long work never takes the last thread, so that a small picture waits for no gigantic one, and for no crowd of larger ones.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Length {
    /// Some milliseconds.
    Short,
    /// Some tens of milliseconds.
    Middling,
    /// Perhaps seconds.
    Long,
}

impl Length {
    /// Pixels that are worked on in some milliseconds.
    pub const SHORT_PIXELS: u64 = Self::MIDDLING_PIXELS / Self::SHORTER;

    /// Pixels that are worked on in some tens of milliseconds.
    pub const MIDDLING_PIXELS: u64 = 5_000_000;

    /// Bytes that are read or written in as long, number by number.
    const MIDDLING_BYTES: u64 = 32 << 20;

    /// Bytes of a file that are read in as long, however few pixels they are of.
    const MIDDLING_FILE: u64 = 4 << 20;

    /// How many times shorter short work is.
    const SHORTER: u64 = 8;

    /// How long work on so many pixels may take.
    #[must_use]
    pub fn of_pixels(pixels: u64) -> Self {
        Self::of(pixels, Self::MIDDLING_PIXELS)
    }

    /// How long it may take to read or to write so many bytes.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        Self::of(bytes, Self::MIDDLING_BYTES)
    }

    /// How long it takes at least to find the pixels in a file of so many bytes.
    #[must_use]
    pub fn of_file(bytes: usize) -> Self {
        Self::of(bytes as u64, Self::MIDDLING_FILE)
    }

    fn of(work: u64, middling: u64) -> Self {
        match work {
            _ if work > middling => Self::Long,
            _ if work > middling / Self::SHORTER => Self::Middling,
            _ => Self::Short,
        }
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
    /// By the length of the work.
    lanes: [Lane; 3],
    /// Long work that is under way, and how much of it there may be.
    long_running: usize,
    most_long: usize,
    stopped: bool,
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// Work by turn; the turn at the front is next.
#[derive(Default)]
struct Lane {
    turns: VecDeque<(Turn, VecDeque<Job>)>,
    /// How often shorter work went before it while it waited.
    overtaken: usize,
}

impl Lane {
    fn push(&mut self, turn: Turn, job: Job) {
        match self.turns.iter_mut().find(|(known, _)| *known == turn) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.turns.push_back((turn, VecDeque::from([job]))),
        }
    }

    fn pop(&mut self) -> Option<Job> {
        let (turn, mut jobs) = self.turns.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.turns.push_back((turn, jobs));
        }
        job
    }
}

impl Queues {
    const LENGTHS: [Length; 3] = [Length::Short, Length::Middling, Length::Long];

    /// How often shorter work may go before longer work that waits.
    const PATIENCE: usize = 8;

    fn push(&mut self, turn: Turn, length: Length, job: Job) {
        self.lanes[length as usize].push(turn, job);
    }

    /// The shortest work, but for what has waited for too much of it.
    fn next(&mut self) -> Option<(Length, Job)> {
        let long_may = self.long_running < self.most_long;
        let may = |length: Length| length != Length::Long || long_may;
        let waits =
            |queues: &Self, length: Length| may(length) && !queues.lanes[length as usize].turns.is_empty();
        let mut waiting = Self::LENGTHS.into_iter().filter(|length| waits(self, *length));
        let is_due = |length: &Length| self.lanes[*length as usize].overtaken >= Self::PATIENCE;
        let due = waiting.clone().rfind(is_due);
        let length = due.or_else(|| waiting.next())?;
        for longer in Self::LENGTHS.into_iter().filter(|longer| *longer > length) {
            if waits(self, longer) {
                self.lanes[longer as usize].overtaken += 1;
            }
        }
        self.lanes[length as usize].overtaken = 0;
        self.long_running += usize::from(length == Length::Long);
        self.lanes[length as usize].pop().map(|job| (length, job))
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
        self.shared.lock().push(turn, length, job);
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
mod tests;
