//! Decoding and resizing on a pool of its own, one thread a core: it is CPU work, and must not hold up the
//! threads that answer requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::oneshot;

use super::App;
use crate::error::{Error, Result};
use crate::image::{self, Fit, Limits, Picture, Tile};

/// What is needed of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    /// What the model sees; a large JPEG is then not decoded to its last pixel.
    Tile,
    /// The original as well, to draw on.
    PictureToo,
}

/// One image, ready for its model.
pub(super) struct Decoded {
    /// The upright original, where it is needed.
    pub(super) picture: Option<Picture>,
    /// What the model sees.
    pub(super) tile: Tile,
}

/// Images with what they cost.
pub(super) struct Batch {
    pub(super) images: Vec<Decoded>,
    /// From the first to the last, as a clock on the wall.
    pub(super) took: Duration,
}

/// Runs `work` on the pool.
///
/// # Errors
/// What `work` answers; [`Error::Internal`] when it panics.
pub(super) async fn on_pool<T: Send + 'static>(
    app: &App,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, is_done) = oneshot::channel();
    app.pool.spawn(move || {
        // A client that has left wants nothing: the work is not even begun.
        if !done.is_closed() {
            drop(done.send(work()));
        }
    });
    is_done
        .await
        .map_err(|_| Error::Internal("a panic while an image was worked on".into()))?
}

/// Decodes `images` side by side, and fits each to the model.
///
/// # Errors
/// The first image's that cannot be read, with its index when there are several.
pub(super) async fn decode(app: &App, images: Vec<Bytes>, fit: &Fit, needed: Needed) -> Result<Batch> {
    let started = Instant::now();
    let several = images.len() > 1;
    let limits = app.limits;
    let under_way: Vec<_> = images
        .into_iter()
        .map(|bytes| {
            let (fit, metrics) = (fit.clone(), Arc::clone(&app.metrics));
            on_pool(app, move || {
                let started = Instant::now();
                let decoded = decode_one(&bytes, &limits, &fit, needed)?;
                metrics.decoded(started.elapsed());
                Ok(decoded)
            })
        })
        .collect();
    let mut decoded = Vec::with_capacity(under_way.len());
    for (index, image) in futures_util::future::join_all(under_way)
        .await
        .into_iter()
        .enumerate()
    {
        decoded.push(image.map_err(|e| if several { at(index, e) } else { e })?);
    }
    Ok(Batch {
        images: decoded,
        took: started.elapsed(),
    })
}

fn decode_one(bytes: &[u8], limits: &Limits, fit: &Fit, needed: Needed) -> Result<Decoded> {
    let (picture, tile) = match needed {
        Needed::Tile => (None, image::tile(bytes, limits, fit)?),
        Needed::PictureToo => {
            let (picture, tile) = image::picture_and_tile(bytes, limits, fit)?;
            (Some(picture), tile)
        }
    };
    Ok(Decoded { picture, tile })
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
