//! Threads for decoding, drawing and compressing: work for the CPU, which must not hold up the threads that answer
//! requests. What compresses asks for a [`PoolThread`], which only the pool hands out.

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// See the module's text.
#[derive(Debug)]
pub struct Pool(rayon::ThreadPool);

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

impl Pool {
    /// A pool of so many threads; 0 for one a core.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when they cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("decode/{index}"))
            .build()
            .map(Self)
            .map_err(|e| Error::InvalidSettings(format!("decode_threads: {e}")))
    }

    /// Runs `work` on the pool. A caller that drops the future before the work has begun takes it back.
    ///
    /// # Errors
    /// What `work` answers; [`Error::Internal`] when it panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PoolThread) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, is_done) = oneshot::channel();
        self.0.spawn(move || {
            if !done.is_closed() {
                drop(done.send(work(&PoolThread(()))));
            }
        });
        is_done
            .await
            .map_err(|_| Error::Internal("a panic while an image was worked on".into()))?
    }

    /// Runs `work` on the pool while the calling thread waits; not for threads that answer requests.
    pub fn block<T: Send>(&self, work: impl FnOnce(&PoolThread) -> T + Send) -> T {
        self.0.install(|| work(&PoolThread(())))
    }
}
