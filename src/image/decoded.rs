//! What a decoder answers.

use super::fit::{self, Stored};
use super::memory::Taken;
use super::orientation::Orientation;
use super::picture::Picture;
use super::span::Part;
use super::spec::{Fit, ModelInput};
use crate::error::Result;

/// A picture as its file stores it, and what is known of where it came from.
pub(super) struct Decoded {
    pub(super) stored: Picture,
    /// What it is of the whole.
    pub(super) part: Part,
    pub(super) orientation: Orientation,
    /// (width, height) of the upright original.
    pub(super) original: (u32, u32),
    /// Whether the format can be decoded smaller than it is.
    pub(super) reducible: bool,
    /// The memory that it takes.
    pub(super) taken: Taken,
}

impl Decoded {
    /// What a model sees of it.
    pub(super) fn fit(&self, fit: &Fit) -> Result<ModelInput> {
        let stored = Stored {
            pixels: &self.stored,
            part: self.part,
            orientation: self.orientation,
        };
        fit::fit_stored(&stored, self.original, fit)
    }

    /// The picture as a viewer shows it, of which all was decoded.
    pub(super) fn upright(self) -> Result<Picture> {
        let upright = self.orientation.apply(self.stored);
        drop(self.taken);
        upright
    }
}
