//! From files to model inputs, side by side on the pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tracing::Instrument;

use super::state::Service;
use crate::error::{Error, Result};
use crate::image::{self, Fit, Length, Memory, ModelInput, Picture, Taken, Turn};
use crate::spans;

/// The pictures of one request, in the client's order: at least one, and no more than the limit.
#[derive(Debug, Clone)]
pub struct Pictures(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// As files.
    Files(Vec<Bytes>),
    /// As their model takes them.
    Prepared(Vec<ModelInput>),
}

impl Pictures {
    /// These files.
    ///
    /// # Errors
    /// [`Error::EmptyBody`] when there is none, [`Error::InvalidBody`] when there are more than `most`.
    pub fn new(files: Vec<Bytes>, most: usize) -> Result<Self> {
        at_most(files.len(), most)?;
        Ok(Self(Kind::Files(files)))
    }

    /// These inputs of a model, which are decoded and fitted already.
    ///
    /// # Errors
    /// As [`Pictures::new`].
    pub fn prepared(inputs: Vec<ModelInput>, most: usize) -> Result<Self> {
        at_most(inputs.len(), most)?;
        Ok(Self(Kind::Prepared(inputs)))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.0 {
            Kind::Files(files) => files.len(),
            Kind::Prepared(inputs) => inputs.len(),
        }
    }
}

fn at_most(found: usize, most: usize) -> Result<()> {
    match found {
        0 => Err(Error::EmptyBody("the body holds no image".into())),
        _ if found > most => Err(Error::InvalidBody(format!(
            "{found} images in one request, at most {most}"
        ))),
        _ => Ok(()),
    }
}

/// Whether the original pictures are kept, to be drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Originals {
    /// They are not: a large JPEG may then not be decoded to its last pixel.
    Dropped,
    /// They are, and themselves drawn on.
    DrawnOn,
    /// They are; what is drawn, is drawn on copies.
    Kept,
}

/// One image, ready for its model.
pub(super) struct DecodedImage {
    /// The upright original, where it is kept.
    pub(super) original: Option<Kept>,
    /// What the model sees.
    pub(super) input: ModelInput,
}

/// A picture that is kept, and the memory that it takes, with what drawing on it and compressing it will take.
#[derive(Debug)]
pub struct Kept {
    /// The picture.
    pub picture: Picture,
    /// The memory.
    pub taken: Taken,
}

/// Images with what they cost.
pub(super) struct DecodedImages {
    pub(super) images: Vec<DecodedImage>,
    /// From the first to the last, as a clock on the wall.
    pub(super) took: Duration,
}

impl DecodedImages {
    fn prepared(inputs: Vec<ModelInput>) -> Self {
        let seen = |input| DecodedImage {
            original: None,
            input,
        };
        Self {
            images: inputs.into_iter().map(seen).collect(),
            took: Duration::ZERO,
        }
    }
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
        let files = match pictures.0 {
            Kind::Files(files) => files,
            Kind::Prepared(inputs) => return Ok(DecodedImages::prepared(inputs)),
        };
        let turn = self.pool().turn();
        let under_way = files
            .into_iter()
            .map(|bytes| self.decode_one(turn, bytes, fit, originals));
        let mut images = Vec::with_capacity(under_way.len());
        let stage = spans::decode(under_way.len());
        let decoded = join_all(under_way).instrument(stage).await;
        // Where the pictures of this request alone leave no room, waiting would help nobody.
        let kept = decoded
            .iter()
            .filter_map(|image| image.as_ref().ok()?.original.as_ref());
        let own: u64 = kept.map(|kept| kept.taken.bytes()).sum();
        let is_full = decoded
            .iter()
            .any(|image| matches!(image, Err(Error::QueueFull { .. })));
        if is_full && own > self.answers().most() / 2 {
            return Err(Error::AnswerTooLarge(
                "to be drawn on, these pictures together take too much memory (max_answers_mb); send fewer at a time".into(),
            ));
        }
        for (index, image) in decoded.into_iter().enumerate() {
            images.push(image.map_err(|e| if several { at(index, e) } else { e })?);
        }
        Ok(DecodedImages {
            images,
            took: started.elapsed(),
        })
    }
}

impl Service {
    /// Decodes one image among the short work, and where it is too large for that, among longer.
    async fn decode_one(
        &self,
        turn: Turn,
        bytes: Bytes,
        fit: &Fit,
        originals: Originals,
    ) -> Result<DecodedImage> {
        let decode = |limits: &image::Limits, length| {
            let (bytes, limits, fit) = (bytes.clone(), limits.clone(), fit.clone());
            let (metrics, answers) = (Arc::clone(self.metrics()), Arc::clone(self.answers()));
            self.pool().run_in_turn(turn, length, move |_| {
                let started = Instant::now();
                let (original, input) = match originals {
                    Originals::Dropped => (None, image::model_input(&bytes, &limits, &fit)?),
                    Originals::DrawnOn | Originals::Kept => {
                        let (picture, input) = image::picture_and_model_input(&bytes, &limits, &fit)?;
                        let pixels = u64::from(picture.width()) * u64::from(picture.height());
                        let drawn = match originals {
                            Originals::Kept => drawn_cost(pixels),
                            _ => png_cost(pixels),
                        };
                        (Some(keep(picture, drawn, &answers)?), input)
                    }
                };
                metrics.decoded(started.elapsed());
                Ok(DecodedImage { original, input })
            })
        };
        let [short, middling, long] = &self.limits().images_by_length;
        let least = Length::of_file(bytes.len());
        for (limits, length) in [(short, Length::Short), (middling, Length::Middling)] {
            if length < least {
                continue;
            }
            match decode(limits, length).await {
                Err(Error::ImageTooLarge(_)) => {}
                decoded => return decoded,
            }
        }
        decode(long, Length::Long).await
    }
}

/// Bytes that a picture of so many pixels takes while something is drawn on a copy, which is compressed.
pub(super) fn drawn_cost(pixels: u64) -> u64 {
    // A copy in RGB.
    pixels.saturating_mul(3).saturating_add(png_cost(pixels))
}

/// Bytes of the PNG of so many pixels at worst: as many as the pixels themselves have.
fn png_cost(pixels: u64) -> u64 {
    pixels.saturating_mul(3)
}

/// Keeps `picture` until it is drawn on, which takes `drawn` bytes more. It is not waited for memory here: that would keep
/// a thread from decoding.
fn keep(picture: Picture, drawn: u64, answers: &Arc<Memory>) -> Result<Kept> {
    let bytes = picture.data().len() as u64 + drawn;
    if let Some(taken) = answers.take_now(bytes) {
        return Ok(Kept { picture, taken });
    }
    if bytes > answers.most() {
        return Err(Error::AnswerTooLarge(format!(
            "to be drawn on, the picture takes {} MiB, which is too much (max_answers_mb); send a smaller one",
            bytes.div_ceil(1 << 20)
        )));
    }
    Err(Error::QueueFull {
        queue: "answers (max_answers_mb)".into(),
        retry_after: Duration::from_secs(1),
    })
}

/// Says which of several images an error is about.
pub(super) fn at(index: usize, error: Error) -> Error {
    about(&format!("image {index}"), error)
}

/// Says which image an error is about.
pub(super) fn about(image: &str, error: Error) -> Error {
    let numbered = |text: String| format!("{image}: {text}");
    match error {
        Error::EmptyBody(text) => Error::EmptyBody(numbered(text)),
        Error::InvalidImage(text) => Error::InvalidImage(numbered(text)),
        Error::ImageTooLarge(text) => Error::ImageTooLarge(numbered(text)),
        Error::UnsupportedMediaType(text) => Error::UnsupportedMediaType(numbered(text)),
        Error::NothingDetected(text) => Error::NothingDetected(numbered(text)),
        // What a target means hangs on what the model sees.
        Error::InvalidParameter { name, message } if name == "target" => {
            Error::parameter(name, numbered(message))
        }
        other => other,
    }
}
