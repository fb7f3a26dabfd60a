//! `lucarne inspect`: what is in a file of TorchScript or torch.export, and a model.toml that passes `check` as it stands.
//!
//! The first layers say what goes in, noise shows what comes out, and each contract that its form fits is tried until one
//! holds. What a file does not tell stands in comments: how pictures were prepared, and what else an answer may mean.

mod attempt;
mod describe;
mod draft;
mod entrance;
mod facts;
mod guess;
mod guess_parts;
mod guess_rows;
mod guess_tensor;
mod methods;
mod named;
mod probe;
mod seen;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use torch_bridge::{MethodInfo, Misfit, Module};

use super::local;
use super::output::print;
use crate::error::{Error, Result};
use crate::runtime::{self, Bounds, Found};
use crate::tasks::{ALONE, NOT_F32};
use attempt::Workbench;
use describe::description;
use entrance::{Entrance, distinct};
use guess::Guess;
use probe::{Fed, Prober, Run};
use seen::Seen;

/// How long inputs are tried.
const PROBING: Duration = Duration::from_secs(90);

/// What stands before the model.toml.
const HEADING: &str = "\na model.toml to start from\n";

/// Problems of models that did not pass, which are told at most.
const TOLD: usize = 5;

/// `lucarne inspect`
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// A file of TorchScript or of torch.export
    file: PathBuf,
    /// The size of pictures that it was trained on, such as 224x224; found by trying where it is left out
    #[arg(long, value_name = "HEIGHTxWIDTH", value_parser = size)]
    size: Option<(u32, u32)>,
    /// An image file: what the model says of it comes last
    #[arg(long)]
    image: Option<PathBuf>,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text
        .split_once(['x', 'X', '×'])
        .map(|(height, width)| (height.parse(), width.parse()));
    match sides {
        Some((Ok(height @ 1..=8192), Ok(width @ 1..=8192))) => Ok((height, width)),
        _ => Err("expected HEIGHTxWIDTH, such as 224x224, each from 1 to 8192".to_owned()),
    }
}

impl Inspect {
    /// Prints what the file offers.
    pub(super) fn run(&self) -> Result<()> {
        let Found { module, bounds, .. } = open(&self.file)?;
        print(&description(&self.file, &module, bounds.as_ref())?)?;
        let bench = Workbench::new(&self.file)?;
        let manifest = self.manifest(&module, bounds.as_ref(), &bench)?;
        print(&format!("{HEADING}\n{}", manifest.trim_end()))?;
        match &self.image {
            Some(image) => print(&format!(
                "\n# what it says of {}\n{}",
                image.display(),
                commented(&local::predicted(bench.folder(), image)?)
            )),
            None => Ok(()),
        }
    }

    /// The first model.toml that passes.
    fn manifest(&self, module: &Module, bounds: Option<&Bounds>, bench: &Workbench) -> Result<String> {
        let exported = || bounds?.picture(methods::first(module));
        let prober = Prober {
            module,
            bounds,
            size: self.size.or_else(exported),
            end: Instant::now() + PROBING,
            complaint: RefCell::new(None),
        };
        let drafts = self.drafts(&prober)?;
        let mut problems = Vec::new();
        for draft in drafts {
            match self.passing(draft, bench)? {
                Ok(text) => return Ok(text),
                Err(found) => problems.extend(found),
            }
        }
        let mut problems = distinct(problems);
        problems.truncate(TOLD);
        let shown = self.file.display();
        problems.insert(0, format!("{shown}: no model.toml was found that passes"));
        Err(Error::InvalidModel { problems })
    }

    /// The text of `draft` where it passes, else with batches of one where the check says that these would; what is wrong with it
    /// otherwise.
    fn passing(&self, draft: Draft, bench: &Workbench) -> Result<Result<String, Vec<String>>> {
        let labels = draft.labels.map(|name| self.file.with_file_name(name));
        let problems = |text: &str| bench.problems(text, labels.as_deref());
        let found = problems(&draft.text)?;
        if found.is_empty() {
            return Ok(Ok(draft.text));
        }
        if draft.is_alone || !found.iter().any(|problem| problem.contains(ALONE)) {
            return Ok(Err(found));
        }
        let text = draft::alone(draft.text);
        let found = problems(&text)?;
        Ok(if found.is_empty() { Ok(text) } else { Err(found) })
    }

    /// What the module may be, the likeliest first.
    fn drafts(&self, prober: &Prober<'_>) -> Result<Vec<Draft>> {
        if let Some((run, guess)) = methods::of_methods(prober, &self.file)? {
            return Ok(self.of_guesses(prober, &run, &[guess]));
        }
        let Ok(forward) = prober.module.method("forward") else {
            return Err(
                self.unusable("it has no `forward`, nor `start` and `step`, nor `encode` and `decode`")
            );
        };
        let entrance = Entrance::of(prober.module, "forward")?;
        let required: Vec<_> = forward
            .arguments
            .iter()
            .filter(|argument| !argument.has_default)
            .collect();
        let takes_list = forward
            .arguments
            .first()
            .is_some_and(|first| first.kind == "List[Tensor]");
        if takes_list && required.len() <= 1 {
            let guess = Guess::new("detection", "forward takes a list of pictures")
                .key("format", "\"torchvision\"")
                .pictures(guess::Pictures::Letterbox);
            let run = prober.list(&entrance, prober.size)?;
            let run =
                run.ok_or_else(|| self.unusable("`forward` takes a list, and answers no list of pictures"))?;
            return Ok(self.of_guesses(prober, &run, &[guess]));
        }
        let run = self.run_of(prober, &entrance, required.len())?;
        let guesses = match &run.input {
            Fed::Pictures { channels, size, .. } => {
                let inputs = [
                    probe::picture(*channels, *size, 1)?,
                    probe::picture(*channels, *size, 2)?,
                ];
                guess_parts::of_pictures(&run, &entrance, inputs.each_ref())?
            }
            _ => Vec::new(),
        };
        let mut drafts = self.of_guesses(prober, &run, &guesses);
        let why = match &run.input {
            Fed::Tensors(inputs) if inputs.len() > 1 => "forward takes several tensors",
            Fed::Tensors(_) => "what forward takes is no picture",
            _ if guesses.is_empty() => "no other task has such an answer",
            _ => "no other task that was tried passes",
        };
        drafts.extend(self.of_tensors(&run, forward, why));
        Ok(drafts)
    }

    /// What `forward` of so many arguments runs with: pictures, else tensors.
    fn run_of(&self, prober: &Prober<'_>, entrance: &Entrance, required: usize) -> Result<Run> {
        let pictures = if required <= 1 {
            prober.pictures("forward", entrance, &probe::keeps_aspect)?
        } else {
            None
        };
        let run = match pictures {
            Some(run) => Some(run),
            // What its file says of a picture may be said of one input of several.
            None if self.size.is_some() => None,
            None => prober.tensors(entrance, required.max(1))?,
        };
        run.ok_or_else(|| {
            if self.size.is_some() && required > 1 {
                return self.unusable(&format!(
                    "`forward` takes {required} inputs, and --size is said of one picture: leave it out"
                ));
            }
            let what = if self.size.is_some() {
                "picture of this size"
            } else {
                "input that was tried; --size says that of pictures, and for others write a model.toml with task = \"tensor\" and \
                 [[inputs]] by hand"
            };
            let complaint = prober.complaint.take().unwrap_or_default();
            if Misfit::in_words(&complaint) == Some(Misfit::Numbers) {
                return self.unusable(NOT_F32);
            }
            let began = if complaint.is_empty() {
                complaint
            } else {
                format!("; it began with: {complaint}")
            };
            self.unusable(&format!("`forward` runs with no {what}{began}"))
        })
    }

    /// Those whose labels are there come first.
    fn of_guesses(&self, prober: &Prober<'_>, run: &Run, guesses: &[Guess]) -> Vec<Draft> {
        let seen = Seen::by(prober.module, methods::first(prober.module), &run.input);
        let draft = |guess: &Guess| {
            let beside = || draft::labels_beside(&self.file, guess.classes);
            let labels = guess.takes_labels().then(beside).flatten().map(|(name, _)| name);
            let text = draft::of_pictures(&self.file, run, (guess, seen.as_ref()), labels);
            Draft::of(text, run, labels)
        };
        let mut drafts: Vec<Draft> = guesses.iter().map(draft).collect();
        drafts.sort_by_key(|draft| draft.labels.is_none());
        drafts
    }

    fn of_tensors(&self, run: &Run, forward: &MethodInfo, why: &str) -> Option<Draft> {
        let (inputs, outputs) = named::named(run, forward)?;
        let text = draft::of_tensors(&self.file, why, &inputs, &outputs);
        Some(Draft::of(text, run, None))
    }

    fn unusable(&self, why: &str) -> Error {
        Error::model(format!("{}: {why}", self.file.display()))
    }
}

/// A model.toml that may pass.
struct Draft {
    text: String,
    /// The file of labels that it names.
    labels: Option<&'static str>,
    /// Whether it has batches of one.
    is_alone: bool,
}

impl Draft {
    fn of(text: String, run: &Run, labels: Option<&'static str>) -> Self {
        Self {
            text: if run.batches { text } else { draft::alone(text) },
            labels,
            is_alone: !run.batches,
        }
    }
}

/// So that what was printed can be written into a model.toml as it is.
fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}

fn open(file: &Path) -> Result<Found> {
    let shown = file.display();
    if file.is_dir() {
        let known = ["model.pt", "model.pt2"].map(|name| file.join(name));
        let inside = known.iter().find(|inside| inside.is_file());
        let example = inside
            .map(|inside| format!(", {}", inside.display()))
            .unwrap_or_default();
        let text = format!("{shown} is a folder; name the model's file in it{example}");
        return Err(Error::InvalidSettings(text));
    }
    if !file.is_file() {
        return Err(Error::InvalidSettings(format!("there is no file {shown}")));
    }
    runtime::module(file, file, tch::Device::Cpu, true).map_err(|error| match error {
        Error::InvalidModel { problems } => Error::model(format!("{shown}: {}", problems.join("; "))),
        other => other,
    })
}
