//! Predictions that are numbers, as NumPy reads them; pictures that were made as a PNG, as that.

use super::answer::Answer;
use super::npy::npy;
use crate::error::Result;
use crate::tasks::image_to_image::Body;
use crate::tasks::{embedding, image_to_image, regression};

/// `[D]`
pub(super) fn vector(found: &embedding::Embedding) -> Result<Answer> {
    npy(&[found.vector.len()], &found.vector).map(Answer::npy)
}

/// `[K]`
pub(super) fn numbers(found: &regression::Prediction) -> Result<Answer> {
    let values: Vec<f32> = found.values.iter().map(|quantity| quantity.value).collect();
    npy(&[values.len()], &values).map(Answer::npy)
}

/// `[C, height, width]`, of one channel `[height, width]`, in the form for which it was made.
pub(super) fn picture(found: &image_to_image::Prediction) -> Result<Answer> {
    let (height, width) = (found.height as usize, found.width as usize);
    match (&found.body, found.channels) {
        (Body::Png(png), _) => Ok(Answer::png(png.clone())),
        (Body::Array(values), 1) => npy(&[height, width], values).map(Answer::npy),
        (Body::Array(values), channels) => npy(&[channels, height, width], values).map(Answer::npy),
    }
}
