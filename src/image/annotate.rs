//! Drawing on pictures: boxes with labels, tints, and pictures side by side.

use std::ops::Range;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13_BOLD, FONT_10X20};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Dimensions, Drawable, Point, Size};
use embedded_graphics::primitives::{
    Circle, Line, Primitive, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle,
};
use embedded_graphics::text::{Baseline, Text};

use super::canvas::Canvas;
use super::{Picture, Rect};
use crate::error::{Error, Result};

/// A box with a label, in pixels of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Where it is.
    pub bounds: Rect,
    /// The corners of the outline, if that is not the box.
    pub corners: Option<[[f32; 2]; 4]>,
    /// What stands at its upper left corner.
    pub label: String,
    /// Its colour; the label is black or white on it, whichever reads better.
    pub color: [u8; 3],
    /// Lines in it.
    pub lines: Vec<[[f32; 2]; 2]>,
    /// Points in it.
    pub points: Vec<[f32; 2]>,
}

/// The colour of a class: Pascal VOC's, in which 0 is black and neighbours differ clearly.
#[must_use]
pub fn class_color(class_id: usize) -> [u8; 3] {
    let mut color = [0u8; 3];
    for bit in 0..8 {
        for (channel, value) in color.iter_mut().enumerate() {
            *value |= (((class_id >> (3 * bit + channel)) & 1) as u8) << (7 - bit);
        }
    }
    color
}

/// The picture with `annotations` on it, the first on top.
///
/// # Errors
/// Never for a whole picture.
pub fn annotate(picture: Picture, annotations: &[Annotation]) -> Result<Picture> {
    let mut canvas = Canvas::on(picture);
    // Lines and letters grow with the picture, so that they read at any zoom.
    let line = (canvas.width.max(canvas.height) / 300).clamp(2, 8);
    for annotation in annotations.iter().rev() {
        canvas.annotate(annotation, line);
    }
    canvas.picture()
}

/// The picture under a tint: where `tint` has a colour, so much of it, 0 to 1.
///
/// # Errors
/// Never for a whole picture.
pub fn tint(picture: Picture, tint: impl Fn(usize) -> Option<([u8; 3], f32)>) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let mut data = picture.into_data();
    for (index, pixel) in data.chunks_exact_mut(3).enumerate() {
        mix(pixel, tint(index));
    }
    Picture::new(width, height, data)
}

/// The picture with so much of a colour, 0 to 1, in the pixels of `runs`, which are counted down the columns.
///
/// # Errors
/// Never for a whole picture.
pub fn stain(
    picture: Picture,
    runs: impl Iterator<Item = Range<usize>>,
    (color, alpha): ([u8; 3], f32),
) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let (columns, rows) = (width as usize, height as usize);
    let mut data = picture.into_data();
    for at in runs.flatten() {
        let start = (at % rows * columns + at / rows) * 3;
        if let Some(pixel) = data.get_mut(start..start + 3) {
            mix(pixel, Some((color, alpha)));
        }
    }
    Picture::new(width, height, data)
}

/// Lays `tint` over a pixel, if it has a colour: so much of it, 0 to 1.
pub fn mix(pixel: &mut [u8], tint: Option<([u8; 3], f32)>) {
    if let Some((color, alpha)) = tint {
        for (channel, warm) in pixel.iter_mut().zip(color) {
            let mixed = f32::from(*channel) * (1.0 - alpha) + f32::from(warm) * alpha;
            *channel = mixed.round() as u8;
        }
    }
}

/// Pictures of one size in rows of `columns`, with a gap of two white pixels.
///
/// # Errors
/// [`Error::Internal`] when there is none.
pub fn grid(pictures: &[Picture], columns: usize) -> Result<Picture> {
    const GAP: usize = 2;
    let Some(first) = pictures.first() else {
        return Err(Error::Internal("a grid of no pictures".into()));
    };
    let (width, height) = (first.width() as usize, first.height() as usize);
    let columns = columns.clamp(1, pictures.len());
    let total_width = columns * (width + GAP) - GAP;
    let total_height = pictures.len().div_ceil(columns) * (height + GAP) - GAP;
    let mut data = vec![255; total_width * total_height * 3];
    for (index, picture) in pictures.iter().enumerate() {
        let (left, top) = (index % columns * (width + GAP), index / columns * (height + GAP));
        for (y, row) in picture
            .data()
            .chunks_exact(picture.width() as usize * 3)
            .take(height)
            .enumerate()
        {
            let start = ((top + y) * total_width + left) * 3;
            let length = row.len().min(width * 3);
            data[start..start + length].copy_from_slice(&row[..length]);
        }
    }
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Picture::new(side(total_width), side(total_height), data)
}

impl Canvas {
    fn annotate(&mut self, annotation: &Annotation, line: u32) {
        let Rect {
            x_min,
            y_min,
            x_max,
            y_max,
        } = annotation.bounds;
        let corner = |x: f64, y: f64| Point::new(x.round() as i32, y.round() as i32);
        let bounds = Rectangle::with_corners(corner(x_min, y_min), corner(x_max - 1.0, y_max - 1.0));
        let [r, g, b] = annotation.color;
        let color = Rgb888::new(r, g, b);
        match annotation.corners {
            None => {
                let Ok(()) = bounds
                    .into_styled(PrimitiveStyle::with_stroke(color, line))
                    .draw(self);
            }
            Some([a, b, c, d]) => self.lines(&[[a, b], [b, c], [c, d], [d, a]], color, line),
        }
        self.lines(&annotation.lines, color, line);
        self.points(&annotation.points, color, line);
        let bright = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) > 128_000;
        let ink = if bright { Rgb888::BLACK } else { Rgb888::WHITE };
        let font = if self.width.max(self.height) >= 400 {
            &FONT_10X20
        } else {
            &FONT_7X13_BOLD
        };
        let style = MonoTextStyle::new(font, ink);
        let size = Text::with_baseline(&annotation.label, Point::zero(), style, Baseline::Top)
            .bounding_box()
            .size;
        let plate = Size::new(size.width + 6, size.height + 2);
        // Above the box where there is room, else inside it; never over the right edge.
        let room_right = i32::try_from(self.width.saturating_sub(plate.width)).unwrap_or(0);
        let above = bounds.top_left.y - i32::try_from(plate.height).unwrap_or(0);
        let y = if above >= 0 {
            above
        } else {
            bounds.top_left.y.max(0)
        };
        let at = Point::new(bounds.top_left.x.clamp(0, room_right), y);
        let Ok(()) = Rectangle::new(at, plate)
            .into_styled(PrimitiveStyle::with_fill(color))
            .draw(self);
        let text = Text::with_baseline(&annotation.label, at + Point::new(3, 1), style, Baseline::Top);
        let Ok(_) = text.draw(self);
    }
}

impl Canvas {
    fn lines(&mut self, lines: &[[[f32; 2]; 2]], color: Rgb888, width: u32) {
        for [from, to] in lines {
            let Ok(()) = Line::new(self.near(*from), self.near(*to))
                .into_styled(PrimitiveStyle::with_stroke(color, width))
                .draw(self);
        }
    }

    fn points(&mut self, points: &[[f32; 2]], color: Rgb888, line: u32) {
        let style = PrimitiveStyleBuilder::new()
            .fill_color(color)
            .stroke_color(Rgb888::WHITE)
            .stroke_width(1)
            .build();
        for point in points {
            let Ok(()) = Circle::with_center(self.near(*point), 3 * line)
                .into_styled(style)
                .draw(self);
        }
    }

    /// The pixel under a point; of one far outside a pixel not far outside, so that no line is endless.
    fn near(&self, [x, y]: [f32; 2]) -> Point {
        let within = |at: f32, length: u32| {
            let length = length as f32;
            at.clamp(-length, 2.0 * length).floor() as i32
        };
        Point::new(within(x, self.width), within(y, self.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(picture: &Picture, x: usize, y: usize) -> &[u8] {
        &picture.data()[(y * picture.width() as usize + x) * 3..][..3]
    }

    #[test]
    fn class_colors_are_pascal_voc_s() {
        assert_eq!(class_color(0), [0, 0, 0]);
        assert_eq!(class_color(1), [128, 0, 0]);
        assert_eq!(class_color(15), [192, 128, 128], "person");
        assert_eq!(class_color(20), [0, 64, 128], "tv monitor");
    }

    #[test]
    fn a_box_has_its_colour_on_its_edges_and_leaves_its_inside() {
        let black = Picture::new(200, 100, vec![0; 200 * 100 * 3]).expect("a picture");
        let annotation = Annotation {
            bounds: Rect {
                x_min: 20.0,
                y_min: 40.0,
                x_max: 120.0,
                y_max: 90.0,
            },
            corners: None,
            label: "cat 0.91".into(),
            color: [0, 200, 0],
            lines: Vec::new(),
            points: Vec::new(),
        };
        let drawn = annotate(black, &[annotation]).expect("drawn");
        assert_eq!(pixel(&drawn, 20, 60), [0, 200, 0]);
        assert_eq!(pixel(&drawn, 70, 60), [0, 0, 0]);
        let plate = (26..40).flat_map(|y| (20..76).map(move |x| (x, y)));
        let ink = plate.filter(|&(x, y)| pixel(&drawn, x, y) != [0, 200, 0]).count();
        assert!(ink > 50, "letters stand on the plate: {ink} pixels");
    }

    #[test]
    fn an_outline_askew_lines_and_points_are_drawn_where_they_lie() {
        let black = Picture::new(200, 100, vec![0; 200 * 100 * 3]).expect("a picture");
        let annotation = Annotation {
            bounds: Rect {
                x_min: 50.0,
                y_min: 30.0,
                x_max: 150.0,
                y_max: 90.0,
            },
            corners: Some([[100.0, 30.0], [150.0, 60.0], [100.0, 90.0], [50.0, 60.0]]),
            label: String::new(),
            color: [0, 200, 0],
            lines: vec![[[90.0, 50.0], [110.0, 50.0]], [[f32::MAX, 0.0], [-f32::MAX, 1e9]]],
            points: vec![[100.0, 70.0]],
        };
        let drawn = annotate(black, &[annotation]).expect("drawn");
        for (x, y) in [(125, 45), (100, 50), (100, 70)] {
            assert_eq!(pixel(&drawn, x, y), [0, 200, 0], "{x}, {y}");
        }
        assert_eq!(pixel(&drawn, 149, 88), [0, 0, 0], "no upright box");
    }

    #[test]
    fn a_stain_goes_down_the_columns() {
        let white = Picture::new(3, 2, vec![255; 18]).expect("a picture");
        let drawn = stain(white, std::iter::once(1..3), ([0, 0, 255], 1.0)).expect("stained");
        let stained = |x, y| pixel(&drawn, x, y) == [0, 0, 255];
        assert!(stained(0, 1) && stained(1, 0) && !stained(0, 0) && !stained(1, 1));
    }

    #[test]
    fn a_grid_keeps_every_picture_in_its_place() {
        let flat = |v: u8| Picture::new(2, 1, vec![v; 6]).expect("a picture");
        let drawn = grid(&[flat(1), flat(2), flat(3)], 2).expect("a grid");
        assert_eq!((drawn.width(), drawn.height()), (6, 4));
        assert_eq!(
            (
                pixel(&drawn, 0, 0)[0],
                pixel(&drawn, 4, 0)[0],
                pixel(&drawn, 1, 3)[0]
            ),
            (1, 2, 3)
        );
        assert_eq!((pixel(&drawn, 2, 0)[0], pixel(&drawn, 5, 3)[0]), (255, 255));
    }

    #[test]
    fn a_tint_covers_only_what_has_a_colour() {
        let white = Picture::new(2, 1, vec![255; 6]).expect("a picture");
        let drawn = tint(white, |index| (index == 1).then_some(([0, 0, 255], 0.5))).expect("tinted");
        assert_eq!(drawn.data(), [255, 255, 255, 128, 128, 255]);
    }
}
