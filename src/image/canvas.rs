//! Pixels that are drawn on.

use std::convert::Infallible;

use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{DrawTarget, OriginDimensions, Pixel, Point, Size};

use super::picture::Picture;
use crate::error::Result;

/// A picture that is drawn on; what lies outside is left out.
pub(super) struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    data: Vec<u8>,
}

impl Canvas {
    /// On this picture.
    pub(super) fn on(picture: Picture) -> Self {
        Self {
            width: picture.width(),
            height: picture.height(),
            data: picture.into_data(),
        }
    }

    /// What was drawn.
    ///
    /// # Errors
    /// Never: it was a picture.
    pub(super) fn picture(self) -> Result<Picture> {
        Picture::new(self.width, self.height, self.data)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
                continue;
            };
            if x < self.width && y < self.height {
                let start = (y as usize * self.width as usize + x as usize) * 3;
                self.data[start..start + 3].copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}
