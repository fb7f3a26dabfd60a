//! What a decoder answers.

use super::picture::Picture;

/// An upright picture, and what is known of where it came from.
pub(super) struct Decoded {
    pub(super) picture: Picture,
    /// (width, height) of the upright original.
    pub(super) original: (u32, u32),
    /// Whether the format can be decoded smaller than it is.
    pub(super) reducible: bool,
}

impl From<Picture> for Decoded {
    fn from(picture: Picture) -> Self {
        Self {
            original: (picture.width(), picture.height()),
            picture,
            reducible: false,
        }
    }
}
