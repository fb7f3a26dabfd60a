//! The signals that stop a server, which wait until it has handlers for them.

use nix::sys::signal::{SigSet, Signal};

fn stops() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Has them wait, for this thread and for what it becomes or starts.
///
/// # Errors
/// What the system says.
pub fn hold_back() -> nix::Result<()> {
    stops().thread_block()
}

/// Lets them in.
///
/// # Errors
/// What the system says.
pub fn admit() -> nix::Result<()> {
    stops().thread_unblock()
}
