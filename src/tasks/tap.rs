//! Between which cells over a model's input a pixel of the original lies, along one axis.

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

    /// What lies there, of what `near` and `far` have.
    pub(super) fn between(self, near: f32, far: f32) -> f32 {
        near * (1.0 - self.weight) + far * self.weight
    }
}
