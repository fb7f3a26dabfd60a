//! What explanations cost, and whom: on a running server, prints
//!
//! - what Grad-CAM takes against a plain forward pass at batch 1 (compute times that the server says);
//! - the p99 of predictions with and without clients that ask for RISE beside them, against the time of one batch;
//! - resident memory after many explanations (with `--pid`);
//! - whether explanations that run at once equal those that run alone.
//!
//! `cargo run --release --example explain -- --pid $(pidof lucarne) tests/golden/photos/chelsea.png`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinSet;

/// Measures what explanations cost on a running server, and what predictions beside them wait.
#[derive(Debug, Parser)]
struct Bench {
    /// Where the server listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The model that is asked
    #[arg(long, default_value = "mobilenet_v2")]
    model: String,
    /// The server's process, whose memory is read
    #[arg(long)]
    pid: Option<u32>,
    /// Seconds of each load
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// Clients that predict
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Clients that ask for RISE beside them
    #[arg(long, default_value_t = 8)]
    explainers: usize,
    /// Explanations after which memory is read again
    #[arg(long, default_value_t = 1000)]
    explanations: usize,
    /// What is sent
    image: PathBuf,
}

#[derive(Clone)]
struct Asker {
    client: Client,
    model_url: String,
    image: Arc<Vec<u8>>,
}

impl Asker {
    async fn post(&self, what: &str) -> Value {
        let url = format!("{}/{what}", self.model_url);
        let request = self.client.post(url).body(self.image.to_vec());
        let response = request.send().await.expect("the server answers");
        assert!(response.status().is_success(), "{what}: {}", response.status());
        response.json().await.expect("JSON")
    }

    /// What a batch of sixteen predictions takes, in milliseconds.
    async fn batch_ms(&self) -> f64 {
        let mut found = Vec::new();
        for _ in 0..5 {
            let part = |_| reqwest::multipart::Part::bytes(self.image.to_vec()).file_name("image");
            let form = (0..16)
                .map(part)
                .fold(reqwest::multipart::Form::new(), |form, part| {
                    form.part("file", part)
                });
            let request = self
                .client
                .post(format!("{}/predict", self.model_url))
                .multipart(form);
            let answer: Value = request
                .send()
                .await
                .expect("an answer")
                .json()
                .await
                .expect("JSON");
            found.push(answer["timing_ms"]["compute"].as_f64().expect("a number"));
        }
        percentile(&mut found, 0.5)
    }

    /// Median compute time of `times` requests, in milliseconds.
    async fn compute_ms(&self, what: &str, times: usize) -> f64 {
        let mut found = Vec::new();
        for _ in 0..times {
            let answer = self.post(what).await;
            found.push(answer["timing_ms"]["compute"].as_f64().expect("a number"));
        }
        percentile(&mut found, 0.5)
    }
}

#[tokio::main]
async fn main() {
    let bench = Bench::parse();
    let image = std::fs::read(&bench.image).expect("the image can be read");
    let asker = Asker {
        client: Client::new(),
        model_url: format!("{}/v1/models/{}", bench.url, bench.model),
        image: Arc::new(image),
    };
    cost(&asker).await;
    fairness(&bench, &asker).await;
    memory(&bench, &asker).await;
    sameness(&asker).await;
}

/// Interleaved, so that a noisy moment hits both.
async fn cost(asker: &Asker) {
    const ROUNDS: usize = 5;
    let (mut predict, mut explain) = (Vec::new(), Vec::new());
    asker.compute_ms("explain", 5).await;
    for _ in 0..ROUNDS {
        predict.push(asker.compute_ms("predict", 20).await);
        explain.push(asker.compute_ms("explain", 20).await);
    }
    let (forward, grad_cam) = (percentile(&mut predict, 0.5), percentile(&mut explain, 0.5));
    println!("forward, batch 1      {forward:.2} ms");
    println!(
        "Grad-CAM              {grad_cam:.2} ms, {:.2} forwards",
        grad_cam / forward
    );
}

async fn fairness(bench: &Bench, asker: &Asker) {
    let alone = predict_load(bench, asker).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut beside = JoinSet::new();
    for _ in 0..bench.explainers {
        let (asker, stop) = (asker.clone(), Arc::clone(&stop));
        beside.spawn(async move {
            let mut made = 0;
            while !stop.load(Ordering::Relaxed) {
                asker.post("explain?method=rise&n_masks=200").await;
                made += 1;
            }
            made
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let loaded = predict_load(bench, asker).await;
    stop.store(true, Ordering::Relaxed);
    let batch_ms = asker.batch_ms().await;
    let made: usize = beside.join_all().await.into_iter().sum();
    println!(
        "predictions alone     p50 {:.1} ms, p99 {:.1} ms",
        alone.p50, alone.p99
    );
    println!(
        "beside RISE           p50 {:.1} ms, p99 {:.1} ms; {made} RISE maps",
        loaded.p50, loaded.p99
    );
    println!(
        "the p99 rose by       {:.1} ms; a batch of 16 takes {batch_ms:.1} ms",
        loaded.p99 - alone.p99
    );
}

struct Latency {
    p50: f64,
    p99: f64,
}

async fn predict_load(bench: &Bench, asker: &Asker) -> Latency {
    let end = Instant::now() + Duration::from_secs_f64(bench.seconds);
    let mut clients = JoinSet::new();
    for _ in 0..bench.clients {
        let asker = asker.clone();
        clients.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let started = Instant::now();
                asker.post("predict").await;
                latencies.push(started.elapsed().as_secs_f64() * 1e3);
            }
            latencies
        });
    }
    let mut latencies: Vec<f64> = clients.join_all().await.concat();
    Latency {
        p50: percentile(&mut latencies, 0.5),
        p99: percentile(&mut latencies, 0.99),
    }
}

async fn memory(bench: &Bench, asker: &Asker) {
    let Some(pid) = bench.pid else { return };
    let methods = [
        "grad_cam",
        "layer_cam",
        "saliency",
        "input_x_gradient",
        "guided_backprop",
        "eigen_cam",
    ];
    let warm = 100.min(bench.explanations);
    for index in 0..warm {
        asker
            .post(&format!("explain?method={}", methods[index % methods.len()]))
            .await;
    }
    let before = resident_mb(pid);
    for index in warm..bench.explanations {
        asker
            .post(&format!("explain?method={}", methods[index % methods.len()]))
            .await;
    }
    let after = resident_mb(pid);
    println!(
        "resident memory       {before:.0} MB after {warm} explanations, {after:.0} MB after {}",
        bench.explanations
    );
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server's process");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("its memory");
    let kilobytes: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    kilobytes / 1024.0
}

/// Fifty at once against the same one by one.
async fn sameness(asker: &Asker) {
    let targets: Vec<String> = (0..50).map(|n| format!("explain?target={}", n * 19)).collect();
    let mut alone = Vec::new();
    for target in &targets {
        alone.push(data(&asker.post(target).await));
    }
    let mut worst = 0f64;
    let asked = targets.iter().map(|target| asker.post(target));
    for (found, alone) in futures_util::future::join_all(asked).await.iter().zip(&alone) {
        let most = alone.iter().fold(f64::MIN_POSITIVE, |most, v| most.max(v.abs()));
        let found = data(found);
        let differs = found.iter().zip(alone).map(|(a, b)| (a - b).abs() / most);
        worst = differs.fold(worst, f64::max);
    }
    println!(
        "{} at once            differ by {worst:.1e} of their maximum from those alone",
        targets.len()
    );
}

fn data(answer: &Value) -> Vec<f64> {
    let map = answer["explanations"][0]["map"]["data"]
        .as_array()
        .into_iter()
        .flatten();
    map.filter_map(Value::as_f64).collect()
}

fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get(((values.len() as f64 * part) as usize).min(last))
        .copied()
        .unwrap_or(f64::NAN)
}
