//! `lucarne plan`: how many replicas, cores and how much memory a rate of requests takes, if 99 of 100 are to be answered
//! within a time.
//!
//! The model is measured on this machine as `lucarne tune` measures it. Then arrivals are made up, and one replica's share of
//! them goes through the engine's own batcher, for more and more replicas. docs/scale.md says what that leaves out.

mod arrivals;
mod measure;
mod measurements;
mod report;
mod request;
mod samples;
mod search;
mod simulation;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::opened::file;
use super::output::print;
use crate::engine::batcher::Policy;
use crate::error::{Error, Result};
use crate::manifest::{self, Manifest};
use arrivals::Bursts;
use measure::Wanted;
use measurements::Measurements;
use report::Report;
use search::Search;

/// `lucarne plan`
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The model's folder
    model: PathBuf,
    /// Requests a second, of a picture each, all replicas together
    #[arg(long)]
    rate: f64,
    /// Milliseconds within which 99 of 100 requests are to be answered
    #[arg(long)]
    p99_ms: f64,
    /// Cores of a replica, at most those of this machine, which is also the default
    #[arg(long, conflicts_with = "measured")]
    cores: Option<usize>,
    /// A picture as clients send it [default: a PNG of the model's own size]
    #[arg(long, value_name = "FILE", conflicts_with = "measured")]
    picture: Option<PathBuf>,
    /// Seconds that measuring takes, about
    #[arg(long, default_value_t = 20.0, conflicts_with = "measured")]
    seconds: f64,
    /// What an earlier `plan --json` printed of this model: its measurements are used, and nothing is measured
    #[arg(long, value_name = "FILE")]
    measured: Option<PathBuf>,
    /// How many times the rate comes in a burst
    #[arg(long, default_value_t = 3.0)]
    burst: f64,
    /// How much of the time is a burst
    #[arg(long, default_value_t = 0.1)]
    burst_share: f64,
    /// Seconds that a burst takes on average
    #[arg(long, default_value_t = 2.0)]
    burst_s: f64,
    /// Requests that a simulation makes up, up to five times as many in bursts
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    requests: u32,
    /// The same seed and the same measurements have the same answer
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) fn run(&self) -> Result<()> {
        let bursts = self.check()?;
        let manifest = Manifest::read(&self.model)?;
        let batching = &manifest.batching;
        let policy = Policy {
            max_batch: batching.max_batch_size,
            max_delay: batching.max_delay,
            capacity: batching.queue_capacity,
        };
        let measured = match &self.measured {
            Some(file) => read(file)?,
            None => self.measure(&manifest)?,
        };
        if measured.largest() < policy.max_batch {
            let (found, wanted) = (measured.largest(), policy.max_batch);
            return Err(Error::InvalidSettings(format!(
                "--measured: batches of up to {found} were measured, and max_batch_size is {wanted} now; measure again"
            )));
        }
        let search = Search {
            measured: &measured,
            policy,
            rate: self.rate,
            p99_ms: self.p99_ms,
            bursts,
            requests: self.requests as usize,
            seed: self.seed,
        };
        let found = search.run();
        let report = Report {
            search,
            found: &found,
        };
        if self.json {
            print(&report.json().to_string())?;
        } else {
            print(&report.text())?;
        }
        found.replicas.map(drop).map_err(Error::InvalidSettings)
    }

    /// Every number has bounds, and bursts do not come more often than always.
    fn check(&self) -> Result<Bursts> {
        for (flag, found, least, most) in [
            ("rate", self.rate, 1e-3, 1e6),
            ("p99-ms", self.p99_ms, 0.1, 3.6e6),
            ("seconds", self.seconds, 1.0, 3600.0),
            ("burst", self.burst, 1.0, 1000.0),
            ("burst-share", self.burst_share, 0.001, 0.999),
            ("burst-s", self.burst_s, 0.01, 3600.0),
        ] {
            if !(least..=most).contains(&found) {
                return Err(Error::InvalidSettings(format!(
                    "--{flag}: found {found}, expected a number from {least} to {most}"
                )));
            }
        }
        if self.burst * self.burst_share > 1.0 {
            return Err(Error::InvalidSettings(format!(
                "--burst {} for --burst-share {} of the time is more than the whole rate; their product may be 1 at most",
                self.burst, self.burst_share
            )));
        }
        Ok(Bursts {
            factor: self.burst,
            share: self.burst_share,
            mean_s: self.burst_s,
        })
    }

    fn measure(&self, manifest: &Manifest) -> Result<Measurements> {
        let cores = measure::cores(self.cores)?;
        let picture = self.picture.as_deref().map(file).transpose()?;
        if picture.is_some() {
            manifest.image_input()?;
        }
        let wanted = Wanted {
            model: &self.model,
            manifest,
            cores,
            picture,
            time: Duration::from_secs_f64(self.seconds),
        };
        wanted.measure()
    }
}

/// The measurements in what `plan --json` printed.
fn read(path: &Path) -> Result<Measurements> {
    /// More than any number of batch sizes takes.
    const MOST_BYTES: u64 = 16 << 20;
    let wrong =
        |e: &dyn std::fmt::Display| Error::InvalidSettings(format!("--measured {}: {e}", path.display()));
    let mut text = String::new();
    // A pipe that nobody writes to would be waited for.
    let file = manifest::open(path).map_err(|e| wrong(&e))?;
    let bytes = file.take(MOST_BYTES).read_to_string(&mut text);
    bytes.map_err(|e| wrong(&e))?;
    let mut printed: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
    let measured = printed.get_mut("measured").map(serde_json::Value::take);
    let measured =
        measured.ok_or_else(|| wrong(&"it has no \"measured\"; `lucarne plan --json` prints one"))?;
    serde_json::from_value(measured).map_err(|e| wrong(&e))
}
