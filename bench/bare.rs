//! The bare loop: decode, resize and forward in one process, with no server around them. It is the limit that a server
//! on the same cores can come near. Tries plans (instances × threads, batch size) for a moment each, then measures the
//! best, and prints one line of JSON.
//!
//! `cargo run --release --example bare -- --model models/mobilenet_v2 --seconds 10 tests/golden/photos/coffee.jpg`

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use lucarne::engine::device::threads_each;
use lucarne::engine::plan::Plan;
use lucarne::engine::session::{Session, configure_process, configure_thread};
use lucarne::image::{Limits, tile};
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
    /// Instead of the best plan: the median of one image at a time, on the threads of an instance
    #[arg(long)]
    lone: bool,
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
    if bare.lone {
        println!("{}", json!({"lone_ms": work.lone(bare.seconds, cores)}));
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
            move || {
                self.batch(&pool, plan.threads, plan.batch);
                Ok(())
            }
        };
        plan.rate(Duration::from_secs_f64(seconds), worker)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// Milliseconds of one image at a time: decode, resize, forward.
    fn lone(&self, seconds: f64, cores: usize) -> f64 {
        let instances = &self.subject.manifest.instances;
        let threads = threads_each(instances.threads, instances.count, cores);
        configure_thread(threads);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .expect("a thread");
        let mut times = Vec::new();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs_f64(seconds) {
            let one = Instant::now();
            self.batch(&pool, threads, 1);
            times.push(one.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    fn batch(&self, pool: &rayon::ThreadPool, threads: usize, size: usize) {
        let fit = &self.subject.manifest.image_input().expect("pictures").fit;
        let see =
            |n: usize| tile(&self.photos[n % self.photos.len()], &Limits::default(), fit).expect("a photo");
        let tiles: Vec<_> = pool.install(|| (0..size).into_par_iter().map(see).collect());
        let batch = self
            .subject
            .batch(&tiles.iter().collect::<Vec<_>>(), Device::Cpu)
            .expect("a batch");
        drop(self.sessions[&threads].forward(batch).expect("an answer"));
    }
}
