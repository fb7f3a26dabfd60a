//! The sizes of pictures.

use serde::Serialize;
use utoipa::ToSchema;

use crate::image::Placement;

/// An upright image's size in pixels.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct ImageSize {
    #[schema(example = 451)]
    width: u32,
    #[schema(example = 300)]
    height: u32,
}

impl From<&Placement> for ImageSize {
    fn from(placement: &Placement) -> Self {
        let (width, height) = placement.original();
        Self { width, height }
    }
}
