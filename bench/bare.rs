//! The bare loop: decode, resize and forward in one process, with no server around them. It is the limit that a server
//! on the same cores can come near. Tries plans (instances × threads, batch size) for a moment each, then measures the
//! best, and prints one line of JSON.
//!
//! `cargo run --release --example bare -- --model models/mobilenet_v2 --seconds 10 tests/golden/photos/coffee.jpg`

mod beside;
mod decode;
mod median;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use lucarne::catalog::open_alone;
use lucarne::engine::Share;
use lucarne::engine::cores::{Class, Cores};
use lucarne::image::{Limits, ModelInput, model_input};
use lucarne::manifest::{Manifest, versions};
use lucarne::runtime::plan::Plan;
use lucarne::runtime::process::configure_process;
use lucarne::runtime::{Call, Held, Program};
use lucarne::tasks::{Labels, ModelSpec};
use rayon::prelude::*;
use serde_json::json;
use tch::Device;

/// Measures decoding, resizing and forward passes in one process, with no server around them.
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
    /// Instead of the best plan: decoding and resizing alone, one image at a time; milliseconds
    #[arg(long, conflicts_with = "beside")]
    decode_only: bool,
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
    programs: BTreeMap<usize, Arc<dyn Program>>,
    cores: Arc<Cores>,
    spec: ModelSpec,
    photos: Vec<Vec<u8>>,
}

fn main() {
    let bare = Bare::parse();
    configure_process();
    if bare.decode_only {
        let fit = bare.manifest().image_input().expect("pictures").fit.clone();
        println!("{}", decode::decode_only(&fit, &bare.photos(), bare.seconds));
        return;
    }
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

impl Bare {
    fn manifest(&self) -> Manifest {
        Manifest::read(&self.model).unwrap_or_else(|e| panic!("{e}"))
    }

    fn photos(&self) -> Vec<Vec<u8>> {
        let read =
            |photo: &PathBuf| std::fs::read(photo).unwrap_or_else(|e| panic!("{}: {e}", photo.display()));
        self.photos.iter().map(read).collect()
    }
}

impl Work {
    /// `threads`: those that an instance may have.
    fn read(bare: &Bare, threads: &BTreeSet<usize>) -> Self {
        let mut manifest = bare.manifest();
        manifest.batching.max_batch_size = BATCHES[BATCHES.len() - 1];
        let versions = versions(&bare.model, &manifest.artifact).unwrap_or_else(|e| panic!("{e}"));
        let file = versions.last().expect("a version").file.clone();
        let spec = ModelSpec::new(manifest, Labels::default());
        let cores = Cores::of_this_machine();
        let program = |count: usize| {
            let cores = Arc::clone(&cores);
            let opened = open_alone(&file, &spec, Share { cores, count }).unwrap_or_else(|e| panic!("{e}"));
            (count, opened.program)
        };
        let programs = threads.iter().copied().map(program).collect();
        Self {
            folder: bare.model.clone(),
            programs,
            cores,
            spec,
            photos: bare.photos(),
        }
    }

    /// Images a second of `plan`, over `seconds` after a first batch.
    fn rate(&self, plan: Plan, seconds: f64) -> f64 {
        let worker = |plan: Plan| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(plan.threads)
                .build()
                .expect("threads");
            let program = &self.programs[&plan.threads];
            let settled = program.settle(&self.cores.share(plan.threads), &|size| {
                self.spec.blank(size, Device::Cpu)
            });
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
        let inputs: Vec<_> = pool.install(|| (0..size).into_par_iter().map(|n| self.see(n)).collect());
        self.forward(threads, &inputs);
    }

    fn see(&self, photo: usize) -> ModelInput {
        self.see_bytes(&self.photos[photo % self.photos.len()])
    }

    fn see_bytes(&self, photo: &[u8]) -> ModelInput {
        let fit = &self.spec.manifest.image_input().expect("pictures").fit;
        model_input(photo, &Limits::default(), fit).expect("a photo")
    }

    fn forward(&self, threads: usize, inputs: &[ModelInput]) {
        let inputs: Vec<_> = inputs.iter().collect();
        let batch = self.spec.batch(&inputs, Device::Cpu).expect("a batch");
        let share = self.cores.share(threads);
        let permit = share.acquire(Class::Predict);
        let net = Held::new(&*self.programs[&threads], &permit);
        drop(net.forward(batch).expect("an answer"));
    }
}
