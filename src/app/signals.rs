//! The signals that end a server.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};
use crate::runtime::process;

/// Listeners for the signals that end a server; they are waited for from the start, so that none is lost.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// That the terminal is closed; nothing under `nohup`, which has it ignored.
    hangup: Option<Signal>,
    /// A log that reached the size that a file may have would end the process; with a listener, writing fails instead.
    _file_too_large: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|e| Error::Internal(format!("signals: {e}")));
        let file_too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        let signals = Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: match is_ignored(rustix::process::Signal::HUP) {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
            _file_too_large: listen(file_too_large)?,
        };
        process::admit_signals()?;
        Ok(signals)
    }

    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hangup => {}
        }
    }
}

/// Whether the process was started with `signal` ignored.
fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}
