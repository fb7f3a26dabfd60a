//! Maps from outputs alone: what the score becomes when parts of the picture are covered. `occlusion`, `rise`,
//! `d_rise`.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::masks::{Rise, Window, windows};
use super::objective::Objective;
use super::sample::{Attribution, Attributions, Sample};
use crate::error::Result;
use crate::runtime::Call;
use crate::runtime::staging::floats;

fn attributions(maps: Vec<Tensor>) -> Vec<Attribution> {
    let attribution = |(target, values)| Attribution {
        target,
        layer: None,
        values,
        completeness: None,
    };
    maps.into_iter().enumerate().map(attribution).collect()
}

/// What the score loses when a window is covered; where windows overlap, their mean (Zeiler and Fergus, section 4.2;
/// positions and weights are captum's).
pub(super) fn occlusion(sample: &Sample<'_>) -> Result<Attributions> {
    let _no_grad = tch::no_grad_guard();
    let (resolved, whole) = {
        let permit = sample.pace.permit()?;
        let (net, output) = (sample.frozen(&permit), sample.forward(&permit, &sample.input)?);
        let resolved = sample.resolve(&net, &output)?;
        let whole = floats(&resolved.objective.scores(&net, &output)?)?;
        (resolved, whole)
    };
    let (height, width) = sample.size();
    let (height, width) = (height as usize, width as usize);
    let windows = windows((height, width), sample.ask.window, sample.ask.stride);
    let mut lost = vec![vec![0f64; height * width]; whole.len()];
    let mut covered = vec![0u32; height * width];
    let passes = sample
        .pace
        .batches(windows.len(), sample.pace.batch, |range, permit| {
            let some = &windows[range];
            let copies = sample.copies(some.len())?;
            // What lies before the last two sizes is covered whole, as the channels of a picture are.
            let planes = copies.f_view([some.len() as i64, -1, height as i64, width as i64])?;
            for (copy, window) in some.iter().enumerate() {
                cover(&planes.f_select(0, copy as i64)?, window, sample.ask.baseline)?;
            }
            let scores = floats(&sample.scores(permit, &*resolved.objective, &copies)?)?;
            for (window, scores) in some.iter().zip(scores.chunks_exact(whole.len().max(1))) {
                for row in window.top..window.bottom {
                    let cells = row * width + window.left..row * width + window.right;
                    covered[cells.clone()].iter_mut().for_each(|n| *n += 1);
                    for ((lost, score), whole) in lost.iter_mut().zip(scores).zip(&whole) {
                        let difference = f64::from(whole - score);
                        lost[cells.clone()].iter_mut().for_each(|sum| *sum += difference);
                    }
                }
            }
            Ok(())
        })?;
    let map = |lost: Vec<f64>| -> Result<Tensor> {
        let mean = lost
            .iter()
            .zip(&covered)
            .map(|(sum, n)| (sum / f64::from((*n).max(1))) as f32);
        let mean: Vec<f32> = mean.collect();
        let map = Tensor::from_slice(&mean).f_view([height as i64, width as i64])?;
        match &sample.beside {
            Some(beside) => beside.of_plane(&map),
            None => Ok(map),
        }
    };
    Ok(Attributions {
        targets: resolved.targets,
        maps: attributions(lost.into_iter().map(map).collect::<Result<_>>()?),
        passes: Some(passes),
    })
}

/// Fills the window of `image [C, H, W]`.
fn cover(image: &Tensor, window: &Window, value: f64) -> Result<()> {
    let part = image
        .f_narrow(1, window.top as i64, (window.bottom - window.top) as i64)?
        .f_narrow(2, window.left as i64, (window.right - window.left) as i64)?
        .f_fill_(value)?;
    drop(part);
    Ok(())
}

/// Random masks, weighed by the score that each leaves: `Σ S(M ⊙ x) M / (N p)` (RISE, eq. 6).
pub(super) fn rise(sample: &Sample<'_>) -> Result<Attributions> {
    masked(sample, |objective, net, output| {
        objective.confidences(net, output)
    })
}

/// D-RISE weighs by how like the object's the best box is that each mask leaves.
pub(super) fn d_rise(sample: &Sample<'_>) -> Result<Attributions> {
    masked(sample, |objective, _, output| objective.similarities(output))
}

fn masked(
    sample: &Sample<'_>,
    weigh: impl Fn(&dyn Objective, &dyn Call, &Value) -> Result<Tensor>,
) -> Result<Attributions> {
    let _no_grad = tch::no_grad_guard();
    let resolved = sample.find_target()?;
    let (height, width) = sample.size();
    let masks = Rise::new(sample.ask, (height, width))?;
    let device = sample.input.device();
    let baseline = sample.input.f_full_like(sample.ask.baseline)?;
    let mut sum: Option<Tensor> = None;
    let passes = sample
        .pace
        .batches(sample.ask.n_masks, sample.pace.batch, |range, permit| {
            let masks = masks.some(range)?.f_to_device(device)?;
            // x′ + M (x − x′): the baseline is 0 in RISE.
            let batch = baseline.f_add(&sample.input.f_sub(&baseline)?.f_mul(&masks)?)?;
            let output = sample.forward(permit, &batch)?;
            let weights = weigh(&*resolved.objective, &sample.frozen(permit), &output)?;
            let part = weights
                .f_transpose(0, 1)?
                .f_to_kind(Kind::Float)?
                .f_mm(&masks.f_flatten(1, -1)?)?;
            sum = Some(match &sum {
                Some(sum) => sum.f_add(&part)?,
                None => part,
            });
            Ok(())
        })?;
    let scale = passes.done as f64 * sample.ask.p;
    let maps = sum
        .map(|sum| sum.f_div_scalar(scale)?.f_view([-1, height, width])?.f_unbind(0))
        .transpose()?;
    Ok(Attributions {
        targets: resolved.targets,
        maps: attributions(maps.unwrap_or_default()),
        passes: Some(passes),
    })
}
