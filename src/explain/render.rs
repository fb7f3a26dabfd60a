//! Lays a raw map on the picture that it explains.

use super::{Colormap, Map};
use crate::error::Result;
use crate::image::{Picture, Placement, tint};

/// How an overlay looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Its colours.
    pub colormap: Colormap,
    /// How much of it is heat, 0 to 1.
    pub alpha: f32,
}

/// `picture` under the heat of `map`, which covers the model's input. The map is spread to 0..1 between its own
/// smallest and largest value; what the model did not see keeps its colours.
///
/// # Errors
/// Never for a placement that was made from this picture.
pub fn overlay(picture: &Picture, map: &Map, placement: &Placement, look: Look) -> Result<Picture> {
    // Values lie in 0..=1, so that −1 can only mean that the model did not see the pixel.
    const UNSEEN: f32 = -1.0;
    let spread = normalised(map);
    let heat = placement.project(&spread, map.shape[0], map.shape[1], UNSEEN);
    let table: Vec<[u8; 3]> = (0..=255u8)
        .map(|v| look.colormap.color(f32::from(v) / 255.0))
        .collect();
    tint(picture, look.alpha, |index| {
        let value = heat[index];
        (value >= 0.0).then(|| table[usize::from((value.min(1.0) * 255.0).round() as u8)])
    })
}

/// The map spread to 0..=1; all zero when it has no spread or is not finite.
fn normalised(map: &Map) -> Vec<f32> {
    let spread = map.max - map.min;
    if !spread.is_finite() || spread <= 0.0 {
        return vec![0.0; map.data.len()];
    }
    let unit = |v: &f32| {
        if v.is_finite() {
            (v - map.min) / spread
        } else {
            0.0
        }
    };
    map.data.iter().map(unit).collect()
}
