//! A saliency map: raw as its method made it, and how it can be scaled and laid on the picture.

use tch::Tensor;

use crate::error::Result;
use crate::image::Placement;
use crate::runtime::staging::floats;

/// How a map is scaled before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalize {
    /// As the method made it.
    #[default]
    None,
    /// Values below zero become zero, then 0..=1 between the smallest and the largest.
    ReluMinmax,
    /// −1..=1: divided by the largest magnitude.
    Absmax,
    /// −1..=1: divided by the 99th percentile of the magnitudes, and clipped.
    Percentile,
}

/// The grid that a map is answered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// The method's own.
    #[default]
    Native,
    /// The model's input.
    Input,
    /// The original picture; what the model did not see is not finite (`null` in JSON).
    Original,
}

/// A map with its largest and smallest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// `[height, width]`; `[channels, height, width]` with `channels=keep`; of a tensor its own shape.
    pub shape: Vec<usize>,
    /// Row-major; one value a cell. Values that are not finite are `null` in JSON.
    pub data: Vec<f32>,
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
}

impl Map {
    /// The map that `values` are.
    pub(super) fn of(values: &Tensor) -> Result<Self> {
        let sides = values.size().into_iter();
        let shape = sides.map(|side| usize::try_from(side).unwrap_or(0));
        Ok(Self::new(shape.collect(), floats(values)?))
    }

    /// A map of as many values as `shape` says.
    #[must_use]
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        let min = data.iter().copied().fold(f32::INFINITY, f32::min);
        let max = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Self {
            shape,
            data,
            min,
            max,
        }
    }

    /// Why this map says nothing, if so.
    #[must_use]
    pub fn degeneracy(&self) -> Option<&'static str> {
        if self.data.iter().any(|v| !v.is_finite()) {
            Some("the map has values that are not finite")
        } else if self.data.iter().all(|&v| v == 0.0) {
            Some(
                "the map is zero everywhere: nothing that was looked at raises the target's score, or the module cuts the \
                 gradients on their way to it (no_grad, detach), which occlusion and rise do without",
            )
        } else {
            None
        }
    }

    /// The sum over the channels, where it has any: `[height, width]`.
    #[must_use]
    pub fn flat(&self) -> Self {
        let [_, height, width] = self.shape[..] else {
            return self.clone();
        };
        let mut sum = vec![0.0; height * width];
        for channel in self.data.chunks_exact(height * width) {
            sum.iter_mut().zip(channel).for_each(|(s, v)| *s += v);
        }
        Self::new(vec![height, width], sum)
    }

    /// Scaled.
    #[must_use]
    pub fn normalized(&self, how: Normalize) -> Self {
        let scaled = |scale: f32, from: f32| {
            let scale = if scale.is_finite() && scale > 0.0 {
                1.0 / scale
            } else {
                0.0
            };
            self.data.iter().map(|v| (v - from) * scale).collect::<Vec<f32>>()
        };
        let data = match how {
            Normalize::None => return self.clone(),
            Normalize::ReluMinmax => {
                let (low, high) = (self.min.max(0.0), self.max.max(0.0));
                let clipped = scaled(high - low, low);
                clipped.into_iter().map(|v| v.max(0.0)).collect()
            }
            Normalize::Absmax => scaled(self.magnitude(1.0), 0.0),
            Normalize::Percentile => {
                let clipped = scaled(self.magnitude(0.99), 0.0);
                clipped.into_iter().map(|v| v.clamp(-1.0, 1.0)).collect()
            }
        };
        Self::new(self.shape.clone(), data)
    }

    /// The magnitude that this part of the values does not exceed.
    #[must_use]
    pub fn magnitude(&self, part: f64) -> f32 {
        let mut magnitudes: Vec<f32> = self
            .data
            .iter()
            .map(|v| v.abs())
            .filter(|v| v.is_finite())
            .collect();
        if magnitudes.is_empty() {
            return 0.0;
        }
        let last = magnitudes.len() - 1;
        let index = (last as f64 * part).round() as usize;
        *magnitudes
            .select_nth_unstable_by(index.min(last), f32::total_cmp)
            .1
    }

    /// How many values [`Map::resized`] has.
    #[must_use]
    pub fn count(&self, resolution: Resolution, placement: &Placement) -> u64 {
        let (width, height) = match resolution {
            Resolution::Native => return self.data.len() as u64,
            Resolution::Input => placement.input_size(),
            Resolution::Original => placement.original(),
        };
        u64::from(width) * u64::from(height)
    }

    /// On another grid, bilinear with half-pixel centres; channels are summed.
    #[must_use]
    pub fn resized(&self, resolution: Resolution, placement: &Placement) -> Self {
        let placement = match resolution {
            Resolution::Native => return self.clone(),
            Resolution::Input => &placement.of_input(),
            Resolution::Original => placement,
        };
        let flat = self.flat();
        let (width, height) = placement.original();
        let data = placement.project(&flat.data, flat.shape[0], flat.shape[1], f32::NAN);
        Self::new(vec![height as usize, width as usize], data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(data: &[f32]) -> Map {
        Map::new(vec![1, data.len()], data.to_vec())
    }

    #[test]
    fn a_map_knows_when_it_says_nothing() {
        assert_eq!(map(&[0.0, 0.5]).degeneracy(), None);
        assert!(map(&[0.0, 0.0]).degeneracy().is_some_and(|r| r.contains("zero")));
        assert!(
            map(&[1.0, f32::NAN])
                .degeneracy()
                .is_some_and(|r| r.contains("finite"))
        );
    }

    #[test]
    fn scales_are_as_named() {
        let signed = map(&[-4.0, 0.0, 1.0, 2.0]);
        assert_eq!(signed.normalized(Normalize::None), signed);
        assert_eq!(
            signed.normalized(Normalize::ReluMinmax).data,
            [0.0, 0.0, 0.5, 1.0]
        );
        assert_eq!(signed.normalized(Normalize::Absmax).data, [-1.0, 0.0, 0.25, 0.5]);
        assert_eq!(
            map(&[2.0, 3.0]).normalized(Normalize::ReluMinmax).data,
            [0.0, 1.0]
        );
        assert_eq!(
            map(&[0.0, 0.0]).normalized(Normalize::Absmax).data,
            [0.0, 0.0],
            "no spread"
        );
        let mut outlier: Vec<f32> = (0..100).map(|v| v as f32 / 99.0).collect();
        outlier[99] = 1e6;
        let clipped = map(&outlier).normalized(Normalize::Percentile);
        assert_eq!(
            (clipped.data[99], clipped.data[98]),
            (1.0, 1.0),
            "one outlier does not darken the rest"
        );
    }

    #[test]
    fn channels_are_summed() {
        let kept = Map::new(vec![2, 1, 2], vec![1.0, 2.0, 10.0, -20.0]);
        assert_eq!(kept.flat(), Map::new(vec![1, 2], vec![11.0, -18.0]));
    }
}
