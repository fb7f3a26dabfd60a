//! Files of a model's folder, which is foreign: a pipe that nobody writes to, a device without an end or a gigantic text
//! must not stop the server.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file for reading, if it is one.
///
/// # Errors
/// Those of opening; [`io::ErrorKind::InvalidInput`] where there is something else than a file.
pub fn open(path: &Path) -> io::Result<File> {
    let at_once = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    // Without it, opening a pipe waits for its writer.
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    Ok(file)
}

/// The text in a file of at most so many bytes.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::FileTooLarge`]; [`io::ErrorKind::InvalidData`] where it is no UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        let why = format!("it has more than {} KiB", most >> 10);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        for path in [&pipe, Path::new("/dev/zero"), dir.path()] {
            assert!(open(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_text_is_read_up_to_its_bound() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("text");
        std::fs::write(&path, "four").expect("writable");
        assert_eq!(read_text(&path, 4).ok().as_deref(), Some("four"));
        assert!(read_text(&path, 3).is_err_and(|e| e.kind() == io::ErrorKind::FileTooLarge));
    }
}
