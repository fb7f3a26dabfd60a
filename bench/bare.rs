//! The bare loop: decode, resize and forward in one process, with no server around them. It is the limit that a server
//! on the same cores can come near. Tries plans (instances × threads, batch size) for a moment each, then measures the
//! best, and prints one line of JSON.
//!
//! `cargo run --release --example bare -- --model models/mobilenet_v2 --seconds 10 tests/golden/photos/coffee.jpg`

mod beside;
mod median;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use lucarne::engine::plan::Plan;
use lucarne::engine::session::{Session, configure_process};
use lucarne::image::{Limits, Tile, tile};
use lucarne::repository::manifest::Manifest;
use lucarne::repository::open;
use lucarne::tasks::{Labels, Subject};
use rayon::prelude::*;
use serde_json::json;
use tch::Device;

/// See the module's text.
#[derive(Debug, Parser)]
struct Bare {
    /// A model's folder, of a task whose module has `forward`
    #[arg(long)]
    model: PathBuf,
    /// How long the best plan is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Instead of the best plan: one image at a time on the threads of an instance, in turn with one request to this
    /// server of the same model; medians
    #[arg(long, value_name = "URL")]
    beside: Option<String>,
    /// How long each plan is tried
    #[arg(long, default_value_t = 2.0)]
    trial: f64,
    /// What is decoded, in turn
    #[arg(required = true)]
    photos: Vec<PathBuf>,
}

/// Batch sizes that are tried.
const BATCHES: [usize; 5] = [1, 2, 4, 8, 16];

struct Work {
    folder: PathBuf,
    /// By threads of an instance.
    sessions: BTreeMap<usize, Session>,
    subject: Subject,
    photos: Vec<Vec<u8>>,
}

fn main() {
    let bare = Bare::parse();
    configure_process();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let plans = Plan::all(cores, &BATCHES);
    let threads: BTreeSet<usize> = plans.iter().map(|plan| plan.threads).collect();
    let work = Work::read(&bare, &threads);
    if let Some(url) = &bare.beside {
        println!("{}", beside::beside(&work, url, bare.seconds, cores));
        return;
    }
    let rated = plans.into_iter().map(|plan| (work.rate(plan, bare.trial), plan));
    let (_, best) = rated.max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are plans");
    let line = json!({
        "images_per_second": work.rate(best, bare.seconds),
        "plan": best.to_string(),
    });
    println!("{line}");
}

impl Work {
    /// `threads`: those that an instance may have.
    fn read(bare: &Bare, threads: &BTreeSet<usize>) -> Self {
        let mut manifest = Manifest::read(&bare.model).unwrap_or_else(|e| panic!("{e}"));
        manifest.batching.max_batch_size = BATCHES[BATCHES.len() - 1];
        let file = bare.model.join(&manifest.artifact.file);
        let subject = Subject::new(manifest, Labels::default());
        let session = |threads: usize| {
            let opened = open(&file, Device::Cpu, threads, &subject).unwrap_or_else(|e| panic!("{e}"));
            (threads, opened.session)
        };
        let sessions = threads.iter().copied().map(session).collect();
        let read =
            |photo: &PathBuf| std::fs::read(photo).unwrap_or_else(|e| panic!("{}: {e}", photo.display()));
        Self {
            folder: bare.model.clone(),
            sessions,
            subject,
            photos: bare.photos.iter().map(read).collect(),
        }
    }

    /// Images a second of `plan`, over `seconds` after a first batch.
    fn rate(&self, plan: Plan, seconds: f64) -> f64 {
        let worker = |plan: Plan| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(plan.threads)
                .build()
                .expect("threads");
            let settled = self.sessions[&plan.threads].settle(|size| self.subject.blank(size, Device::Cpu));
            settled.unwrap_or_else(|e| panic!("{e}"));
            move || {
                self.batch(&pool, plan.threads, plan.batch);
                Ok(())
            }
        };
        plan.rate(Duration::from_secs_f64(seconds), worker)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    fn batch(&self, pool: &rayon::ThreadPool, threads: usize, size: usize) {
        let tiles: Vec<_> = pool.install(|| (0..size).into_par_iter().map(|n| self.see(n)).collect());
        self.forward(threads, &tiles);
    }

    fn see(&self, photo: usize) -> Tile {
        self.see_bytes(&self.photos[photo % self.photos.len()])
    }

    fn see_bytes(&self, photo: &[u8]) -> Tile {
        let fit = &self.subject.manifest.image_input().expect("pictures").fit;
        tile(photo, &Limits::default(), fit).expect("a photo")
    }

    fn forward(&self, threads: usize, tiles: &[Tile]) {
        let tiles: Vec<_> = tiles.iter().collect();
        let batch = self.subject.batch(&tiles, Device::Cpu).expect("a batch");
        drop(self.sessions[&threads].forward(batch).expect("an answer"));
    }
}
