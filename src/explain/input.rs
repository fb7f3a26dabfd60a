//! Attributions to the pixels of the model's input, by gradients: `saliency`, `input_x_gradient`, `smooth_grad`,
//! `integrated_gradients`, `guided_backprop`, `guided_grad_cam`. Definitions are captum's.

use tch::{Device, Kind, Tensor};
use torch_bridge::{Generator, Tap, Value};

use super::Method;
use super::gradients::first_maps;
use super::objective::{Objective, Resolved};
use super::options::Channels;
use super::passes::Passes;
use super::quadrature::gauss_legendre;
use super::study::{Completeness, Drawn, Outcome, Study};
use crate::engine::session::Call;
use crate::error::{Error, Result};

/// The part of the input's range that is SmoothGrad's noise where none is asked for (the paper: 10 to 20 %).
const NOISE: f64 = 0.15;

/// An attribution `[C, H, W]` of a target, perhaps at a layer.
struct Attribution {
    target: usize,
    layer: Option<String>,
    values: Tensor,
    completeness: Option<Completeness>,
}

/// The maps of every target.
pub(super) fn explain(study: &Study<'_>) -> Result<Outcome> {
    let (resolved, attributions, passes) = match study.ask.method {
        Method::SmoothGrad => smooth_grad(study)?,
        Method::IntegratedGradients => integrated_gradients(study)?,
        Method::GuidedGradCam => guided_grad_cam(study)?,
        _ => one_pass(study)?,
    };
    let drawn = attributions.into_iter().map(|attribution| {
        Ok(Drawn {
            values: reduced(study, &attribution.values)?,
            target: attribution.target,
            layer: attribution.layer,
            completeness: attribution.completeness,
        })
    });
    Ok(Outcome {
        drawn: drawn.collect::<Result<_>>()?,
        targets: resolved.targets,
        passes,
    })
}

/// The module with guided ReLUs in each of its methods: what an objective runs on from the output, such as a VAE's
/// decoder, must be guided as well.
struct Guided<'a>(&'a Study<'a>);

impl Call for Guided<'_> {
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        let capture = self
            .0
            .captures
            .get(&self.0.exported.module, method, &[Tap::GuidedRelu])?;
        Ok(capture.run(inputs)?.output)
    }

    fn device(&self) -> Device {
        self.0.exported.device
    }
}

/// The module that scores what is differentiated.
fn scored(study: &Study<'_>, objective: &dyn Objective, output: &Value) -> Result<Tensor> {
    if study.ask.method.is_guided() {
        return objective.scores(&Guided(study), output);
    }
    objective.scores(study.exported, output)
}

type Attributed = (Resolved, Vec<Attribution>, Option<Passes>);

/// `[C, H, W]` to what is answered.
fn reduced(study: &Study<'_>, values: &Tensor) -> Result<Tensor> {
    let usual = match study.ask.method {
        Method::Saliency => Channels::MaxAbs,
        _ => Channels::Sum,
    };
    Ok(match study.ask.channels.unwrap_or(usual) {
        Channels::Sum => values.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?,
        Channels::MaxAbs => values.f_abs()?.f_amax([0i64].as_slice(), false)?,
        Channels::Keep => values.shallow_clone(),
    })
}

fn one_pass(study: &Study<'_>) -> Result<Attributed> {
    let mut resolved = None;
    let gradients = differentiate(study, &study.input, |output| {
        let found = study.resolve(study.exported, output)?;
        let scores = scored(study, &*found.objective, output)?;
        resolved = Some(found);
        Ok(scores)
    })?;
    let values = |gradient: Tensor| -> Result<Tensor> {
        let gradient = gradient.f_squeeze_dim(0)?;
        Ok(match study.ask.method {
            Method::Saliency => gradient.f_abs()?,
            Method::InputXGradient => gradient.f_mul(&study.input.f_squeeze_dim(0)?)?,
            _ => gradient,
        })
    };
    let attributions = gradients.into_iter().map(values).collect::<Result<Vec<_>>>()?;
    let resolved = resolved.ok_or_else(|| Error::Internal("a target that nobody resolved".into()))?;
    Ok((resolved, plain(attributions), None))
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

/// For each target the gradient `[n, C, H, W]` of the sum of its scores over `batch`: of every image its own.
fn differentiate(
    study: &Study<'_>,
    batch: &Tensor,
    scores: impl FnOnce(&Value) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let guided = study.ask.method.is_guided();
    let taps: &[Tap] = if guided { &[Tap::GuidedRelu] } else { &[] };
    let capture = study.capture(taps)?;
    if guided && capture.places().first() == Some(&0) {
        return Err(Error::UnsupportedForTask(
            "guided backpropagation changes how ReLUs pass gradients, and this model has none".into(),
        ));
    }
    let x = batch.f_detach()?.f_contiguous()?.f_set_requires_grad(true)?;
    let run = capture.run(&[study.argument(&x)?])?;
    let sums = scores(&run.output)?.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
    let targets = sums.size1()?;
    let gradient = |target| -> Result<Tensor> {
        let scalar = sums.f_select(0, target)?;
        if !scalar.requires_grad() {
            return Ok(x.f_zeros_like()?);
        }
        let found = torch_bridge::grad(&scalar, &[&x], target + 1 < targets)?
            .pop()
            .flatten();
        found.map_or_else(|| Ok(x.f_zeros_like()?), Ok)
    };
    (0..targets).map(gradient).collect()
}

/// Adds each batch's gradients, summed over its images with `weights [n]`, to `sums`.
fn accumulate(sums: &mut Vec<Tensor>, gradients: Vec<Tensor>, weights: &Tensor) -> Result<()> {
    let weights = weights.f_view([-1, 1, 1, 1])?;
    for (target, gradient) in gradients.into_iter().enumerate() {
        let part = gradient
            .f_mul(&weights)?
            .f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        match sums.get_mut(target) {
            Some(sum) => *sum = sum.f_add(&part)?,
            None => sums.push(part),
        }
    }
    Ok(())
}

/// The mean gradient over copies with normal noise.
fn smooth_grad(study: &Study<'_>) -> Result<Attributed> {
    let (resolved, _) = study.look()?;
    let x = &study.input;
    let range = f64::try_from(x.f_max()?.f_sub(&x.f_min()?)?)?;
    let sigma = study.ask.sigma.unwrap_or(NOISE * range);
    let samples = study.ask.n_samples;
    let mut size = x.size();
    size[0] = samples as i64;
    let noise = Generator::new(study.ask.seed)?
        .normal(&size)?
        .f_mul_scalar(sigma)?
        .f_to_device(x.device())?;
    let mut sums = Vec::new();
    let passes = study.pace.batches(samples, study.gradient_batch(), |range| {
        let batch = x.f_add(&noise.f_narrow(0, range.start as i64, range.len() as i64)?)?;
        let ones = Tensor::f_ones([range.len() as i64], (Kind::Float, x.device()))?;
        accumulate(
            &mut sums,
            differentiate_for(study, &batch, &*resolved.objective)?,
            &ones,
        )
    })?;
    let mean = |sum: Tensor| -> Result<Tensor> { Ok(sum.f_div_scalar(passes.done as f64)?) };
    let attributions = sums.into_iter().map(mean).collect::<Result<Vec<_>>>()?;
    Ok((resolved, plain(attributions), Some(passes)))
}

fn differentiate_for(study: &Study<'_>, batch: &Tensor, objective: &dyn Objective) -> Result<Vec<Tensor>> {
    differentiate(study, batch, |output| scored(study, objective, output))
}

/// `(x − x′) ⊙ ∫ ∂S/∂x (x′ + α(x − x′)) dα`, by Gauss–Legendre quadrature as captum does it.
fn integrated_gradients(study: &Study<'_>) -> Result<Attributed> {
    let (resolved, _) = study.look()?;
    let x = &study.input;
    let baseline = x.f_full_like(study.ask.baseline)?;
    let way = x.f_sub(&baseline)?;
    let (points, weights) = gauss_legendre(study.ask.n_steps);
    let column = |values: &[f64]| -> Result<Tensor> {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Ok(Tensor::from_slice(&values).f_to_device(x.device())?)
    };
    let mut sums = Vec::new();
    // A part of the quadrature is no integral, so that a budget does not hold here.
    for first in (0..points.len()).step_by(study.gradient_batch()) {
        let some = first..points.len().min(first + study.gradient_batch());
        let along = column(&points[some.clone()])?.f_view([-1, 1, 1, 1])?;
        let batch = baseline.f_add(&way.f_mul(&along)?)?;
        let _turn = study.pace.turn();
        accumulate(
            &mut sums,
            differentiate_for(study, &batch, &*resolved.objective)?,
            &column(&weights[some])?,
        )?;
    }
    let _turn = study.pace.turn();
    let ends = study.scores(&*resolved.objective, &Tensor::f_cat(&[x, &baseline], 0)?)?;
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
                error: (sum - difference).abs() / difference.abs().max(f64::MIN_POSITIVE),
            }),
        })
    };
    let attributions = sums
        .into_iter()
        .enumerate()
        .map(attribution)
        .collect::<Result<_>>()?;
    Ok((resolved, attributions, None))
}

/// Guided backpropagation times the Grad-CAM map of each layer, which is enlarged by repeating its cells.
fn guided_grad_cam(study: &Study<'_>) -> Result<Attributed> {
    let layers = study.asked_layers()?;
    let (maps, resolved) = first_maps(study, &layers, Method::GradCam)?;
    let gradients = {
        let _turn = study.pace.turn();
        differentiate_for(study, &study.input, &*resolved.objective)?
    };
    let (height, width) = study.size();
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
    Ok((resolved, attributions, None))
}
