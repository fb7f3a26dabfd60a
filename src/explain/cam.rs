//! Class activation maps from an activation `A [1, C, h, w]` and the gradient `∂S/∂A` of a target scalar `S`.

use tch::{Kind, Tensor};

use crate::error::Result;

/// Grad-CAM (arXiv 1610.02391, eq. 1 and 2): `ReLU(Σₖ mean_{ij}(∂S/∂Aₖ) · Aₖ)`, shape `[h, w]`.
///
/// # Errors
/// [`crate::error::Error::InferenceFailed`] with libtorch's words.
pub fn grad_cam(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let weights = gradient.f_mean_dim([2i64, 3].as_slice(), true, Kind::Float)?;
    let weighted = weights.f_mul(activation)?;
    let sum = weighted.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
    Ok(sum.f_relu()?.f_squeeze_dim(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grad_cam_is_its_formula() {
        // Two channels of 1×2: the weights are the mean gradients 2 and −1.
        let activation = Tensor::from_slice(&[1f32, 2.0, 3.0, 1.0]).view([1, 2, 1, 2]);
        let gradient = Tensor::from_slice(&[1f32, 3.0, -2.0, 0.0]).view([1, 2, 1, 2]);
        let map = grad_cam(&activation, &gradient).expect("rank 4");
        assert_eq!(map.size(), [1, 2]);
        let values: Vec<f32> = map.flatten(0, -1).try_into().expect("f32");
        assert_eq!(values, [0.0, 3.0], "2·1 − 1·3 is below zero; 2·2 − 1·1 = 3");
    }
}
