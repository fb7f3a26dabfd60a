//! Load on a running HTTP server. Prints throughput, latencies and statuses; for Lucarne also the mean batch, and whether
//! every answer equals the lone one.
//!
//! A closed loop by default: so many clients, each sends its next body when it has its answer. With `--rate`, an open
//! loop: so many requests a second, whatever the answers, at equal distances or by chance (`--poisson`). A latency then begins
//! when the request was to be sent, so that a load program that is late does not hide what its clients would have waited.
//!
//! `cargo run --release --example load -- --clients 64 --seconds 30 tests/golden/photos/chelsea.png`

mod lucarne;
mod schedule;
mod sending;
mod summary;

use std::path::PathBuf;

use clap::Parser;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use sending::Asker;

/// Loads a running HTTP server, and prints throughput, latencies and statuses.
#[derive(Debug, Parser)]
struct Load {
    /// Where the server listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The path that is asked of any server; its answers are not read [default: Lucarne's, of --model and --operation]
    #[arg(long, conflicts_with_all = ["model", "operation"])]
    path: Option<String>,
    /// The model that is asked
    #[arg(long, default_value = "mobilenet_v2")]
    model: String,
    /// What it is asked
    #[arg(long, default_value = "predict")]
    operation: String,
    /// The type of the bodies
    #[arg(long, default_value = "application/octet-stream")]
    content_type: HeaderValue,
    /// Another header of every request, as often as needed
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Clients at once
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Requests a second, whatever the answers, instead of --clients
    #[arg(long, conflicts_with = "clients", value_parser = positive)]
    rate: Option<f64>,
    /// With --rate: requests come by chance, a Poisson process of this seed
    #[arg(long, value_name = "SEED", requires = "rate")]
    poisson: Option<u64>,
    /// How long load runs before anything is counted
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// How long what is answered is counted
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Stop after this many requests, if that is sooner
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// What is sent, in turn
    #[arg(required = true)]
    bodies: Vec<PathBuf>,
}

impl Load {
    fn url(&self) -> String {
        match &self.path {
            Some(path) => format!("{}{path}", self.url),
            None => format!("{}/v1/models/{}/{}", self.url, self.model, self.operation),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers: HeaderMap = self.header.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers
    }
}

// One thread, so that as much as possible of the cores is left to a server on the same machine.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let load = Load::parse();
    let asker = Asker::new(&load).await;
    let before = match load.path {
        None => Some(lucarne::batches(&asker, &load).await),
        Some(_) => None,
    };
    let mut summary = sending::run(&asker, &load).await;
    if let Some((images, batches)) = before {
        let after = lucarne::batches(&asker, &load).await;
        summary.mean_batch = Some((after.0 - images) / (after.1 - batches).max(1.0));
    }
    if load.json {
        println!("{}", summary.json());
    } else {
        summary.print();
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    let name = name.trim().parse().map_err(|e| format!("{e}"))?;
    let value = value.trim().parse().map_err(|e| format!("{e}"))?;
    Ok((name, value))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("expected a number above 0".into()),
    }
}
