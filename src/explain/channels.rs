//! CAMs that need no gradients: `eigen_cam`, `score_cam`, `ablation_cam`.

use std::rc::Rc;

use tch::{Kind, Tensor};
use torch_bridge::{Given, Tap};

use super::cam;
use super::layers::LayerMap;
use super::objective::{Objective, Resolved};
use super::sample::{Attribution, Attributions, Sample};
use super::smooth::{self, Maps};
use crate::engine::CorePermit;
use crate::engine::context::Passes;
use crate::error::{Error, Result};
use crate::manifest::TaskKind;
use crate::runtime::Captured;

/// Eigen-CAM: one map a layer, since it ignores the target.
pub(super) fn eigen_cam(sample: &Sample<'_>) -> Result<Attributions> {
    let mut resolved = sample.find_target()?;
    resolved.targets.truncate(1);
    explain(sample, resolved, |layer, input, _| {
        let recorded = record(sample, layer, input)?;
        let permit = sample.pace.permit()?;
        let map = cam::reduced(&permit, &recorded.activation, cam::Reduction::Eigen)?;
        Ok((vec![map], None))
    })
}

/// Score-CAM: see [`score_weights`].
pub(super) fn score_cam(sample: &Sample<'_>) -> Result<Attributions> {
    explain(sample, sample.find_target()?, |layer, input, objective| {
        let recorded = record(sample, layer, input)?;
        weighed(
            sample,
            &recorded,
            score_weights(sample, &recorded.activation, input, objective)?,
        )
    })
}

/// Ablation-CAM: see [`ablation_weights`].
pub(super) fn ablation_cam(sample: &Sample<'_>) -> Result<Attributions> {
    explain(sample, sample.find_target()?, |layer, input, objective| {
        let recorded = record(sample, layer, input)?;
        weighed(
            sample,
            &recorded,
            ablation_weights(sample, layer, &recorded, input, objective)?,
        )
    })
}

/// A map for each target, and the passes that were made.
type OfLayer = (Vec<Tensor>, Option<Passes>);

/// The maps of every target at every layer, each made by `of_layer`.
fn explain(
    sample: &Sample<'_>,
    resolved: Resolved,
    of_layer: impl Fn(&LayerMap, &Tensor, &dyn Objective) -> Result<OfLayer>,
) -> Result<Attributions> {
    let layers = sample.asked_layers()?;
    let found = tch::no_grad(|| at_layers(sample, &layers, &*resolved.objective, &of_layer));
    let (maps, passes) = match found {
        // A scripted nn.TransformerEncoderLayer calls its layers only where gradients may be taken.
        Err(Error::LayerNotFound(_)) => at_layers(sample, &layers, &*resolved.objective, &of_layer)?,
        found => found?,
    };
    Ok(Attributions {
        targets: resolved.targets,
        maps,
        passes,
    })
}

fn at_layers(
    sample: &Sample<'_>,
    layers: &[&LayerMap],
    objective: &dyn Objective,
    of_layer: &impl Fn(&LayerMap, &Tensor, &dyn Objective) -> Result<OfLayer>,
) -> Result<(Vec<Attribution>, Option<Passes>)> {
    let mut passes = None;
    let mut all = |input: &Tensor, objective: &dyn Objective| {
        let by_layer = layers
            .iter()
            .map(|layer| {
                let (maps, made) = of_layer(layer, input, objective)?;
                passes = add(passes, made);
                Ok(maps)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(transposed(by_layer))
    };
    let maps = all(&sample.input, objective)?;
    let maps = smooth::draw(sample, layers, maps, objective, &mut all)?;
    Ok((maps, passes))
}

fn add(sum: Option<Passes>, made: Option<Passes>) -> Option<Passes> {
    match (sum, made) {
        (Some(a), Some(b)) => Some(Passes {
            done: a.done + b.done,
            planned: a.planned + b.planned,
        }),
        (a, b) => a.or(b),
    }
}

/// `[layer][target]` as `[target][layer]`.
fn transposed(by_layer: Vec<Vec<Tensor>>) -> Maps {
    let targets = by_layer.first().map_or(0, Vec::len);
    let mut by_target: Maps = (0..targets).map(|_| Vec::new()).collect();
    for maps in by_layer {
        by_target
            .iter_mut()
            .zip(maps)
            .for_each(|(target, map)| target.push(map));
    }
    by_target
}

/// What a layer gave: `[execution][tensor]`, and its last map as `[1, C, h, w]`.
struct Recorded {
    executions: Vec<Vec<Tensor>>,
    activation: Tensor,
}

fn record(sample: &Sample<'_>, layer: &LayerMap, input: &Tensor) -> Result<Recorded> {
    let capture = sample.capture(&[Tap::record(&layer.path)])?;
    let permit = sample.pace.permit()?;
    let mut run = sample.run(&*capture, &permit, input)?;
    let executions = run.recorded.pop().unwrap_or_default();
    let last = executions.last().into_iter().flatten();
    let last = last.filter(|tensor| tensor.is_floating_point());
    let mut maps = last.filter_map(|tensor| sample.as_channels(layer, tensor).transpose());
    let missing = || Error::LayerNotFound(format!("layer `{}` gave no map for this image", layer.path));
    let activation = maps.next().ok_or_else(missing)??.f_to_kind(Kind::Float)?;
    drop(maps);
    Ok(Recorded {
        executions,
        activation,
    })
}

/// A map for each target from `weights [channels, T]`. With a budget, the channels that were not reached have no part.
fn weighed(sample: &Sample<'_>, recorded: &Recorded, (weights, passes): (Tensor, Passes)) -> Result<OfLayer> {
    let reached = recorded.activation.f_narrow(1, 0, weights.size()[0])?;
    let (reduction, permit) = (smooth::reduction(sample.ask), sample.pace.permit()?);
    let map = |target| cam::weighed(&permit, &weights.f_select(1, target)?, &reached, reduction);
    let maps = (0..weights.size()[1]).map(map).collect::<Result<Vec<_>>>()?;
    Ok((maps, Some(passes)))
}

/// Score-CAM: each channel, stretched to the input and to 0..=1, masks the picture; a softmax over what the target
/// then scores are the weights `[channels, T]`.
fn score_weights(
    sample: &Sample<'_>,
    activation: &Tensor,
    input: &Tensor,
    objective: &dyn Objective,
) -> Result<(Tensor, Passes)> {
    const EPSILON: f64 = 1e-8;
    let (height, width) = sample.size();
    let channels = activation.f_transpose(0, 1)?;
    let mut scores = Vec::new();
    let total = usize::try_from(channels.size()[0]).unwrap_or(0);
    let passes = sample.pace.batches(total, sample.pace.batch, |range, permit| {
        let some = channels.f_narrow(0, range.start as i64, range.len() as i64)?;
        // Corners on corners, as pytorch-grad-cam stretches them here.
        let masks = some.f_upsample_bilinear2d([height, width], true, None, None)?;
        let (low, high) = (
            masks.f_amin([2i64, 3].as_slice(), true)?,
            masks.f_amax([2i64, 3].as_slice(), true)?,
        );
        let masks = masks
            .f_sub(&low)?
            .f_div(&high.f_sub(&low)?.f_add_scalar(EPSILON)?)?;
        scores.push(sample.scores(permit, objective, &input.f_mul(&masks)?)?);
        Ok(())
    })?;
    Ok((Tensor::f_cat(&scores, 0)?.f_softmax(0, Kind::Float)?, passes))
}

/// Ablation-CAM: what part of the score S is lost without each channel, (S − Sₖ) / |S|, `[channels, T]`. The network runs on
/// from the layer alone. The paper (Desai and Ramaswamy, 2020) and pytorch-grad-cam divide by S: where it is below zero,
/// that gives the channels that raise the score negative weights, and the map is its own opposite. Of words the
/// probability is the score.
fn ablation_weights(
    sample: &Sample<'_>,
    layer: &LayerMap,
    recorded: &Recorded,
    input: &Tensor,
    objective: &dyn Objective,
) -> Result<(Tensor, Passes)> {
    let ablation = Ablation::new(sample, layer, recorded, (input, objective))?;
    // No channel is −1: the score with all of them, by the same graph.
    let whole = ablation.run(&sample.pace.permit()?, &[-1])?;
    let (without, passes) = match ablation.all(sample.pace.batch) {
        // A layer that runs once a picture gives nothing that holds several.
        Err(Error::InferenceFailed(_)) if sample.pace.batch > 1 => ablation.all(1)?,
        found => found?,
    };
    Ok((part_lost(&whole, &without)?, passes))
}

/// Passes that run on from a layer, each without some channels of what it gave.
struct Ablation<'a> {
    sample: &'a Sample<'a>,
    recorded: &'a Recorded,
    input: &'a Tensor,
    objective: &'a dyn Objective,
    capture: Rc<dyn Captured>,
    /// Whether the layer's own answer is replaced, and not a channel of it zeroed while it runs.
    replays: bool,
}

impl<'a> Ablation<'a> {
    fn new(
        sample: &'a Sample<'a>,
        layer: &LayerMap,
        recorded: &'a Recorded,
        (input, objective): (&'a Tensor, &'a dyn Objective),
    ) -> Result<Self> {
        let tensors = || recorded.executions.iter().flatten();
        if tensors().any(|tensor| tensor.size().first() != Some(&1)) {
            return Err(Error::UnsupportedForTask(format!(
                "ablation_cam cannot run on from layer `{}`, whose output has no image in its first dimension",
                layer.path
            )));
        }
        let is_map = tensors().all(|tensor| tensor.dim() == 4);
        let (capture, replays) = match sample.capture(&[Tap::replay(&layer.path)]) {
            // libtorch fails to leave out of some scripted functions what need not run.
            Err(Error::InferenceFailed(_)) if is_map => {
                (sample.capture(&[Tap::zero_channel(&layer.path)])?, false)
            }
            found => (found?, true),
        };
        Ok(Self {
            sample,
            recorded,
            input,
            objective,
            capture,
            replays,
        })
    }

    /// The scores without each channel, in batches of so many: `[channels, T]`.
    fn all(&self, batch: usize) -> Result<(Tensor, Passes)> {
        let total = usize::try_from(self.recorded.activation.size()[1]).unwrap_or(0);
        let mut scores = Vec::new();
        let passes = self.sample.pace.batches(total, batch, |range, permit| {
            let channels: Vec<i64> = range.map(|channel| channel as i64).collect();
            scores.push(self.run(permit, &channels)?);
            Ok(())
        })?;
        Ok((Tensor::f_cat(&scores, 0)?, passes))
    }

    /// The scores of a batch, each picture of which lacks one of `channels`.
    fn run(&self, permit: &CorePermit<'_>, channels: &[i64]) -> Result<Tensor> {
        let given = match self.replays {
            false => Given::Channels(channels.to_vec()),
            true => {
                let ablated = |tensor: &Tensor| without_channels(tensor, channels);
                let executions = self.recorded.executions.iter();
                let executions = executions.map(|tensors| tensors.iter().map(ablated).collect());
                Given::Activations(executions.collect::<Result<_>>()?)
            }
        };
        let arguments = self.sample.arguments(&repeated(self.input, channels.len())?)?;
        let run = self.capture.run(permit, &arguments, vec![given])?;
        let net = self.sample.exported(permit);
        match self.sample.spec.manifest.task {
            TaskKind::Captioning => self.objective.confidences(&net, &run.output),
            _ => self.objective.scores(&net, &run.output),
        }
    }
}

/// What part of the scores `whole [1, T]` is lost in each row of `without [channels, T]`. One divisor for all channels only
/// scales the map: where the score is as good as zero, there is none.
fn part_lost(whole: &Tensor, without: &Tensor) -> Result<Tensor> {
    const ZERO: f64 = 1e-30;
    let size = whole.f_abs()?;
    let divisor = size.f_masked_fill(&size.f_le(ZERO)?, 1.0)?;
    Ok(whole.f_sub(without)?.f_div(&divisor)?)
}

/// `[1, …]` as `[copies, …]`.
fn repeated(tensor: &Tensor, copies: usize) -> Result<Tensor> {
    let mut size = tensor.size();
    size[0] = copies as i64;
    Ok(tensor.f_expand(size.as_slice(), false)?)
}

/// Copies of what a layer gave, `[1, C, …]` or tokens `[1, N, C]`, each without one channel; −1 leaves a copy whole.
fn without_channels(tensor: &Tensor, channels: &[i64]) -> Result<Tensor> {
    // A copy of its own: expanded tensors share their memory.
    let copies = repeated(tensor, channels.len())?.f_add_scalar(0.0)?;
    let axis = if tensor.dim() == 3 { 1 } else { 0 };
    for (copy, &channel) in channels.iter().enumerate() {
        let copy = copies.f_select(0, copy as i64)?;
        if (0..copy.size().get(axis).copied().unwrap_or(0)).contains(&channel) {
            let _zeroed = copy.f_select(axis as i64, channel)?.f_zero_()?;
        }
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_raises_the_score_weighs_more_than_zero_whatever_the_score_s_sign() {
        // A row a channel: the first raises every score by 1, the second lowers it by 2. A column a target.
        let whole = Tensor::from_slice(&[4f32, -4.0, 0.0]).view([1, 3]);
        let without = Tensor::from_slice(&[3f32, -5.0, -1.0, 6.0, -2.0, 2.0]).view([2, 3]);
        let expected = Tensor::from_slice(&[0.25f32, 0.25, 1.0, -0.5, -0.5, -2.0]).view([2, 3]);
        assert_eq!(part_lost(&whole, &without).expect("tensors"), expected);
    }
}
