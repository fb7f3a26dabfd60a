//! Bytes into batches: u8 pixels (height, width, channel) become one normalised f32 tensor `[B, C, H, W]` in
//! channels-last memory order, which is the order that the bytes already have. For a GPU the bytes go over as they are,
//! a quarter of the floats, and are normalised there.

use tch::{Device, Kind, Tensor};
use torch_bridge::Slots;

use crate::error::{Error, Result};

/// `(value · scale − mean) / std` for each channel, as a table over the 256 values of a byte.
#[derive(Debug, Clone)]
pub struct Normalise {
    tables: Vec<[f32; 256]>,
    /// `value · factor + offset` for each channel: the same, where there are no tables.
    factors: Vec<f32>,
    offsets: Vec<f32>,
}

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// `[height, width, C]`, to be normalised.
    Pixels(&'a [u8]),
    /// `[C, height, width]`, as the model takes them.
    Prepared(&'a [f32]),
}

impl<'a> Row<'a> {
    fn len(&self) -> usize {
        match self {
            Self::Pixels(pixels) => pixels.len(),
            Self::Prepared(samples) => samples.len(),
        }
    }

    fn pixels(&self) -> Option<&'a [u8]> {
        match self {
            Self::Pixels(pixels) => Some(pixels),
            Self::Prepared(_) => None,
        }
    }
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

    /// One batch `[B, C, height, width]` of rows of `height · width · C` samples each.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when a row has another length, or the device has no room.
    pub fn batch(&self, rows: &[Row<'_>], height: usize, width: usize, device: Device) -> Result<Tensor> {
        let channels = self.channels();
        let length = height * width * channels;
        if let Some(other) = rows.iter().find(|row| row.len() != length) {
            let found = other.len();
            return Err(Error::InferenceFailed(format!(
                "a model input of {found} samples, expected {length}"
            )));
        }
        let shape = [rows.len(), height, width, channels].map(|n| n as i64);
        let pixels: Option<Vec<&[u8]>> = rows.iter().map(Row::pixels).collect();
        if let (Some(pixels), true) = (pixels, device.is_cuda()) {
            let bytes = Tensor::f_from_slice(&pixels.concat())?.f_view(shape)?;
            // Pinned memory is copied without a stop; the allocator keeps it until the copy is done.
            let sent = torch_bridge::pinned(&bytes)?.f_to_device_(device, Kind::Uint8, true, false)?;
            return self.on_device(&sent);
        }
        let values = torch_bridge::written(&shape, |slots| {
            for row in rows {
                match row {
                    Row::Pixels(pixels) => self.normalised(pixels, slots),
                    Row::Prepared(samples) => {
                        let plane = height * width;
                        let pixel =
                            |at: usize| (0..channels).map(move |channel| [samples[channel * plane + at]]);
                        slots.extend((0..plane).flat_map(pixel));
                    }
                }
            }
        })?;
        Ok(values.f_to_device(device)?.f_permute([0, 3, 1, 2])?)
    }

    /// Writes the values of `pixels`.
    fn normalised(&self, pixels: &[u8], slots: &mut Slots<'_>) {
        let at = usize::from;
        match self.tables.as_slice() {
            [r, g, b] => {
                let (pixels, _) = pixels.as_chunks::<3>();
                slots.extend(pixels.iter().map(|p| [r[at(p[0])], g[at(p[1])], b[at(p[2])]]));
            }
            tables => {
                let pixels = pixels.chunks_exact(tables.len());
                slots.extend(pixels.flat_map(|p| p.iter().zip(tables).map(|(&v, table)| [table[at(v)]])));
            }
        }
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
        let prepared = [0.5, -0.5, 2.0, 3.0, 0.25, 0.75];
        let rows = [
            Row::Pixels(&[0, 0, 0, 255, 255, 255]),
            Row::Pixels(&[255, 0, 51, 0, 255, 102]),
            Row::Prepared(&prepared),
        ];
        let batch = normalise.batch(&rows, 1, 2, Device::Cpu).expect("it fits");
        assert_eq!(batch.size(), [3, 3, 1, 2]);
        assert_eq!(batch.stride(), [6, 1, 6, 3], "channels-last");
        let values: Vec<f32> = batch.contiguous().flatten(0, -1).try_into().expect("f32 values");
        let pixels = [-1., 1., -1., 3., 0., 1., 1., -1., -1., 3., 0.2, 0.4];
        let expected = pixels.into_iter().chain(prepared);
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
            .batch(&[Row::Pixels(&model_input)], 16, 16, Device::Cpu)
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
        for row in [Row::Pixels(&[1, 2, 3]), Row::Prepared(&[1.0, 2.0])] {
            assert!(normalise.batch(&[row], 2, 2, Device::Cpu).is_err());
        }
    }
}
