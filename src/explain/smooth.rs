//! From the maps of each target at each layer to those that are answered: smoothed over variants of the picture,
//! fused over the layers, or as they are. Scaling and fusing are pytorch-grad-cam's (`scale_cam_image`,
//! `aggregate_multi_layers`, `forward_augmentation_smoothing`).

use tch::Tensor;

use super::cam::Reduction;
use super::layers::LayerMap;
use super::objective::Objective;
use super::options::{Options, Smooth};
use super::sample::{Attribution, Sample};
use crate::error::Result;

/// Each variant of the picture is multiplied by one of these, as it is and mirrored.
const FACTORS: [f64; 3] = [0.9, 1.0, 1.1];

/// How many variants of the picture `smooth=aug` takes, the untouched one among them.
pub(super) const VARIANTS: usize = 2 * FACTORS.len();

/// `[target][layer]`, each `[h, w]` after its ReLU.
pub(super) type Maps = Vec<Vec<Tensor>>;

/// How weighted channels are reduced.
pub(super) fn reduction(ask: &Options) -> Reduction {
    match ask.smooth {
        Some(Smooth::Eigen) => Reduction::Eigen,
        _ => Reduction::Sum,
    }
}

/// What is answered for `maps`, those of the untouched image; `again` makes them for another one.
pub(super) fn draw(
    sample: &Sample<'_>,
    layers: &[&LayerMap],
    maps: Maps,
    objective: &dyn Objective,
    mut again: impl FnMut(&Tensor, &dyn Objective) -> Result<Maps>,
) -> Result<Vec<Attribution>> {
    let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
    let names: Vec<String> = if sample.ask.fuse {
        vec![paths.join(",")]
    } else {
        paths.into_iter().map(str::to_owned).collect()
    };
    let maps = if sample.ask.smooth == Some(Smooth::Aug) {
        augmented(sample, &maps, objective, &mut again)?
    } else if sample.ask.fuse {
        at_input(sample, &maps)?
    } else {
        maps
    };
    let attributions = |(target, maps): (usize, Vec<Tensor>)| {
        let named = names.iter().zip(maps);
        let of_target = named.map(move |(layer, values)| Attribution {
            target,
            layer: Some(layer.clone()),
            values,
            completeness: None,
        });
        of_target.collect::<Vec<_>>()
    };
    Ok(maps.into_iter().enumerate().flat_map(attributions).collect())
}

/// The mean over the picture and its mirror image, each times 0.9, 1 and 1.1.
fn augmented(
    sample: &Sample<'_>,
    maps: &Maps,
    objective: &dyn Objective,
    again: &mut impl FnMut(&Tensor, &dyn Objective) -> Result<Maps>,
) -> Result<Maps> {
    let mirrored = objective.mirrored()?;
    let mut sum = at_input(sample, maps)?;
    for flip in [false, true] {
        for factor in FACTORS {
            if !flip && factor == 1.0 {
                continue; // The untouched image, which is there already.
            }
            let input = sample.input.f_mul_scalar(factor)?;
            let (input, objective) = match (flip, &mirrored) {
                (true, Some(mirrored)) => (input.f_flip([3])?, &**mirrored),
                (true, None) => (input.f_flip([3])?, objective),
                (false, _) => (input, objective),
            };
            let found = at_input(sample, &again(&input, objective)?)?;
            for (sum, found) in sum.iter_mut().flatten().zip(found.into_iter().flatten()) {
                let found = if flip { found.f_flip([1])? } else { found };
                *sum = sum.f_add(&found)?;
            }
        }
    }
    let mean = |map: &Tensor| Ok(map.f_div_scalar(VARIANTS as f64)?);
    sum.iter()
        .map(|layers| layers.iter().map(mean).collect())
        .collect()
}

/// Each map from 0 to 1 at the input's size; with `fuse` one a target, the mean of its layers'.
fn at_input(sample: &Sample<'_>, maps: &Maps) -> Result<Maps> {
    let (height, width) = sample.size();
    let large = |map: &Tensor| -> Result<Tensor> {
        let map = unit(map)?.f_unsqueeze(0)?.f_unsqueeze(0)?;
        let map = map.f_upsample_bilinear2d([height, width], false, None, None)?;
        Ok(map.f_squeeze_dim(0)?.f_squeeze_dim(0)?)
    };
    let of_target = |layers: &Vec<Tensor>| -> Result<Vec<Tensor>> {
        let large = layers.iter().map(large).collect::<Result<Vec<_>>>()?;
        if sample.ask.fuse {
            let mean = Tensor::f_stack(&large, 0)?.f_mean_dim([0i64].as_slice(), false, tch::Kind::Float)?;
            return Ok(vec![unit(&mean)?]);
        }
        large.iter().map(unit).collect()
    };
    maps.iter().map(of_target).collect()
}

/// Minus the smallest value, over the largest.
fn unit(map: &Tensor) -> Result<Tensor> {
    const EPSILON: f64 = 1e-7;
    let from_zero = map.f_sub(&map.f_min()?)?;
    Ok(from_zero.f_div(&from_zero.f_max()?.f_add_scalar(EPSILON)?)?)
}
