//! Whether a model answered as many rows as it was given.

use tch::Tensor;

use crate::error::{Error, Result, counted};

/// Whether `found`, which `method` answered for a batch of so many, has a row for each.
///
/// # Errors
/// [`Error::InferenceFailed`] where it has not: one request would get what is another's.
pub(super) fn check_rows(method: &str, found: &Tensor, batch: usize) -> Result<()> {
    let rows = found.size().first().copied().unwrap_or(0);
    check_count(method, usize::try_from(rows).unwrap_or(0), batch)
}

/// The same, of so many rows.
pub(super) fn check_count(method: &str, rows: usize, batch: usize) -> Result<()> {
    if rows == batch {
        return Ok(());
    }
    Err(Error::InferenceFailed(format!(
        "{method} answered {} for a batch of {batch}",
        counted(rows, "row")
    )))
}
