//! What runs batches of any task, and what is known of each.

use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use super::misfit::ALONE;
use super::operation::{Batched, Breach, Contract, TicketOf};
use super::spec::ModelSpec;
use super::{
    captioning, classification, detection, embedding, image_to_image, misfit, regression, segmentation,
    tensor, vae,
};
use crate::engine::cores::Class;
use crate::engine::{CorePermit, Runner, Share, Station, compute};
use crate::error::{Error, Result};
use crate::manifest::{DetectionFormat, Input, TaskKind};
use crate::runtime::{Held, Program, device, raised};

fn contract(kind: TaskKind) -> &'static dyn Contract {
    match kind {
        TaskKind::Classification => &classification::Logits,
        TaskKind::Segmentation => &segmentation::LogitMaps,
        TaskKind::Detection => &detection::Boxes,
        TaskKind::Captioning => &captioning::Steps,
        TaskKind::Vae => &vae::Autoencoder,
        TaskKind::Embedding => &embedding::Vectors,
        TaskKind::Regression => &regression::Numbers,
        TaskKind::ImageToImage => &image_to_image::Pictures,
        TaskKind::Tensor => &tensor::Named,
    }
}

/// The methods of the module that a task of this kind calls.
#[must_use]
pub fn methods(kind: TaskKind) -> &'static [&'static str] {
    contract(kind).methods()
}

/// Whether all that is called is `forward` of one tensor, a batch of pictures.
#[must_use]
pub fn takes_one_batch(spec: &ModelSpec) -> bool {
    let manifest = &spec.manifest;
    let detection = manifest.output.detection.as_ref();
    let takes_list = detection.is_some_and(|keys| keys.format == DetectionFormat::Torchvision);
    methods(manifest.task) == ["forward"] && manifest.image_input().is_ok() && !takes_list
}

/// What the first of [`methods`] is given for a batch of pictures: the batch, or a list of its pictures.
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub fn argument(spec: &ModelSpec, batch: &Tensor) -> Result<Value> {
    match &spec.manifest.output.detection {
        Some(keys) => detection::argument(batch, keys.format),
        None => Ok(Value::Tensor(batch.shallow_clone())),
    }
}

/// Computes a blank batch of `size`, as predictions would.
///
/// # Errors
/// [`Error::InvalidModel`] when the module does not keep its task's contract.
pub fn exercise(program: &dyn Program, permit: &CorePermit<'_>, spec: &ModelSpec, size: usize) -> Result<()> {
    let net = Held::new(program, permit);
    let contract = contract(spec.manifest.task);
    let Err(breach) = contract.check(&net, spec, size) else {
        return Ok(());
    };
    let problem = match breach {
        Breach::Answer(words) => words,
        Breach::Raised(Error::InferenceFailed(words)) => misfit::explained(&words, spec),
        Breach::Raised(error) => return Err(Error::model(format!("a blank batch of {size}: {error}"))),
    };
    // Tracing writes the batch of its example into views.
    let one_alone = if size > 1 && contract.check(&net, spec, 1).is_ok() {
        format!(
            "; one picture alone is answered, so a batch of one is written into the module: {ALONE}, or export it with sizes that \
             follow its input, x.flatten(1) for x.view(1, -1)"
        )
    } else {
        String::new()
    };
    Err(Error::model(format!(
        "a blank batch of {size}: {problem}{one_alone}"
    )))
}

/// Has a model of tensors meet the whole numbers at both ends of what requests may have, on trial: libtorch ends the process on
/// some, and a GPU computes nothing after others.
///
/// # Errors
/// [`Error::InvalidModel`] where they lose the GPU.
pub fn bear_extremes(program: &dyn Program, permit: &CorePermit<'_>, spec: &ModelSpec) -> Result<()> {
    let Input::Tensors(tensors) = &spec.manifest.input else {
        return Ok(());
    };
    raised(|| tensor::bear_extremes(&Held::new(program, permit), tensors))?;
    if device::is_lost(program.device()) {
        return Err(Error::model(
            "inputs: the GPU computes nothing any more after a whole number at an end of what requests may have; say what the \
             model takes by `range` under [[inputs]], such as [0, 9999] for the rows of an embedding",
        ));
    }
    Ok(())
}

/// Runs batches of predictions on the thread that owns it.
#[derive(Debug)]
pub struct Predictor {
    program: Arc<dyn Program>,
    spec: Arc<ModelSpec>,
}

impl Predictor {
    /// A predictor that has run at the smallest and the largest batch, each with its share of the cores; on a GPU at every
    /// size, since CUDA's libraries choose and load their kernels at the first batch of each.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when the module does not keep its task's contract.
    pub fn new(program: Arc<dyn Program>, spec: Arc<ModelSpec>, share: &Share) -> Result<Self> {
        let largest = spec.manifest.batching.max_batch_size;
        let step = if program.device().is_cuda() {
            1
        } else {
            largest.max(2) - 1
        };
        for size in (1..=largest).step_by(step) {
            raised(|| exercise(&*program, &share.acquire(Class::Explain), &spec, size))?;
        }
        Ok(Self { program, spec })
    }

    fn compute<Op: Batched>(&self, tickets: Vec<TicketOf<Op>>, station: &Station<'_>) -> Option<Error> {
        if tickets.is_empty() {
            return None;
        }
        let net = Held::new(&*self.program, station.permit);
        let is_lost = || device::is_lost(self.program.device());
        compute(tickets, station, is_lost, |batch| {
            raised(|| Op::run(&net, &self.spec, batch))
        })
    }
}

impl<Op: Batched> Runner<TicketOf<Op>> for Predictor {
    fn run(&mut self, batch: Vec<TicketOf<Op>>, station: &Station<'_>) -> Option<Error> {
        self.compute::<Op>(batch, station)
    }
}

impl Runner<vae::Work> for Predictor {
    fn run(&mut self, batch: Vec<vae::Work>, station: &Station<'_>) -> Option<Error> {
        let (mut reconstructions, mut encodings, mut decodings) = (Vec::new(), Vec::new(), Vec::new());
        for work in batch {
            match work {
                vae::Work::Reconstruct(ticket) => reconstructions.push(ticket),
                vae::Work::Encode(ticket) => encodings.push(ticket),
                vae::Work::Decode(ticket) => decodings.push(ticket),
            }
        }
        let lost = [
            self.compute::<vae::Reconstruct>(reconstructions, station),
            self.compute::<vae::Encode>(encodings, station),
            self.compute::<vae::Decode>(decodings, station),
        ];
        lost.into_iter().flatten().next()
    }
}
