//! A chart of shares: a bar for each range of a value from 0 to 1, beside the diagonal on which both are alike.

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13_BOLD;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Drawable, Point, Size};
use embedded_graphics::primitives::{Line, Primitive, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

use super::canvas::Canvas;
use super::picture::Picture;
use crate::error::Result;

/// Width and height of a chart, and what is left free of its plot on each side, in pixels.
const WIDTH: u32 = 420;
const HEIGHT: u32 = 400;
const LEFT: i32 = 56;
const RIGHT: i32 = 16;
const TOP: i32 = 44;
const BOTTOM: i32 = 52;

const BLUE: Rgb888 = Rgb888::new(70, 110, 180);
const GREY: Rgb888 = Rgb888::new(150, 150, 150);

/// What a chart shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What the values along it are.
    pub across: String,
    /// What the height of a bar is.
    pub up: String,
    /// The height of the bar of each of so many ranges of equal width, 0 to 1; nothing where there is none.
    pub bars: Vec<Option<f64>>,
}

/// The chart as a picture.
///
/// # Errors
/// Never: it has pixels.
pub fn chart(shown: &Chart) -> Result<Picture> {
    let white = Picture::new(WIDTH, HEIGHT, vec![255; (WIDTH * HEIGHT * 3) as usize])?;
    let mut canvas = Canvas::on(white);
    bars(&mut canvas, &shown.bars);
    line(&mut canvas, [at(0.0, 0.0), at(1.0, 1.0)], GREY, 2);
    line(&mut canvas, [at(0.0, 0.0), at(1.0, 0.0)], Rgb888::BLACK, 1);
    line(&mut canvas, [at(0.0, 0.0), at(0.0, 1.0)], Rgb888::BLACK, 1);
    for tenth in [0, 2, 4, 6, 8, 10] {
        let share = f64::from(tenth) / 10.0;
        let (below, beside) = (at(share, 0.0), at(0.0, share));
        line(&mut canvas, [below, below + Point::new(0, 5)], Rgb888::BLACK, 1);
        line(&mut canvas, [beside - Point::new(5, 0), beside], Rgb888::BLACK, 1);
        let name = format!("{share:.1}");
        text(&mut canvas, &name, below + Point::new(0, 14), Alignment::Center);
        text(&mut canvas, &name, beside - Point::new(9, 0), Alignment::Right);
    }
    let middle = LEFT + plot().0 / 2;
    let base = HEIGHT as i32 - 14;
    text(&mut canvas, &shown.title, Point::new(LEFT, 14), Alignment::Left);
    text(&mut canvas, &shown.up, Point::new(LEFT - 40, 32), Alignment::Left);
    text(
        &mut canvas,
        &shown.across,
        Point::new(middle, base),
        Alignment::Center,
    );
    canvas.picture()
}

/// Width and height of the plot.
fn plot() -> (i32, i32) {
    (WIDTH as i32 - LEFT - RIGHT, HEIGHT as i32 - TOP - BOTTOM)
}

/// The pixel of two shares, to the right and up.
fn at(across: f64, up: f64) -> Point {
    let (width, height) = plot();
    let pixels = |share: f64, length: i32| (share.clamp(0.0, 1.0) * f64::from(length)).round() as i32;
    Point::new(LEFT + pixels(across, width), TOP + height - pixels(up, height))
}

fn bars(canvas: &mut Canvas, bars: &[Option<f64>]) {
    let style = PrimitiveStyleBuilder::new()
        .fill_color(BLUE)
        .stroke_color(Rgb888::WHITE)
        .stroke_width(1)
        .build();
    for (index, bar) in bars.iter().enumerate() {
        let Some(bar) = bar else { continue };
        let edge = |index: usize| index as f64 / bars.len() as f64;
        let (corner, foot) = (at(edge(index), *bar), at(edge(index + 1), 0.0));
        let size = Size::new(
            (foot.x - corner.x).unsigned_abs(),
            (foot.y - corner.y).unsigned_abs(),
        );
        let Ok(()) = Rectangle::new(corner, size).into_styled(style).draw(canvas);
    }
}

fn line(canvas: &mut Canvas, [from, to]: [Point; 2], color: Rgb888, width: u32) {
    let Ok(()) = Line::new(from, to)
        .into_styled(PrimitiveStyle::with_stroke(color, width))
        .draw(canvas);
}

fn text(canvas: &mut Canvas, text: &str, at: Point, alignment: Alignment) {
    let style = TextStyleBuilder::new()
        .alignment(alignment)
        .baseline(Baseline::Middle)
        .build();
    let letters = MonoTextStyle::new(&FONT_7X13_BOLD, Rgb888::BLACK);
    let Ok(_) = Text::with_text_style(text, at, letters, style).draw(canvas);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(picture: &Picture, at: Point) -> [u8; 3] {
        let start = (at.y as usize * picture.width() as usize + at.x as usize) * 3;
        [0, 1, 2].map(|channel| picture.data()[start + channel])
    }

    #[test]
    fn a_bar_is_as_high_as_its_share_and_the_diagonal_goes_over_it() {
        let shown = Chart {
            title: "a title".into(),
            across: "confidence".into(),
            up: "accuracy".into(),
            bars: vec![Some(0.5), None, Some(1.0), Some(0.25)],
        };
        let drawn = chart(&shown).expect("drawn");
        let blue = [BLUE.r(), BLUE.g(), BLUE.b()];
        assert_eq!(pixel(&drawn, at(0.1, 0.4)), blue);
        assert_eq!(pixel(&drawn, at(0.1, 0.6)), [255; 3], "above the bar");
        assert_eq!(pixel(&drawn, at(0.4, 0.2)), [255; 3], "no bar, no height");
        assert_eq!(pixel(&drawn, at(0.6, 0.97)), blue);
        assert_eq!(pixel(&drawn, at(0.9, 0.3)), [255; 3]);
        assert_eq!(pixel(&drawn, at(0.3, 0.3)), [GREY.r(), GREY.g(), GREY.b()]);
        let ink = drawn
            .data()
            .chunks_exact(3)
            .filter(|pixel| *pixel == [0; 3])
            .count();
        assert!(ink > 800, "axes and letters: {ink} pixels");
    }
}
