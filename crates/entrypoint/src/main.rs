//! `lucarne-entrypoint ARGS…` becomes `lucarne ARGS…`, the program beside it.
//!
//! The kernel drops a signal to the first process of a container for which that process has no handler, and libtorch takes
//! a third of a second to start before the server's `main` can set one. This program starts in a millisecond. It blocks
//! the signals that stop a server, a blocked signal waits, and the server unblocks them when it has its handlers.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::execv;

fn main() -> ExitCode {
    let Err(error) = become_the_program();
    eprintln!("lucarne-entrypoint: {error}");
    ExitCode::FAILURE
}

fn become_the_program() -> Result<Infallible, String> {
    let stops: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    stops.thread_block().map_err(|e| format!("signals: {e}"))?;
    let program = std::env::current_exe()
        .map_err(|e| format!("where it stands: {e}"))?
        .with_file_name("lucarne");
    let arguments = std::env::args_os().skip(1).map(OsStringExt::into_vec);
    let path = c_string(program.as_os_str().as_bytes().to_vec())?;
    let arguments = std::iter::once(Ok(path.clone()))
        .chain(arguments.map(c_string))
        .collect::<Result<Vec<CString>, String>>()?;
    execv(&path, &arguments).map_err(|e| failed(&program, e))
}

fn c_string(bytes: Vec<u8>) -> Result<CString, String> {
    CString::new(bytes).map_err(|e| format!("an argument: {e}"))
}

fn failed(program: &Path, error: nix::Error) -> String {
    format!("{}: {error}", program.display())
}
