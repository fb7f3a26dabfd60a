//! `lucarne calibrate`: the temperature at which a classifier is as sure as it is right.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use toml_edit::DocumentMut;

use super::batch;
use super::edited::{rewrite, set};
use super::labelled::{Labelled, class_count, labelled};
use super::opened::{Opened, Which};
use super::output::{can_be_written, print, say, written};
use crate::error::{Error, Result};
use crate::evaluation::{BINS, Fitted, Reliability, Sample, fit, negative_log_likelihood};
use crate::image::{Chart, chart, encode_png, grid};
use crate::manifest::{TaskKind, Temperature};
use crate::reading::Parameters;
use crate::tasks::classification::{Likelihood, Prediction};

/// Logits that are kept of all pictures at most: 1 GiB of them.
const MOST_LOGITS: usize = 1 << 28;

/// Pictures to fit on below which it is said that they are few.
const FEW: usize = 100;

/// `lucarne calibrate`
#[derive(Debug, Args)]
pub(super) struct Calibrate {
    #[command(flatten)]
    which: Which,
    /// Folders of pictures, each named after a label of the model or its id
    #[arg(value_name = "DIR")]
    pictures: PathBuf,
    /// Where to draw how often the model is right beside how sure it is, before and after
    #[arg(long, value_name = "FILE.png")]
    diagram: Option<PathBuf>,
    /// Where to write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Set the temperature in the model's model.toml, where that makes the held-out pictures more likely
    #[arg(long)]
    write: bool,
}

/// Half of the pictures to fit on, half to measure.
#[derive(Default)]
struct Halves {
    fit: Vec<Sample>,
    held_out: Vec<Sample>,
}

/// How good a temperature is on the held-out pictures.
struct Measured {
    temperature: Temperature,
    nll_nats: f64,
    reliability: Reliability,
}

impl Calibrate {
    pub(super) fn run(&self) -> Result<()> {
        for file in [&self.diagram, &self.json].into_iter().flatten() {
            can_be_written(file)?;
        }
        let opened = self.which.open(Parameters::default(), None)?;
        let task = opened.model.spec.manifest.task;
        if task != TaskKind::Classification {
            return Err(Error::UnsupportedForTask(format!(
                "classifiers are calibrated; this model is for {task}"
            )));
        }
        let likelihood = Likelihood::of(&opened.model.spec)?;
        let pictures = labelled(&self.pictures, &opened.model.spec)?;
        let classes = class_count(&opened.model.spec)?;
        if pictures.len().saturating_mul(classes) > MOST_LOGITS {
            let most = MOST_LOGITS / classes;
            let found = pictures.len();
            return Err(Error::InvalidSettings(format!(
                "{found} pictures of a model of {classes} classes, at most {most}; give a part of them"
            )));
        }
        let halves = answered(&opened, &pictures)?;
        if halves.fit.is_empty() || halves.held_out.is_empty() {
            return Err(Error::InvalidSettings(format!(
                "{}: too few pictures were answered: half of each folder is to fit on, half to measure",
                self.pictures.display()
            )));
        }
        let Fitted::Best(found) = fit(&halves.fit, likelihood) else {
            return Err(Error::InvalidSettings(format!(
                "{} pictures to fit on have no best temperature from {} to {}: the model is right about all of them, or about none \
                 more than by chance; give more pictures, or others",
                halves.fit.len(),
                Temperature::LEAST,
                Temperature::MOST
            )));
        };
        let found = rounded(found);
        let before = Measured::of(&halves.held_out, likelihood);
        let after = Measured::of(&halves.held_out, likelihood.at(found));
        report(&halves, &before, &after)?;
        if let Some(file) = &self.diagram {
            draw(&opened, file, &before, &after)?;
        }
        if let Some(file) = &self.json {
            let figures = figures(&opened, &halves, &before, &after);
            written(file, format!("{figures:#}\n").as_bytes())?;
        }
        // The last digits of an answer hang on the pictures that share its batch.
        let is_better = after.nll_nats <= before.nll_nats - 1e-6;
        match (self.write, is_better) {
            (true, _) => self.write(&after, is_better),
            (false, false) => {
                print("the held-out pictures are no more likely at this temperature: leave it as it is")
            }
            (false, true) => Ok(()),
        }
    }

    fn write(&self, after: &Measured, is_better: bool) -> Result<()> {
        let file = self.which.folder().join("model.toml");
        if !is_better {
            return print(&format!(
                "not written: the held-out pictures are no more likely at this temperature than as {} is",
                file.display()
            ));
        }
        rewrite(&file, |text| {
            let mut document: DocumentMut = text.parse()?;
            set(
                &mut document,
                "output",
                "temperature",
                after.temperature.get().into(),
            );
            Ok(document.to_string())
        })?;
        print(&format!("written into {}", file.display()))
    }
}

/// To four digits behind the point, as it is printed and written.
fn rounded(found: Temperature) -> Temperature {
    Temperature::new((found.get() * 1e4).round() / 1e4).unwrap_or(found)
}

/// What the model answers for the pictures: of each folder the first, the third … to fit on, the others to measure.
fn answered(opened: &Opened, pictures: &[Labelled]) -> Result<Halves> {
    let mut halves = Halves::default();
    let ask = async |picture: &&Labelled| opened.classified(&picture.file).await;
    let take = |picture: &Labelled, answer: Result<Prediction>| {
        if let Ok(answer) = answer {
            let half = match picture.place % 2 {
                0 => &mut halves.fit,
                _ => &mut halves.held_out,
            };
            half.push(Sample {
                logits: answer.logits,
                truth: picture.class_id,
            });
        }
        Ok(())
    };
    batch::each(opened, pictures, ask, take)?;
    Ok(halves)
}

impl Measured {
    fn of(samples: &[Sample], likelihood: Likelihood) -> Self {
        let answer = |sample: &Sample| {
            let odds = likelihood.log_probabilities(&sample.logits);
            let best = (0..odds.len()).rev().max_by(|a, b| odds[*a].total_cmp(&odds[*b]));
            let best = best.unwrap_or(0);
            (odds[best].exp(), best == sample.truth)
        };
        Self {
            temperature: likelihood.temperature(),
            nll_nats: negative_log_likelihood(samples, likelihood),
            reliability: Reliability::of(samples.iter().map(answer)),
        }
    }

    fn json(&self) -> Value {
        let bins = self.reliability.bins().iter().map(
            |bin| json!({"count": bin.count, "accuracy": bin.accuracy(), "confidence": bin.confidence()}),
        );
        json!({
            "temperature": self.temperature.get(),
            "nll_nats": self.nll_nats,
            "ece": self.reliability.ece(),
            "accuracy": self.reliability.accuracy(),
            "bins": bins.collect::<Value>(),
        })
    }
}

fn figures(opened: &Opened, halves: &Halves, before: &Measured, after: &Measured) -> Value {
    json!({
        "model": opened.model.name,
        "version": opened.model.version,
        "fitted_on": halves.fit.len(),
        "held_out": halves.held_out.len(),
        "temperature": after.temperature.get(),
        "before": before.json(),
        "after": after.json(),
    })
}

fn report(halves: &Halves, before: &Measured, after: &Measured) -> Result<()> {
    let (fit, held_out) = (halves.fit.len(), halves.held_out.len());
    if fit < FEW {
        say(&format!(
            "{fit} pictures to fit on are few: take the temperature with care"
        ));
    }
    print(&format!(
        "{fit} pictures to fit on, {held_out} held out: of each folder, by name, every second\n"
    ))?;
    print(&format!(
        "{:<24}{:>10}{:>10}",
        "of those held out", "before", "after"
    ))?;
    let line = |name: &str, of: fn(&Measured) -> f64| {
        print(&format!("{name:<24}{:>10.4}{:>10.4}", of(before), of(after)))
    };
    line("temperature", |of| of.temperature.get())?;
    line("neg. log-likelihood", |of| of.nll_nats)?;
    line("ECE, 15 bins", |of| of.reliability.ece())?;
    line("accuracy", |of| of.reliability.accuracy())?;
    print(&format!("\n[output]\ntemperature = {}", after.temperature.get()))
}

/// Draws both beside each other.
fn draw(opened: &Opened, file: &Path, before: &Measured, after: &Measured) -> Result<()> {
    let panel = |name: &str, of: &Measured| {
        chart(&Chart {
            title: format!(
                "{name}: temperature {}, ECE {:.4}",
                of.temperature.get(),
                of.reliability.ece()
            ),
            across: format!("confidence, {BINS} bins"),
            up: "accuracy".into(),
            bars: of
                .reliability
                .bins()
                .iter()
                .map(crate::evaluation::Bin::accuracy)
                .collect(),
        })
    };
    let both = grid(&[panel("before", before)?, panel("after", after)?], 2)?;
    let pool = opened.server.service().pool();
    let png = opened.wait(pool.run(move |thread| encode_png(thread, &both)))?;
    written(file, &png)
}
