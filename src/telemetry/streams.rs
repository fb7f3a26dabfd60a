//! The two streams of the process, to which libraries write by themselves: warnings of libtorch, `print` in a model, a note
//! that was left in a decoder. Where that goes into a pipe that nobody reads, the thread that wrote would wait for ever.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use rustix::fs::OFlags;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// From now on writing to standard output or error fails where it would wait. Returns standard error as it was, for a thread
/// that may wait.
///
/// # Errors
/// When the process can open no more files.
pub fn never_wait() -> io::Result<File> {
    let as_it_was = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    if let Some(output) = again(io::stdout().as_fd()) {
        dup2_stdout(output)?;
    }
    if let Some(output) = again(io::stderr().as_fd()) {
        dup2_stderr(output)?;
    }
    Ok(as_it_was)
}

/// The same pipe or terminal, opened anew: whether writing waits belongs to what was opened, which other processes share.
/// Nothing where it is something else: writing to a file waits for nobody.
fn again(stream: BorrowedFd<'_>) -> Option<File> {
    let file = File::from(stream.try_clone_to_owned().ok()?);
    let kind = file.metadata().ok()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return None;
    }
    let at_once = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).ok()?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new()
        .write(true)
        .custom_flags(at_once)
        .open(path)
        .ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        let mut opened = again(writer.as_fd()).expect("it is a pipe");
        let full = (0..1 << 20).find_map(|_| opened.write_all(&[0; 4096]).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        let file = tempfile::tempfile().expect("a file");
        assert!(again(file.as_fd()).is_none());
    }
}
