//! Runs explanations on the thread that owns it, on a module of its own that is never frozen.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tch::{Device, Tensor};
use torch_bridge::{Capture, Module, Tap, Value};

use super::layers::is_map;
use super::{Answer, Explanation, Item, LayerMap, Layers, Map, Method, Request, cam};
use crate::engine::Runner;
use crate::engine::session::configure_thread;
use crate::engine::staging::floats;
use crate::engine::turns::{Class, Turns};
use crate::error::{Error, Result};
use crate::tasks::{self, Subject};

/// Captured graphs that are kept, one a layer; they share the weights, but each has a graph of its own.
const CAPTURES_KEPT: usize = 32;

/// Where an explainer gets its model, and how much of the machine it may use.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The artifact.
    pub file: PathBuf,
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
    module: Module,
    layers: Layers,
    captures: HashMap<String, Capture>,
}

impl Explainer {
    /// An explainer that has loaded nothing yet.
    #[must_use]
    pub fn new(origin: Origin, subject: Arc<Subject>) -> Self {
        configure_thread(origin.threads);
        Self {
            origin,
            subject,
            opened: None,
        }
    }

    fn open(&mut self) -> Result<&mut Opened> {
        if self.opened.is_none() {
            let module = Module::load(&self.origin.file, self.origin.device)?;
            let blank = self.subject.blank(1, self.origin.device)?;
            let layers = list_layers(&module, &self.subject, &blank)?;
            self.opened = Some(Opened {
                module,
                layers,
                captures: HashMap::new(),
            });
        }
        Ok(self.opened.as_mut().expect("it was opened just now"))
    }

    fn explain(&mut self, item: &Item) -> Result<Explanation> {
        let task = self.subject.manifest.task;
        if !Method::of_task(task).contains(&item.method) {
            let text = format!("{:?} does not explain models of the task {task:?}", item.method);
            return Err(Error::UnsupportedForTask(text));
        }
        let input = self.subject.batch(&[&item.tile], self.origin.device)?;
        let (subject, turns) = (Arc::clone(&self.subject), Arc::clone(&self.origin.turns));
        let threads = self.origin.threads;
        let opened = self.open()?;
        let layer = opened.layers.choose(item.layer.as_deref())?.path.clone();
        let capture = opened.capture(&layer)?;
        let turn = turns.take(Class::Explain, threads);
        let run = capture.run(&[Value::Tensor(input)])?;
        let logits = run.output.into_tensor()?;
        let (scalar, target) = item.target.resolve(&logits, &subject)?;
        let activation = last_map(run.recorded)
            .ok_or_else(|| Error::LayerNotFound(format!("layer `{layer}` did not run for this image")))?;
        let gradient = torch_bridge::grad(&scalar, &[&activation], false)?
            .pop()
            .flatten()
            .map_or_else(|| activation.f_zeros_like(), Ok)?;
        let map = match item.method {
            Method::GradCam => cam::grad_cam(&activation.f_detach()?, &gradient)?,
        };
        drop(turn);
        let map = to_map(&map)?;
        let degenerate_reason = map.degeneracy();
        Ok(Explanation {
            method: item.method,
            layer,
            target,
            map,
            degenerate: degenerate_reason.is_some(),
            degenerate_reason,
        })
    }
}

impl Opened {
    fn capture(&mut self, layer: &str) -> Result<&Capture> {
        if !self.captures.contains_key(layer) {
            if self.captures.len() >= CAPTURES_KEPT {
                self.captures.clear();
            }
            let capture = self.module.capture("forward", &[Tap::record(layer)])?;
            self.captures.insert(layer.to_owned(), capture);
        }
        Ok(&self.captures[layer])
    }
}

impl Runner<Request, Answer> for Explainer {
    fn run(&mut self, requests: &[Request]) -> Result<Vec<Result<Answer>>> {
        let answer = |request: &Request| match request {
            Request::Explain(item) => self.explain(item).map(Answer::Explanation),
            Request::Layers => self.open().map(|opened| Answer::Layers(opened.layers.clone())),
        };
        Ok(requests.iter().map(answer).collect())
    }
}

/// The tensor that the first tap recorded last.
fn last_map(mut recorded: Vec<Vec<Vec<Tensor>>>) -> Option<Tensor> {
    let mut executions = if recorded.is_empty() {
        return None;
    } else {
        recorded.swap_remove(0)
    };
    executions
        .pop()?
        .into_iter()
        .find(|tensor| is_map(&tensor.size()))
}

fn to_map(map: &Tensor) -> Result<Map> {
    let (height, width) = map.size2()?;
    let side = |n: i64| usize::try_from(n).unwrap_or(0);
    Ok(Map::new([side(height), side(width)], floats(map)?))
}

/// Runs a blank image through a graph with a tap on every layer, to see the shapes.
fn list_layers(module: &Module, subject: &Subject, blank: &Tensor) -> Result<Layers> {
    let method = tasks::methods(subject.manifest.task)[0];
    let found = module.layers(method)?;
    let taps: Vec<Tap> = found.iter().map(|layer| Tap::record(&layer.path)).collect();
    let _no_grad = tch::no_grad_guard();
    let run = module
        .capture(method, &taps)?
        .run(&[tasks::argument(subject, blank)?])?;
    let mut layers = Layers::default();
    for (layer, executions) in found.into_iter().zip(run.recorded) {
        let calls = executions.len();
        let shape = executions
            .last()
            .and_then(|tensors| tensors.first())
            .map(Tensor::size);
        match shape.filter(|shape| is_map(shape)) {
            Some(shape) => layers.with_map.push(LayerMap {
                path: layer.path,
                kind: layer.kind,
                shape,
                calls,
            }),
            None => layers.without_map.push(layer.path),
        }
    }
    let last = layers.with_map.last().map(|layer| layer.path.clone());
    layers.default = subject.manifest.explain.layer.clone().or(last);
    Ok(layers)
}
