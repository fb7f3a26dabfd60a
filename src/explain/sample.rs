//! One image to explain, with all that a method needs for it, and what a method answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tch::Tensor;
use torch_bridge::{Given, Run, Tap, Value};

use super::chances::Chances;
use super::inputs::{Beside, copied, last_two};
use super::layers::{LayerMap, Layers};
use super::objective::{self, Objective, Resolved, Settled, Untouched};
use super::options::Options;
use super::pace::Pace;
use super::resolved::ResolvedTarget;
use super::sensitivity::Sensitivities;
use super::target::refused;
use crate::engine::CorePermit;
use crate::engine::context::Passes;
use crate::error::{Error, Result, counted};
use crate::image::Placement;
use crate::runtime::{Call, Captured, Held, Program, Transparent};
use crate::tasks::{self, ModelSpec};

/// Captured graphs that are kept; they share the weights, but each has a graph of its own.
const CAPTURES_KEPT: usize = 32;

/// Images of a pass that keeps what its gradients need.
const GRADIENT_BATCH: usize = 4;

/// Captured graphs by their methods and taps.
#[derive(Default)]
pub(super) struct Captures(RefCell<Vec<Kept>>);

/// A method, its taps, and the graph.
type Kept = (String, Vec<Tap>, Rc<dyn Captured>);

impl Captures {
    /// The graph of `method` with `taps`, made if need be.
    pub(super) fn get(
        &self,
        exported: &dyn Transparent,
        method: &str,
        taps: &[Tap],
    ) -> Result<Rc<dyn Captured>> {
        let mut kept = self.0.borrow_mut();
        let same = |(known, its_taps, _): &&Kept| known == method && its_taps == taps;
        if let Some((.., capture)) = kept.iter().find(same) {
            return Ok(Rc::clone(capture));
        }
        if kept.len() >= CAPTURES_KEPT {
            kept.remove(0);
        }
        let capture: Rc<dyn Captured> = exported.capture(method, taps)?.into();
        kept.push((method.to_owned(), taps.to_vec(), Rc::clone(&capture)));
        Ok(capture)
    }
}

/// One image to explain, and what its method may use.
pub(super) struct Sample<'a> {
    /// The module as it was exported: layers can be captured, gradients taken.
    pub(super) exported: &'a dyn Transparent,
    /// The module that predicts: many passes are cheaper with it.
    pub(super) frozen: &'a dyn Program,
    pub(super) captures: &'a Captures,
    /// What random maps gave.
    pub(super) chances: &'a Chances,
    pub(super) layers: &'a Layers,
    pub(super) spec: &'a Arc<ModelSpec>,
    /// `[1, C, H, W]`; of a model of tensors the input that is explained, `[1, …]`.
    pub(super) input: Tensor,
    /// `[1, C, H, W]`: what an embedding is compared with.
    pub(super) reference: Option<Tensor>,
    /// Where a picture lies.
    pub(super) placement: Option<Placement>,
    /// The inputs of a model of tensors.
    pub(super) beside: Option<&'a Beside>,
    pub(super) ask: &'a Options,
    /// What is explained, where that is known already.
    pub(super) settled: Option<&'a Settled>,
    /// What is known of methods and weights.
    pub(super) sensitivities: &'a Sensitivities,
    pub(super) most_maps: usize,
    /// Whether gradients of the scores are taken.
    pub(super) by_gradients: bool,
    pub(super) pace: Pace<'a>,
}

/// What a method answers.
pub(super) struct Attributions {
    pub(super) targets: Vec<ResolvedTarget>,
    pub(super) maps: Vec<Attribution>,
    /// For methods of many passes.
    pub(super) passes: Option<Passes>,
}

/// One map.
pub(super) struct Attribution {
    /// Index of the target.
    pub(super) target: usize,
    /// The layer or layers, where the method looks at one.
    pub(super) layer: Option<String>,
    /// `[h, w]`, or `[C, H, W]`.
    pub(super) values: Tensor,
    pub(super) completeness: Option<Completeness>,
}

/// Whether an attribution adds up to what it explains (integrated gradients).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Completeness {
    /// The sum of the attribution.
    pub sum: f64,
    /// The score of the image minus that of the baseline.
    pub difference: f64,
    /// How far they are apart, relative to the difference.
    pub error: f64,
}

impl Completeness {
    /// Whether it says anything: not where the map has values that are not finite.
    pub(super) fn is_finite(&self) -> bool {
        self.sum.is_finite() && self.difference.is_finite()
    }
}

impl Sample<'_> {
    /// The same of another picture of this size.
    pub(super) fn of(&self, input: Tensor) -> Sample<'_> {
        Sample {
            input,
            reference: self.reference.as_ref().map(Tensor::shallow_clone),
            beside: None,
            pace: self.pace,
            ..*self
        }
    }

    /// The same of another module, with captures of its own, for what is settled.
    pub(super) fn by<'b>(
        &'b self,
        module: &'b dyn Transparent,
        captures: &'b Captures,
        settled: &'b Settled,
    ) -> Sample<'b> {
        Sample {
            exported: module,
            frozen: module,
            captures,
            ..self.of(self.input.shallow_clone()).settled_on(settled)
        }
    }

    /// The same, of whose target it is known what it means.
    pub(super) fn settled_on<'b>(self, settled: &'b Settled) -> Sample<'b>
    where
        Self: 'b,
    {
        Sample {
            settled: Some(settled),
            ..self
        }
    }

    /// The method of the module that sees the picture.
    pub(super) fn method(&self) -> &'static str {
        tasks::methods(self.spec.manifest.task)[0]
    }

    /// What that method is given for a batch.
    pub(super) fn arguments(&self, batch: &Tensor) -> Result<Vec<Value>> {
        match &self.beside {
            Some(beside) => beside.arguments(batch),
            None => Ok(vec![tasks::argument(self.spec, batch)?]),
        }
    }

    /// So many copies of the input.
    pub(super) fn copies(&self, count: usize) -> Result<Tensor> {
        copied(&self.input, count as i64)
    }

    /// Values for a batch, one an image, in the shape that multiplies each image by its own.
    pub(super) fn one_an_image(&self, values: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; self.input.dim()];
        shape[0] = -1;
        Ok(values.f_view(shape.as_slice())?)
    }

    /// Images of a pass with gradients.
    pub(super) fn gradient_batch(&self) -> usize {
        self.pace.batch.min(GRADIENT_BATCH)
    }

    pub(super) fn capture(&self, taps: &[Tap]) -> Result<Rc<dyn Captured>> {
        self.captures.get(self.exported, self.method(), taps)
    }

    /// A pass of `capture` that tells its taps nothing.
    pub(super) fn run(&self, capture: &dyn Captured, permit: &CorePermit<'_>, batch: &Tensor) -> Result<Run> {
        let given = capture.places().iter().map(|_| Given::Nothing).collect();
        capture.run(permit, &self.arguments(batch)?, given)
    }

    /// The layers that were asked for.
    pub(super) fn asked_layers(&self) -> Result<Vec<&LayerMap>> {
        self.layers.choose(&self.ask.layers, self.ask.hints)
    }

    /// An output of `layer` as `[B, C, h, w]`; nothing when it has no map.
    pub(super) fn as_channels(&self, layer: &LayerMap, output: &Tensor) -> Result<Option<Tensor>> {
        self.layers.as_channels(layer, output, self.ask.hints)
    }

    /// The module whose layers can be captured, under `permit`.
    pub(super) fn exported<'p>(&'p self, permit: &'p CorePermit<'p>) -> Held<'p> {
        Held::new(self.exported, permit)
    }

    /// The module that predicts, under `permit`.
    pub(super) fn frozen<'p>(&'p self, permit: &'p CorePermit<'p>) -> Held<'p> {
        Held::new(self.frozen, permit)
    }

    /// What the target means, given the untouched image's output.
    pub(super) fn resolve(&self, net: &dyn Call, output: &Value) -> Result<Resolved> {
        if let Some(settled) = self.settled {
            return Ok(settled.again());
        }
        let untouched = Untouched {
            net,
            spec: self.spec,
            input: &self.input,
            reference: self.reference.as_ref(),
            by_gradients: self.by_gradients,
            placement: self.placement.as_ref(),
        };
        let resolved = objective::resolve(&untouched, &self.ask.target, output)?;
        let maps_of_target = if self.ask.fuse {
            1
        } else {
            self.ask.layers.len().max(1)
        };
        let (targets, layers) = (resolved.targets.len(), maps_of_target);
        if targets * layers > self.most_maps {
            let most = counted(self.most_maps, "map");
            let (targets, layers) = (counted(targets, "thing"), counted(layers, "layer"));
            return Err(refused(format!(
                "means {targets}, each at {layers}; a request gets at most {most} (max_maps; one in a comparison)"
            )));
        }
        Ok(resolved)
    }

    /// A pass of the module that predicts; without gradients.
    pub(super) fn forward(&self, permit: &CorePermit<'_>, batch: &Tensor) -> Result<Value> {
        self.frozen(permit).call(self.method(), &self.arguments(batch)?)
    }

    /// What is explained, found by a pass of its own.
    pub(super) fn find_target(&self) -> Result<Resolved> {
        if let Some(settled) = self.settled {
            return Ok(settled.again());
        }
        let permit = self.pace.permit()?;
        let output = self.forward(&permit, &self.input)?;
        self.resolve(&self.frozen(&permit), &output)
    }

    /// `[n, T]`: the scores of `batch` by the module that predicts.
    pub(super) fn scores(
        &self,
        permit: &CorePermit<'_>,
        objective: &dyn Objective,
        batch: &Tensor,
    ) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let scores = objective.scores(&self.frozen(permit), &self.forward(permit, batch)?)?;
        let (found, expected) = (scores.size(), batch.size()[0]);
        if found.first() != Some(&expected) {
            return Err(Error::InferenceFailed(format!(
                "a batch of {expected} has the scores {found:?}"
            )));
        }
        Ok(scores)
    }

    /// [`Sample::scores`] of each of `images [1, …]`, in passes that the model takes.
    pub(super) fn scores_of_each(&self, objective: &dyn Objective, images: &[&Tensor]) -> Result<Tensor> {
        let scores = images.chunks(self.pace.batch.max(1)).map(|some| {
            let permit = self.pace.permit()?;
            self.scores(&permit, objective, &Tensor::f_cat(some, 0)?)
        });
        Ok(Tensor::f_cat(&scores.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// (height, width) of the input; of a tensor its last two sizes.
    pub(super) fn size(&self) -> (i64, i64) {
        let size = self.input.size();
        let (height, width) = last_two(&size[1..]);
        (height as i64, width as i64)
    }
}
