//! Between which cells over a model's input a pixel of the original lies, along one axis.

use crate::image::Placement;

/// A place between two cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) near: usize,
    pub(super) far: usize,
    pub(super) weight: f32,
}

impl Tap {
    /// `cell` among those from `first` to `last`, whose edges are repeated.
    pub(super) fn at(cell: f64, first: usize, last: usize) -> Self {
        let cell = cell.clamp(first as f64, last as f64);
        let near = cell as usize;
        Self {
            near,
            far: last.min(near + 1),
            weight: (cell - near as f64) as f32,
        }
    }

    /// The value there, between those of `near` and `far`.
    pub(super) fn between(self, near: f32, far: f32) -> f32 {
        near * (1.0 - self.weight) + far * self.weight
    }
}

/// For each column and each row of the original, which of the `(rows, columns)` cells over the input it lies between; nothing
/// where the model did not see it.
pub(super) fn lines(
    placement: &Placement,
    (rows, columns): (usize, usize),
) -> (Vec<Option<Tap>>, Vec<Option<Tap>>) {
    let ((width, height), (input_width, input_height)) = (placement.original(), placement.input_size());
    let (x_scale, y_scale) = placement.scale();
    let (x_offset, y_offset) = placement.to_input(0.0, 0.0);
    (
        line(width, input_width, (x_scale, x_offset), columns),
        line(height, input_height, (y_scale, y_offset), rows),
    )
}

/// For each pixel of one axis of the original, which of the `cells` over the input it lies between; nothing where the model
/// did not see it. Computed in 32 bits from −1 to 1 over the input, as `grid_sample` does.
fn line(original: u32, input: u32, (scale, offset): (f64, f64), cells: usize) -> Vec<Option<Tap>> {
    let last = (cells - 1) as f32;
    let tap = |pixel: u32| {
        let at = (2.0 * ((f64::from(pixel) + 0.5) * scale + offset) / f64::from(input) - 1.0) as f32;
        if at.abs() > 1.0 {
            return None;
        }
        let cell = (((at + 1.0) * cells as f32 - 1.0) / 2.0).clamp(0.0, last);
        let near = cell as usize;
        Some(Tap {
            near,
            far: (near + 1).min(cells - 1),
            weight: cell - near as f32,
        })
    };
    (0..original).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn cells_are_those_of_grid_sample(
            cells in 1_usize..40, original in 1_u32..200, input in 1_u32..80, offset in -20.0_f64..20.0,
        ) {
            let scale = f64::from(input) / f64::from(original);
            let positions: Vec<f32> = (0..original)
                .map(|i| (2.0 * ((f64::from(i) + 0.5) * scale + offset) / f64::from(input) - 1.0) as f32)
                .collect();
            let values: Vec<f32> = (0..cells).map(|i| (i * i % 7) as f32).collect();
            let map = tch::Tensor::from_slice(&values).view([1, 1, 1, cells as i64]);
            let xs = tch::Tensor::from_slice(&positions);
            let grid = tch::Tensor::stack(&[&xs, &xs.zeros_like()], -1).view([1, 1, i64::from(original), 2]);
            let sampled = Vec::<f32>::try_from(map.grid_sampler(&grid, 0, 1, false).flatten(0, -1)).expect("floats");
            for (tap, expected) in line(original, input, (scale, offset), cells).iter().zip(sampled) {
                if let Some(tap) = tap {
                    let value = tap.between(values[tap.near], values[tap.far]);
                    proptest::prop_assert!((value - expected).abs() < 1e-4, "{} and {}", value, expected);
                }
            }
        }
    }
}
