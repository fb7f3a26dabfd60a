//! Logits at the temperature that model.toml says.

use tch::Tensor;

use crate::error::Result;
use crate::manifest::Temperature;

/// `logits / T`; the same tensor where that changes nothing.
///
/// # Errors
/// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
pub(crate) fn scaled(logits: &Tensor, temperature: Temperature) -> Result<Tensor> {
    if temperature.is_one() {
        return Ok(logits.shallow_clone());
    }
    Ok(logits.f_div_scalar(temperature.get())?)
}
