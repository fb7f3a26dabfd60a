//! Variational autoencoders: `encode(x) → (mu[B, D…], logvar[B, D…])`, `decode(z) → x`.
//!
//! Reconstructions decode the mean, never a sample, so that the same picture always gives the same answer. Errors
//! are of pixel values from 0 to 1.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use tch::{Kind, Tensor};
use torch_bridge::Value;
use utoipa::ToSchema;

use super::frame::{Frame, finite, pixels};
use super::{Breach, Input, Item, Subject, Task};
use crate::engine::session::{Call, Session};
use crate::error::{Error, Result};

/// What is asked of a VAE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An image to its latent and back, with the two terms of the ELBO.
    Reconstruct,
    /// An image to its latent.
    Encode,
    /// A latent to an image.
    Decode,
}

/// What a VAE answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Prediction {
    /// To [`Operation::Reconstruct`].
    Reconstruction(Box<Reconstruction>),
    /// To [`Operation::Encode`].
    Encoding(Encoding),
    /// To [`Operation::Decode`].
    Decoding(Decoding),
}

/// An image, as the model remembers it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Reconstruction {
    /// Where the image lies.
    pub latent: Latent,
    /// The decoded mean.
    pub reconstruction: Frame,
    /// How far it is from the image.
    pub error: Divergence,
}

/// An image's latent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Encoding {
    /// Where the image lies.
    pub latent: Latent,
}

/// An image of a latent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Decoding {
    /// The decoded latent.
    pub decoded: Frame,
}

/// The posterior of one image, row-major where the latent has more than one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Latent {
    /// The mean μ.
    pub mu: Vec<f32>,
    /// The logarithm of the variance, log σ².
    pub logvar: Vec<f32>,
}

/// The reconstruction's error, and the two terms of the ELBO.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Divergence {
    /// The mean squared error of pixel values from 0 to 1.
    pub mse: f64,
    /// The peak signal-to-noise ratio in decibels, `10 · log₁₀(1 / mse)`; absent when nothing differs.
    #[serde(skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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

/// The task itself.
pub(super) struct Vae;

impl Task for Vae {
    fn methods(&self) -> &'static [&'static str] {
        &["encode", "decode"]
    }

    fn check(&self, session: &Session, subject: &Subject, size: usize) -> Result<(), Breach> {
        let input = subject.blank(size, session.device())?;
        let shape = input.size();
        let (mu, logvar) = encode(session, input)?;
        let found = mu.size();
        if found != logvar.size() || found.first() != Some(&(size as i64)) {
            let other = logvar.size();
            let expected = format!("[{size}, D…] twice");
            return Err(
                format!("encode answered mu {found:?} and logvar {other:?}, expected {expected}").into(),
            );
        }
        let decoded = decode(session, mu)?.size();
        if decoded != shape {
            return Err(
                format!("decode answered {decoded:?}, expected {shape:?}, as encode was given").into(),
            );
        }
        subject.learn_latent(&found[1..]);
        Ok(())
    }

    fn run(
        &self,
        session: &Session,
        subject: &Subject,
        items: &[Item],
    ) -> Result<Vec<Result<super::Prediction>>> {
        let (images, latents): (Vec<_>, Vec<_>) = items
            .iter()
            .enumerate()
            .partition(|(_, item)| matches!(item.input, Input::Image(_)));
        let mut answers: Vec<Option<Result<Prediction>>> = items.iter().map(|_| None).collect();
        if !images.is_empty() {
            let done = of_images(session, subject, images.iter().map(|(_, item)| *item))?;
            images
                .iter()
                .zip(done)
                .for_each(|((index, _), done)| answers[*index] = Some(done));
        }
        if !latents.is_empty() {
            let done = of_latents(session, subject, latents.iter().map(|(_, item)| *item))?;
            latents
                .iter()
                .zip(done)
                .for_each(|((index, _), done)| answers[*index] = Some(done));
        }
        let missing = || Err(Error::Internal("an item was left out".into()));
        Ok(answers
            .into_iter()
            .map(|a| a.unwrap_or_else(missing).map(super::Prediction::Vae))
            .collect())
    }
}

fn of_images<'a>(
    session: &Session,
    subject: &Subject,
    items: impl Iterator<Item = &'a Item> + Clone,
) -> Result<Vec<Result<Prediction>>> {
    let tiles = items
        .clone()
        .map(|item| item.input.image())
        .collect::<Result<Vec<_>>>()?;
    let input = subject.batch(&tiles, session.device())?;
    let (mu, logvar) = encode(session, input.shallow_clone())?;
    let is_encoding = |item: &Item| matches!(item.options, super::Options::Vae(Operation::Encode));
    let all_encode = items.clone().all(is_encoding);
    let decoded = if all_encode {
        None
    } else {
        Some(decode(session, mu.shallow_clone())?)
    };
    let one = |(index, item): (usize, &Item)| {
        let row = |t: &Tensor| -> Result<Tensor> { Ok(t.f_select(0, index as i64)?) };
        let latent = Latent {
            mu: finite(&row(&mu)?)?,
            logvar: finite(&row(&logvar)?)?,
        };
        match &decoded {
            Some(decoded) if !is_encoding(item) => {
                let error = divergence(subject, &row(&input)?, &row(decoded)?, &latent)?;
                let reconstruction = Frame::of(subject, &row(decoded)?)?;
                Ok(Prediction::Reconstruction(Box::new(Reconstruction {
                    latent,
                    reconstruction,
                    error,
                })))
            }
            _ => Ok(Prediction::Encoding(Encoding { latent })),
        }
    };
    Ok(items.enumerate().map(one).collect())
}

fn of_latents<'a>(
    session: &Session,
    subject: &Subject,
    items: impl Iterator<Item = &'a Item>,
) -> Result<Vec<Result<Prediction>>> {
    let size = subject.latent_size();
    let mut values = Vec::new();
    for item in items {
        match &item.input {
            Input::Latent(latent) if latent.len() == size => values.extend_from_slice(latent),
            Input::Latent(latent) => {
                let found = latent.len();
                let text = format!("a latent of {found} values, expected {size}");
                return Err(Error::parameter("latents", text));
            }
            _ => return Err(Error::Internal("a latent was expected".into())),
        }
    }
    let mut shape = vec![(values.len() / size.max(1)) as i64];
    shape.extend_from_slice(subject.latent_shape());
    let latents = Tensor::from_slice(&values)
        .f_view(shape.as_slice())?
        .f_to_device(session.device())?;
    let decoded = decode(session, latents)?;
    let one =
        |row: Tensor| Frame::of(subject, &row).map(|decoded| Prediction::Decoding(Decoding { decoded }));
    Ok(decoded.f_unbind(0)?.into_iter().map(one).collect())
}

fn encode(session: &Session, input: Tensor) -> Result<(Tensor, Tensor)> {
    let mut parts = session
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

fn divergence(subject: &Subject, input: &Tensor, decoded: &Tensor, latent: &Latent) -> Result<Divergence> {
    let difference = pixels(subject, input)?.f_sub(&pixels(subject, decoded)?)?;
    let mse = f64::try_from(difference.f_square()?.f_mean(Kind::Double)?)?;
    let term = |(mu, logvar): (&f32, &f32)| {
        let (mu, logvar) = (f64::from(*mu), f64::from(*logvar));
        -0.5 * (1.0 + logvar - mu * mu - logvar.exp())
    };
    Ok(Divergence {
        mse,
        psnr_db: (mse > 0.0).then(|| -10.0 * mse.log10()),
        kl: latent.mu.iter().zip(&latent.logvar).map(term).sum(),
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
