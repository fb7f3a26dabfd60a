//! `lucarne-entrypoint ARGS…` becomes `lucarne ARGS…`, the program beside it; `lucarne-entrypoint healthcheck` asks the server
//! that it became whether it is ready.
//!
//! The kernel drops a signal to the first process of a container for which that process has no handler, and libtorch takes
//! a third of a second to start before the server's `main` can set one. This program starts in a millisecond. It blocks
//! the signals that stop a server, a blocked signal waits, and the server unblocks them when it has its handlers.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lucarne_entrypoint::{health, signals};
use nix::unistd::execv;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = match &arguments[..] {
        [word] if word == "healthcheck" => check_health(),
        _ => become_the_program(arguments).map(|never| match never {}),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lucarne-entrypoint: {error}");
            ExitCode::FAILURE
        }
    }
}

fn program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("where it stands: {e}"))?;
    Ok(own.with_file_name("lucarne"))
}

fn check_health() -> Result<(), String> {
    let addresses = health::listening(&program()?);
    // Where operators have an address of their own, the other may speak TLS.
    let mut asked = addresses
        .iter()
        .map(|address| health::ask(&address.to_string(), "/readyz"));
    let first = asked.next().ok_or("no server listens here")?;
    first
        .or_else(|why| asked.find(Result::is_ok).unwrap_or(Err(why)))
        .map_err(|e| e.to_string())
}

fn become_the_program(arguments: Vec<OsString>) -> Result<Infallible, String> {
    signals::hold_back().map_err(|e| format!("signals: {e}"))?;
    let program = program()?;
    let path = c_string(program.as_os_str().as_bytes().to_vec())?;
    let arguments = arguments.into_iter().map(OsStringExt::into_vec).map(c_string);
    let arguments: Vec<CString> = std::iter::once(Ok(path.clone()))
        .chain(arguments)
        .collect::<Result<_, _>>()?;
    execv(&path, &arguments).map_err(|e| failed(&program, e))
}

fn c_string(bytes: Vec<u8>) -> Result<CString, String> {
    CString::new(bytes).map_err(|e| format!("an argument: {e}"))
}

fn failed(program: &Path, error: nix::Error) -> String {
    format!("{}: {error}", program.display())
}
