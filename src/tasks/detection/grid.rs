//! Cells over a model's input, laid on the original picture down its columns: there is never a whole mask in memory, only
//! its runs.

use std::ops::Range;

use super::object::ObjectMask;
use crate::engine::Context;
use crate::error::Result;
use crate::image::Placement;
use crate::tasks::allowance::Allowance;
use crate::tasks::rle::{LOOK, Runs};
use crate::tasks::tap::Tap;

/// By how much prototypes of `(height, width)` are enlarged, 1, 2 or 4 times, for the border to lie on whole cells.
pub(super) fn enlarged(placement: &Placement, (height, width): (usize, usize)) -> usize {
    let ((x_offset, y_offset), (x_scale, y_scale)) = (placement.to_input(0.0, 0.0), placement.scale());
    let ((input_width, input_height), original) = (placement.input_size(), placement.original());
    let is_whole = |factor: usize| {
        let axis = |offset: f64, scale: f64, original: u32, input: u32, cells: usize| {
            let cells = (cells * factor) as f64 / f64::from(input);
            let far = f64::from(input) - offset - scale * f64::from(original);
            [offset, far].iter().all(|border| {
                let border = border.max(0.0) * cells;
                (border - border.round()).abs() < 1e-6
            })
        };
        axis(x_offset, x_scale, original.0, input_width, width)
            && axis(y_offset, y_scale, original.1, input_height, height)
    };
    [1, 2].into_iter().find(|factor| is_whole(*factor)).unwrap_or(4)
}

/// Cells that cover the input, `full` (rows, columns) of them; those outside of `rows` and `columns` are zero.
pub(super) struct Grid<'a> {
    pub(super) values: &'a [f32],
    pub(super) full: (usize, usize),
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// How many times it is enlarged before it is laid down.
    pub(super) enlarged: usize,
}

/// Where the pixels `window` of one axis of the original lie on `cells` over the input; nothing where it was not seen.
fn taps(
    window: Range<usize>,
    (original, input): (u32, u32),
    (scale, offset): (f64, f64),
    cells: usize,
) -> Vec<Option<Tap>> {
    let (length, a_pixel) = (f64::from(input), cells as f64 / f64::from(input));
    let first = (offset * a_pixel).round().clamp(0.0, cells as f64 - 1.0);
    let end = ((offset + scale * f64::from(original)) * a_pixel).round();
    let last = (end.clamp(first + 1.0, cells as f64) - 1.0) as usize;
    let tap = |pixel: usize| {
        let at = (pixel as f64 + 0.5) * scale + offset;
        (0.0..length)
            .contains(&at)
            .then(|| Tap::at(at * a_pixel - 0.5, first as usize, last))
    };
    window.map(tap).collect()
}

impl Grid<'_> {
    /// The pixels of the original that its cells can reach, as rows and columns.
    pub(super) fn window(&self, placement: &Placement) -> (Range<usize>, Range<usize>) {
        let ((input_width, input_height), (width, height)) = (placement.input_size(), placement.original());
        let (cell_width, cell_height) = (
            f64::from(input_width) / self.full.1 as f64,
            f64::from(input_height) / self.full.0 as f64,
        );
        let corner = |column: f64, row: f64| placement.to_original(column * cell_width, row * cell_height);
        let (left, top) = corner(self.columns.start as f64 - 1.0, self.rows.start as f64 - 1.0);
        let (right, bottom) = corner(self.columns.end as f64 + 1.0, self.rows.end as f64 + 1.0);
        let within = |low: f64, high: f64, length: u32| {
            let inside = |v: f64| v.clamp(0.0, f64::from(length)) as usize;
            inside(low.floor())..inside(high.ceil())
        };
        (within(top, bottom, height), within(left, right, width))
    }

    /// What is above `threshold` in the pixels `window` (rows, columns) of the original.
    pub(super) fn laid(
        &self,
        threshold: f32,
        (rows, columns): (Range<usize>, Range<usize>),
        placement: &Placement,
        (allowance, context): (&mut Allowance, &Context),
    ) -> Result<ObjectMask> {
        /// Characters of a run at most, of a picture of 2³² pixels, and its number before.
        const BYTES_OF_RUN: u64 = 8 + 8;
        allowance.take(rows.len() * columns.len(), 0)?;
        let ((x_offset, y_offset), (x_scale, y_scale)) = (placement.to_input(0.0, 0.0), placement.scale());
        let ((width, height), (input_width, input_height)) = (placement.original(), placement.input_size());
        let cells = (self.full.0 * self.enlarged, self.full.1 * self.enlarged);
        let x = (width, input_width);
        let across = taps(columns.clone(), x, (x_scale, x_offset), cells.1);
        let y = (height, input_height);
        let down = taps(rows.clone(), y, (y_scale, y_offset), cells.0);
        let mut runs = Runs::new([height as usize, width as usize]);
        let mut cache = Columns::new(self);
        let (mut looked, mut line) = (0, vec![0.0; cells.0]);
        for (column, tap) in columns.zip(across) {
            looked += rows.len();
            if looked > LOOK {
                looked = 0;
                context.check()?;
            }
            let Some(tap) = tap else { continue };
            let before = runs.len();
            cache.blend(tap, &mut line);
            let is_set =
                |tap: &Option<Tap>| tap.is_some_and(|t| t.between(line[t.near], line[t.far]) > threshold);
            add_column(
                &mut runs,
                column * height as usize + rows.start,
                down.iter().map(is_set),
            );
            allowance.take(0, (runs.len() - before) as u64 * BYTES_OF_RUN)?;
        }
        let (pixels, rle) = runs.finish();
        Ok(ObjectMask { pixels, rle })
    }
}

/// Adds the set pixels of a column whose first is pixel `start`, counted down the columns.
fn add_column(runs: &mut Runs, start: usize, is_set: impl Iterator<Item = bool>) {
    let mut open = None;
    let mut end = start;
    for (pixel, is_set) in (start..).zip(is_set) {
        end = pixel + 1;
        match (open, is_set) {
            (None, true) => open = Some(pixel),
            (Some(first), false) => {
                runs.add(first, pixel);
                open = None;
            }
            _ => {}
        }
    }
    if let Some(first) = open {
        runs.add(first, end);
    }
}

/// The columns of an enlarged grid, of which the last two are kept: neighbours on the original share them.
struct Columns<'a> {
    grid: &'a Grid<'a>,
    down: Vec<Tap>,
    kept: [(usize, Vec<f32>); 2],
}

impl<'a> Columns<'a> {
    fn new(grid: &'a Grid<'a>) -> Self {
        let enlarged = grid.enlarged;
        let down = (0..grid.full.0 * enlarged)
            .map(|row| enlarging(row, enlarged, grid.full.0))
            .collect();
        let nothing = || (usize::MAX, Vec::new());
        Self {
            grid,
            down,
            kept: [nothing(), nothing()],
        }
    }

    /// The column at `tap`, into `line`.
    fn blend(&mut self, tap: Tap, line: &mut [f32]) {
        let (near, far) = (self.find(tap.near, tap.far), self.find(tap.far, tap.near));
        let columns = self.kept[near].1.iter().zip(&self.kept[far].1);
        for (value, (near, far)) in line.iter_mut().zip(columns) {
            *value = tap.between(*near, *far);
        }
    }

    /// Where column `wanted` is kept, computed if it is not, and not in the place of `other`.
    fn find(&mut self, wanted: usize, other: usize) -> usize {
        if let Some(place) = self.kept.iter().position(|(index, _)| *index == wanted) {
            return place;
        }
        let place = usize::from(self.kept[0].0 == other);
        self.kept[place] = (wanted, self.column(wanted));
        place
    }

    fn column(&self, index: usize) -> Vec<f32> {
        let grid = self.grid;
        let across = enlarging(index, grid.enlarged, grid.full.1);
        let inside = |column: usize| {
            grid.columns
                .contains(&column)
                .then(|| column - grid.columns.start)
        };
        let mut own = vec![0.0; grid.full.0];
        let (near, far) = (inside(across.near), inside(across.far));
        let lines = grid.values.chunks_exact(grid.columns.len().max(1));
        for (value, line) in own[grid.rows.clone()].iter_mut().zip(lines) {
            let cell = |column: Option<usize>| column.map_or(0.0, |column| line[column]);
            *value = across.between(cell(near), cell(far));
        }
        if grid.enlarged == 1 {
            return own;
        }
        self.down
            .iter()
            .map(|tap| tap.between(own[tap.near], own[tap.far]))
            .collect()
    }
}

/// Where cell `index` of `cells` that were enlarged lies between them.
fn enlarging(index: usize, factor: usize, cells: usize) -> Tap {
    Tap::at((index as f64 + 0.5) / factor as f64 - 0.5, 0, cells - 1)
}
