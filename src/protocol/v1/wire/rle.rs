//! Masks of pixels.

use serde::Serialize;
use utoipa::ToSchema;

use crate::tasks;

/// A mask that `pycocotools.mask.decode` reads.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rle {
    /// `[height, width]`
    size: [usize; 2],
    /// Run lengths, zeros first, down the columns; compressed.
    #[schema(example = "52203")]
    counts: String,
}

impl From<tasks::Rle> for Rle {
    fn from(rle: tasks::Rle) -> Self {
        Self {
            size: rle.size,
            counts: rle.counts,
        }
    }
}
