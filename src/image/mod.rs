//! Bytes to pixels, pixels to a model's input, and pixels to PNG.
//!
//! The way in is [`decode`]: the format is sniffed from the content, the header's claim is held against [`Limits`]
//! before pixels are allocated, and what comes out is an upright 8-bit RGB [`Picture`] with the values that Pillow
//! gives. [`fit`] then makes the [`ModelInput`] that a model sees, as torchvision's transforms do, and keeps the
//! [`Placement`] by which boxes, masks and saliency maps find their way back onto the picture.
//!
//! Invariants: no input panics, every refusal is one of `EmptyBody`, `UnsupportedMediaType`, `InvalidImage` and
//! `ImageTooLarge`, and this room names nothing of the others but the error type.

mod annotate;
mod bmp;
mod bmp_runs;
mod canvas;
mod chart;
mod convolution;
mod decoded;
mod encode;
mod fit;
mod gif;
mod jpeg;
mod jpeg_header;
mod jpeg_inside;
mod limits;
mod memory;
mod orientation;
mod picture;
mod placement;
mod png_chunks;
mod pool;
mod raster;
mod resample;
mod samples;
mod sniff;
mod span;
mod spec;
mod tiff;
mod views;
mod wanted;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use annotate::{Annotation, annotate, class_color, grid, mix, stain, tint};
pub use chart::{Chart, chart};
pub use encode::{Samples, encode_gray_png, encode_indexed_png, encode_png, encode_samples_png};
pub use fit::fit;
pub use limits::Limits;
pub use memory::{Memory, Taken};
pub use picture::Picture;
pub use placement::{Placement, Rect};
pub use pool::{Length, Pool, PoolThread, Turn};
pub use spec::{Color, Content, Decoding, Fit, Interpolation, ModelInput, ResizeMode};
pub use views::VIEWS;

use crate::error::{Error, Result};
use decoded::Decoded;
use sniff::Format;
use wanted::Wanted;

/// Decodes a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF, told apart by content, into an upright RGB picture.
/// Transparency is laid over white.
///
/// # Errors
/// - [`Error::EmptyBody`]: there are no bytes.
/// - [`Error::UnsupportedMediaType`]: the bytes are of no format that is read; the message names what they are.
/// - [`Error::ImageTooLarge`]: the header claims more than `limits` allow; nothing was allocated.
/// - [`Error::InvalidImage`]: the bytes are truncated or corrupt.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    decode_wanted(bytes, limits, Wanted::Picture)?.upright()
}

/// What a model sees of the image in `bytes`: [`decode`] and [`fit`] in one, without the pixels that only a viewer of
/// the original would miss (see [`Decoding`]).
///
/// # Errors
/// As [`decode`] and [`fit`].
pub fn model_input(bytes: &[u8], limits: &Limits, fit: &Fit) -> Result<ModelInput> {
    decode_wanted(bytes, limits, Wanted::Input(fit))?.fit(fit)
}

/// [`decode`] and [`model_input`] for callers that need both: the same two results, at the lesser cost where they share work.
///
/// # Errors
/// As [`decode`] and [`fit`].
pub fn picture_and_model_input(bytes: &[u8], limits: &Limits, fit: &Fit) -> Result<(Picture, ModelInput)> {
    let decoded = decode_wanted(bytes, limits, Wanted::Picture)?;
    if decoded.reducible && Wanted::Input(fit).reduction(decoded.original) > 1 {
        // The first gives its memory back before the second asks for some.
        let picture = decoded.upright()?;
        return Ok((picture, model_input(bytes, limits, fit)?));
    }
    let model_input = decoded.fit(fit)?;
    Ok((decoded.upright()?, model_input))
}

/// Decodes `bytes`; of a JPEG no more than is `wanted`.
fn decode_wanted(bytes: &[u8], limits: &Limits, wanted: Wanted<'_>) -> Result<Decoded> {
    let format = sniff::sniff(bytes)?;
    // The decoders are foreign code on foreign bytes: a panic in one is an answer about this image, no more.
    catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => jpeg::decode(bytes, limits, wanted),
        Format::Png => raster::decode_png(bytes, limits),
        Format::WebP => raster::decode_webp(bytes, limits),
        Format::Gif => gif::decode(bytes, limits),
        Format::Bmp => bmp::decode(bytes, limits),
        Format::Tiff => tiff::decode(bytes, limits),
    }))
    .unwrap_or_else(|_| {
        Err(Error::UnsupportedMediaType(format!(
            "the decoder for {format} failed on this file, whether or not the file is good; save it again, or as another format"
        )))
    })
}
