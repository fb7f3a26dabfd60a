//! What a decoder answers.

use super::fit;
use super::orientation::Orientation;
use super::picture::Picture;
use super::spec::{Fit, ModelInput};
use crate::error::Result;

/// A picture as its file stores it, and what is known of where it came from.
pub(super) struct Decoded {
    pub(super) stored: Picture,
    pub(super) orientation: Orientation,
    /// (width, height) of the upright original.
    pub(super) original: (u32, u32),
    /// Whether the format can be decoded smaller than it is.
    pub(super) reducible: bool,
}

impl Decoded {
    /// What a model sees of it.
    pub(super) fn fit(&self, fit: &Fit) -> Result<ModelInput> {
        fit::fit_stored(&self.stored, self.orientation, self.original, fit)
    }

    /// The picture as a viewer shows it.
    pub(super) fn upright(self) -> Result<Picture> {
        self.orientation.apply(self.stored)
    }
}
