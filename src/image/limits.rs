//! What a picture may cost. The header alone decides: [`Limits::check`] runs before a decoder allocates pixels,
//! so a file of a few bytes that claims gigapixels is answered at once.

use std::sync::Arc;

use super::memory::{Memory, Taken};
use crate::error::{Error, Result};

/// The largest picture that is decoded. Every bound is inclusive.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most pixels, `width * height`.
    pub max_pixels: u64,
    /// Longest side, in pixels.
    pub max_side: u32,
    /// Strips or tiles of a TIFF: each costs something, however few its pixels are.
    pub max_pieces: usize,
    /// The memory that all pictures take together while they are decoded; one may take all of it: the samples as the file
    /// stores them, the RGB picture, and a second RGB picture while an EXIF orientation is applied.
    pub memory: Arc<Memory>,
}

impl Default for Limits {
    /// 64 Mpx (a 61 Mpx full-frame camera fits), sides of 32,768 px (panoramas fit), 512 MiB of memory.
    fn default() -> Self {
        Self {
            max_pixels: 64_000_000,
            max_side: 32_768,
            max_pieces: 4 * 32_768,
            memory: Memory::new(512 << 20),
        }
    }
}

impl Limits {
    /// [`Limits::check`], and waits for the memory.
    ///
    /// # Errors
    /// As [`Limits::check`].
    pub(super) fn admit(&self, width: u32, height: u32, bytes_per_pixel: u64) -> Result<Taken> {
        self.admit_beside(width, height, bytes_per_pixel, 0)
    }

    /// [`Limits::admit`], where so many bytes are held besides.
    ///
    /// # Errors
    /// As [`Limits::check`].
    pub(super) fn admit_beside(
        &self,
        width: u32,
        height: u32,
        bytes_per_pixel: u64,
        beside: u64,
    ) -> Result<Taken> {
        self.check_beside(width, height, bytes_per_pixel, beside)?;
        let bytes = cost(width, height, bytes_per_pixel, beside);
        Ok(self.memory.wait_for(bytes))
    }

    /// Refuses a header's claim of `width`×`height` pixels that cost `bytes_per_pixel` each.
    ///
    /// # Errors
    /// [`Error::ImageTooLarge`] naming the bound that is passed.
    pub(super) fn check(&self, width: u32, height: u32, bytes_per_pixel: u64) -> Result<()> {
        self.check_beside(width, height, bytes_per_pixel, 0)
    }

    fn check_beside(&self, width: u32, height: u32, bytes_per_pixel: u64, beside: u64) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        let bytes = cost(width, height, bytes_per_pixel, beside);
        let refusal = if width.max(height) > self.max_side {
            format!("the longest side may be at most {} px", self.max_side)
        } else if pixels > self.max_pixels {
            format!("it may have at most {} pixels", self.max_pixels)
        } else if bytes > self.memory.most() {
            format!(
                "decoded it would take {bytes} bytes, at most {} are allowed (max_decode_mb)",
                self.memory.most()
            )
        } else {
            return Ok(());
        };
        Err(Error::ImageTooLarge(format!(
            "the image is {width}×{height}: {refusal}"
        )))
    }

    /// The same bounds for the decoders of the `image` crate, which count their own buffers against them.
    pub(super) fn for_image_crate(&self) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        limits.max_image_width = Some(self.max_side);
        limits.max_image_height = Some(self.max_side);
        limits.max_alloc = Some(self.memory.most());
        limits
    }
}

fn cost(width: u32, height: u32, bytes_per_pixel: u64, beside: u64) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    pixels.saturating_mul(bytes_per_pixel).saturating_add(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Limits {
        Limits {
            max_pixels: 100,
            max_side: 50,
            max_pieces: 1,
            memory: Memory::new(600),
        }
    }

    #[test]
    fn bounds_are_inclusive_and_each_is_named() {
        assert_eq!(small().check(50, 2, 6), Ok(()));
        for (width, height, bytes_per_pixel, named) in
            [(51, 1, 1, "50 px"), (11, 10, 1, "100 pixels"), (10, 10, 7, "600")]
        {
            let Err(Error::ImageTooLarge(message)) = small().check(width, height, bytes_per_pixel) else {
                panic!("{width}×{height} at {bytes_per_pixel} bytes a pixel passed");
            };
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn the_largest_claims_do_not_overflow() {
        let all = Limits {
            max_pixels: u64::MAX,
            max_side: u32::MAX,
            max_pieces: usize::MAX,
            memory: Memory::new(1),
        };
        assert!(all.check(u32::MAX, u32::MAX, 16).is_err());
    }
}
