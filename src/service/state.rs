//! What every use case needs: the models, the threads that decode, the limits, the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Instrument;

use super::spare::Spare;
use super::turns::Turns;
use crate::catalog::{Catalog, Listed, Model, State};
use crate::config::{ModelControl, Settings};
use crate::error::{Error, Result};
use crate::image::{self, Length, Memory, Pool, PoolThread, Taken};
use crate::spans;
use crate::telemetry::{Metrics, Now};

/// The handle by which every protocol reaches the use cases. Clones share everything.
#[derive(Debug, Clone)]
pub struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    catalog: Catalog,
    pool: Pool,
    limits: Limits,
    answers: Arc<Memory>,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    control: ModelControl,
    turns: Turns,
    max_pass: Duration,
    spare: Spare,
}

/// What a request may ask for at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Of an image by the [`Length`] of its decoding; what exceeds some is held to the next.
    pub(super) images_by_length: [image::Limits; 3],
    /// Images in one request.
    pub images: usize,
    /// Saliency maps in one request.
    pub maps: usize,
    /// Passes through a model for one explanation request, forward and backward.
    pub passes: usize,
}

impl Limits {
    /// Those of these settings.
    #[must_use]
    pub fn new(settings: &Settings, decode_threads: usize) -> Self {
        /// Enough for any way of storing a small picture but some rare ones.
        const SMALL_MB_A_THREAD: u64 = 24;
        /// Strips or tiles of a TIFF that are unpacked in as long as middling pictures are.
        const MIDDLING_PIECES: usize = 4096;
        let largest = settings.max_image_mpx * 1_000_000;
        let memory = Memory::new((SMALL_MB_A_THREAD * decode_threads as u64) << 20);
        let within = |pixels: u64, pieces| image::Limits {
            max_pixels: pixels.min(largest),
            max_pieces: pieces,
            memory: Arc::clone(&memory),
            ..image::Limits::default()
        };
        Self {
            images_by_length: [
                within(Length::SHORT_PIXELS, MIDDLING_PIECES / 8),
                within(Length::MIDDLING_PIXELS, MIDDLING_PIECES),
                image::Limits {
                    max_pixels: largest,
                    memory: Memory::new(settings.max_decode_mb << 20),
                    ..image::Limits::default()
                },
            ],
            images: settings.max_images,
            maps: settings.max_maps,
            passes: settings.max_passes,
        }
    }
}

impl Service {
    /// A service of the models in `catalog`, which may still have to be loaded.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when the decoding threads cannot be started.
    pub fn new(catalog: Catalog, settings: &Settings, metrics: Arc<Metrics>) -> Result<Self> {
        let pool = Pool::new(settings.decode_threads)?;
        Ok(Self(Arc::new(Shared {
            catalog,
            limits: Limits::new(settings, pool.threads()),
            pool,
            answers: Memory::new(settings.max_answers_mb << 20),
            metrics,
            draining: AtomicBool::new(false),
            control: settings.model_control,
            turns: Turns::default(),
            max_pass: Duration::from_secs(settings.max_pass_s),
            spare: Spare::default(),
        })))
    }

    /// Turns for what may wait until nobody else computes.
    pub(super) fn spare(&self) -> &Spare {
        &self.0.spare
    }

    /// How models come and go.
    pub(super) fn control(&self) -> ModelControl {
        self.0.control
    }

    /// The models that are being changed, each by one request.
    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// The models, to be loaded, replaced and unloaded.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// Threads for whatever is made of an answer: drawing, compressing, writing large JSON.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// What a request may ask for at most.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The memory of answers.
    pub(super) fn answers(&self) -> &Arc<Memory> {
        &self.0.answers
    }

    /// Memory for an answer of so many bytes, until it is dropped, for a request that holds `own` bytes of it already. Only
    /// one that holds none waits for more; two that do could wait for each other.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`] where there never is that much; [`Error::QueueFull`] where it is not there at once for a
    /// request that holds some.
    pub async fn hold(&self, bytes: u64, own: u64) -> Result<Taken> {
        /// How often it is looked whether another answer has gone.
        const LOOK: Duration = Duration::from_millis(10);
        let most = self.0.answers.most();
        if bytes.saturating_add(own) > most {
            return Err(Error::AnswerTooLarge(format!(
                "the answer would take {} MiB of memory, at most {} are allowed (max_answers_mb); ask for fewer maps or \
                 pictures, for an array or binary tensors, or for a lower resolution, or send a smaller picture",
                bytes.saturating_add(own).div_ceil(1 << 20),
                most >> 20
            )));
        }
        loop {
            match self.0.answers.take_now(bytes) {
                Some(taken) => return Ok(taken),
                None if own > 0 => {
                    return Err(Error::QueueFull {
                        queue: "answers (max_answers_mb)".into(),
                        retry_after: Duration::from_secs(1),
                    });
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// [`Service::hold`] for the numbers of a request in JSON, each of so many bytes.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] where there never is that much; as [`Service::hold`].
    pub async fn hold_numbers(&self, numbers: u64, bytes_a_number: u64) -> Result<Taken> {
        let held = self.hold(numbers.saturating_mul(bytes_a_number), 0).await;
        held.map_err(|error| match error {
            Error::AnswerTooLarge(_) => Error::InvalidBody(format!(
                "the JSON has about {numbers} numbers, which take more memory than there is for them (max_answers_mb); send \
                 them in binary, as an NPY array or as a binary tensor"
            )),
            other => other,
        })
    }

    /// Makes an answer of what was computed, by `work` of this length on the pool.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub async fn write<T: Send + 'static>(
        &self,
        length: Length,
        work: impl FnOnce(&PoolThread) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let written = self.pool().run_for(length, work);
        written.instrument(spans::encode()).await
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Every model and its state.
    #[must_use]
    pub fn models(&self) -> Vec<Listed> {
        self.0.catalog.list()
    }

    /// One model, whatever its state.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]
    pub fn find(&self, name: &str) -> Result<Listed> {
        self.0.catalog.find(name)
    }

    /// The model that answers for `name`.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`], [`Error::NotReady`].
    pub fn model(&self, name: &str) -> Result<Arc<Model>> {
        self.version(name, None)
    }

    /// [`Service::model`], in this version where one is asked for.
    ///
    /// # Errors
    /// As [`Service::model`].
    pub fn version(&self, name: &str, version: Option<&str>) -> Result<Arc<Model>> {
        self.0.catalog.get(name, version)
    }

    /// The versions of the model `name` that are loaded, oldest first.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]
    pub fn versions(&self, name: &str) -> Result<Vec<String>> {
        self.0.catalog.versions(name)
    }

    /// Whether every required model answers, and the server goes on.
    ///
    /// # Errors
    /// [`Error::NotReady`] with what is missing.
    pub fn ready(&self) -> Result<()> {
        if self.0.draining.load(Ordering::Relaxed) {
            return Err(Error::NotReady("the server is shutting down".into()));
        }
        let longest = self.0.catalog.longest_pass();
        if longest > self.0.max_pass {
            let seconds = longest.as_secs();
            return Err(Error::NotReady(format!(
                "a pass through a model has not ended for {seconds} s (max_pass_s); restart the server"
            )));
        }
        self.0.catalog.ready()
    }

    /// What is so now, for the metrics.
    #[must_use]
    pub fn now(&self) -> Now {
        let models = self.models().into_iter();
        let answers = |listed: Listed| {
            (
                listed.name,
                matches!(listed.state, State::Ready(_) | State::Resting),
            )
        };
        Now {
            models: models.map(answers).collect(),
            longest_pass: self.0.catalog.longest_pass(),
        }
    }

    /// From now on the service is not ready. Requests under way go on as before.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}
