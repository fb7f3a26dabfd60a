//! How much of a picture is looked at, so that no more of it is decoded.

use super::fit;
use super::orientation::Orientation;
use super::span::Part;
use super::spec::Fit;

/// What a decoded picture is for.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Every pixel of it.
    Picture,
    /// What a model sees of it.
    Input(&'a Fit),
}

impl Wanted<'_> {
    /// How many times smaller (1, 2, 4 or 8) an original of `original` (width, height) may be decoded.
    pub(super) fn reduction(self, original: (u32, u32)) -> u32 {
        match self {
            Self::Picture => 1,
            Self::Input(fit) => fit::reduction(original, fit),
        }
    }

    /// The part that is needed of a picture that is `stored` (width, height) as it lies, reduced or not; `original` is
    /// the size of the upright original.
    pub(super) fn part(self, stored: (u32, u32), orientation: Orientation, original: (u32, u32)) -> Part {
        match self {
            Self::Picture => Part::whole(stored),
            Self::Input(fit) => fit::needed(stored, orientation, original, fit),
        }
    }
}
