//! Where a model's input lies on the original picture, so that what the model says about its input can be said about
//! the picture that the client sent.
//!
//! Coordinates are continuous: pixel `i` covers `[i, i + 1)`, its centre is `i + 0.5`. The relation is affine and
//! without rotation, `input = original * scale + offset` on each axis: a crop is a negative offset, a border of a
//! letterbox a positive one. Resizing with half-pixel centres (Pillow, `align_corners=false`) is exactly this relation,
//! so the inverse is exact as well.

/// A rectangle in continuous pixel coordinates; `x_max` and `y_max` are its far edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x_min: f64,
    /// Top edge.
    pub y_min: f64,
    /// Right edge.
    pub x_max: f64,
    /// Bottom edge.
    pub y_max: f64,
}

/// One axis: `input = original * scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    /// Length of the original picture, in pixels.
    pub(super) original: u32,
    /// Length of the model's input, in pixels.
    pub(super) input: u32,
    /// Input pixels an original pixel.
    pub(super) scale: f64,
    /// Where the original's edge lies in the input.
    pub(super) offset: f64,
}

impl Axis {
    fn to_original(self, at: f64) -> f64 {
        (at - self.offset) / self.scale
    }

    fn to_input(self, at: f64) -> f64 {
        at * self.scale + self.offset
    }

    /// The part of the original that the model saw.
    fn visible(self) -> (f64, f64) {
        let length = f64::from(self.original);
        let from = self.to_original(0.0).clamp(0.0, length);
        let to = self.to_original(f64::from(self.input)).clamp(0.0, length);
        (from, to)
    }

    /// For each original pixel, which two of the `length` cells of a map over the input it lies between.
    fn taps(self, length: usize) -> Vec<Option<Tap>> {
        let last = length - 1;
        let cells = length as f64 / f64::from(self.input);
        (0..self.original)
            .map(|pixel| {
                let at = self.to_input(f64::from(pixel) + 0.5);
                if !(0.0..f64::from(self.input)).contains(&at) {
                    return None;
                }
                let cell = (at * cells - 0.5).clamp(0.0, last as f64);
                let near = cell as usize;
                Some(Tap {
                    near,
                    far: last.min(near + 1),
                    weight: (cell - near as f64) as f32,
                })
            })
            .collect()
    }
}

/// A place between two cells: `near * (1 - weight) + far * weight`.
#[derive(Debug, Clone, Copy)]
struct Tap {
    near: usize,
    far: usize,
    weight: f32,
}

impl Tap {
    fn between(self, near: f32, far: f32) -> f32 {
        near + (far - near) * self.weight
    }
}

/// The affine relation between a model's input and the upright original picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Placement {
    /// An input of `width`×`height` that is its own original.
    pub(crate) fn whole(width: u32, height: u32) -> Self {
        let axis = |length| Axis {
            original: length,
            input: length,
            scale: 1.0,
            offset: 0.0,
        };
        Self {
            x: axis(width),
            y: axis(height),
        }
    }

    /// (width, height) of the original, upright picture.
    #[must_use]
    pub fn original(&self) -> (u32, u32) {
        (self.x.original, self.y.original)
    }

    /// (width, height) of the model's input.
    #[must_use]
    pub fn input_size(&self) -> (u32, u32) {
        (self.x.input, self.y.input)
    }

    /// The model's input as a picture of its own.
    #[must_use]
    pub fn of_input(&self) -> Self {
        Self::whole(self.x.input, self.y.input)
    }

    /// Input pixels an original pixel, along x and along y.
    #[must_use]
    pub fn scale(&self) -> (f64, f64) {
        (self.x.scale, self.y.scale)
    }

    /// From a point of the input to the point of the original that it shows. Not clamped: a point in the border of a
    /// letterbox lies outside the original.
    #[must_use]
    pub fn to_original(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.to_original(x), self.y.to_original(y))
    }

    /// From a point of the original to where the input shows it. Not clamped: a point that was cropped away lies
    /// outside the input.
    #[must_use]
    pub fn to_input(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.to_input(x), self.y.to_input(y))
    }

    /// The part of the original that the model saw.
    #[must_use]
    pub fn visible(&self) -> Rect {
        let ((x_min, x_max), (y_min, y_max)) = (self.x.visible(), self.y.visible());
        Rect {
            x_min,
            y_min,
            x_max,
            y_max,
        }
    }

    /// Lays `map` (`[map_height, map_width]`, row-major), which covers the model's input, onto the original picture.
    ///
    /// Bilinear with half-pixel centres and repeated edges, as `torch.nn.functional.interpolate(mode="bilinear",
    /// align_corners=False)`. Original pixels that the model did not see become `outside`; so does a value of the map
    /// that is not finite. The result is `[height, width]` of the original.
    ///
    /// # Panics
    /// When `map` is empty or not `map_height * map_width` long.
    #[must_use]
    pub fn project(&self, map: &[f32], map_height: usize, map_width: usize, outside: f32) -> Vec<f32> {
        let mut projected = Vec::with_capacity(self.x.original as usize * self.y.original as usize);
        self.project_rows(map, (map_height, map_width), outside, |row| {
            projected.extend_from_slice(row);
        });
        projected
    }

    /// [`Placement::project`], row by row of the original: of a large picture there is never a whole map.
    ///
    /// # Panics
    /// As [`Placement::project`].
    pub fn project_rows(
        &self,
        map: &[f32],
        (map_height, map_width): (usize, usize),
        outside: f32,
        mut each: impl FnMut(&[f32]),
    ) {
        assert!(
            !map.is_empty() && map.len() == map_height * map_width,
            "a map of {map_height}×{map_width} cannot have {} values",
            map.len()
        );
        let finite: Vec<f32> = map
            .iter()
            .map(|v| if v.is_finite() { *v } else { outside })
            .collect();
        let columns = self.x.taps(map_width);
        let mut line = vec![0.0; map_width];
        let mut projected = vec![outside; columns.len()];
        for row in self.y.taps(map_height) {
            let Some(row) = row else {
                projected.fill(outside);
                each(&projected);
                continue;
            };
            let near = &finite[row.near * map_width..][..map_width];
            let far = &finite[row.far * map_width..][..map_width];
            for ((cell, near), far) in line.iter_mut().zip(near).zip(far) {
                *cell = row.between(*near, *far);
            }
            for (value, column) in projected.iter_mut().zip(&columns) {
                *value = match column {
                    Some(tap) => tap.between(line[tap.near], line[tap.far]),
                    None => outside,
                };
            }
            each(&projected);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 40×20 shown in 10×10: halved, then the middle half of the width.
    fn cropped() -> Placement {
        Placement {
            x: Axis {
                original: 40,
                input: 10,
                scale: 0.5,
                offset: -5.0,
            },
            y: Axis {
                original: 20,
                input: 10,
                scale: 0.5,
                offset: 0.0,
            },
        }
    }

    /// 4×2 shown in 8×8: doubled, two rows of border above and below.
    fn letterboxed() -> Placement {
        Placement {
            x: Axis {
                original: 4,
                input: 8,
                scale: 2.0,
                offset: 0.0,
            },
            y: Axis {
                original: 2,
                input: 8,
                scale: 2.0,
                offset: 2.0,
            },
        }
    }

    #[test]
    fn the_visible_part_is_what_the_crop_kept() {
        let all = Rect {
            x_min: 0.0,
            y_min: 0.0,
            x_max: 4.0,
            y_max: 2.0,
        };
        assert_eq!(
            cropped().visible(),
            Rect {
                x_min: 10.0,
                y_min: 0.0,
                x_max: 30.0,
                y_max: 20.0
            }
        );
        assert_eq!(letterboxed().visible(), all);
        assert_eq!(letterboxed().to_original(0.0, 0.0), (0.0, -1.0));
    }

    #[test]
    fn a_map_at_the_original_size_is_laid_down_unchanged() {
        let axis = |original| Axis {
            original,
            input: original,
            scale: 1.0,
            offset: 0.0,
        };
        let placement = Placement {
            x: axis(3),
            y: axis(2),
        };
        let map = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(placement.project(&map, 2, 3, 0.0), map);
    }

    #[test]
    fn enlarging_agrees_with_torch_interpolate() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 1.], [2., 5.]]]]), size=(4, 4), mode="bilinear",
        // align_corners=False); all values are exact in binary.
        let axis = Axis {
            original: 4,
            input: 2,
            scale: 0.5,
            offset: 0.0,
        };
        let placement = Placement { x: axis, y: axis };
        let expected = [
            0.0, 0.25, 0.75, 1.0, //
            0.5, 0.875, 1.625, 2.0, //
            1.5, 2.125, 3.375, 4.0, //
            2.0, 2.75, 4.25, 5.0,
        ];
        assert_eq!(placement.project(&[0.0, 1.0, 2.0, 5.0], 2, 2, -1.0), expected);
    }

    #[test]
    fn what_the_model_did_not_see_gets_the_outside_value() {
        let projected = cropped().project(&[1.0], 1, 1, -7.0);
        for (index, value) in projected.iter().enumerate() {
            let seen = (10..30).contains(&(index % 40));
            assert_eq!(*value, if seen { 1.0 } else { -7.0 }, "column {}", index % 40);
        }
    }

    #[test]
    fn what_is_not_finite_does_not_spread() {
        let map = [f32::NAN, f32::INFINITY, 2.0, f32::NEG_INFINITY];
        let projected = letterboxed().project(&map, 2, 2, 2.0);
        assert_eq!(projected, vec![2.0; 8]);
    }

    #[test]
    #[should_panic(expected = "cannot have 3 values")]
    fn a_map_of_another_size_is_a_defect() {
        let _ = letterboxed().project(&[0.0; 3], 2, 2, 0.0);
    }

    proptest! {
        #[test]
        fn there_and_back(
            scale in 0.001_f64..100.0,
            offset in -1e4_f64..1e4,
            point in -1e4_f64..1e4,
        ) {
            let axis = Axis { original: 100, input: 50, scale, offset };
            let placement = Placement { x: axis, y: axis };
            let (x, y) = placement.to_input(point, -point);
            let (x, y) = placement.to_original(x, y);
            // The offset's rounding error is divided by the scale.
            let tolerance = 1e-10 / scale + 1e-9;
            prop_assert!((x - point).abs() < tolerance && (y + point).abs() < tolerance);
        }

        #[test]
        fn a_projection_stays_within_the_map(
            map in proptest::collection::vec(-5.0_f32..5.0, 12),
            scale in 0.05_f64..8.0,
            offset in -20.0_f64..20.0,
        ) {
            let axis = Axis { original: 17, input: 23, scale, offset };
            let projected = Placement { x: axis, y: axis }.project(&map, 3, 4, 0.0);
            prop_assert_eq!(projected.len(), 17 * 17);
            prop_assert!(projected.iter().all(|value| value.abs() <= 5.0));
        }
    }
}
