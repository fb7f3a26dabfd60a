//! CAMs of a layer's activation and gradient: `grad_cam`, `grad_cam_pp`, `hires_cam`, `layer_cam`, `xgrad_cam`.

use tch::Tensor;
use torch_bridge::Tap;

use super::cam::{self, Weigh};
use super::layers::LayerMap;
use super::objective::{Objective, Resolved};
use super::sample::{Attributions, Sample};
use super::smooth::{self, Maps};
use crate::engine::CorePermit;
use crate::error::{Error, Result};
use crate::runtime::{self, Held};

/// The maps of every target at every layer.
pub(super) fn explain(sample: &Sample<'_>, weigh: Weigh) -> Result<Attributions> {
    let layers = sample.asked_layers()?;
    let (maps, resolved) = first_maps(sample, &layers, weigh)?;
    let again = |input: &Tensor, objective: &dyn Objective| {
        let (looks, ()) = look(sample, &layers, input, |run| Ok((run.scores_of(objective)?, ())))?;
        to_maps(sample, &looks, weigh)
    };
    let maps = smooth::draw(sample, &layers, maps, &*resolved.objective, again)?;
    Ok(Attributions {
        targets: resolved.targets,
        maps,
        passes: None,
    })
}

/// `[target][layer]`: the maps of the untouched image, and what its targets are.
pub(super) fn first_maps(
    sample: &Sample<'_>,
    layers: &[&LayerMap],
    weigh: Weigh,
) -> Result<(Maps, Resolved)> {
    let (looks, resolved) = look(sample, layers, &sample.input, |run| {
        let found = sample.resolve(&run.net, &run.output)?;
        let scores = run.scores_of(&*found.objective)?;
        Ok((scores, found))
    })?;
    Ok((to_maps(sample, &looks, weigh)?, resolved))
}

fn to_maps(sample: &Sample<'_>, looks: &[Vec<Look>], weigh: Weigh) -> Result<Maps> {
    let (reduction, permit) = (smooth::reduction(sample.ask), sample.pace.permit()?);
    let of_layer = |look: &Look| {
        let weighted = weigh(&look.activation, &look.gradient)?;
        cam::reduced(&permit, &weighted, reduction)
    };
    let of_target = |looks: &Vec<Look>| looks.iter().map(of_layer).collect();
    looks.iter().map(of_target).collect()
}

/// What one layer gave, and what it meant for one target: both `[1, C, h, w]`.
struct Look {
    activation: Tensor,
    gradient: Tensor,
}

/// A pass with taps, whose scores are asked for.
struct Pass<'a> {
    net: Held<'a>,
    output: torch_bridge::Value,
}

impl Pass<'_> {
    fn scores_of(&self, objective: &dyn Objective) -> Result<Tensor> {
        objective.scores(&self.net, &self.output)
    }
}

/// `[target][layer]` for one image `[1, C, H, W]`.
fn look<T>(
    sample: &Sample<'_>,
    layers: &[&LayerMap],
    input: &Tensor,
    scores: impl FnOnce(&Pass<'_>) -> Result<(Tensor, T)>,
) -> Result<(Vec<Vec<Look>>, T)> {
    let taps: Vec<Tap> = layers.iter().map(|layer| Tap::record(&layer.path)).collect();
    let capture = sample.capture(&taps)?;
    let permit = sample.pace.permit()?;
    // The graph begins at the input even where weights were frozen before export: of a layer that gives several
    // tensors, the later ones may hang on the earlier.
    let x = input.f_detach()?.f_set_requires_grad(true)?;
    let run = sample.run(&*capture, &permit, &x)?;
    let pass = Pass {
        net: sample.exported(&permit),
        output: run.output,
    };
    let (scores, found) = scores(&pass)?;
    let row = scores.f_select(0, 0)?;
    let candidates: Vec<Vec<Tensor>> = run
        .recorded
        .into_iter()
        .zip(layers)
        .map(|(executions, layer)| {
            let tensors = executions.into_iter().flatten();
            tensors
                .filter(Tensor::is_floating_point)
                .filter(|tensor| sample.as_channels(layer, tensor).is_ok_and(|c| c.is_some()))
                .collect()
        })
        .collect();
    if let Some((layer, _)) = layers
        .iter()
        .zip(&candidates)
        .find(|(_, candidates)| candidates.is_empty())
    {
        return Err(Error::LayerNotFound(format!(
            "layer `{}` gave no map for this image",
            layer.path
        )));
    }
    let targets = row.size1()?;
    let of_each = |target| {
        if target > 0 {
            sample.pace.again(&permit)?;
        }
        of_target(
            sample,
            &permit,
            &row.f_select(0, target)?,
            layers,
            &candidates,
            target + 1 < targets,
        )
    };
    Ok(((0..targets).map(of_each).collect::<Result<_>>()?, found))
}

/// What each layer meant for one target.
fn of_target(
    sample: &Sample<'_>,
    permit: &CorePermit<'_>,
    scalar: &Tensor,
    layers: &[&LayerMap],
    candidates: &[Vec<Tensor>],
    keep: bool,
) -> Result<Vec<Look>> {
    let flat: Vec<&Tensor> = candidates.iter().flatten().collect();
    // A score that hangs on nothing, such as that of a box that is not there, has no gradient.
    let mut gradients = if scalar.requires_grad() {
        runtime::gradients(permit, scalar, &flat, keep)?.into_iter()
    } else {
        flat.iter().map(|_| None).collect::<Vec<_>>().into_iter()
    };
    candidates
        .iter()
        .zip(layers)
        .map(|(tensors, layer)| {
            let of_layer: Vec<Option<Tensor>> = gradients.by_ref().take(tensors.len()).collect();
            choose(sample, layer, tensors, of_layer)
        })
        .collect()
}

/// Of all that a layer gave, the last tensor on which the target hangs: the last call of a layer that is called
/// several times, the level of a pyramid that made the box.
fn choose(
    sample: &Sample<'_>,
    layer: &LayerMap,
    tensors: &[Tensor],
    gradients: Vec<Option<Tensor>>,
) -> Result<Look> {
    let mut last = None;
    for (tensor, gradient) in tensors.iter().zip(gradients).rev() {
        if let Some(gradient) = gradient
            && f64::try_from(gradient.f_abs()?.f_max()?)? > 0.0
        {
            return channels(sample, layer, tensor, &gradient);
        }
        last = last.or(Some(tensor));
    }
    let tensor = last.ok_or_else(|| Error::Internal("a layer without a tensor".into()))?;
    channels(sample, layer, tensor, &tensor.f_zeros_like()?)
}

fn channels(sample: &Sample<'_>, layer: &LayerMap, activation: &Tensor, gradient: &Tensor) -> Result<Look> {
    let missing = || Error::Internal("a map that is none".into());
    let as_map = |tensor: &Tensor| sample.as_channels(layer, tensor)?.ok_or_else(missing);
    Ok(Look {
        activation: as_map(&activation.f_detach()?)?,
        gradient: as_map(gradient)?,
    })
}
