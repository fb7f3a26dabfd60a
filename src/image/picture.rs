//! The one form in which a decoded picture travels: upright, 8-bit RGB, rows from the top.
//!
//! Invariant: `data.len() == 3 * width * height` and both sides are at least 1. [`Picture::new`] is the only
//! way in, so nobody downstream checks it again.

use crate::error::{Error, Result};

/// Bytes a pixel of a [`Picture`].
pub(super) const CHANNELS: usize = 3;

/// An upright 8-bit RGB picture, row-major, 3 bytes a pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Picture {
    /// Takes `data` (`[height, width, 3]`, row-major) as a picture.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] when a side is 0 or `data` is not `3 * width * height` bytes long.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self> {
        let expected = u64::from(width) * u64::from(height) * CHANNELS as u64;
        if width == 0 || height == 0 {
            return Err(Error::InvalidImage(format!(
                "a picture of {width}×{height} has no pixels"
            )));
        }
        if data.len() as u64 != expected {
            return Err(Error::InvalidImage(format!(
                "a picture of {width}×{height} needs {expected} bytes of RGB, not {}",
                data.len()
            )));
        }
        Ok(Self { width, height, data })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `[height, width, 3]`, red first.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The pixels, given away.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}

impl std::fmt::Debug for Picture {
    /// Size only: a log line must not carry a photograph.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_exactly_its_pixels() {
        assert!(Picture::new(2, 1, vec![0; 6]).is_ok());
        assert!(matches!(
            Picture::new(2, 1, vec![0; 5]),
            Err(Error::InvalidImage(_))
        ));
        assert!(matches!(Picture::new(0, 1, vec![]), Err(Error::InvalidImage(_))));
        // A size whose product overflows 32 bits must not wrap around to a match.
        assert!(Picture::new(65_536, 65_536, vec![]).is_err());
    }
}
