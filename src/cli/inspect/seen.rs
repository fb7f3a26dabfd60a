//! What pixels a module has seen while it was trained, as far as its first batch norm tells.
//!
//! A convolution with the weights `W` and the bias `b` makes of pixels of the mean `m` (a number for each channel) values of the
//! mean `Σ W · m + b`, and the norm behind it has kept that mean for each of its channels. So `m` is what least squares give over
//! them. Their variances are `wᵀ C w`, where `C` is how pixels of photos vary together: neighbours nearly as one. So one factor of
//! `C` is left, the deviation of the pixels.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};
use torch_bridge::{Layer, Module, Tap, Value};

use super::probe::Fed;
use crate::error::Result;

/// How the numbers of pictures, from 0 to 255, become a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// From 0 to 1, less ImageNet's mean, by its deviation.
    ImageNet,
    /// From −1 to 1.
    Centred,
    /// From 0 to 1.
    Plain,
    /// From 0 to 255.
    Bytes,
}

impl Numbers {
    /// The mean and the deviation of each channel by which values from 0 to 1 become the input.
    pub(super) fn mean_and_std(self, channels: u32) -> (Vec<f64>, Vec<f64>) {
        let alike = |value: f64| vec![value; channels as usize];
        match self {
            Self::ImageNet if channels == 3 => (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]),
            Self::ImageNet | Self::Centred => (alike(0.5), alike(0.5)),
            Self::Plain => (alike(0.0), alike(1.0)),
            Self::Bytes => (alike(0.0), alike(1.0 / 255.0)),
        }
    }
}

/// Pixels, as a model saw them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Of each channel.
    pub mean: Vec<f64>,
    /// Of all channels.
    pub deviation: f64,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mean = self.mean.iter().sum::<f64>() / self.mean.len() as f64;
        write!(
            formatter,
            "pixels of mean {mean:.2} and deviation {:.2}",
            self.deviation
        )
    }
}

impl Seen {
    /// What the first convolution of `method` and the batch norm behind it tell; nothing where a module begins otherwise, changes
    /// its pictures before, or has weights of which nothing can be computed.
    pub(super) fn by(module: &Module, method: &str, input: &Fed) -> Option<Self> {
        let Fed::Pictures { channels, size, .. } = input else {
            // Detectors that take lists prepare the pictures themselves.
            return None;
        };
        Self::found(module, method, (*channels, *size)).ok().flatten()
    }

    fn found(module: &Module, method: &str, (channels, size): (u32, (u32, u32))) -> Result<Option<Self>> {
        let shapes: HashMap<String, Vec<i64>> = module.weights()?.into_iter().collect();
        let Some((convolution, norm)) = beginning(&module.layers(method)?, &shapes) else {
            return Ok(None);
        };
        let read = |path: &str, what: &str| -> Result<Option<Tensor>> {
            let Some(tensor) = module.tensor(&format!("{path}.{what}"))? else {
                return Ok(None);
            };
            let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?;
            Ok(Some(tensor.f_to_kind(Kind::Double)?))
        };
        let (Some(weight), Some(mean), Some(variance)) = (
            read(&convolution, "weight")?,
            read(&norm, "running_mean")?,
            read(&norm, "running_var")?,
        ) else {
            return Ok(None);
        };
        if mean.size() != weight.size()[..1] || variance.size() != mean.size() {
            return Ok(None);
        }
        let bias = read(&convolution, "bias")?.unwrap_or_else(|| mean.zeros_like());
        if bias.size() != mean.size() || weight.size()[1] != i64::from(channels) {
            return Ok(None);
        }
        let filled = filled(channels, size)?;
        let capture = module.capture(method, &[Tap::record(&convolution)])?;
        let run = tch::no_grad(|| capture.run(&[Value::Tensor(filled)]))?;
        let values = run.recorded.first().and_then(|runs| runs.first()?.first());
        match values {
            Some(values) if are_of_filled(values, &weight, &bias)? => {
                Self::of(&weight, &mean.f_sub(&bias)?, &variance)
            }
            _ => Ok(None),
        }
    }

    /// Of a convolution `[O, C, h, w]` without a bias whose `O` values have these means and variances.
    fn of(weight: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<Option<Self>> {
        /// What the means of pixels leave unexplained of the means of values; more, and something else lies between.
        const UNEXPLAINED: f64 = 0.15;
        let size = mean.f_norm()?.f_double_value(&[])?;
        let sums = weight.f_sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Double)?;
        let pixels = sums.f_linalg_pinv(1e-6, false)?.f_mv(mean)?;
        let left = sums.f_mv(&pixels)?.f_sub(mean)?.f_norm()?.f_double_value(&[])?;
        // A norm that has seen nothing has means of 0.
        if !(size > 0.0 && left < UNEXPLAINED * size) {
            return Ok(None);
        }
        let rows = weight.f_flatten(1, -1)?;
        let expected = rows.f_matmul(&together(weight)?)?.f_mul(&rows)?;
        let expected = expected.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?;
        let share =
            expected.f_dot(variance)?.f_double_value(&[])? / expected.f_dot(&expected)?.f_double_value(&[])?;
        let deviation = share.sqrt();
        let mean = Vec::<f64>::try_from(&pixels)?;
        let is_told = mean.iter().all(|value| value.is_finite()) && deviation.is_normal();
        Ok(is_told.then_some(Self { mean, deviation }))
    }

    /// How pictures became such pixels; nothing where two ways are about as likely.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        /// Mean and deviation of the pixels of photos, from 0 to 1, and how far data sets are from them: by the logarithm of a
        /// factor, where it is the deviation.
        const USUAL: (f64, f64) = (0.45, 0.25);
        const SPREAD: (f64, f64) = (0.2, 0.35);
        /// By how much the likeliest has to be before the next, and how far it may be.
        const BEFORE: f64 = 1.0;
        const FARTHEST: f64 = 8.0;
        let channels = u32::try_from(self.mean.len()).ok()?;
        let far = |numbers: Numbers| {
            let (mean, std) = numbers.mean_and_std(channels);
            let shown = self.mean.iter().zip(&std).zip(&mean);
            let shown: Vec<f64> = shown.map(|((seen, std), mean)| seen * std + mean).collect();
            // No mean lies at black or white, nor beyond.
            let is_possible = shown.iter().all(|mean| (0.02..0.98).contains(mean));
            let middle = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
            let off = (middle(&shown) - USUAL.0) / SPREAD.0;
            let factor = (self.deviation * middle(&std) / USUAL.1).ln() / SPREAD.1;
            is_possible.then_some((numbers, off * off + factor * factor))
        };
        let all = [
            Numbers::ImageNet,
            Numbers::Centred,
            Numbers::Plain,
            Numbers::Bytes,
        ];
        // ImageNet's numbers are of three channels.
        let all = all
            .into_iter()
            .filter(|numbers| channels == 3 || *numbers != Numbers::ImageNet);
        let mut far: Vec<(Numbers, f64)> = all.filter_map(far).collect();
        far.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (first, distance) = *far.first()?;
        let is_alone = far.get(1).is_none_or(|(_, next)| next - distance > BEFORE);
        (is_alone && distance < FARTHEST).then_some(first)
    }
}

/// What each channel of [`filled`] holds.
const FILLED: [f64; 3] = [0.2, 0.5, 0.9];

/// A picture `[1, C, h, w]` without a pattern.
fn filled(channels: u32, (height, width): (u32, u32)) -> Result<Tensor> {
    let values = Tensor::from_slice(&FILLED[..channels as usize]).f_to_kind(Kind::Float)?;
    let shape = [1, i64::from(channels), i64::from(height), i64::from(width)];
    Ok(values
        .f_view([1, shape[1], 1, 1])?
        .f_expand(shape, false)?
        .f_contiguous()?)
}

/// Whether a convolution has made `values` `[1, O, h, w]` of [`filled`] as it is: then it was not normalised on its way.
fn are_of_filled(values: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<bool> {
    /// Of the largest value: it was computed in f32.
    const TOLERANCE: f64 = 1e-3;
    let size = values.size();
    if size.len() != 4 || size[1] != weight.size()[0] {
        return Ok(false);
    }
    // Far from the borders, where there are zeros under the kernel.
    let found = values.f_select(0, 0)?.f_select(1, size[2] / 2)?;
    let found = found.f_select(1, size[3] / 2)?.f_to_kind(Kind::Double)?;
    let pixels = Tensor::from_slice(&FILLED[..weight.size()[1] as usize]);
    let sums = weight.f_sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Double)?;
    let wanted = sums.f_mv(&pixels)?.f_add(bias)?;
    let largest = |of: &Tensor| of.f_abs()?.f_max()?.f_double_value(&[]);
    Ok(largest(&found.f_sub(&wanted)?)? <= TOLERANCE * largest(&wanted)?)
}

/// Values under a kernel, at most: what they have to do with each other is a matrix.
const MOST_PIXELS: i64 = 1024;

/// The paths of the first convolution of pictures and of the layer right behind it that has as many channels.
fn beginning(layers: &[Layer], shapes: &HashMap<String, Vec<i64>>) -> Option<(String, String)> {
    let shape = |layer: &&Layer| shapes.get(&format!("{}.weight", layer.path));
    let mut weighted = layers.iter().filter(|layer| shape(layer).is_some());
    let first = weighted.next()?;
    let [outputs, channels @ (1 | 3), height, width] = shape(&first)?[..] else {
        return None;
    };
    let second = weighted.next()?;
    let is_told = channels * height * width <= MOST_PIXELS && shape(&second)?[..] == [outputs];
    is_told.then(|| (first.path.clone(), second.path.clone()))
}

/// How much the pixels under a kernel `[O, C, h, w]` vary together, from 0 to 1: `[C·h·w, C·h·w]`.
fn together(weight: &Tensor) -> Result<Tensor> {
    /// Of neighbours, and of channels of a pixel, in photos.
    const NEIGHBOURS: f64 = 0.95;
    const CHANNELS: f64 = 0.9;
    let size = weight.size();
    let (channels, height, width) = (size[1], size[2], size[3]);
    let mut values = Vec::new();
    let places = || {
        let cells = move |channel| (0..height * width).map(move |cell| (channel, cell / width, cell % width));
        (0..channels).flat_map(cells)
    };
    for (channel, row, column) in places() {
        for (other, below, right) in places() {
            let away = (((row - below).pow(2) + (column - right).pow(2)) as f64).sqrt();
            let alike = if channel == other { 1.0 } else { CHANNELS };
            values.push(alike * NEIGHBOURS.powf(away));
        }
    }
    let side = channels * height * width;
    Ok(Tensor::from_slice(&values).f_view([side, side])?)
}

#[cfg(test)]
mod tests {
    use torch_bridge::Generator;

    use super::*;

    /// What a batch norm keeps behind a convolution, of pixels of these means and this deviation.
    fn seen(mean: &[f64], deviation: f64) -> Option<Seen> {
        let channels = mean.len() as i64;
        let mut generator = Generator::new(7).expect("a generator");
        let weight = generator.normal(&[24, channels, 3, 3]).expect("noise");
        let weight = weight.to_kind(Kind::Double);
        let sums = weight.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Double);
        let means = sums.mv(&Tensor::from_slice(mean));
        let rows = weight.flatten(1, -1);
        let varied = rows.matmul(&together(&weight).expect("a matrix")) * &rows;
        let variance = varied.sum_dim_intlist([1i64].as_slice(), false, Kind::Double) * deviation.powi(2);
        Seen::of(&weight, &means, &variance).expect("numbers")
    }

    #[test]
    fn means_and_variances_behind_a_convolution_tell_those_of_pixels() {
        let found = seen(&[0.1, -0.2, 0.4], 0.5).expect("told");
        for (found, wanted) in found.mean.iter().zip([0.1, -0.2, 0.4]) {
            assert!((found - wanted).abs() < 1e-9);
        }
        assert!((found.deviation - 0.5).abs() < 1e-9);
        // What has seen nothing tells nothing, nor what lies behind something else.
        assert_eq!(seen(&[0.0, 0.0, 0.0], 1.0), None);
        let weight = Tensor::ones([8, 1, 3, 3], (Kind::Double, Device::Cpu));
        let means = Tensor::from_slice(&[1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]);
        assert_eq!(Seen::of(&weight, &means, &means.abs()).expect("numbers"), None);
    }

    #[test]
    fn numbers_are_told_where_no_other_way_is_as_likely() {
        let numbers = |mean: &[f64], deviation| seen(mean, deviation).and_then(|seen| seen.numbers());
        assert_eq!(numbers(&[-0.06, -0.04, -0.05], 1.2), Some(Numbers::ImageNet));
        assert_eq!(numbers(&[-0.1, -0.11, -0.12], 0.35), Some(Numbers::Centred));
        assert_eq!(numbers(&[0.48, 0.45, 0.4], 0.22), Some(Numbers::Plain));
        assert_eq!(numbers(&[120.0, 115.0, 104.0], 60.0), Some(Numbers::Bytes));
        assert_eq!(numbers(&[0.45], 0.25), Some(Numbers::Plain));
        // A data set that is dark as it is, or brighter and centred.
        assert_eq!(numbers(&[0.13], 0.31), None);
        // Some other way.
        assert_eq!(numbers(&[0.001, 0.001, 0.001], 0.001), None);
    }
}
