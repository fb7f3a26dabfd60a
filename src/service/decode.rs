//! From files to model inputs, side by side on the pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::state::Service;
use crate::error::{Error, Result};
use crate::image::{self, Fit, ModelInput, Picture};

/// The pictures of one request, as files: at least one, and no more than the limit.
#[derive(Debug, Clone)]
pub struct Pictures(Vec<Bytes>);

impl Pictures {
    /// These files, in the client's order.
    ///
    /// # Errors
    /// [`Error::EmptyBody`] when there is none, [`Error::InvalidBody`] when there are more than `most`.
    pub fn new(files: Vec<Bytes>, most: usize) -> Result<Self> {
        match files.len() {
            0 => Err(Error::EmptyBody("the body holds no image".into())),
            found if found > most => Err(Error::InvalidBody(format!(
                "{found} images in one request, at most {most}"
            ))),
            _ => Ok(Self(files)),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Whether the original pictures are kept, to be drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Originals {
    /// They are not: a large JPEG may then not be decoded to its last pixel.
    Dropped,
    /// They are.
    Kept,
}

/// One image, ready for its model.
pub(super) struct DecodedImage {
    /// The upright original, where it is kept.
    pub(super) original: Option<Picture>,
    /// What the model sees.
    pub(super) input: ModelInput,
}

/// Images with what they cost.
pub(super) struct DecodedImages {
    pub(super) images: Vec<DecodedImage>,
    /// From the first to the last, as a clock on the wall.
    pub(super) took: Duration,
}

impl Service {
    /// Decodes `pictures` side by side, and fits each to the model.
    ///
    /// # Errors
    /// The first image's that cannot be read, with its index when there are several.
    pub(super) async fn decode(
        &self,
        pictures: Pictures,
        fit: &Fit,
        originals: Originals,
    ) -> Result<DecodedImages> {
        let started = Instant::now();
        let several = pictures.count() > 1;
        let limits = self.limits().image;
        let under_way = pictures.0.into_iter().map(|bytes| {
            let (fit, metrics) = (fit.clone(), Arc::clone(self.metrics()));
            self.pool().run(move |_| {
                let started = Instant::now();
                let decoded = decode_one(&bytes, &limits, &fit, originals)?;
                metrics.decoded(started.elapsed());
                Ok(decoded)
            })
        });
        let under_way: Vec<_> = under_way.collect();
        let mut images = Vec::with_capacity(under_way.len());
        let decoded = futures_util::future::join_all(under_way).await;
        for (index, image) in decoded.into_iter().enumerate() {
            images.push(image.map_err(|e| if several { at(index, e) } else { e })?);
        }
        Ok(DecodedImages {
            images,
            took: started.elapsed(),
        })
    }
}

fn decode_one(bytes: &[u8], limits: &image::Limits, fit: &Fit, originals: Originals) -> Result<DecodedImage> {
    let (original, input) = match originals {
        Originals::Dropped => (None, image::model_input(bytes, limits, fit)?),
        Originals::Kept => {
            let (picture, input) = image::picture_and_model_input(bytes, limits, fit)?;
            (Some(picture), input)
        }
    };
    Ok(DecodedImage { original, input })
}

/// Says which of several images an error is about.
fn at(index: usize, error: Error) -> Error {
    let numbered = |text: String| format!("image {index}: {text}");
    match error {
        Error::EmptyBody(text) => Error::EmptyBody(numbered(text)),
        Error::InvalidImage(text) => Error::InvalidImage(numbered(text)),
        Error::ImageTooLarge(text) => Error::ImageTooLarge(numbered(text)),
        Error::UnsupportedMediaType(text) => Error::UnsupportedMediaType(numbered(text)),
        other => other,
    }
}
