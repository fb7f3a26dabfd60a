//! The command line: `lucarne serve | check | inspect | tune | predict | explain | openapi | healthcheck`.

mod healthcheck;
mod inspect;
mod local;
mod output;
mod tune;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app;
use crate::catalog::{Loader, check};
use crate::config::{Flags, LogFormat, Settings};
use crate::engine::cores::Cores;
use crate::engine::observer::Silent;
use crate::error::{Error, Result};
use crate::protocol::v1;
use crate::runtime::process::configure_process;
use crate::telemetry::start_logging;
use output::{print, runtime};

/// Serves trained PyTorch vision models over HTTP, and shows where they looked.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a folder of models over HTTP. Every flag is also a variable LUCARNE_… and a key of the file
    Serve(Box<Flags>),
    /// Say all that is wrong with a folder of models, or with one model
    Check {
        /// A folder of model folders, or one model folder
        dir: PathBuf,
    },
    /// Show the methods and layers of a TorchScript file, and a model.toml to start from
    Inspect {
        /// A TorchScript file
        file: PathBuf,
    },
    /// Measure how a model shares the cores best, and write it into its model.toml
    Tune(tune::Tune),
    /// Predict one image without a server, and print the answer
    Predict(local::Predict),
    /// Explain one image without a server, and write overlay, map or JSON
    Explain(local::Explain),
    /// Print the OpenAPI document
    Openapi,
    /// Ask a running server whether it is ready; exit status 0 if it is
    Healthcheck {
        /// What to ask
        #[arg(long, default_value = "http://127.0.0.1:8080/readyz")]
        url: String,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => serve(&flags),
        Command::Check { dir } => quietly().and_then(|()| check_folder(&dir)),
        Command::Inspect { file } => quietly().and_then(|()| inspect::inspect(&file)),
        Command::Tune(tune) => quietly().and_then(|()| tune.run()),
        Command::Predict(predict) => quietly().and_then(|()| predict.run()),
        Command::Explain(explain) => quietly().and_then(|()| explain.run()),
        Command::Openapi => openapi(),
        Command::Healthcheck { url } => healthcheck::ask(&url),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lucarne: {}: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}

/// For commands that are not the server: only what went wrong is logged.
fn quietly() -> Result<()> {
    configure_process();
    start_logging("error", LogFormat::Text)
}

fn serve(flags: &Flags) -> Result<()> {
    let settings = Settings::read(flags)?;
    start_logging(&settings.log, settings.log_format)?;
    configure_process();
    runtime()?.block_on(app::serve(settings))
}

fn check_folder(dir: &std::path::Path) -> Result<()> {
    let loader = Loader::new(
        Cores::of_this_machine(),
        Box::new(|_, _| std::sync::Arc::new(Silent)),
    );
    let findings = check(dir, &loader)?;
    for finding in &findings {
        let state = match finding.problems.len() {
            0 => "right".to_owned(),
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        };
        let problems: String = finding
            .problems
            .iter()
            .map(|problem| format!("\n  {problem}"))
            .collect();
        print(&format!("{}: {state}{problems}", finding.model))?;
    }
    let wrong = findings.iter().filter(|f| !f.problems.is_empty()).count();
    if wrong == 0 {
        return Ok(());
    }
    let all = findings.len();
    Err(Error::model(format!("{wrong} of {all} models cannot be served")))
}

fn openapi() -> Result<()> {
    let json = v1::document()
        .to_pretty_json()
        .map_err(|e| Error::Internal(e.to_string()))?;
    print(&json)
}
