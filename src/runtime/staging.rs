//! Bytes into batches: u8 pixels (height, width, channel) become one normalised f32 tensor `[B, C, H, W]` in
//! channels-last memory order, which is the order that the bytes already have. For a GPU the bytes go over as they are,
//! a quarter of the floats, and are normalised there.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// `(value · scale − mean) / std` for each channel, as a table over the 256 values of a byte.
#[derive(Debug, Clone)]
pub struct Normalise {
    tables: Vec<[f32; 256]>,
    /// `value · factor + offset` for each channel: the same, where there are no tables.
    factors: Vec<f32>,
    offsets: Vec<f32>,
}

impl Normalise {
    /// Tables for `mean.len()` channels; `mean` and `std` are of one length and `std` has no zero.
    #[must_use]
    pub fn new(scale: f64, mean: &[f64], std: &[f64]) -> Self {
        let table = |(mean, std): (&f64, &f64)| {
            std::array::from_fn(|value| ((value as f64 * scale - mean) / std) as f32)
        };
        Self {
            tables: mean.iter().zip(std).map(table).collect(),
            factors: std.iter().map(|std| (scale / std) as f32).collect(),
            offsets: mean
                .iter()
                .zip(std)
                .map(|(mean, std)| (-mean / std) as f32)
                .collect(),
        }
    }

    /// How many channels a pixel has.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.tables.len()
    }

    /// One batch `[B, C, height, width]` from `model_inputs` of `height · width · C` bytes each.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when a model input has another length, or the device has no room.
    pub fn batch(
        &self,
        model_inputs: &[&[u8]],
        height: usize,
        width: usize,
        device: Device,
    ) -> Result<Tensor> {
        let channels = self.channels();
        let length = height * width * channels;
        if let Some(other) = model_inputs
            .iter()
            .find(|model_input| model_input.len() != length)
        {
            let found = other.len();
            return Err(Error::InferenceFailed(format!(
                "a model input of {found} bytes, expected {length}"
            )));
        }
        let shape = [model_inputs.len(), height, width, channels].map(|n| n as i64);
        if device.is_cuda() {
            let bytes = Tensor::f_from_slice(&model_inputs.concat())?.f_view(shape)?;
            // Pinned memory is copied without a stop; the allocator keeps it until the copy is done.
            let sent = torch_bridge::pinned(&bytes)?.f_to_device_(device, Kind::Uint8, true, false)?;
            return self.on_device(&sent);
        }
        let mut values = Vec::with_capacity(model_inputs.len() * length);
        for model_input in model_inputs {
            match self.tables.as_slice() {
                [r, g, b] => values.extend(
                    model_input
                        .chunks_exact(3)
                        .flat_map(|p| [r[usize::from(p[0])], g[usize::from(p[1])], b[usize::from(p[2])]]),
                ),
                tables => values.extend(
                    model_input
                        .chunks_exact(channels)
                        .flat_map(|p| p.iter().zip(tables).map(|(&v, table)| table[usize::from(v)])),
                ),
            }
        }
        Ok(Tensor::f_from_slice(&values)?
            .f_view(shape)?
            .f_permute([0, 3, 1, 2])?)
    }

    /// Normalises bytes `[B, H, W, C]` where they are.
    fn on_device(&self, bytes: &Tensor) -> Result<Tensor> {
        let device = bytes.device();
        let factors = Tensor::f_from_slice(&self.factors)?.f_to_device(device)?;
        let offsets = Tensor::f_from_slice(&self.offsets)?.f_to_device(device)?;
        let values = bytes.f_to_kind(Kind::Float)?.f_mul(&factors)?.f_add(&offsets)?;
        Ok(values.f_permute([0, 3, 1, 2])?)
    }
}

/// The way back: every value of `tensor` as f32, row-major, on the CPU.
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?
        .f_view([-1])?;
    Ok(Vec::<f32>::try_from(flat)?)
}

/// [`floats`] of a tensor that has nothing but numbers; `what` it is, for the message.
///
/// # Errors
/// [`Error::NotFinite`], and as [`floats`].
pub fn finite(tensor: &Tensor, what: &str) -> Result<Vec<f32>> {
    let values = floats(tensor)?;
    all_finite(&values, what)?;
    Ok(values)
}

/// Whether `values`, which are `what` a model answered, are numbers.
///
/// # Errors
/// [`Error::NotFinite`]
pub fn all_finite(values: &[f32], what: &str) -> Result<()> {
    let strange = values.iter().filter(|v| !v.is_finite()).count();
    none_strange(strange, values.len(), what)
}

/// The same, where `strange` of so many values were found to be no numbers.
///
/// # Errors
/// [`Error::NotFinite`]
pub fn none_strange(strange: usize, of: usize, what: &str) -> Result<()> {
    if strange == 0 {
        return Ok(());
    }
    Err(Error::NotFinite(format!("{what}, {strange} of {of} values")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_normalised_channels_last_and_in_order() {
        let normalise = Normalise::new(1.0 / 255.0, &[0.5, 0.25, 0.0], &[0.5, 0.25, 1.0]);
        let model_inputs: [&[u8]; 2] = [&[0, 0, 0, 255, 255, 255], &[255, 0, 51, 0, 255, 102]];
        let batch = normalise
            .batch(&model_inputs, 1, 2, Device::Cpu)
            .expect("it fits");
        assert_eq!(batch.size(), [2, 3, 1, 2]);
        assert_eq!(batch.stride(), [6, 1, 6, 3], "channels-last");
        let values: Vec<f32> = batch.contiguous().flatten(0, -1).try_into().expect("f32 values");
        let expected = [-1., 1., -1., 3., 0., 1., 1., -1., -1., 3., 0.2, 0.4];
        let close = values
            .iter()
            .zip(expected)
            .all(|(v, e): (&f32, f32)| (v - e).abs() < 1e-6);
        assert!(close, "{values:?}");
    }

    #[test]
    fn normalising_on_the_device_gives_the_same() {
        let normalise = Normalise::new(1.0 / 255.0, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
        let model_input: Vec<u8> = (0..=255).cycle().take(16 * 16 * 3).collect();
        let expected = normalise
            .batch(&[&model_input], 16, 16, Device::Cpu)
            .expect("it fits");
        let bytes = Tensor::from_slice(&model_input).view([1, 16, 16, 3]);
        let found = normalise.on_device(&bytes).expect("it fits");
        assert_eq!(
            (found.size(), found.stride()),
            (expected.size(), expected.stride())
        );
        let difference = (found - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn a_tile_of_another_size_is_refused() {
        let normalise = Normalise::new(1.0, &[0.0], &[1.0]);
        assert!(normalise.batch(&[&[1, 2, 3]], 2, 2, Device::Cpu).is_err());
    }
}
