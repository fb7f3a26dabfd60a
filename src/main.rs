//! The `lucarne` program: see `lucarne --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    lucarne::cli::run()
}
