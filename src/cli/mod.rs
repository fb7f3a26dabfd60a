//! The command line: `lucarne serve | check | inspect | tune | plan | predict | explain | calibrate | evaluate | openapi | healthcheck`.

mod batch;
mod calibrate;
mod edited;
mod evaluate;
mod healthcheck;
mod inspect;
mod labelled;
mod local;
mod measured;
mod opened;
mod output;
mod plan;
mod trial;
mod tune;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{self, Ended};
use crate::catalog::check;
use crate::config::{Flags, LogFormat, Settings, revision};
use crate::error::{Error, Result};
use crate::runtime::process::{admit_signals, configure_process, exit_now};
use crate::telemetry::{never_wait, start_logging};
use output::{print, runtime, say};

/// Serves trained PyTorch vision models over HTTP, and shows where they looked.
#[derive(Debug, Parser)]
#[command(version = version(), about)]
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
        /// How long each may take, in seconds
        #[arg(long, env = "LUCARNE_LOAD_TIMEOUT_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=604_800))]
        load_timeout_s: u64,
        /// Memory that each may take, in MiB; 0 for three quarters of the machine's
        #[arg(long, env = "LUCARNE_MAX_MODEL_MB", default_value_t = 0)]
        max_model_mb: u64,
    },
    /// Show the methods and layers of a TorchScript file, and a model.toml that passes `check`
    Inspect(inspect::Inspect),
    /// Measure how a model shares the cores best, and write it into its model.toml
    Tune(tune::Tune),
    /// Measure a model, and say how many replicas answer a rate of requests within a time
    Plan(plan::Plan),
    /// Predict images without a server: print the answer, or write a record of each
    Predict(local::Predict),
    /// Explain images without a server, and write overlays, maps or JSON
    Explain(local::Explain),
    /// Find the temperature at which a classifier is as sure as it is right, by labelled pictures
    Calibrate(calibrate::Calibrate),
    /// Measure how good a model is on pictures whose answers are known
    Evaluate(evaluate::Evaluate),
    #[command(hide = true)]
    Trial(trial::Trial),
    /// Print the OpenAPI document
    Openapi,
    /// Ask a running server whether it is ready; exit status 0 if it is
    Healthcheck {
        /// What to ask [default: /readyz of the server that runs here, or of one with these settings]
        #[arg(long)]
        url: Option<String>,
    },
}

/// The program's version, and the revision that it was built from where the installation says so.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    revision().map_or(version.to_owned(), |revision| format!("{version} ({revision})"))
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => serve(&flags),
        Command::Check {
            dir,
            load_timeout_s,
            max_model_mb,
        } => quietly(|| {
            let settings = Settings {
                load_timeout_s,
                max_model_mb,
                ..Settings::default()
            };
            check_folder(&dir, &settings)
        }),
        Command::Inspect(inspect) => quietly(|| inspect.run()),
        Command::Tune(tune) => quietly(|| tune.run()),
        Command::Plan(plan) => quietly(|| plan.run()),
        Command::Predict(predict) => quietly(|| predict.run()),
        Command::Explain(explain) => quietly(|| explain.run()),
        Command::Calibrate(calibrate) => quietly(|| calibrate.run()),
        Command::Evaluate(evaluate) => quietly(|| evaluate.run()),
        Command::Trial(trial) => {
            trial.restrict();
            quietly(|| trial.run())
        }
        Command::Openapi => openapi(),
        Command::Healthcheck { url } => healthcheck::run(url),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, if anybody reads it.
fn complain(error: &Error) {
    say(&format!("lucarne: {}: {error}", error.code()));
}

/// For commands that are not the server: only what went wrong is logged.
fn quietly(command: impl FnOnce() -> Result<()>) -> Result<()> {
    admit_signals()?;
    configure_process();
    let settings = Settings {
        log: "error".into(),
        ..Settings::default()
    };
    let log = start_logging(&settings, std::io::stderr())?;
    let outcome = command();
    log.close();
    outcome
}

/// Serves until a signal, and ends the process.
fn serve(flags: &Flags) -> Result<()> {
    let settings = Settings::read(flags)?;
    let stderr = never_wait().map_err(|e| Error::InvalidSettings(format!("standard error: {e}")))?;
    let log = start_logging(&settings, stderr)?;
    configure_process();
    // It is not dropped: that would wait for what the end of the process need not wait for.
    let runtime = runtime()?;
    let format = settings.log_format;
    let ended = runtime.block_on(app::serve(settings, &log));
    if let (Err(error), LogFormat::Json) = (&ended, format) {
        tracing::error!(code = error.code(), %error, "cannot serve");
    }
    log.close();
    match ended {
        Ok(Ended::Drained) => exit_now(0),
        Ok(Ended::AtOnce) => exit_now(1),
        Err(error) => {
            if format == LogFormat::Text {
                complain(&error);
            }
            exit_now(1)
        }
    }
}

fn check_folder(dir: &std::path::Path, settings: &Settings) -> Result<()> {
    let (mut all, mut wrong) = (0, 0);
    for finding in check(dir, &app::trials(settings))? {
        all += 1;
        wrong += usize::from(!finding.problems.is_empty());
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
    if wrong == 0 {
        return Ok(());
    }
    Err(Error::model(format!("{wrong} of {all} models cannot be served")))
}

fn openapi() -> Result<()> {
    let json = app::document()
        .to_pretty_json()
        .map_err(|e| Error::Internal(e.to_string()))?;
    print(&json)
}
