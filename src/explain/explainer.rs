//! Runs explanations on the thread that owns it, on a module of its own that is never frozen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tch::{Device, Tensor};
use torch_bridge::Module;

use super::objective::Resolved;
use super::passes::{Pace, Passes};
use super::study::{Captures, Drawn, Outcome, Study};
use super::{
    Answer, Explanation, Family, Item, Layers, Map, Method, Request, channels, gradients, input, listing,
    perturbation, visualize,
};
use crate::engine::session::{Exported, Session, configure_thread_on};
use crate::engine::staging::floats;
use crate::engine::turns::Turns;
use crate::engine::{Runner, device};
use crate::error::{Error, Result};
use crate::tasks::Subject;

/// Images of a pass at most: as fast an image as larger ones, and a prediction that comes meanwhile waits less long.
const LARGEST_PASS: usize = 8;

/// Where an explainer gets its model, and how much of the machine it may use.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The artifact.
    pub file: PathBuf,
    /// The module that predicts.
    pub session: Session,
    /// Where it computes.
    pub device: Device,
    /// Threads of each pass.
    pub threads: usize,
    /// The machine's cores.
    pub turns: Arc<Turns>,
}

/// See the module's text.
pub struct Explainer {
    origin: Origin,
    subject: Arc<Subject>,
    opened: Option<Opened>,
}

/// What there is after the first request.
struct Opened {
    exported: Exported,
    layers: Layers,
    captures: Captures,
}

impl Explainer {
    /// An explainer that has loaded nothing yet.
    ///
    /// # Errors
    /// As [`configure_thread_on`].
    pub fn new(origin: Origin, subject: Arc<Subject>) -> Result<Self> {
        configure_thread_on(origin.device, origin.threads)?;
        Ok(Self {
            origin,
            subject,
            opened: None,
        })
    }

    fn open(&mut self) -> Result<&Opened> {
        if self.opened.is_none() {
            let device = self.origin.device;
            let exported = Exported {
                module: Module::load(&self.origin.file, device)?,
                device,
            };
            let layers = listing::layers(&exported, &self.subject)?;
            self.opened = Some(Opened {
                exported,
                layers,
                captures: Captures::default(),
            });
        }
        Ok(self.opened.as_ref().expect("it was opened just now"))
    }

    fn explain(&mut self, item: &Item) -> Result<Vec<Explanation>> {
        let started = Instant::now();
        let (task, method) = (self.subject.manifest.task, item.ask.method);
        if !Method::of_task(task).contains(&method) {
            let text = format!("{} does not explain models of the task {task:?}", method.name());
            return Err(Error::UnsupportedForTask(text));
        }
        self.open()?;
        let opened = self.opened.as_ref().expect("it was opened just now");
        let study = Study {
            exported: &opened.exported,
            frozen: &self.origin.session,
            captures: &opened.captures,
            layers: &opened.layers,
            subject: &self.subject,
            input: self.subject.batch(&[&item.tile], self.origin.device)?,
            placement: item.tile.placement,
            ask: &item.ask,
            pace: Pace {
                turns: &self.origin.turns,
                threads: self.origin.threads,
                batch: self.subject.manifest.batching.max_batch_size.min(LARGEST_PASS),
                patience: &item.patience,
                started,
            },
        };
        let outcome = match method.family() {
            Family::LayerGradients => gradients::explain(&study),
            Family::Layer => channels::explain(&study),
            Family::InputGradients | Family::LayerAndInputGradients => input::explain(&study),
            Family::Outputs => perturbation::explain(&study),
            Family::Model => attention(&study),
        };
        let answer = explanations(method, outcome?);
        if method.family() != Family::LayerGradients {
            // Many passes, or gradients down to the input, take far more than predictions do.
            torch_bridge::release_unused();
        }
        answer
    }

    fn abilities(&mut self) -> Result<Vec<Method>> {
        self.open()?;
        let opened = self.opened.as_ref().expect("it was opened just now");
        listing::abilities(&opened.exported, &self.subject, &opened.layers)
    }

    fn visualize(&mut self, item: &visualize::Item) -> Result<visualize::Visualization> {
        self.open()?;
        let opened = self.opened.as_ref().expect("it was opened just now");
        let painter = visualize::Painter {
            exported: &opened.exported,
            captures: &opened.captures,
            layers: &opened.layers,
            subject: &self.subject,
            turns: &self.origin.turns,
            threads: self.origin.threads,
        };
        painter.paint(item)
    }
}

impl Runner<Request, Answer> for Explainer {
    fn run(&mut self, requests: &[Request]) -> Result<Vec<Result<Answer>>> {
        let answer = |request: &Request| match request {
            Request::Explain(item) => self.explain(item).map(Answer::Explanations),
            Request::Visualize(item) => self
                .visualize(item)
                .map(|found| Answer::Visualization(Box::new(found))),
            Request::Layers => self.open().map(|opened| Answer::Layers(opened.layers.clone())),
            Request::Abilities => self.abilities().map(Answer::Abilities),
        };
        Ok(requests.iter().map(answer).collect())
    }

    fn is_lost(&self) -> bool {
        device::is_lost(self.origin.device)
    }
}

/// Where the model says that it looked.
fn attention(study: &Study<'_>) -> Result<Outcome> {
    let (Resolved { objective, targets }, _) = study.look()?;
    let drawn = |(target, look): (usize, crate::tasks::captioning::Attention)| -> Result<Drawn> {
        let [rows, columns] = look.shape.map(|side| side as i64);
        Ok(Drawn {
            target,
            layer: None,
            values: Tensor::from_slice(&look.data).f_view([rows, columns])?,
            completeness: None,
        })
    };
    Ok(Outcome {
        drawn: objective
            .attention()?
            .into_iter()
            .enumerate()
            .map(drawn)
            .collect::<Result<_>>()?,
        targets,
        passes: None,
    })
}

fn explanations(method: Method, outcome: Outcome) -> Result<Vec<Explanation>> {
    let Outcome {
        targets,
        drawn,
        passes,
    } = outcome;
    let explanation = |drawn: Drawn| {
        let map = to_map(&drawn.values)?;
        let degenerate_reason = map.degeneracy();
        let target = targets.get(drawn.target).cloned();
        Ok(Explanation {
            method,
            layer: drawn.layer,
            target: target.ok_or_else(|| Error::Internal("a map of no target".into()))?,
            map,
            degenerate: degenerate_reason.is_some(),
            degenerate_reason,
            completeness: drawn.completeness,
            passes,
            stopped_early: passes.is_some_and(|Passes { done, planned }| done < planned),
            caution: method.caution(),
        })
    };
    drawn.into_iter().map(explanation).collect()
}

fn to_map(values: &Tensor) -> Result<Map> {
    let shape = values
        .size()
        .into_iter()
        .map(|side| usize::try_from(side).unwrap_or(0));
    Ok(Map::new(shape.collect(), floats(values)?))
}
