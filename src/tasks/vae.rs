//! Variational autoencoders: `encode(x) → (mu[B, D…], logvar[B, D…])`, `decode(z) → x`.
//!
//! Reconstructions decode the mean, never a sample, so that the same picture always gives the same answer. Errors
//! are of pixel values from 0 to 1.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::frame::{Frame, pixels};
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, Weighed, pictures};
use super::row_count::check_rows;
use super::spec::ModelSpec;
use crate::engine::{Pending, Work as Waits};
use crate::error::{Error, Result};
use crate::image::ModelInput;
use crate::runtime::Call;
use crate::runtime::staging::finite;

/// A picture to its latent and back, with the two terms of the ELBO.
#[derive(Debug, Clone, Copy)]
pub struct Reconstruct;

/// A picture to its latent.
#[derive(Debug, Clone, Copy)]
pub struct Encode;

/// A latent to its picture.
#[derive(Debug, Clone, Copy)]
pub struct Decode;

/// What waits for a VAE: its operations share a queue and its workers.
#[derive(Debug)]
pub enum Work {
    /// See [`Reconstruct`].
    Reconstruct(TicketOf<Reconstruct>),
    /// See [`Encode`].
    Encode(TicketOf<Encode>),
    /// See [`Decode`].
    Decode(TicketOf<Decode>),
}

impl Waits for Work {
    fn pending(&self) -> &Pending {
        match self {
            Self::Reconstruct(ticket) => ticket.pending(),
            Self::Encode(ticket) => ticket.pending(),
            Self::Decode(ticket) => ticket.pending(),
        }
    }

    fn pending_mut(&mut self) -> &mut Pending {
        match self {
            Self::Reconstruct(ticket) => ticket.pending_mut(),
            Self::Encode(ticket) => ticket.pending_mut(),
            Self::Decode(ticket) => ticket.pending_mut(),
        }
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Reconstruct(ticket) => ticket.refuse(error),
            Self::Encode(ticket) => ticket.refuse(error),
            Self::Decode(ticket) => ticket.refuse(error),
        }
    }
}

impl From<TicketOf<Reconstruct>> for Work {
    fn from(ticket: TicketOf<Reconstruct>) -> Self {
        Self::Reconstruct(ticket)
    }
}

impl From<TicketOf<Encode>> for Work {
    fn from(ticket: TicketOf<Encode>) -> Self {
        Self::Encode(ticket)
    }
}

impl From<TicketOf<Decode>> for Work {
    fn from(ticket: TicketOf<Decode>) -> Self {
        Self::Decode(ticket)
    }
}

impl Operation for Reconstruct {
    type Input = ModelInput;
    type Options = ();
    type Output = Reconstruction;
    type Queue = Work;
}

impl Operation for Encode {
    type Input = ModelInput;
    type Options = ();
    type Output = Latent;
    type Queue = Work;
}

impl Operation for Decode {
    type Input = LatentPoint;
    type Options = ();
    type Output = Frame;
    type Queue = Work;
}

/// A latent of as many values as the model's latents have.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentPoint(Vec<f32>);

impl Weighed for LatentPoint {
    fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

impl LatentPoint {
    /// `values` as a latent of `spec`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there are not as many values, or one is not finite.
    pub fn new(spec: &ModelSpec, values: Vec<f32>) -> Result<Self> {
        let (found, expected) = (values.len(), spec.latent_size());
        if found != expected {
            let text = format!("a latent of {found} values, expected {expected}");
            return Err(Error::parameter("latents", text));
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::parameter("latents", "every value must be finite"));
        }
        Ok(Self(values))
    }

    /// Its values.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

/// A picture, as the model remembers it.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// Where the picture lies.
    pub latent: Latent,
    /// The decoded mean.
    pub reconstruction: Frame,
    /// How far it is from the picture.
    pub error: Divergence,
}

/// The posterior of one picture, row-major where the latent has more than one dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Latent {
    /// The mean μ.
    pub mu: Vec<f32>,
    /// The logarithm of the variance, log σ².
    pub logvar: Vec<f32>,
}

/// The reconstruction's error, and the two terms of the ELBO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// The mean squared error of pixel values from 0 to 1.
    pub mse: f64,
    /// The peak signal-to-noise ratio in decibels, `10 · log₁₀(1 / mse)`; absent when nothing differs.
    pub psnr_db: Option<f64>,
    /// The divergence of the posterior from N(0, I) in nats: `−½ Σ (1 + log σ² − μ² − σ²)` (Kingma & Welling,
    /// arXiv 1312.6114, appendix B).
    pub kl: f64,
}

/// `n` latents of `size` values from N(0, temperature²); the same seed gives the same latents.
#[must_use]
pub fn draw(n: usize, size: usize, seed: u64, temperature: f32) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut value = || -> f32 { temperature * Distribution::<f32>::sample(&StandardNormal, &mut rng) };
    (0..n).map(|_| (0..size).map(|_| value()).collect()).collect()
}

/// The way from one latent to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// Along the straight line.
    #[default]
    Linear,
    /// Along the great circle (Shoemake, "Animating rotation with quaternion curves", 1985), lengths interpolated.
    Spherical,
}

impl Path {
    /// The point at `t`, 0 at `from` and 1 at `to`.
    #[must_use]
    pub fn at(self, from: &[f32], to: &[f32], t: f32) -> Vec<f32> {
        let mix = |a: f32, b: f32| from.iter().zip(to).map(|(f, g)| a * f + b * g).collect();
        let dot: f32 = from.iter().zip(to).map(|(f, g)| f * g).sum();
        let length = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
        let angle = (dot / (length(from) * length(to))).clamp(-1.0, 1.0).acos();
        match self {
            // Between parallel latents there is no one great circle, and the line is the same.
            Self::Spherical if angle.sin() > 1e-4 => mix(
                ((1.0 - t) * angle).sin() / angle.sin(),
                (t * angle).sin() / angle.sin(),
            ),
            _ => mix(1.0 - t, t),
        }
    }
}

/// `encode(x) → (mu[B, D…], logvar[B, D…])`, `decode(z) → x`
pub(super) struct Autoencoder;

impl Contract for Autoencoder {
    fn methods(&self) -> &'static [&'static str] {
        &["encode", "decode"]
    }

    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let input = spec.blank(size, net.device())?;
        let shape = input.size();
        let (mu, logvar) = encode(net, input)?;
        let found = mu.size();
        if found != logvar.size() || found.first() != Some(&(size as i64)) {
            let other = logvar.size();
            let expected = format!("[{size}, D…] twice");
            return Err(
                format!("encode answered mu {found:?} and logvar {other:?}, expected {expected}").into(),
            );
        }
        let decoded = decode(net, mu)?.size();
        if decoded != shape {
            return Err(
                format!("decode answered {decoded:?}, expected {shape:?}, as encode was given").into(),
            );
        }
        spec.learn_latent(&found[1..]);
        Ok(())
    }
}

impl Batched for Reconstruct {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Reconstruction>>> {
        let input = pictures::<Self>(net, spec, batch)?;
        let (mu, logvar) = latents(net, input.shallow_clone())?;
        let decoded = decode(net, mu.shallow_clone())?;
        check_rows("decode", &decoded, batch.len())?;
        let one = |index: usize| {
            let row = |t: &Tensor| -> Result<Tensor> { Ok(t.f_select(0, index as i64)?) };
            let latent = Latent::read(&mu, &logvar, index)?;
            Ok(Reconstruction {
                reconstruction: Frame::of(spec, &row(&decoded)?)?,
                error: divergence(spec, &row(&input)?, &row(&decoded)?, &latent)?,
                latent,
            })
        };
        Ok((0..batch.len()).map(one).collect())
    }
}

impl Batched for Encode {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Latent>>> {
        let (mu, logvar) = latents(net, pictures::<Self>(net, spec, batch)?)?;
        Ok((0..batch.len())
            .map(|index| Latent::read(&mu, &logvar, index))
            .collect())
    }
}

impl Batched for Decode {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Frame>>> {
        let latents = batch.iter().map(|asked| asked.input.input.values());
        let values: Vec<f32> = latents.flatten().copied().collect();
        let mut shape = vec![batch.len() as i64];
        shape.extend_from_slice(spec.latent_shape());
        let latents = Tensor::from_slice(&values)
            .f_view(shape.as_slice())?
            .f_to_device(net.device())?;
        let decoded = decode(net, latents)?;
        check_rows("decode", &decoded, batch.len())?;
        Ok(decoded
            .f_unbind(0)?
            .into_iter()
            .map(|row| Frame::of(spec, &row))
            .collect())
    }
}

impl Latent {
    /// That of picture `index` of a batch.
    fn read(mu: &Tensor, logvar: &Tensor, index: usize) -> Result<Self> {
        Ok(Self {
            mu: finite(&mu.f_select(0, index as i64)?, "mu")?,
            logvar: finite(&logvar.f_select(0, index as i64)?, "logvar")?,
        })
    }
}

/// What `encode` answers for a batch, a row for each of it.
fn latents(net: &dyn Call, input: Tensor) -> Result<(Tensor, Tensor)> {
    let batch = usize::try_from(input.size().first().copied().unwrap_or(0)).unwrap_or(0);
    let (mu, logvar) = encode(net, input)?;
    check_rows("encode", &mu, batch)?;
    check_rows("encode", &logvar, batch)?;
    Ok((mu, logvar))
}

fn encode(net: &dyn Call, input: Tensor) -> Result<(Tensor, Tensor)> {
    let mut parts = net
        .call("encode", &[Value::Tensor(input)])?
        .into_elements()?
        .into_iter();
    match (parts.next(), parts.next()) {
        (Some(mu), Some(logvar)) => Ok((mu.into_tensor()?, logvar.into_tensor()?)),
        _ => Err(Error::InferenceFailed("encode must answer (mu, logvar)".into())),
    }
}

/// The pictures `[B, C, H, W]` of latents `[B, D…]`, as the model's input is normalised.
pub(crate) fn decode(module: &dyn Call, latents: Tensor) -> Result<Tensor> {
    Ok(module.call("decode", &[Value::Tensor(latents)])?.into_tensor()?)
}

fn divergence(spec: &ModelSpec, input: &Tensor, decoded: &Tensor, latent: &Latent) -> Result<Divergence> {
    let difference = pixels(spec, input)?.f_sub(&pixels(spec, decoded)?)?;
    let mse = f64::try_from(difference.f_square()?.f_mean(Kind::Double)?)?;
    let term = |(mu, logvar): (&f32, &f32)| {
        let (mu, logvar) = (f64::from(*mu), f64::from(*logvar));
        -0.5 * (1.0 + logvar - mu * mu - logvar.exp())
    };
    let kl: f64 = latent.mu.iter().zip(&latent.logvar).map(term).sum();
    if !(mse.is_finite() && kl.is_finite()) {
        return Err(Error::NotFinite(format!(
            "the error of the reconstruction, mse {mse} and kl {kl}"
        )));
    }
    Ok(Divergence {
        mse,
        psnr_db: (mse > 0.0).then(|| -10.0 * mse.log10()),
        kl,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_latents_and_temperature_scales_them() {
        let (one, hot) = (draw(3, 4, 7, 1.0), draw(3, 4, 7, 2.0));
        assert_eq!(one, draw(3, 4, 7, 1.0));
        assert_ne!(one, draw(3, 4, 8, 1.0));
        assert!(
            one.iter()
                .flatten()
                .zip(hot.iter().flatten())
                .all(|(a, b)| 2.0 * a == *b)
        );
        let many: Vec<f32> = draw(100, 100, 1, 1.0).concat();
        let mean = many.iter().sum::<f32>() / 1e4;
        let variance = many.iter().map(|v| v * v).sum::<f32>() / 1e4;
        // Ten thousand draws: the mean is within 4σ/√n = 0.04, the variance within 0.06.
        assert!(
            mean.abs() < 0.04 && (variance - 1.0).abs() < 0.06,
            "{mean} {variance}"
        );
    }

    #[test]
    fn paths_begin_and_end_where_they_should_and_the_spherical_one_keeps_its_length() {
        let (from, to) = ([1.0, 0.0], [0.0, 1.0]);
        for path in [Path::Linear, Path::Spherical] {
            assert_eq!(path.at(&from, &to, 0.0), [1.0, 0.0]);
            assert!(path.at(&from, &to, 1.0)[0].abs() < 1e-6);
        }
        assert_eq!(Path::Linear.at(&from, &to, 0.5), [0.5, 0.5]);
        let half = Path::Spherical.at(&from, &to, 0.5);
        assert!((half[0] - 0.5f32.sqrt()).abs() < 1e-6 && (half[1] - half[0]).abs() < 1e-6);
        assert_eq!(
            Path::Spherical.at(&from, &[2.0, 0.0], 0.5),
            [1.5, 0.0],
            "parallel latents go along the line"
        );
    }
}
