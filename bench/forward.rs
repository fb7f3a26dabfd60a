//! What a forward pass takes, by each way to compute it: the same random batch through all, in turn, in one process.
//! Prints milliseconds an image, the ratio to TorchScript that is only frozen, and the largest difference from its answer;
//! fails where that is above 1e-4 of the largest answer.
//!
//! `make aoti MODEL=models/mobilenet_v2`, then
//! `cargo run --release --example forward -- --model models/mobilenet_v2 --batch 8`

mod median;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use lucarne::catalog::open_alone;
use lucarne::engine::Share;
use lucarne::engine::cores::{Class, Cores};
use lucarne::manifest::{ArtifactFormat, Manifest, packages, versions};
use lucarne::runtime::process::{configure_process, configure_thread};
use lucarne::runtime::{Call, Held};
use lucarne::tasks::{Labels, ModelSpec};
use tch::{Device, Kind, Tensor};
use torch_bridge::{Module, Preparation, Value};

use median::median;

/// Measures a forward pass by each way to compute it.
#[derive(Debug, Parser)]
struct Forward {
    /// A model's folder, of a classifier; packages beside its file are measured too
    #[arg(long)]
    model: PathBuf,
    /// Images in a batch
    #[arg(long, default_value_t = 8)]
    batch: i64,
    /// Threads of each
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Batches of each
    #[arg(long, default_value_t = 60)]
    batches: usize,
}

const TOLERANCE: f64 = 1e-4;

type Run = Box<dyn Fn(&Tensor) -> Tensor>;

fn main() -> ExitCode {
    let forward = Forward::parse();
    configure_process();
    let _no_grad = tch::no_grad_guard();
    let manifest = Manifest::read(&forward.model).unwrap_or_else(|e| panic!("{e}"));
    let (height, width) = manifest.image_input().unwrap_or_else(|e| panic!("{e}")).fit.size;
    let ways = forward.ways(&manifest);

    let size = [forward.batch, i64::from(height), i64::from(width), 3];
    let batch = Tensor::randn(size, (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let answers: Vec<Tensor> = ways.iter().map(|(_, run)| run(&batch)).collect();
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..forward.batches {
        for ((_, run), times) in ways.iter().zip(&mut times) {
            let started = Instant::now();
            drop(run(&batch));
            times.push(started.elapsed().as_secs_f64() * 1e3 / forward.batch as f64);
        }
    }

    let largest = answers[0].abs().max().double_value(&[]);
    println!(
        "batch {}, {} thread(s), median ms an image; the largest answer is {largest:.1}",
        forward.batch, forward.threads
    );
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let mut is_right = true;
    for (((name, _), answer), time) in ways.iter().zip(&answers).zip(&medians) {
        let difference = (answer - &answers[0]).abs().max().double_value(&[]);
        is_right &= difference <= TOLERANCE * largest.max(1.0);
        let ratio = medians[0] / time;
        println!("{name:<28} {time:>7.2}  {ratio:>5.2} ×  difference {difference:.1e}");
    }
    if is_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Forward {
    /// The first is what the others are measured by.
    fn ways(&self, manifest: &Manifest) -> Vec<(&'static str, Run)> {
        let file = self.file(manifest);
        configure_thread(self.threads);
        let frozen = Module::load(&file, Device::Cpu)
            .and_then(|module| module.prepare_for_inference_with(&["forward"], Preparation::PLAIN))
            .unwrap_or_else(|e| panic!("{e}"));
        let frozen: Run = Box::new(move |batch| {
            let inputs = [Value::Tensor(batch.shallow_clone())];
            let answer = frozen.call("forward", &inputs).unwrap_or_else(|e| panic!("{e}"));
            answer.tensors()[0].shallow_clone()
        });
        let mut ways = vec![
            ("frozen", frozen),
            ("frozen and fused", self.served(manifest, None, false)),
            ("compiled for batch sizes", self.served(manifest, None, true)),
        ];
        if !packages(&file).is_empty() {
            ways.push((
                "AOTInductor",
                self.served(manifest, Some(ArtifactFormat::Aoti), false),
            ));
        }
        ways
    }

    /// The newest version.
    fn file(&self, manifest: &Manifest) -> PathBuf {
        let versions = versions(&self.model, &manifest.artifact).unwrap_or_else(|e| panic!("{e}"));
        versions.last().expect("a version").file.clone()
    }

    /// As the server computes it; without a format, that of the file.
    fn served(&self, manifest: &Manifest, format: Option<ArtifactFormat>, specialise: bool) -> Run {
        let mut manifest = manifest.clone();
        let file = self.file(&manifest);
        manifest.artifact.format = format;
        manifest.instances.specialise = specialise;
        let spec = ModelSpec::new(manifest, Labels::default());
        let share = Share {
            cores: Cores::of_this_machine(),
            count: self.threads,
        };
        let opened = open_alone(&file, &spec, share.clone()).unwrap_or_else(|e| panic!("{e}"));
        let program = opened.program;
        let settled = program.settle(&share, &|size| spec.blank(size, Device::Cpu));
        settled.unwrap_or_else(|e| panic!("{e}"));
        Box::new(move |batch| {
            let permit = share.acquire(Class::Predict);
            let answer = Held::new(&*program, &permit).forward(batch.shallow_clone());
            answer.unwrap_or_else(|e| panic!("{e}"))
        })
    }
}
