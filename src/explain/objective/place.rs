//! Which cells of a model's answer a point or a box of the original picture means.

use crate::error::{Error, Result};
use crate::explain::target::refused;
use crate::image::Placement;

/// The `(row, column)` of `(rows, columns)` cells over the input in which the centre of pixel `[x, y]` of the original lies.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) where the model does not see it.
pub(super) fn cell(
    placement: &Placement,
    [x, y]: [f64; 2],
    (rows, columns): (i64, i64),
) -> Result<(i64, i64)> {
    let (input_width, input_height) = placement.input_size();
    let (at_x, at_y) = placement.to_input(x.floor() + 0.5, y.floor() + 0.5);
    let cell = |at: f64, input: u32, cells: i64| {
        let cell = (at / f64::from(input) * cells as f64).floor();
        (0.0..cells as f64).contains(&cell).then_some(cell as i64)
    };
    let (width, height) = placement.original();
    let inside = x >= 0.0 && y >= 0.0 && x < width.into() && y < height.into();
    let place = cell(at_y, input_height, rows).zip(cell(at_x, input_width, columns));
    place
        .filter(|_| inside)
        .ok_or_else(|| unseen(placement, &format!("pixel {x},{y}")))
}

fn unseen(placement: &Placement, what: &str) -> Error {
    let seen = placement.visible();
    refused(format!(
        "the model does not see {what}; it sees {:.0},{:.0} up to, but not including, {:.0},{:.0}",
        seen.x_min, seen.y_min, seen.x_max, seen.y_max
    ))
}

/// The rows and the columns of the cells whose centres lie in a box of the original; of one that is smaller than a cell, the
/// cell in which its own centre lies.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) where the model sees nothing of it.
pub(super) fn cells(
    placement: &Placement,
    corners: [f64; 4],
    (rows, columns): (i64, i64),
) -> Result<(Vec<i64>, Vec<i64>)> {
    let [x_min, y_min, x_max, y_max] = corners;
    let (width, height) = placement.original();
    let (x_min, x_max) = (x_min.max(0.0), x_max.min(width.into()));
    let (y_min, y_max) = (y_min.max(0.0), y_max.min(height.into()));
    if x_min >= x_max || y_min >= y_max {
        return Err(unseen(placement, "anything of this box"));
    }
    let (input_width, input_height) = placement.input_size();
    let centre = |cell: i64, input: u32, cells: i64| (cell as f64 + 0.5) / cells as f64 * f64::from(input);
    let of_columns = (0..columns).filter(|&column| {
        let (x, _) = placement.to_original(centre(column, input_width, columns), 0.0);
        x >= x_min && x < x_max
    });
    let of_rows = (0..rows).filter(|&row| {
        let (_, y) = placement.to_original(0.0, centre(row, input_height, rows));
        y >= y_min && y < y_max
    });
    let (of_rows, of_columns): (Vec<i64>, Vec<i64>) = (of_rows.collect(), of_columns.collect());
    if of_rows.is_empty() || of_columns.is_empty() {
        let middle = [(x_min + x_max) / 2.0, (y_min + y_max) / 2.0];
        let (row, column) = cell(placement, middle, (rows, columns))?;
        let or = |found: Vec<i64>, one: i64| if found.is_empty() { vec![one] } else { found };
        return Ok((or(of_rows, row), or(of_columns, column)));
    }
    Ok((of_rows, of_columns))
}
