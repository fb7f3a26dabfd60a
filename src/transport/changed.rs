//! Files that are read again when they change.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Calls `again` whenever one of `files` has changed, as long as it is polled.
pub(super) async fn follow(files: &[PathBuf], again: impl Fn()) {
    const LOOK: Duration = Duration::from_secs(1);
    if files.is_empty() {
        return;
    }
    let mut last = stamps(files);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = stamps(files);
        if now != last {
            last = now;
            again();
        }
    }
}

/// All of `file`, which is a file, and of no more than such files have.
pub(super) fn read(file: &Path) -> io::Result<String> {
    const MOST: u64 = 1 << 20;
    let opened = std::fs::File::open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    if opened.take(MOST + 1).read_to_string(&mut text)? as u64 > MOST {
        return Err(io::Error::other("it has more than 1 MiB"));
    }
    Ok(text)
}

/// When each was written last; nothing of one that is not there, as while it is replaced.
fn stamps(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let stamp = |file: &PathBuf| file.metadata().and_then(|found| found.modified()).ok();
    files.iter().map(stamp).collect()
}
