//! A VAE: latent means, or how well the picture is reconstructed (Liu et al., arXiv 1911.07389, section 3). The mean
//! is differentiated, never a sample.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::runtime::Call;
use crate::tasks::vae::decode;

struct OfLatents {
    wanted: Wanted,
    /// The untouched input `[1, C, H, W]`, which every reconstruction is held against.
    input: Tensor,
}

#[derive(Clone, Copy)]
enum Wanted {
    Mean(i64),
    Sum,
    Reconstruction,
}

impl Objective for OfLatents {
    fn scores(&self, net: &dyn Call, output: &Value) -> Result<Tensor> {
        let Some(mu) = output.shallow_clone().into_elements()?.into_iter().next() else {
            return Err(Error::InferenceFailed("encode must answer (mu, logvar)".into()));
        };
        let mu = mu.into_tensor()?;
        let flat = mu.f_flatten(1, -1)?;
        Ok(match self.wanted {
            Wanted::Mean(index) => flat.f_narrow(1, index, 1)?,
            Wanted::Sum => flat.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?,
            Wanted::Reconstruction => {
                let error = decode(net, mu)?.f_sub(&self.input)?.f_square()?;
                error
                    .f_flatten(1, -1)?
                    .f_mean_dim([1i64].as_slice(), true, Kind::Float)?
                    .f_neg()?
            }
        })
    }
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let latents = untouched.spec.latent_size();
    let wanted = match target {
        Target::Top | Target::SumMu => Wanted::Sum,
        Target::Latent(index) | Target::Class(ClassName::Id(index)) if *index < latents => {
            Wanted::Mean(*index as i64)
        }
        Target::Latent(index) | Target::Class(ClassName::Id(index)) => {
            let last = latents.saturating_sub(1);
            return Err(refused(format!(
                "there is no latent {index}; the model has mu[0] to mu[{last}]"
            )));
        }
        Target::Reconstruction => Wanted::Reconstruction,
        _ => return Err(refused("a VAE explains `mu[K]`, `sum_mu` or `reconstruction`")),
    };
    let objective = OfLatents {
        wanted,
        input: untouched.input.f_detach()?,
    };
    let value = objective.scores(untouched.net, output)?;
    let target = ResolvedTarget::Latent {
        latent: match wanted {
            Wanted::Mean(index) => format!("mu[{index}]"),
            Wanted::Sum => "sum_mu".into(),
            Wanted::Reconstruction => "reconstruction".into(),
        },
        value: f32::try_from(value.f_view([])?)?,
    };
    Ok(Resolved {
        objective: Box::new(objective),
        targets: vec![target],
    })
}
