//! What the masks of one request may take.

use crate::error::{Error, Result};

/// Pixels of the originals that are looked at for the masks of one request at most.
const MOST_PIXELS: usize = 1 << 31;

/// The pixels and bytes that are left to the masks of a request.
#[derive(Debug)]
pub struct Allowance {
    pixels: usize,
    bytes: u64,
    cure: &'static str,
}

impl Allowance {
    /// So many bytes of text; `cure` is what a client may do that asks for more.
    #[must_use]
    pub fn of_bytes(bytes: u64, cure: &'static str) -> Self {
        Self {
            pixels: MOST_PIXELS,
            bytes,
            cure,
        }
    }

    pub(super) fn take(&mut self, pixels: usize, bytes: u64) -> Result<()> {
        let left = self.pixels.checked_sub(pixels).zip(self.bytes.checked_sub(bytes));
        let Some((pixels, bytes)) = left else {
            return Err(Error::AnswerTooLarge(format!(
                "the masks are too much for one answer; {}",
                self.cure
            )));
        };
        (self.pixels, self.bytes) = (pixels, bytes);
        Ok(())
    }
}
