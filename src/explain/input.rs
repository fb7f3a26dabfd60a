//! Attributions to the pixels of the model's input, by gradients: `saliency`, `input_x_gradient`, `smooth_grad`,
//! `integrated_gradients`, `guided_backprop`, `guided_grad_cam`. Definitions are captum's.

use tch::{Device, Kind, Tensor};
use torch_bridge::{Generator, Given, Tap, Value};

use super::cam;
use super::gradients::first_maps;
use super::objective::{Objective, Resolved};
use super::options::Channels;
use super::quadrature::gauss_legendre;
use super::sample::{Attribution, Attributions, Completeness, Sample};
use crate::engine::CorePermit;
use crate::engine::context::Passes;
use crate::error::{Error, Result};
use crate::runtime::{self, Call};

/// The part of the input's range that is SmoothGrad's noise where none is asked for (the paper: 10 to 20 %).
const NOISE: f64 = 0.15;

/// How gradients pass the ReLUs of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relus {
    /// As the model has them.
    Own,
    /// Only positive gradients pass (guided backpropagation).
    Guided,
}

impl Relus {
    fn taps(self) -> &'static [Tap] {
        match self {
            Self::Own => &[],
            Self::Guided => &[Tap::GuidedRelu],
        }
    }
}

/// The absolute gradient.
pub(super) fn saliency(sample: &Sample<'_>) -> Result<Attributions> {
    one_pass(sample, Relus::Own, |gradient| Ok(gradient.f_abs()?))
}

/// The gradient times the input.
pub(super) fn input_x_gradient(sample: &Sample<'_>) -> Result<Attributions> {
    one_pass(sample, Relus::Own, |gradient| {
        Ok(gradient.f_mul(&sample.input.f_squeeze_dim(0)?)?)
    })
}

/// The gradient that passes guided ReLUs.
pub(super) fn guided_backprop(sample: &Sample<'_>) -> Result<Attributions> {
    one_pass(sample, Relus::Guided, Ok)
}

/// What is answered for attributions to single pixels.
fn answer(
    sample: &Sample<'_>,
    resolved: Resolved,
    attributions: Vec<Attribution>,
    passes: Option<Passes>,
) -> Result<Attributions> {
    let maps = attributions.into_iter().map(|attribution| {
        Ok(Attribution {
            values: reduced(sample, &attribution.values)?,
            ..attribution
        })
    });
    Ok(Attributions {
        maps: maps.collect::<Result<_>>()?,
        targets: resolved.targets,
        passes,
    })
}

/// The module with other ReLUs in each of its methods: what an objective runs on from the output, such as a VAE's
/// decoder, must have them as well.
struct WithRelus<'a> {
    sample: &'a Sample<'a>,
    permit: &'a CorePermit<'a>,
    relus: Relus,
}

impl Call for WithRelus<'_> {
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        if self.relus == Relus::Own {
            return self.sample.exported(self.permit).call(method, inputs);
        }
        let taps = self.relus.taps();
        let capture = self.sample.captures.get(self.sample.exported, method, taps)?;
        let given = taps.iter().map(|_| Given::Nothing).collect();
        Ok(capture.run(self.permit, inputs, given)?.output)
    }

    fn device(&self) -> Device {
        self.sample.exported.device()
    }
}

/// What guided methods answer about a model without ReLUs.
pub(super) fn without_relus() -> Error {
    Error::UnsupportedForTask(
        "guided backpropagation (guided_backprop, guided_grad_cam) changes how ReLUs pass gradients, and this model has none".into(),
    )
}

/// `[C, H, W]` to what is answered; of a tensor as many values as it has.
fn reduced(sample: &Sample<'_>, values: &Tensor) -> Result<Tensor> {
    if let Some(beside) = &sample.beside {
        return beside.shaped(values);
    }
    Ok(
        match sample.ask.channels.unwrap_or(Channels::usual(sample.ask.method)) {
            Channels::Sum => values.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?,
            Channels::MaxAbs => values.f_abs()?.f_amax([0i64].as_slice(), false)?,
            Channels::Keep => values.shallow_clone(),
        },
    )
}

/// Attributions that are made of the gradient `[C, H, W]` of one pass.
fn one_pass(
    sample: &Sample<'_>,
    relus: Relus,
    attribution: impl Fn(Tensor) -> Result<Tensor>,
) -> Result<Attributions> {
    let permit = sample.pace.permit()?;
    let (gradients, resolved) = differentiate(sample, &permit, relus, &sample.input, |net, output| {
        let found = sample.resolve(&sample.exported(&permit), output)?;
        let scores = found.objective.scores(net, output)?;
        Ok((scores, found))
    })?;
    let values = gradients
        .into_iter()
        .map(|gradient| attribution(gradient.f_squeeze_dim(0)?));
    let values = values.collect::<Result<Vec<_>>>()?;
    answer(sample, resolved, plain(values), None)
}

/// One attribution a target.
fn plain(values: Vec<Tensor>) -> Vec<Attribution> {
    let attribution = |(target, values)| Attribution {
        target,
        layer: None,
        values,
        completeness: None,
    };
    values.into_iter().enumerate().map(attribution).collect()
}

/// For each target the gradient `[n, C, H, W]` of the sum of its scores over `batch`: of every image its own. `scores` is
/// given the module and its output, and may answer something beside the scores.
fn differentiate<T>(
    sample: &Sample<'_>,
    permit: &CorePermit<'_>,
    relus: Relus,
    batch: &Tensor,
    scores: impl FnOnce(&dyn Call, &Value) -> Result<(Tensor, T)>,
) -> Result<(Vec<Tensor>, T)> {
    let capture = sample.capture(relus.taps())?;
    if capture.places().first() == Some(&0) {
        return Err(without_relus());
    }
    let x = batch.f_detach()?.f_contiguous()?.f_set_requires_grad(true)?;
    let run = sample.run(&*capture, permit, &x)?;
    let net = WithRelus {
        sample,
        permit,
        relus,
    };
    let (scores, found) = scores(&net, &run.output)?;
    let sums = scores.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
    let targets = sums.size1()?;
    let gradient = |target| -> Result<Tensor> {
        if target > 0 {
            sample.pace.again(permit)?;
        }
        let scalar = sums.f_select(0, target)?;
        if !scalar.requires_grad() {
            return Ok(x.f_zeros_like()?);
        }
        let found = runtime::gradients(permit, &scalar, &[&x], target + 1 < targets)?
            .pop()
            .flatten();
        found.map_or_else(|| Ok(x.f_zeros_like()?), Ok)
    };
    Ok(((0..targets).map(gradient).collect::<Result<_>>()?, found))
}

/// [`differentiate`] for an objective that is known.
fn differentiate_for(
    sample: &Sample<'_>,
    permit: &CorePermit<'_>,
    relus: Relus,
    batch: &Tensor,
    objective: &dyn Objective,
) -> Result<Vec<Tensor>> {
    let scores = |net: &dyn Call, output: &Value| Ok((objective.scores(net, output)?, ()));
    differentiate(sample, permit, relus, batch, scores).map(|(gradients, ())| gradients)
}

/// Adds each batch's gradients, summed over its images with `weights`, one an image, to `sums`.
fn accumulate(sums: &mut Vec<Tensor>, gradients: Vec<Tensor>, weights: &Tensor) -> Result<()> {
    for (target, gradient) in gradients.into_iter().enumerate() {
        let part = gradient
            .f_mul(weights)?
            .f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        match sums.get_mut(target) {
            Some(sum) => *sum = sum.f_add(&part)?,
            None => sums.push(part),
        }
    }
    Ok(())
}

/// The mean gradient over copies with normal noise.
pub(super) fn smooth_grad(sample: &Sample<'_>) -> Result<Attributions> {
    let resolved = sample.find_target()?;
    let x = &sample.input;
    let range = f64::try_from(x.f_max()?.f_sub(&x.f_min()?)?)?;
    let sigma = sample.ask.sigma.unwrap_or(NOISE * range);
    let samples = sample.ask.n_samples;
    // Copy by copy, so that the noise of all of them is never there at once, and is the same in batches of any size.
    let mut generator = Generator::new(sample.ask.seed)?;
    let mut noise = |copies: usize| -> Result<Tensor> {
        let drawn = (0..copies).map(|_| Ok(generator.normal(&x.size())?));
        let drawn = Tensor::f_cat(&drawn.collect::<Result<Vec<_>>>()?, 0)?;
        Ok(drawn.f_mul_scalar(sigma)?.f_to_device(x.device())?)
    };
    let mut sums = Vec::new();
    let passes = sample
        .pace
        .batches(samples, sample.gradient_batch(), |range, permit| {
            let batch = x.f_add(&noise(range.len())?)?;
            let ones = Tensor::f_ones([range.len() as i64], (Kind::Float, x.device()))?;
            let ones = sample.one_an_image(&ones)?;
            let gradients = differentiate_for(sample, permit, Relus::Own, &batch, &*resolved.objective)?;
            accumulate(&mut sums, gradients, &ones)
        })?;
    let mean = |sum: Tensor| -> Result<Tensor> { Ok(sum.f_div_scalar(passes.done as f64)?) };
    let attributions = sums.into_iter().map(mean).collect::<Result<Vec<_>>>()?;
    answer(sample, resolved, plain(attributions), Some(passes))
}

/// `(x − x′) ⊙ ∫ ∂S/∂x (x′ + α(x − x′)) dα`, by Gauss–Legendre quadrature as captum does it.
pub(super) fn integrated_gradients(sample: &Sample<'_>) -> Result<Attributions> {
    let resolved = sample.find_target()?;
    let x = &sample.input;
    let baseline = x.f_full_like(sample.ask.baseline)?;
    let way = x.f_sub(&baseline)?;
    let (points, weights) = gauss_legendre(sample.ask.n_steps);
    let column = |values: &[f64]| -> Result<Tensor> {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        sample.one_an_image(&Tensor::from_slice(&values).f_to_device(x.device())?)
    };
    let mut sums = Vec::new();
    // A part of the quadrature is no integral, so that a budget does not hold here.
    sample
        .pace
        .all_batches(points.len(), sample.gradient_batch(), |some, permit| {
            let along = column(&points[some.clone()])?;
            let batch = baseline.f_add(&way.f_mul(&along)?)?;
            let gradients = differentiate_for(sample, permit, Relus::Own, &batch, &*resolved.objective)?;
            accumulate(&mut sums, gradients, &column(&weights[some])?)
        })?;
    let ends = sample.scores_of_each(&*resolved.objective, &[x, &baseline])?;
    let way = way.f_squeeze_dim(0)?;
    let attribution = |(target, sum): (usize, Tensor)| -> Result<Attribution> {
        let values = sum.f_mul(&way)?;
        let end =
            |row| -> Result<f64> { Ok(f64::try_from(ends.f_select(0, row)?.f_select(0, target as i64)?)?) };
        let (sum, difference) = (f64::try_from(values.f_sum(Kind::Double)?)?, end(0)? - end(1)?);
        Ok(Attribution {
            target,
            layer: None,
            values,
            completeness: Some(Completeness {
                sum,
                difference,
                error: ((sum - difference).abs() / difference.abs().max(f64::MIN_POSITIVE)).min(f64::MAX),
            }),
        })
    };
    let attributions = sums
        .into_iter()
        .enumerate()
        .map(attribution)
        .collect::<Result<_>>()?;
    answer(sample, resolved, attributions, None)
}

/// Guided backpropagation times the Grad-CAM map of each layer, which is enlarged by repeating its cells.
pub(super) fn guided_grad_cam(sample: &Sample<'_>) -> Result<Attributions> {
    let layers = sample.asked_layers()?;
    let (maps, resolved) = first_maps(sample, &layers, cam::grad_cam)?;
    let gradients = {
        let permit = sample.pace.permit()?;
        differentiate_for(
            sample,
            &permit,
            Relus::Guided,
            &sample.input,
            &*resolved.objective,
        )?
    };
    let (height, width) = sample.size();
    let mut attributions = Vec::new();
    for (target, (gradient, maps)) in gradients.into_iter().zip(maps).enumerate() {
        for (layer, map) in layers.iter().zip(maps) {
            let map = map.f_unsqueeze(0)?.f_unsqueeze(0)?;
            let map = map.f_upsample_nearest2d([height, width], None, None)?;
            attributions.push(Attribution {
                target,
                layer: Some(layer.path.clone()),
                values: gradient.f_mul(&map)?.f_squeeze_dim(0)?,
                completeness: None,
            });
        }
    }
    answer(sample, resolved, attributions, None)
}
