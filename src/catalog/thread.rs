//! The thread that loads and retires models, so that nobody else waits for libtorch.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::engine;
use crate::error::{Error, Result};
use crate::runtime::process::release_unused_memory;

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
}

impl std::fmt::Debug for LoaderThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoaderThread").finish_non_exhaustive()
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

    /// Waits for `workers` to end on the thread; on the calling one where it was stopped.
    pub(super) fn retire(&self, workers: Vec<JoinHandle<()>>) {
        if workers.is_empty() {
            return;
        }
        self.send(Box::new(move || {
            engine::join(workers);
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
    }
}
