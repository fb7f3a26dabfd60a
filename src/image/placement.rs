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
        let rows = self.y.taps(map_height);
        let mut projected = Vec::with_capacity(columns.len() * rows.len());
        let mut line = vec![0.0; map_width];
        for row in rows {
            let Some(row) = row else {
                projected.resize(projected.len() + columns.len(), outside);
                continue;
            };
            let near = &finite[row.near * map_width..][..map_width];
            let far = &finite[row.far * map_width..][..map_width];
            for ((cell, near), far) in line.iter_mut().zip(near).zip(far) {
                *cell = row.between(*near, *far);
            }
            projected.extend(columns.iter().map(|column| match column {
                Some(tap) => tap.between(line[tap.near], line[tap.far]),
                None => outside,
            }));
        }
        projected
    }
}
