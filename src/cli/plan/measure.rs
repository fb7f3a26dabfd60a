//! Measures what one replica's work takes on this machine.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::measured::Measured;
use super::measurements::{Measurements, Pass};
use super::request;
use super::samples::Samples;
use crate::engine::cores::cores_of_this_machine;
use crate::error::{Error, Result};
use crate::image::{Fit, Limits, Picture, Pool, encode_png, model_input};
use crate::manifest::{Input, Manifest};
use crate::runtime::device;
use crate::runtime::plan::Plan;

/// What is measured, and for how long.
pub(super) struct Wanted<'a> {
    /// The model's folder.
    pub(super) model: &'a Path,
    /// Its model.toml.
    pub(super) manifest: &'a Manifest,
    /// Cores of a replica.
    pub(super) cores: usize,
    /// What clients send; a small picture of no file where there is none.
    pub(super) picture: Option<Bytes>,
    /// How long measuring takes, about.
    pub(super) time: Duration,
}

/// Of the time, the part that passes get; decoding and requests share the rest.
const OF_PASSES: f64 = 0.8;

impl Wanted<'_> {
    pub(super) fn measure(self) -> Result<Measurements> {
        let instances = &self.manifest.instances;
        let devices = device::place(instances.device, instances.count)?;
        if devices.iter().any(|device| device.is_cuda()) {
            return Err(Error::InvalidSettings(
                "this model computes on a GPU, and passes are measured on the CPU; set device = \"cpu\" in its model.toml".into(),
            ));
        }
        let threads = device::threads_each(instances.threads, devices.len(), self.cores);
        let mut measured = Measurements {
            model: self.name(),
            cores: self.cores,
            instances: devices.len(),
            threads,
            decode_ms: Samples::constant(0.0),
            request_ms: Samples::constant(0.0),
            passes: Vec::new(),
            memory_mb: 0.0,
        };
        measured.passes = self.passes(&measured)?;
        if let Input::Image(input) = &self.manifest.input {
            let picture = match &self.picture {
                Some(picture) => picture.clone(),
                None => blank(&input.fit)?,
            };
            let time = self.time.mul_f64((1.0 - OF_PASSES) / 2.0);
            measured.decode_ms = decode(&picture, &input.fit, time)?;
            measured.request_ms = Samples::of(&request::measure(self.model, &picture, time)?);
        }
        measured.memory_mb = (peak_memory()? + self.waiting_bytes()) as f64 / 1e6;
        Ok(measured)
    }

    fn name(&self) -> String {
        let folder = self.model.canonicalize();
        let folder = folder.as_deref().unwrap_or(self.model);
        folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Each size alone, and beside as many others as there may be.
    fn passes(&self, replica: &Measurements) -> Result<Vec<Pass>> {
        let mut model = Measured::new(self.model, self.manifest.clone())?;
        let largest = self.manifest.batching.max_batch_size;
        let mut sizes = model.batches(largest);
        // Packages come in sizes of their own, and what is smaller runs in the next larger one.
        if sizes[0] != 1 {
            sizes.insert(0, 1);
        }
        if sizes.last() != Some(&largest) {
            sizes.push(largest);
        }
        let side = replica.side_by_side();
        let crowds = if side > 1 { 2 } else { 1 };
        let time = self.time.mul_f64(OF_PASSES / (sizes.len() * crowds) as f64);
        let mut times = |instances, batch| {
            let plan = Plan {
                instances,
                threads: replica.threads,
                batch,
            };
            // The first run of a size is slower, so it is not measured.
            model.rate(plan, Duration::ZERO)?;
            Ok::<_, Error>(Samples::of(&model.passes(plan, time)?.times))
        };
        let pass = |batch| {
            let alone_ms = times(1, batch)?;
            let beside = if side > 1 {
                (times(side, batch)?.mean() / alone_ms.mean()).clamp(1.0, 1e3)
            } else {
                1.0
            };
            Ok(Pass {
                batch,
                alone_ms,
                beside,
            })
        };
        sizes.into_iter().map(pass).collect()
    }

    /// Of pictures that wait in a full queue.
    fn waiting_bytes(&self) -> u64 {
        const CHANNELS: u64 = 3;
        let Input::Image(input) = &self.manifest.input else {
            return 0;
        };
        let (height, width) = input.fit.size;
        u64::from(height) * u64::from(width) * CHANNELS * self.manifest.batching.queue_capacity as u64
    }
}

/// From the bytes of `picture` to the model's input, again and again for so long.
fn decode(picture: &[u8], fit: &Fit, time: Duration) -> Result<Samples> {
    let once = || -> Result<Duration> {
        let started = Instant::now();
        drop(model_input(picture, &Limits::default(), fit)?);
        Ok(started.elapsed())
    };
    // In a thread of its own, as in the server: the first thread of a process has another heap.
    let times: Result<Vec<Duration>> = std::thread::scope(|scope| {
        let decoding = scope.spawn(|| {
            once()?;
            let (started, mut times) = (Instant::now(), Vec::new());
            while times.is_empty() || started.elapsed() < time {
                times.push(once()?);
            }
            Ok(times)
        });
        let panicked = |_| Err(Error::Internal("a panic while an image was worked on".into()));
        decoding.join().unwrap_or_else(panicked)
    });
    Ok(Samples::of(&times?))
}

/// A gradient of the model's own size, as a PNG.
fn blank(fit: &Fit) -> Result<Bytes> {
    let (height, width) = fit.size;
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, (x + y) as u8]));
    let picture = Picture::new(width, height, pixels.collect())?;
    let png = Pool::new(1)?.block(|thread| encode_png(thread, &picture))?;
    Ok(png.into())
}

/// The most bytes of this process that lay in memory at a time.
fn peak_memory() -> Result<u64> {
    let wrong = |what: &str| Error::Internal(format!("/proc/self/status: {what}"));
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| wrong(&e.to_string()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let kilobytes = kilobytes.ok_or_else(|| wrong("no VmHWM"))?;
    Ok(kilobytes << 10)
}

/// `cores`, or those of this machine; more cannot be measured here.
pub(super) fn cores(asked: Option<usize>) -> Result<usize> {
    let here = cores_of_this_machine().get();
    match asked {
        None => Ok(here),
        Some(cores) if (1..=here).contains(&cores) => Ok(cores),
        Some(cores) => Err(Error::InvalidSettings(format!(
            "--cores: found {cores}, expected 1 to {here}, the cores of this machine: what a pass takes on others cannot be \
             measured here"
        ))),
    }
}
