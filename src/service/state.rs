//! What every use case needs: the models, the threads that decode, the limits, the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{Catalog, Listed, Model};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::image::{self, Pool};
use crate::telemetry::Metrics;

/// See the module's text. Clones share everything.
#[derive(Debug, Clone)]
pub struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    catalog: Catalog,
    pool: Pool,
    limits: Limits,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
}

/// What a request may ask for at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one image.
    pub image: image::Limits,
    /// Images in one request.
    pub images: usize,
    /// Pictures that a VAE makes for one request.
    pub frames: usize,
}

impl Limits {
    /// Those of these settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            image: image::Limits {
                max_pixels: settings.max_image_mpx * 1_000_000,
                ..image::Limits::default()
            },
            images: settings.max_images,
            frames: settings.max_images.max(64),
        }
    }
}

impl Service {
    /// A service of the models in `catalog`, which may still have to be loaded.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] when the decoding threads cannot be started.
    pub fn new(catalog: Catalog, settings: &Settings, metrics: Arc<Metrics>) -> Result<Self> {
        Ok(Self(Arc::new(Shared {
            catalog,
            pool: Pool::new(settings.decode_threads)?,
            limits: Limits::new(settings),
            metrics,
            draining: AtomicBool::new(false),
        })))
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
        self.0.catalog.get(name, None)
    }

    /// Whether every required model answers, and the server goes on.
    ///
    /// # Errors
    /// [`Error::NotReady`] with what is missing.
    pub fn ready(&self) -> Result<()> {
        if self.0.draining.load(Ordering::Relaxed) {
            return Err(Error::NotReady("the server is shutting down".into()));
        }
        self.0.catalog.ready()
    }

    /// From now on the service is not ready. Requests under way go on as before.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}
