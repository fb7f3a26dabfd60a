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
    /// Tasks that run before sockets and clocks are looked at again. With tokio's 61, a few connections that are never done make all
    /// others wait for a second.
    const TURNS: u32 = 7;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .event_interval(TURNS)
        .build()
        .map_err(|e| Error::InvalidSettings(format!("cannot start threads: {e}")))
}

/// Whether a file could be written, before there is something to write.
///
/// # Errors
/// [`Error::InvalidSettings`] where it could not.
pub(super) fn can_be_written(file: &Path) -> Result<()> {
    let wrong = |why: String| Error::InvalidSettings(format!("{}: {why}", file.display()));
    if file.is_dir() {
        return Err(wrong("it is a folder; give a file in it".into()));
    }
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // A file that is there may be one that is not replaced but written to, such as /dev/stdout.
    if file.exists() {
        let opened = std::fs::OpenOptions::new().append(true).open(file);
        return opened.map(drop).map_err(|e| wrong(e.to_string()));
    }
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|e| wrong(e.to_string()))
}

/// Writes a file.
///
/// # Errors
/// [`Error::InvalidSettings`] where it cannot be written.
pub(super) fn written(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).map_err(|e| Error::InvalidSettings(format!("{}: {e}", file.display())))
}
