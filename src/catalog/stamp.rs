//! Whether the files of a model are those that they were.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The state of files, by which it is told whether one was written to, replaced or removed since: the place of each, and what
/// the system says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(PathBuf, [u64; 3], [i64; 2])>);

impl Stamp {
    /// Of the files that a trial of the model in `dir` depends on; what cannot be looked at is left out.
    pub(super) fn of(dir: &Path) -> Self {
        let mut files = Vec::new();
        // A folder that cannot be read fails to load.
        list(dir, 1, &mut files).unwrap_or_default();
        files.sort();
        let stamped = |file: PathBuf| {
            let found = file.metadata().ok()?;
            let which = [found.dev(), found.ino(), found.len()];
            // Not when its status changed: one more link to it elsewhere does that.
            Some((file, which, [found.mtime(), found.mtime_nsec()]))
        };
        Self(files.into_iter().filter_map(stamped).collect())
    }
}

/// The files in `dir` and in so many levels of folders below it.
pub(super) fn list(dir: &Path, levels: usize, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in dir.read_dir()? {
        let path = entry?.path();
        if path.is_file() {
            into.push(path);
        } else if levels > 0 && path.is_dir() {
            list(&path, levels - 1, into)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_to_or_replaced_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("model.pt");
        std::fs::write(&file, "one").expect("written");
        let first = Stamp::of(folder.path());
        assert_eq!(first, Stamp::of(folder.path()));
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, "two").expect("written");
        let second = Stamp::of(folder.path());
        assert_ne!(first, second);
        let other = folder.path().join(".other");
        std::fs::write(&other, "two").expect("written");
        std::fs::rename(&other, &file).expect("renamed");
        assert_ne!(second, Stamp::of(folder.path()));
    }
}
