//! Predictions and maps as pictures: masks, tints, boxes, frames, heat. It draws and compresses, so it runs on the pool.

use super::decode::drawn_cost;
use super::explain::ExplainedImage;
use crate::error::{Error, Result};
use crate::explain::Explanation;
use crate::explain::View;
use crate::explain::render::{cost, show};
use crate::image::{
    Annotation, Picture, PoolThread, Rect, annotate, class_color, encode_indexed_png, encode_png, grid, mix,
    stain, tint,
};
use crate::tasks::bounds::Fraction;
use crate::tasks::segmentation::{self, UNSEEN};
use crate::tasks::{Frame, detection};

/// How a PNG shows the classes of a segmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskRender {
    /// Indexed colours: a pixel's index is its class id, 255 where the model did not see. Where classes overlap, RGB: the
    /// mean of their colours, black where there is none.
    Mask,
    /// The classes but the first as a tint over the picture; where they overlap, all of them.
    Overlay,
}

/// How a segmentation is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskView {
    /// As what.
    pub render: MaskRender,
    /// How much of an overlay is tint.
    pub alpha: Fraction,
}

/// The maps of one image as the view asks for them; overlays are made of the raw ones.
#[must_use]
pub fn presented(image: &ExplainedImage, explanation: &Explanation, view: &View) -> Explanation {
    let map = explanation.map.normalized(view.normalize);
    Explanation {
        map: map.resized(view.resolution, &image.placement),
        ..explanation.clone()
    }
}

/// The PNG of an image under the heat of some of its maps.
///
/// # Errors
/// [`Error::Internal`] when the original was not kept.
pub fn heat(
    thread: &PoolThread,
    image: &ExplainedImage,
    explanations: &[&Explanation],
    view: View,
) -> Result<Vec<u8>> {
    let original = image.original.as_ref();
    let original = original.ok_or_else(|| Error::Internal("an overlay without its picture".into()))?;
    let shown = show(&original.picture, explanations, &image.placement, view)?;
    encode_png(thread, &shown)
}

/// Bytes that [`heat`] of all maps of an image takes beyond what was taken for one with the picture.
#[must_use]
pub fn heat_cost(image: &ExplainedImage, view: View) -> u64 {
    let pixels = pixels(image.placement.original());
    cost(pixels, image.explanations.len() as u64, view).saturating_sub(drawn_cost(pixels))
}

/// Bytes that the maps of an image take as the view asks for them, in memory and written as an array.
#[must_use]
pub fn array_cost(image: &ExplainedImage, view: View) -> u64 {
    numbers(image, view).saturating_mul(4 + 4)
}

/// Bytes that the maps of an image take as the view asks for them, in memory and written as JSON, with their overlays.
#[must_use]
pub fn maps_cost(image: &ExplainedImage, view: View) -> u64 {
    /// A float and its text.
    const NUMBER: u64 = 4 + 12;
    let original = pixels(image.placement.original());
    let maps = image.explanations.len() as u64;
    let overlays = if view.overlay {
        // As base64 and in the answer; what drawing takes was taken with the picture, and is free again by then.
        original
            .saturating_mul(8 * maps)
            .saturating_sub(drawn_cost(original))
    } else {
        0
    };
    numbers(image, view)
        .saturating_mul(NUMBER)
        .saturating_add(overlays)
}

/// How many numbers the maps of an image have as the view asks for them.
#[must_use]
pub fn numbers(image: &ExplainedImage, view: View) -> u64 {
    let of_map = |explanation: &Explanation| explanation.map.count(view.resolution, &image.placement);
    image.explanations.iter().map(of_map).sum()
}

fn pixels((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// The PNG of a segmentation; an overlay is drawn on `picture`.
///
/// # Errors
/// [`Error::Internal`] for an overlay without its picture.
pub fn segments(
    thread: &PoolThread,
    picture: Option<Picture>,
    found: &segmentation::Prediction,
    view: MaskView,
) -> Result<Vec<u8>> {
    if found.overlapping.is_some() {
        return encode_png(thread, &blended(picture, found, view)?);
    }
    match view.render {
        MaskRender::Mask => {
            let palette: Vec<[u8; 3]> = (0..=255).map(class_color).collect();
            let [height, width] = found.mask.size.map(|side| u32::try_from(side).unwrap_or(0));
            encode_indexed_png(thread, width, height, &found.class_ids, &palette)
        }
        MaskRender::Overlay => {
            let color = |index: usize| match found.class_ids[index] {
                0 | UNSEEN => None,
                class_id => Some((class_color(class_id.into()), view.alpha.get())),
            };
            encode_png(thread, &tint(drawn_on(picture)?, color)?)
        }
    }
}

/// Masks that overlap: each class has a colour, and a pixel the mean of those that it is of.
fn blended(picture: Option<Picture>, found: &segmentation::Prediction, view: MaskView) -> Result<Picture> {
    let [height, width] = found.mask.size;
    let (mut colors, mut counts) = (vec![0; height * width * 3], vec![0u8; height * width]);
    for mask in &found.mask.rle {
        // Class 0 is a class as others are, and would be black.
        let color = class_color(mask.class_id + 1);
        for at in mask.rle.ones().flatten() {
            let pixel = at % height * width + at / height;
            counts[pixel] += 1;
            mix(
                &mut colors[3 * pixel..][..3],
                Some((color, 1.0 / f32::from(counts[pixel]))),
            );
        }
    }
    match view.render {
        MaskRender::Mask => {
            let side = |side: usize| u32::try_from(side).unwrap_or(0);
            Picture::new(side(width), side(height), colors)
        }
        MaskRender::Overlay => tint(drawn_on(picture)?, |pixel| {
            let color = [colors[3 * pixel], colors[3 * pixel + 1], colors[3 * pixel + 2]];
            (counts[pixel] > 0).then_some((color, view.alpha.get()))
        }),
    }
}

fn drawn_on(picture: Option<Picture>) -> Result<Picture> {
    picture.ok_or_else(|| Error::Internal("a drawing without its picture".into()))
}

/// How objects are shown.
#[derive(Debug, Clone, Copy)]
pub struct ObjectView<'a> {
    /// Which keypoints are joined, by index.
    pub skeleton: &'a [[usize; 2]],
    /// How much of a mask is tint.
    pub alpha: Fraction,
}

/// The PNG of `picture` with its objects.
///
/// # Errors
/// [`Error::Internal`] without it.
pub fn objects(
    thread: &PoolThread,
    picture: Option<Picture>,
    found: &detection::Prediction,
    view: ObjectView<'_>,
) -> Result<Vec<u8>> {
    let mut picture = drawn_on(picture)?;
    for object in found.objects.iter().rev() {
        if let Some(mask) = &object.mask {
            picture = stain(picture, mask.rle.ones(), (object_color(object), view.alpha.get()))?;
        }
    }
    let annotations: Vec<Annotation> = found
        .objects
        .iter()
        .map(|object| annotation(object, view))
        .collect();
    encode_png(thread, &annotate(picture, &annotations)?)
}

/// Class 0 would be black, which is hard to see.
fn object_color(object: &detection::Object) -> [u8; 3] {
    class_color(object.class_id.saturating_add(1))
}

fn annotation(object: &detection::Object, view: ObjectView<'_>) -> Annotation {
    /// Keypoints that the model is less sure of are not drawn.
    const SURE: f32 = 0.5;
    let point = |keypoint: &detection::Keypoint| {
        let is_sure = keypoint.score.is_none_or(|score| score >= SURE);
        is_sure.then_some([keypoint.x, keypoint.y])
    };
    let points: Vec<Option<[f32; 2]>> = object.keypoints.iter().map(point).collect();
    let at = |index: usize| points.get(index).copied().flatten();
    let line = |&[from, to]: &[usize; 2]| Some([at(from)?, at(to)?]);
    Annotation {
        bounds: Rect {
            x_min: object.bounds.x_min.into(),
            y_min: object.bounds.y_min.into(),
            x_max: object.bounds.x_max.into(),
            y_max: object.bounds.y_max.into(),
        },
        corners: object.oriented.map(|oriented| oriented.corners),
        label: format!("{} {:.2}", object.label, object.score),
        color: object_color(object),
        lines: view.skeleton.iter().filter_map(line).collect(),
        points: points.iter().copied().flatten().collect(),
    }
}

/// Frames in a grid that is about as wide as it is high, or in one row.
///
/// # Errors
/// None for frames of one size.
pub fn frames(thread: &PoolThread, frames: &[&Frame], in_a_row: bool) -> Result<Vec<u8>> {
    let pictures = frames.iter().copied().map(picture).collect::<Result<Vec<_>>>()?;
    let columns = if in_a_row {
        frames.len()
    } else {
        (frames.len() as f64).sqrt().ceil() as usize
    };
    encode_png(thread, &grid(&pictures, columns)?)
}

fn picture(frame: &Frame) -> Result<Picture> {
    let rgb = match frame.channels {
        1 => frame.data.iter().flat_map(|&v| [v; 3]).collect(),
        _ => frame.data.clone(),
    };
    Picture::new(frame.width, frame.height, rgb)
}
