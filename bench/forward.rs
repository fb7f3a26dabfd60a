//! AOTInductor packages against frozen TorchScript: the same random batch through both, in turn, in one
//! process. Prints milliseconds an image, the ratio and the largest difference of the answers; fails where that is
//! above 1e-4 of the largest answer.
//!
//! `make aoti MODEL=models/mobilenet_v2`, then
//! `cargo run --release --example forward -- --model models/mobilenet_v2 --batch 8`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use lucarne::engine::session::{Session, configure_process};
use lucarne::repository::manifest::{ArtifactFormat, Manifest};
use lucarne::repository::open;
use lucarne::tasks::{Labels, Subject};
use tch::{Device, Kind, Tensor};

/// See the module's text.
#[derive(Debug, Parser)]
struct Forward {
    /// A model's folder, of a classifier, with packages beside its file
    #[arg(long)]
    model: PathBuf,
    /// Images in a batch
    #[arg(long, default_value_t = 8)]
    batch: i64,
    /// Threads of both
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Batches of each
    #[arg(long, default_value_t = 60)]
    batches: usize,
}

const TOLERANCE: f64 = 1e-4;

fn main() -> ExitCode {
    let forward = Forward::parse();
    configure_process();
    let manifest = Manifest::read(&forward.model).unwrap_or_else(|e| panic!("{e}"));
    let (height, width) = manifest.image_input().unwrap_or_else(|e| panic!("{e}")).fit.size;
    let session = |format| -> Session {
        let mut manifest = manifest.clone();
        manifest.artifact.format = format;
        let file = forward.model.join(&manifest.artifact.file);
        let subject = Subject::new(manifest, Labels::default());
        open(&file, Device::Cpu, forward.threads, &subject)
            .unwrap_or_else(|e| panic!("{e}"))
            .session
    };
    let sessions = [
        session(ArtifactFormat::Torchscript),
        session(ArtifactFormat::Aoti),
    ];

    let size = [forward.batch, i64::from(height), i64::from(width), 3];
    let batch = Tensor::randn(size, (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let answer = |session: &Session| {
        session
            .forward(batch.shallow_clone())
            .unwrap_or_else(|e| panic!("{e}"))
    };
    let answers = sessions.each_ref().map(answer);
    let largest = answers[0].abs().max().double_value(&[]);
    let difference = (&answers[0] - &answers[1]).abs().max().double_value(&[]);

    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..forward.batches {
        for (session, times) in sessions.iter().zip(&mut times) {
            let started = Instant::now();
            drop(answer(session));
            times.push(started.elapsed().as_secs_f64() * 1e3 / forward.batch as f64);
        }
    }
    let [script, package] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "batch {}, {} thread(s), median ms an image: frozen TorchScript {script:.2}, AOTInductor {package:.2}, \
         ratio {:.2}; largest difference {difference:.1e}, largest answer {largest:.1}",
        forward.batch,
        forward.threads,
        script / package
    );
    if difference <= TOLERANCE * largest.max(1.0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
