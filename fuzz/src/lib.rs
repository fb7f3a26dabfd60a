//! Runs the fuzz targets under libFuzzer.

mod targets;

use std::sync::{LazyLock, Mutex, PoisonError};

use targets::TARGETS;

/// Runs one target, and ends the process where it panics. libFuzzer's own hook does so at every panic, also where the server
/// catches it and answers.
pub fn run(name: &str, bytes: &[u8]) {
    static QUIET: LazyLock<()> = LazyLock::new(|| std::panic::set_hook(Box::new(remember)));
    LazyLock::force(&QUIET);
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    if std::panic::catch_unwind(|| target(bytes)).is_err() {
        eprintln!("{}", LAST.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
}

/// What the last panic said.
static LAST: Mutex<String> = Mutex::new(String::new());

fn remember(panic: &std::panic::PanicHookInfo<'_>) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
}
