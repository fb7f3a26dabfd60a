//! Measures the evidence of maps.

use tch::{Kind, Tensor};
use torch_bridge::Generator;

use super::evidence::{Chance, Curve, Evidence, NOISY, STEPS, Stability};
use super::map::{Map, Resolution};
use super::masks::grid_of_windows;
use super::method::Method;
use super::objective::{Objective, Settled};
use super::options::Smooth;
use super::resolved::ResolvedTarget;
use super::sample::{Attributions, Sample};
use super::table::Row;
use super::weights::sensitivity;
use crate::error::{Error, Result};
use crate::image::Placement;
use crate::runtime::staging::floats;

/// The noise's half-width, as a share of the span of the input's values.
const NOISE: f64 = 0.02;

/// The evidence of each of `made`, in order; fewer where the budget ends.
///
/// # Errors
/// [`Error::UnsupportedForTask`] of what is no picture; those of passes.
pub(super) fn evidence(
    sample: &Sample<'_>,
    row: &Row,
    made: &Attributions,
    maps: &[Map],
) -> Result<Vec<Evidence>> {
    let Some(placement) = sample.placement else {
        return Err(Error::UnsupportedForTask(
            "evidence is there for maps of pictures".into(),
        ));
    };
    let _no_grad = tch::no_grad_guard();
    let settled = Settled::from(sample.find_target()?);
    let resolved = settled.again();
    let judge = Judge {
        sample,
        settled: &settled,
        objective: &*resolved.objective,
        placement,
        blurred: {
            let _permit = sample.pace.permit()?;
            blurred(&sample.input)?
        },
    };
    let mut all = Vec::new();
    let again = match made.passes {
        None => judge.made_again(row, maps)?,
        Some(_) => Vec::new(),
    };
    for (index, (attribution, map)) in made.maps.iter().zip(maps).enumerate() {
        if sample.pace.is_spent() {
            break;
        }
        let target = attribution.target;
        let (deletion, insertion) = judge.curves(map, target)?;
        all.push(Evidence {
            random: judge.chance(&grain(row, sample, map)?, target)?,
            inside: inside(map, &made.targets[target], &placement),
            stability: again.get(index).copied(),
            weights: match sample.ask.weights {
                true => sensitivity(sample, row, (attribution, map), &settled)?,
                false => None,
            },
            deletion,
            insertion,
        });
    }
    Ok(all)
}

/// Keeps random maps apart from what methods draw by the same seed: the masks of RISE are random maps, too.
const APART: u32 = 0x9E37_79B9;

/// The grid of the random maps that `map` is compared with: as coarse as what it is made of, since coarse maps move scores more than
/// single pixels do.
fn grain(row: &Row, sample: &Sample<'_>, map: &Map) -> Result<Vec<usize>> {
    let (ask, (height, width)) = (sample.ask, sample.size());
    let own = map.flat().shape;
    Ok(match row.method {
        Method::Occlusion => {
            let (rows, columns) = grid_of_windows((height as usize, width as usize), ask.window, ask.stride);
            vec![rows, columns]
        }
        Method::Rise | Method::DRise => vec![ask.cell, ask.cell],
        // Such maps are drawn at the input's size; of several layers the coarsest tells.
        _ if ask.fuse || ask.smooth == Some(Smooth::Aug) => {
            let layers = sample.asked_layers()?;
            let grids = layers.iter().filter_map(|layer| layer.grid());
            grids
                .min_by_key(|[rows, columns]| rows * columns)
                .map_or(own, Vec::from)
        }
        _ => own,
    })
}

/// What every map of a picture is judged by.
struct Judge<'a> {
    sample: &'a Sample<'a>,
    /// What the target means on the untouched picture: the same on every copy.
    settled: &'a Settled,
    objective: &'a dyn Objective,
    placement: Placement,
    /// The input, blurred.
    blurred: Tensor,
}

impl Judge<'_> {
    /// Deletion and insertion in the order of `map`, by the score of `target`.
    fn curves(&self, map: &Map, target: usize) -> Result<(Curve, Curve)> {
        let ranks = self.ranks(map)?;
        let input = &self.sample.input;
        let gone = input.f_zeros_like()?;
        Ok((
            self.curve(&ranks, (input, &gone), target)?,
            self.curve(&ranks, (&self.blurred, input), target)?,
        ))
    }

    /// The mean of random maps on `grid`, which maps of the same grid share.
    fn chance(&self, grid: &[usize], target: usize) -> Result<Chance> {
        if let Some(known) = self.sample.chances.get(grid, target) {
            return Ok(known);
        }
        let ask = self.sample.ask;
        let (maps, cells) = (ask.random_maps.max(1), grid.iter().product::<usize>());
        let random = Generator::new(ask.seed ^ APART)?.uniform(&[maps as i64, cells as i64])?;
        let mut curves = Vec::with_capacity(maps);
        for index in 0..maps {
            let values = floats(&random.f_select(0, index as i64)?)?;
            curves.push(self.curves(&Map::new(grid.to_vec(), values), target)?);
        }
        let chance = Chance::of(&curves);
        self.sample.chances.keep(grid, target, chance);
        Ok(chance)
    }

    /// The place of each pixel of the input in the order of `map`, the largest value first, as `[H, W]`.
    fn ranks(&self, map: &Map) -> Result<Tensor> {
        let large = map.resized(Resolution::Input, &self.placement);
        let value = |pixel: &usize| match large.data[*pixel] {
            value if value.is_nan() => f32::NEG_INFINITY,
            value => value,
        };
        let mut order: Vec<usize> = (0..large.data.len()).collect();
        order.sort_by(|a, b| value(b).total_cmp(&value(a)));
        let mut ranks = vec![0_i64; order.len()];
        for (rank, pixel) in order.into_iter().enumerate() {
            ranks[pixel] = rank as i64;
        }
        let (height, width) = self.sample.size();
        let ranks = Tensor::from_slice(&ranks).f_view([height, width])?;
        Ok(ranks.f_to_device(self.sample.input.device())?)
    }

    /// The scores while the pixels of one picture become those of another.
    fn curve(&self, ranks: &Tensor, (from, to): (&Tensor, &Tensor), target: usize) -> Result<Curve> {
        let sample = self.sample;
        let pixels = ranks.numel();
        let mut scores = Vec::with_capacity(STEPS + 1);
        sample
            .pace
            .all_batches(STEPS + 1, sample.pace.batch, |range, permit| {
                let changed: Vec<i64> = range.map(|step| (step * pixels / STEPS) as i64).collect();
                let changed = Tensor::from_slice(&changed).f_to_device(ranks.device())?;
                let masks = ranks.f_unsqueeze(0)?.f_lt_tensor(&changed.f_view([-1, 1, 1])?)?;
                let batch = to.f_where_self(&masks.f_unsqueeze(1)?, from)?;
                let output = sample.forward(permit, &batch)?;
                let confidences = self.objective.confidences(&sample.frozen(permit), &output)?;
                let of_target = floats(&confidences.f_select(1, target as i64)?)?;
                scores.extend(of_target.into_iter().map(f64::from));
                Ok(())
            })?;
        Ok(Curve::of(scores))
    }

    /// How each of `maps` changes when it is made of noisy copies of the picture.
    fn made_again(&self, row: &Row, maps: &[Map]) -> Result<Vec<Stability>> {
        let input = &self.sample.input;
        let span = (input.f_max()?.f_sub(&input.f_min()?)?).double_value(&[]);
        let shape = input.size();
        let count = shape.iter().product::<i64>();
        let noise = Generator::new(self.sample.ask.seed)?.uniform(&[NOISY as i64, count])?;
        let mut found = vec![
            Stability {
                change: 0.0,
                score_change: 0.0,
                copies: NOISY,
            };
            maps.len()
        ];
        let before = self.score(input)?;
        for copy in 0..NOISY {
            let noise = noise.f_select(0, copy as i64)?.f_view(shape.as_slice())?;
            let noise = noise.f_sub_scalar(0.5)?.f_mul_scalar(2.0 * NOISE * span)?;
            let noisy = input.f_add(&noise.f_to_device(input.device())?.f_to_kind(input.kind())?)?;
            let after = self.score(&noisy)?;
            // Methods of gradients take them.
            let noisy = self.sample.of(noisy).settled_on(self.settled);
            let again = tch::with_grad(|| (row.run)(&noisy))?;
            for ((stability, attribution), map) in found.iter_mut().zip(&again.maps).zip(maps) {
                let target = attribution.target;
                let values = floats(&attribution.values)?;
                stability.change = stability.change.max(relative(&values, &map.data));
                let change = before
                    .get(target)
                    .zip(after.get(target))
                    .map(|(a, b)| (a - b).abs());
                stability.score_change = stability.score_change.max(change.unwrap_or(0.0));
            }
        }
        Ok(found)
    }

    /// The score of each target for one picture.
    fn score(&self, picture: &Tensor) -> Result<Vec<f64>> {
        let permit = self.sample.pace.permit()?;
        let output = self.sample.forward(&permit, picture)?;
        let scores = self
            .objective
            .confidences(&self.sample.frozen(&permit), &output)?;
        Ok(floats(&scores.f_select(0, 0)?)?
            .into_iter()
            .map(f64::from)
            .collect())
    }
}

/// `‖a − b‖ / ‖b‖`; what is not finite counts as nothing.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let square =
        |values: &mut dyn Iterator<Item = f64>| values.map(|v| finite(v) * finite(v)).sum::<f64>().sqrt();
    let apart = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    let whole = square(&mut b.iter().copied().map(f64::from));
    if whole > 0.0 { apart / whole } else { 0.0 }
}

/// The share of the positive part of `map` in the box of an object; nothing of other targets.
fn inside(map: &Map, target: &ResolvedTarget, placement: &Placement) -> Option<f64> {
    let ResolvedTarget::Object { bounds, .. } = target else {
        return None;
    };
    let (left, top) = placement.to_input(f64::from(bounds.x_min), f64::from(bounds.y_min));
    let (right, bottom) = placement.to_input(f64::from(bounds.x_max), f64::from(bounds.y_max));
    let large = map.resized(Resolution::Input, placement);
    let width = large.shape[1];
    let (mut within, mut whole) = (0.0, 0.0);
    for (pixel, value) in large.data.iter().enumerate() {
        let value = f64::from(value.max(0.0));
        let (x, y) = ((pixel % width) as f64 + 0.5, (pixel / width) as f64 + 0.5);
        whole += value;
        if (left..right).contains(&x) && (top..bottom).contains(&y) {
            within += value;
        }
    }
    (whole > 0.0).then(|| within / whole)
}

/// The picture under a Gaussian of 11 pixels with a standard deviation of 5, as RISE blurs it, its edges repeated.
fn blurred(picture: &Tensor) -> Result<Tensor> {
    const REACH: i64 = 5;
    const SIGMA: f64 = 5.0;
    let weight = |at: i64| (-0.5 * (at as f64 / SIGMA).powi(2)).exp() as f32;
    let weights: Vec<f32> = (-REACH..=REACH).map(weight).collect();
    let weights = Tensor::from_slice(&weights).f_to_device(picture.device())?;
    let weights = weights.f_div(&weights.f_sum(Kind::Float)?)?;
    let size = picture.size();
    let [.., channels, height, width] = size[..] else {
        return Err(Error::Internal("a picture has three axes".into()));
    };
    let planes = picture
        .f_to_kind(Kind::Float)?
        .f_view([channels, 1, height, width])?;
    let planes = planes.f_replication_pad2d([REACH, REACH, REACH, REACH])?;
    let along = |planes: &Tensor, kernel: [i64; 4]| {
        planes.f_conv2d::<Tensor>(&weights.f_view(kernel)?, None, [1], [0], [1], 1)
    };
    let taps = 2 * REACH + 1;
    let blurred = along(&along(&planes, [1, 1, 1, taps])?, [1, 1, taps, 1])?;
    Ok(blurred.f_view(size.as_slice())?.f_to_kind(picture.kind())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blurred_picture_keeps_its_mean_and_its_edges() {
        let even = Tensor::full([1, 3, 4, 9], 0.5, (Kind::Float, tch::Device::Cpu));
        let found = blurred(&even).expect("a picture");
        assert!((found - &even).abs().max().double_value(&[]) < 1e-6);
        let mut one = vec![0_f32; 25 * 25];
        one[12 * 25 + 12] = 1.0;
        let found = floats(&blurred(&Tensor::from_slice(&one).view([1, 1, 25, 25])).expect("a picture"))
            .expect("floats");
        let weight = |at: f64| (-0.5 * (at / 5.0).powi(2)).exp();
        let sum: f64 = (-5..=5).map(|at| weight(f64::from(at))).sum();
        assert!((f64::from(found[12 * 25 + 12]) - (1.0 / sum).powi(2)).abs() < 1e-6);
        assert!((f64::from(found[12 * 25 + 17]) - weight(5.0) / sum.powi(2)).abs() < 1e-6);
        assert_eq!(found[12 * 25 + 18], 0.0);
    }

    #[test]
    fn a_change_is_relative_to_the_map() {
        assert_eq!(relative(&[1.0, 0.0], &[1.0, 0.0]), 0.0);
        assert!((relative(&[0.0, 3.0], &[4.0, 3.0]) - 0.8).abs() < 1e-9);
        assert_eq!(relative(&[1.0], &[0.0]), 0.0);
        assert_eq!(relative(&[f32::NAN, 1.0], &[1.0, 1.0]), 0.0);
    }
}
