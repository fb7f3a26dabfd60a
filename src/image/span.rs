//! Parts of pictures, and of the lines that are resized.

use std::ops::Range;

/// The pixels that are at hand of a picture; both sides at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// (width, height) of the whole picture.
    pub(super) of: (u32, u32),
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Part {
    /// All of a picture of `of` (width, height).
    pub(super) fn whole(of: (u32, u32)) -> Self {
        Self {
            of,
            left: 0,
            top: 0,
            width: of.0,
            height: of.1,
        }
    }
}

/// Interleaved 8-bit samples of `part`, row-major; `channels` is 1 or 3.
pub(super) struct Raster<'a> {
    pub(super) part: Part,
    pub(super) channels: usize,
    pub(super) data: &'a [u8],
}

/// A part of the upright picture after it is resized; both sides at least 1.
pub(super) struct Window {
    /// (width, height) of the whole of it.
    pub(super) resized: (u64, u64),
    pub(super) left: u64,
    pub(super) top: u64,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// One direction: `length` pixels from `first` on, of `source` pixels resized to `resized`.
pub(super) struct Span {
    pub(super) source: u32,
    pub(super) resized: u64,
    pub(super) first: u64,
    pub(super) length: u32,
}

impl Span {
    pub(super) fn new(source: u32, resized: u64, first: u64, length: u32) -> Self {
        Self {
            source,
            resized,
            first,
            length,
        }
    }

    /// Whether nothing is resized in this direction.
    pub(super) fn is_copy(&self) -> bool {
        u64::from(self.source) == self.resized
    }

    /// Source pixels a resized pixel.
    pub(super) fn scale(&self) -> f64 {
        f64::from(self.source) / self.resized as f64
    }

    /// Where the span begins in the source and how long it is there, in source pixels.
    pub(super) fn in_source(&self) -> (f64, f64) {
        let start = self.first as f64 * self.scale();
        let length = f64::from(self.length) * self.scale();
        (start, length.min(f64::from(self.source) - start))
    }

    /// The source pixels that can have a weight under a filter of this support.
    pub(super) fn reach(&self, support: f64) -> Range<u32> {
        let (start, length) = self.in_source();
        let radius = support * self.scale().max(1.0);
        let from = (start - radius).floor().max(0.0) as u32;
        let to = (start + length + radius).ceil().min(f64::from(self.source)) as u32;
        from..to
    }

    /// The same pixels counted from the other end.
    pub(super) fn reversed(self) -> Self {
        Self {
            first: self.resized - self.first - u64::from(self.length),
            ..self
        }
    }

    /// How many pixels resizing takes away; negative where it enlarges.
    pub(super) fn shrinks_by(&self) -> i64 {
        i64::from(self.source) - self.resized as i64
    }

    /// The source pixel under the centre of each pixel; summed up step by step as Pillow does, for equal rounding.
    pub(super) fn nearest(&self) -> Vec<usize> {
        let scale = self.scale();
        let mut centre = scale * 0.5;
        for _ in 0..self.first {
            centre += scale;
        }
        let last = self.source as usize - 1;
        let next = |_| {
            let pixel = last.min(centre as usize);
            centre += scale;
            pixel
        };
        (0..self.length).map(next).collect()
    }
}
