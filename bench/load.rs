//! A closed-loop load on a running server: so many clients, each sends its next photo when it has its answer.
//! Prints throughput, latencies, statuses, the mean batch, and whether every answer equals the lone one.
//!
//! `cargo run --release --example load -- --clients 64 --seconds 30 tests/golden/photos/chelsea.png`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;

/// See the module's text.
#[derive(Debug, Parser)]
struct Load {
    /// Where the server listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The model that is asked
    #[arg(long, default_value = "mobilenet_v2")]
    model: String,
    /// What it is asked
    #[arg(long, default_value = "predict")]
    operation: String,
    /// Clients at once
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// How long
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Stop after this many requests, if that is sooner
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// What is sent, in turn
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    latencies_ms: Vec<f64>,
    statuses: BTreeMap<u16, u64>,
    broken: u64,
    largest_difference: f64,
}

#[tokio::main]
async fn main() {
    let load = Arc::new(Load::parse());
    let client = reqwest::Client::new();
    let url = format!("{}/v1/models/{}/{}", load.url, load.model, load.operation);
    let mut photos = Vec::new();
    for image in &load.images {
        let bytes = std::fs::read(image).unwrap_or_else(|e| panic!("{}: {e}", image.display()));
        let lone = client
            .post(&url)
            .body(bytes.clone())
            .send()
            .await
            .expect("the server answers");
        assert!(
            lone.status().is_success(),
            "{}: {}",
            image.display(),
            lone.status()
        );
        photos.push((bytes, numbers(&lone.json().await.expect("JSON"))));
    }
    let (photos, before) = (Arc::new(photos), batches(&client, &load).await);
    let started = Instant::now();
    let left = Arc::new(std::sync::atomic::AtomicU64::new(load.requests));
    let clients: Vec<_> = (0..load.clients)
        .map(|index| {
            let (client, url, photos, left) = (
                client.clone(),
                url.clone(),
                Arc::clone(&photos),
                Arc::clone(&left),
            );
            let end = started + Duration::from_secs_f64(load.seconds);
            tokio::spawn(async move {
                let (mut seen, mut turn) = (Seen::default(), index);
                let claim = || {
                    left.fetch_update(
                        std::sync::atomic::Ordering::Relaxed,
                        std::sync::atomic::Ordering::Relaxed,
                        |n| n.checked_sub(1),
                    )
                };
                while Instant::now() < end && claim().is_ok() {
                    let (bytes, lone) = &photos[turn % photos.len()];
                    turn += 1;
                    seen.ask(&client, &url, bytes.clone(), lone).await;
                }
                seen
            })
        })
        .collect();
    let mut all = Seen::default();
    for seen in clients {
        all.add(seen.await.expect("a client ends"));
    }
    let took = started.elapsed().as_secs_f64();
    let after = batches(&client, &load).await;
    all.print(took, (after.0 - before.0) / (after.1 - before.1).max(1.0));
}

impl Seen {
    async fn ask(&mut self, client: &reqwest::Client, url: &str, bytes: Vec<u8>, lone: &[f64]) {
        let started = Instant::now();
        let Ok(response) = client.post(url).body(bytes).send().await else {
            self.broken += 1;
            return;
        };
        let status = response.status();
        let Ok(body) = response.bytes().await else {
            self.broken += 1;
            return;
        };
        *self.statuses.entry(status.as_u16()).or_default() += 1;
        if status.is_success() {
            self.latencies_ms.push(started.elapsed().as_secs_f64() * 1e3);
            let found = numbers(&serde_json::from_slice(&body).expect("JSON"));
            let difference = found
                .iter()
                .zip(lone)
                .map(|(f, l)| (f - l).abs())
                .fold(0.0, f64::max);
            self.largest_difference = self.largest_difference.max(difference);
        }
    }

    fn add(&mut self, other: Self) {
        self.latencies_ms.extend(other.latencies_ms);
        self.broken += other.broken;
        self.largest_difference = self.largest_difference.max(other.largest_difference);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    fn print(mut self, took: f64, mean_batch: f64) {
        self.latencies_ms.sort_by(f64::total_cmp);
        let n = self.latencies_ms.len();
        let percentile = |p: f64| {
            self.latencies_ms
                .get(((n as f64 * p) as usize).min(n.max(1) - 1))
                .copied()
        };
        println!(
            "answers by status     {:?}, broken connections {}",
            self.statuses, self.broken
        );
        println!("answers a second      {:.1}", n as f64 / took);
        for (name, p) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            println!(
                "{name} latency           {:.1} ms",
                percentile(p).unwrap_or(f64::NAN)
            );
        }
        println!("mean batch            {mean_batch:.2}");
        println!(
            "largest difference    {:.2e} from the lone answer",
            self.largest_difference
        );
    }
}

/// Every number that a model computed, in order: scores of a prediction, data of a map.
fn numbers(answer: &Value) -> Vec<f64> {
    let classes = answer["predictions"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|p| p["classes"].as_array())
        .flatten();
    let scores = classes.map(|class| &class["score"]);
    let maps = answer["explanations"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|e| e["map"]["data"].as_array())
        .flatten();
    scores.chain(maps).filter_map(Value::as_f64).collect()
}

/// Images and batches that the server has computed for this model and operation so far.
async fn batches(client: &reqwest::Client, load: &Load) -> (f64, f64) {
    let text = client
        .get(format!("{}/metrics", load.url))
        .send()
        .await
        .expect("metrics")
        .text()
        .await
        .expect("text");
    let queue = if load.operation == "explain" {
        "explain"
    } else {
        "predict"
    };
    let value = |name: &str| -> f64 {
        let series = format!(
            "lucarne_batch_size_{name}{{model=\"{}\",queue=\"{queue}\"}}",
            load.model
        );
        let line = text
            .lines()
            .find(|line| line.starts_with(&series))
            .expect("the model's series");
        line.rsplit(' ')
            .next()
            .and_then(|v| v.parse().ok())
            .expect("a number")
    };
    (value("sum"), value("count"))
}
