//! What every command uses: printing, and threads for what waits.

use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Prints a result. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Internal(error.to_string())),
        _ => Ok(()),
    }
}

/// Says something on standard error, if anybody reads that.
pub(super) fn say(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Threads for asynchronous work.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().map_err(|e| Error::InvalidSettings(format!("cannot start threads: {e}")))
}

/// Writes a file.
///
/// # Errors
/// [`Error::InvalidSettings`] where it cannot be written.
pub(super) fn written(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).map_err(|e| Error::InvalidSettings(format!("{}: {e}", file.display())))
}
