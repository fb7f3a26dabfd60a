//! Other views of a model's input, in which its picture is the same to a person: what a model is tried with at test time, to see
//! whether its answer holds out.

use super::spec::{Content, ModelInput};

/// How many there are of each input: itself, its mirror image, and itself shifted to each of the four sides by 1/32 of them.
pub const VIEWS: usize = 6;

/// What part of a side a view is shifted by, at least a pixel.
const SHIFT: u32 = 32;

impl ModelInput {
    /// The input itself, mirrored left to right, and shifted to the left, the right, up and down, where the pixels of its edge
    /// are repeated.
    #[must_use]
    pub fn views(&self) -> [Self; VIEWS] {
        let shift = |side: u32| ((f64::from(side) / f64::from(SHIFT)).round() as i64).max(1);
        let (across, down) = (shift(self.width), shift(self.height));
        let last = i64::from(self.width) - 1;
        [
            self.clone(),
            self.seen(|x, y| (last - x, y)),
            self.seen(|x, y| (x + across, y)),
            self.seen(|x, y| (x - across, y)),
            self.seen(|x, y| (x, y + down)),
            self.seen(|x, y| (x, y - down)),
        ]
    }

    /// The input whose pixel (x, y) is that of this one at `source`, or the nearest that there is.
    fn seen(&self, source: impl Fn(i64, i64) -> (i64, i64)) -> Self {
        let size = (self.height as usize, self.width as usize);
        let content = match &self.content {
            Content::Pixels(pixels) => Content::Pixels(moved(pixels, (1, self.channels), size, source)),
            Content::Prepared(samples) => Content::Prepared(moved(samples, (self.channels, 1), size, source)),
        };
        Self { content, ..*self }
    }
}

/// Samples `[planes, height, width, pixel]` with each pixel taken from its `source`.
fn moved<T: Copy>(
    samples: &[T],
    (planes, pixel): (usize, usize),
    (height, width): (usize, usize),
    source: impl Fn(i64, i64) -> (i64, i64),
) -> Vec<T> {
    let within = |at: i64, side: usize| usize::try_from(at).unwrap_or(0).min(side - 1);
    let mut all = Vec::with_capacity(samples.len());
    for plane in 0..planes {
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = source(x as i64, y as i64);
                let (from_x, from_y) = (within(from_x, width), within(from_y, height));
                let at = ((plane * height + from_y) * width + from_x) * pixel;
                all.extend_from_slice(&samples[at..at + pixel]);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::placement::Placement;
    use super::*;

    fn input(content: Content) -> ModelInput {
        ModelInput {
            height: 2,
            width: 3,
            channels: 2,
            content,
            placement: Placement::whole(3, 2),
        }
    }

    #[test]
    fn pixels_are_mirrored_and_shifted_with_their_edge_repeated() {
        // A pixel is (number, 100 + number), numbered along the rows.
        let pixels = |numbers: [u8; 6]| Content::Pixels(numbers.iter().flat_map(|n| [*n, 100 + n]).collect());
        let [same, mirrored, left, right, up, down] = input(pixels([0, 1, 2, 3, 4, 5])).views();
        assert_eq!(same.content, pixels([0, 1, 2, 3, 4, 5]));
        assert_eq!(mirrored.content, pixels([2, 1, 0, 5, 4, 3]));
        assert_eq!(left.content, pixels([1, 2, 2, 4, 5, 5]));
        assert_eq!(right.content, pixels([0, 0, 1, 3, 3, 4]));
        assert_eq!(up.content, pixels([3, 4, 5, 3, 4, 5]));
        assert_eq!(down.content, pixels([0, 1, 2, 0, 1, 2]));
    }

    #[test]
    fn prepared_samples_are_moved_plane_by_plane() {
        let planes = |numbers: [u8; 6]| {
            let first = numbers.map(f32::from);
            Content::Prepared([first, first.map(|n| n + 100.0)].concat())
        };
        let [_, mirrored, _, _, up, _] = input(planes([0, 1, 2, 3, 4, 5])).views();
        assert_eq!(mirrored.content, planes([2, 1, 0, 5, 4, 3]));
        assert_eq!(up.content, planes([3, 4, 5, 3, 4, 5]));
    }
}
