//! What only a VAE does: latents to pictures, random ones, and the way between two pictures.

use std::sync::Arc;
use std::time::Duration;

use super::decode::{Originals, Pictures};
use super::spent::Spent;
use super::state::Service;
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::{Error, Result, counted};
use crate::tasks::Frame;
use crate::tasks::bounds::within;
use crate::tasks::vae::{self, Encode, LatentPoint, Path};

/// Pictures that a VAE makes of random latents, or on a way, for one request at most.
const MOST_FRAMES: usize = 64;

/// Pictures of latents, in their order.
#[derive(Debug)]
pub struct Decoded {
    /// The model that answered.
    pub model: Arc<Model>,
    /// Each latent and its picture.
    pub frames: Vec<(LatentPoint, Frame)>,
    /// What it cost.
    pub spent: Spent,
}

/// Random latents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// How many.
    pub n: usize,
    /// The same seed gives the same latents.
    pub seed: u64,
    /// The standard deviation, 0 to 10; lower is more typical.
    pub temperature: f32,
}

/// The way between the latents of two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Pictures on the way, both ends among them.
    pub steps: usize,
    /// Along which line.
    pub path: Path,
}

impl Service {
    /// The pictures of `latents`.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] when the model is no VAE; [`Error::EmptyBody`] without latents,
    /// [`Error::InvalidParameter`] when one does not fit, both before a place is taken; those of admission and of the
    /// computation.
    pub async fn decode_latents(
        &self,
        model: &Arc<Model>,
        latents: Vec<Vec<f32>>,
        context: &Context,
    ) -> Result<Decoded> {
        let engine = model.vae()?;
        if latents.is_empty() {
            return Err(Error::EmptyBody("the body holds no latent".into()));
        }
        let points = latents
            .into_iter()
            .map(|latent| LatentPoint::new(&model.spec, latent));
        let points = points.collect::<Result<Vec<_>>>()?;
        let places = engine.admit(points.len())?;
        let inputs = (places, points.clone());
        let done = self
            .computed::<vae::Decode>(model, engine, inputs, &(), (Duration::ZERO, context))
            .await?;
        Ok(Decoded {
            frames: points.into_iter().zip(done.outputs).collect(),
            model: done.model,
            spent: done.spent,
        })
    }

    /// The pictures of random latents.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when `draw` is out of bounds; as [`Service::decode_latents`].
    pub async fn sample(&self, model: &Arc<Model>, draw: Draw, context: &Context) -> Result<Decoded> {
        model.vae()?;
        let n = within("n", draw.n, 1, MOST_FRAMES)?;
        let temperature = within("temperature", draw.temperature, 0.0, 10.0)?;
        let latents = vae::draw(n, model.spec.latent_size(), draw.seed, temperature);
        self.decode_latents(model, latents, context).await
    }

    /// The pictures on the way from one picture to another.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when `way` is out of bounds, [`Error::InvalidBody`] when there are not two pictures; as
    /// [`Service::predict`] and [`Service::decode_latents`].
    pub async fn interpolate(
        &self,
        model: &Arc<Model>,
        pictures: Pictures,
        way: Way,
        context: &Context,
    ) -> Result<Decoded> {
        let engine = model.vae()?;
        let steps = within("steps", way.steps, 2, MOST_FRAMES)?;
        let asked = (pictures, Originals::Dropped);
        let found = asked.0.count();
        let images = counted(found, "image");
        let two = || Error::InvalidBody(format!("found {images}, expected two to go from and to"));
        if found != 2 {
            return Err(two());
        }
        // A client that cannot get places for the way learns it before its ends are computed.
        drop(engine.admit(steps)?);
        let ends = self.predict::<Encode>(model, engine, asked, &(), context).await?;
        let [from, to] = ends.outputs.try_into().map_err(|_| two())?;
        let last = (steps - 1) as f32;
        let latents = (0..steps).map(|step| way.path.at(&from.mu, &to.mu, step as f32 / last));
        self.decode_latents(model, latents.collect(), context).await
    }
}
