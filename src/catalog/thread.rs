//! The thread that loads and retires models, so that nobody else waits for libtorch.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::engine;
use crate::error::{Error, Result};
use crate::runtime::process::release_unused_memory;

/// How long a pass holds up the loading of other models: as long as one of some length takes.
const PATIENCE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// A queue of jobs, which one thread does one after the other. Clones are of the same thread, which ends when it is
/// [stopped](LoaderThread::stop).
///
/// Its queue has no bound of its own: a caller that asks for a load waits for its answer, and a model is retired once.
#[derive(Clone)]
pub(super) struct LoaderThread(Arc<Shared>);

struct Shared {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Threads that wait for workers whose pass does not end.
    late: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for LoaderThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoaderThread").finish_non_exhaustive()
    }
}

impl Shared {
    fn late(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `workers` on a thread of their own.
    fn wait_for(&self, workers: Vec<JoinHandle<()>>) {
        tracing::warn!("a model is taken out, but a pass of it does not end: its memory is free only then");
        let waiting = std::thread::Builder::new().name("retire".into()).spawn(move || {
            engine::join(workers);
            release_unused_memory();
        });
        let mut late = self.late();
        late.retain(|thread| !thread.is_finished());
        // Without a thread nobody waits for them.
        late.extend(waiting);
    }
}

/// Waits for `workers` to end, no longer than `patience`; those that have not.
fn ended(mut workers: Vec<JoinHandle<()>>, patience: Duration) -> Vec<JoinHandle<()>> {
    const LOOK: Duration = Duration::from_millis(1);
    let until = Instant::now() + patience;
    loop {
        let (done, late) = workers.into_iter().partition(JoinHandle::is_finished);
        engine::join(done);
        if late.is_empty() || Instant::now() >= until {
            return late;
        }
        workers = late;
        std::thread::sleep(LOOK);
    }
}

impl LoaderThread {
    /// # Errors
    /// [`Error::InvalidSettings`] when it cannot be started.
    pub(super) fn start() -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("loader".into())
            .spawn(move || queue.into_iter().for_each(|job| job()))
            .map_err(|e| Error::InvalidSettings(format!("cannot start the loader's thread: {e}")))?;
        Ok(Self(Arc::new(Shared {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            late: Mutex::default(),
        })))
    }

    /// Hands `job` to the thread; it is dropped where the thread was stopped.
    fn send(&self, job: Job) {
        let jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            // It only fails where the thread panicked; the caller that waits for the job then learns that.
            drop(jobs.send(job));
        }
    }

    /// Runs `work` on the thread, after what was asked before.
    ///
    /// # Errors
    /// What `work` answers; [`Error::NotReady`] when the thread was stopped.
    pub(super) fn run<T: Send + 'static, F: FnOnce() -> Result<T> + Send + 'static>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<T>> + use<T, F> {
        let (done, is_done) = oneshot::channel();
        self.send(Box::new(move || drop(done.send(work()))));
        async move {
            let stopped = |_| Err(Error::NotReady("the server is shutting down".into()));
            is_done.await.unwrap_or_else(stopped)
        }
    }

    /// Waits for `workers` to end, on the thread: what comes next finds their memory free. A pass that does not end holds it up for
    /// a short time, and then another thread. Nobody waits where it was stopped.
    pub(super) fn retire(&self, workers: Vec<JoinHandle<()>>) {
        if workers.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.0);
        self.send(Box::new(move || {
            let late = ended(workers, PATIENCE);
            if !late.is_empty() {
                shared.wait_for(late);
            }
            release_unused_memory();
        }));
    }

    /// Waits for what was asked of the thread, and ends it. Nothing is run from then on.
    pub(super) fn stop(&self) {
        drop(self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic of a job has been logged where it happened.
            drop(thread.join());
        }
        for late in std::mem::take(&mut *self.0.late()) {
            drop(late.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_not_end_is_waited_for_elsewhere() {
        let (end, ends) = mpsc::channel::<()>();
        let worker = |ends: Option<mpsc::Receiver<()>>| {
            std::thread::spawn(move || {
                if let Some(ends) = ends {
                    ends.recv().unwrap_or_default();
                }
            })
        };
        let workers = vec![worker(None), worker(Some(ends))];
        let late = ended(workers, Duration::from_millis(200));
        assert_eq!(late.len(), 1);
        let loader = LoaderThread::start().expect("a thread");
        loader.0.wait_for(late);
        assert_eq!(loader.0.late().len(), 1);
        let (done, is_done) = mpsc::channel();
        loader.send(Box::new(move || done.send(()).expect("somebody waits")));
        assert_eq!(
            is_done.recv_timeout(Duration::from_secs(10)),
            Ok(()),
            "it goes on"
        );
        drop(end);
        loader.stop();
        assert!(loader.0.late().is_empty(), "it was waited for");
    }
}
