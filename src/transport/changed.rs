//! Files that are read again when they change.

use std::path::PathBuf;
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

/// When each was written last; nothing of one that is not there, as while it is replaced.
fn stamps(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let stamp = |file: &PathBuf| file.metadata().and_then(|found| found.modified()).ok();
    files.iter().map(stamp).collect()
}
