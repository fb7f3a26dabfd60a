//! Lays raw maps on the picture that they explain.

use super::colormap::Colormap;
use super::explanation::Explanation;
use super::map::Map;
use super::options::{Render, View};
use crate::error::Result;
use crate::image::{Annotation, Picture, Placement, Rect, annotate, grid, mix};

/// Attributions to single pixels have a few extreme values that would leave the rest without colour: heat is scaled by
/// the magnitude that this part of the values does not exceed.
const SHOWN: f64 = 0.99;

/// The picture that shows `explanations`, all of `picture`: one as it is, several in a grid with their targets.
///
/// # Errors
/// Never for a placement that was made from this picture.
pub fn show(
    picture: &Picture,
    explanations: &[&Explanation],
    placement: &Placement,
    view: View,
) -> Result<Picture> {
    let shown =
        |explanation: &&Explanation| one(picture, explanation.signed, &explanation.map, placement, view);
    if let [only] = explanations {
        return shown(only);
    }
    let pictures = explanations.iter().map(shown).collect::<Result<Vec<_>>>()?;
    let columns = (pictures.len() as f64).sqrt().ceil() as usize;
    let labelled = pictures
        .into_iter()
        .zip(explanations)
        .map(|(picture, explanation)| {
            let title = title(&picture, explanation.target.to_string());
            annotate(picture, &[title])
        });
    grid(&labelled.collect::<Result<Vec<_>>>()?, columns)
}

/// A label in the upper left corner.
fn title(picture: &Picture, label: String) -> Annotation {
    Annotation {
        bounds: Rect {
            x_min: 0.0,
            y_min: 0.0,
            x_max: picture.width().into(),
            y_max: picture.height().into(),
        },
        corners: None,
        label,
        color: [255; 3],
        lines: Vec::new(),
        points: Vec::new(),
    }
}

fn one(picture: &Picture, is_signed: bool, map: &Map, placement: &Placement, view: View) -> Result<Picture> {
    let alpha = if view.render == Render::Heat {
        1.0
    } else {
        view.alpha
    };
    let overlay = overlay(picture, is_signed, map, placement, View { alpha, ..view })?;
    match view.render {
        Render::SideBySide => grid(&[picture.clone(), overlay], 2),
        Render::Overlay | Render::Heat => Ok(overlay),
    }
}

/// `picture` under the heat of `map`, which covers the model's input; what the model did not see keeps its colours. A
/// map is spread over the colours between its own smallest and largest value; a signed one symmetrically around zero.
fn overlay(
    picture: &Picture,
    is_signed: bool,
    map: &Map,
    placement: &Placement,
    view: View,
) -> Result<Picture> {
    // Values lie in 0..=1, so that −1 can only mean that the model did not see the pixel.
    const UNSEEN: f32 = -1.0;
    let map = map.flat();
    let signed = is_signed && map.min < 0.0;
    let colormap = view.colormap.unwrap_or(if signed {
        Colormap::RedBlue
    } else {
        Colormap::Turbo
    });
    let spread = spread(&map, signed);
    let table: Vec<[u8; 3]> = (0..=255u8)
        .map(|v| colormap.color(f32::from(v) / 255.0))
        .collect();
    // White at zero would wash the picture out: where a signed map says little, the picture shows.
    let fades = signed && view.colormap.is_none() && view.render != Render::Heat;
    let tint = |value: f32| {
        let alpha = if fades {
            (2.0 * view.alpha * (2.0 * value - 1.0).abs()).min(1.0)
        } else {
            view.alpha
        };
        (value >= 0.0).then(|| (table[usize::from((value.min(1.0) * 255.0).round() as u8)], alpha))
    };
    let mut data = picture.data().to_vec();
    let mut rows = data.chunks_exact_mut(picture.width() as usize * 3);
    placement.project_rows(&spread, (map.shape[0], map.shape[1]), UNSEEN, |heat| {
        let row = rows.next().unwrap_or_default();
        for (pixel, value) in row.chunks_exact_mut(3).zip(heat) {
            mix(pixel, tint(*value));
        }
    });
    Picture::new(picture.width(), picture.height(), data)
}

/// Bytes that a picture of so many pixels under so many maps takes while it is drawn and compressed.
#[must_use]
pub fn cost(pixels: u64, maps: u64, view: View) -> u64 {
    const RGB: u64 = 3;
    let beside = if view.render == Render::SideBySide { 3 } else { 0 };
    // Several are drawn, get their titles, and go into a grid.
    let of_each = if maps == 1 { 2 + beside } else { 4 + beside };
    pixels
        .saturating_mul(RGB)
        .saturating_mul(maps.saturating_mul(of_each))
}

/// The map spread to 0..=1: a signed one with zero at 0.5; what says nothing when it has no spread or is not finite.
fn spread(map: &Map, signed: bool) -> Vec<f32> {
    // Where nearly all values are nothing, the few that are not are the map.
    let shown = || Some(map.magnitude(SHOWN)).filter(|shown| *shown > 0.0);
    let (low, width, nothing) = if signed {
        let reach = shown().unwrap_or_else(|| map.magnitude(1.0));
        (-reach, 2.0 * reach, 0.5)
    } else {
        // Only where there are many values is a hundredth of them one that can be spared.
        let is_large = map.data.len() > 10_000;
        let high = shown().filter(|_| is_large).unwrap_or(map.max);
        (map.min, high - map.min, 0.0)
    };
    let unit = |v: &f32| {
        let unit = (v - low) / width;
        if unit.is_finite() {
            unit.clamp(0.0, 1.0)
        } else {
            nothing
        }
    };
    map.data.iter().map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_map_is_spread_around_zero_and_any_other_between_its_ends() {
        let map = |data: &[f32]| Map::new(vec![1, data.len()], data.to_vec());
        assert_eq!(spread(&map(&[-1.0, 0.0, 2.0]), true), [0.25, 0.5, 1.0]);
        assert_eq!(spread(&map(&[1.0, 2.0, 3.0]), false), [0.0, 0.5, 1.0]);
        assert_eq!(spread(&map(&[3.0, 3.0]), false), [0.0, 0.0], "no spread, no heat");
        assert_eq!(spread(&map(&[f32::NAN, f32::NAN]), true), [0.5, 0.5]);
        assert_eq!(spread(&map(&[0.0, 0.0]), true), [0.5, 0.5]);
    }

    #[test]
    fn a_single_value_among_nothing_is_seen() {
        for (value, signed, rest) in [(3.0, false, 0.0), (3.0, true, 0.5), (-3.0, true, 0.5)] {
            let mut data = vec![0.0; 20_000];
            data[7] = value;
            let found = spread(&Map::new(vec![100, 200], data), signed);
            assert_eq!(
                (found[7], found[8]),
                (if value > 0.0 { 1.0 } else { 0.0 }, rest),
                "{value}, {signed}"
            );
        }
    }
}
