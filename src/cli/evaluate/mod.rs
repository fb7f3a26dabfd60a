//! `lucarne evaluate`: how good a model is on pictures whose answers are known.

mod case;
mod classes;
mod coco;
mod ids;
mod masks;
mod objects;
mod outline;
mod page;

use std::path::PathBuf;

use clap::Args;

use super::opened::{Opened, Which};
use super::output::{can_be_written, print, written};
use crate::error::{Error, Result};
use crate::manifest::TaskKind;
use crate::reading::Parameters;
use case::{Cases, Report};

/// Objects of a lower score are left out where nothing else is said: precision at high recalls needs the unsure ones.
const SCORE_THRESHOLD: f32 = 0.001;

/// `lucarne evaluate`
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    #[command(flatten)]
    which: Which,
    /// Pictures: of a classifier folders of them, each named after a label of the model or its id; else a folder of them
    #[arg(value_name = "DIR")]
    pictures: PathBuf,
    /// Of a detector: the true objects, as COCO's JSON has them
    #[arg(long, value_name = "FILE")]
    coco: Option<PathBuf>,
    /// Of a segmenter: a folder with a PNG of class ids for each picture, under the same name; 255 is not known
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
    /// Of a detector: objects below this score are left out [default: 0.001]
    #[arg(long, value_name = "SCORE")]
    score_threshold: Option<f32>,
    /// Where to write a page with the figures and the worst pictures
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
    /// Where to write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many of the worst pictures the page shows
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(0..=100))]
    worst: u16,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        self.check_outputs()?;
        let opened = self.which.open(Parameters::default(), None)?;
        self.check(opened.model.spec.manifest.task)?;
        // Nobody looks at the worst without a page.
        let mut cases = Cases::new(match self.output {
            Some(_) => usize::from(self.worst),
            None => 0,
        });
        let report = self.measured(&opened, &mut cases)?;
        for line in &report.lines {
            print(line)?;
        }
        if let Some(file) = &self.json {
            written(file, format!("{:#}\n", report.figures).as_bytes())?;
        }
        if let Some(file) = &self.output {
            let shown = cases.shown(&opened)?;
            written(file, page::page(&opened, &report, &shown).as_bytes())?;
        }
        Ok(())
    }

    fn measured(&self, opened: &Opened, cases: &mut Cases) -> Result<Report> {
        let missing = |flag: &str, what: &str| Err(Error::InvalidSettings(format!("say with {flag} {what}")));
        match opened.model.spec.manifest.task {
            TaskKind::Classification => classes::evaluated(opened, &self.pictures, cases),
            TaskKind::Detection => match &self.coco {
                Some(coco) => {
                    let threshold = self.score_threshold.unwrap_or(SCORE_THRESHOLD);
                    objects::evaluated(opened, (&self.pictures, coco), threshold, cases)
                }
                None => missing("--coco", "where the true objects are, as COCO's JSON has them"),
            },
            TaskKind::Segmentation => match &self.masks {
                Some(masks) => masks::evaluated(opened, (&self.pictures, masks), cases),
                None => missing("--masks", "in which folder the true masks are, PNGs of class ids"),
            },
            task => Err(Error::UnsupportedForTask(format!(
                "classifiers, detectors and segmenters are evaluated; this model is for {task}"
            ))),
        }
    }

    /// Whether there is a place for what is found, before it is looked for.
    fn check_outputs(&self) -> Result<()> {
        let files = [&self.output, &self.json];
        for file in files.into_iter().flatten() {
            can_be_written(file)?;
        }
        match (&self.output, &self.json) {
            (Some(page), Some(figures)) if page == figures => Err(Error::InvalidSettings(format!(
                "--output and --json are one file, {}; give two",
                page.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether nothing is said that a task does not read.
    fn check(&self, task: TaskKind) -> Result<()> {
        for (flag, is_said, of) in [
            ("--coco", self.coco.is_some(), TaskKind::Detection),
            (
                "--score-threshold",
                self.score_threshold.is_some(),
                TaskKind::Detection,
            ),
            ("--masks", self.masks.is_some(), TaskKind::Segmentation),
        ] {
            if is_said && task != of {
                return Err(Error::InvalidSettings(format!(
                    "{flag} is of {of}; this model is for {task}"
                )));
            }
        }
        Ok(())
    }
}
