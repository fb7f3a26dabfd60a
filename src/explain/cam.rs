//! Class activation maps from an activation `A [1, C, h, w]` and the gradient `g = ∂S/∂A` of a target scalar `S`.
//! Where published implementations differ, pytorch-grad-cam is followed, its epsilons included.

use tch::{Kind, Tensor};

use crate::engine::CorePermit;
use crate::error::Result;

/// How the weighted channels become one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    /// Their sum, as the papers do.
    Sum,
    /// Their first principal component (`smooth=eigen`).
    Eigen,
}

const SPACE: [i64; 2] = [2, 3];

/// Weighs the channels of an activation by its gradient, both `[1, C, h, w]`.
pub(super) type Weigh = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// Grad-CAM: the weighted channels `[1, C, h, w]`.
pub(super) fn grad_cam(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Ok(gradient
        .f_mean_dim(SPACE.as_slice(), true, Kind::Float)?
        .f_mul(activation)?)
}

/// Grad-CAM++: the weighted channels `[1, C, h, w]`.
pub(super) fn grad_cam_pp(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Ok(grad_cam_pp_weights(activation, gradient)?.f_mul(activation)?)
}

/// HiResCAM: the weighted channels `[1, C, h, w]`.
pub(super) fn hires_cam(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Ok(gradient.f_mul(activation)?)
}

/// LayerCAM: the weighted channels `[1, C, h, w]`.
pub(super) fn layer_cam(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Ok(gradient.f_relu()?.f_mul(activation)?)
}

/// XGrad-CAM: the weighted channels `[1, C, h, w]`.
pub(super) fn xgrad_cam(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Ok(xgrad_cam_weights(activation, gradient)?.f_mul(activation)?)
}

/// The map `[h, w]` of channels `[1, C, h, w]` that are weighed already, after a ReLU. A principal component takes as long as a
/// pass at times, so it is found under a permit as well.
pub(super) fn reduced(_: &CorePermit<'_>, weighted: &Tensor, reduction: Reduction) -> Result<Tensor> {
    match reduction {
        Reduction::Sum => Ok(sum_over_channels(weighted)?.f_relu()?),
        Reduction::Eigen => first_component(weighted),
    }
}

/// `ReLU(Σₖ wₖ Aₖ)`, shape `[h, w]`, for weights `[C]`.
pub(super) fn weighed(
    permit: &CorePermit<'_>,
    weights: &Tensor,
    activation: &Tensor,
    reduction: Reduction,
) -> Result<Tensor> {
    let weighted = weights.f_view([1, -1, 1, 1])?.f_mul(activation)?;
    reduced(permit, &weighted, reduction)
}

fn sum_over_channels(weighted: &Tensor) -> Result<Tensor> {
    Ok(weighted
        .f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
        .f_squeeze_dim(0)?)
}

fn sum_over_space(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_sum_dim_intlist(SPACE.as_slice(), true, Kind::Float)?)
}

/// `wₖ = Σ α·ReLU(g)` with `α = g²/(2g² + (ΣA)·g³ + 1e-6)`, and 0 where g is 0.
fn grad_cam_pp_weights(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    const EPSILON: f64 = 1e-6;
    let square = gradient.f_square()?;
    let cubed = square.f_mul(gradient)?;
    let denominator = square
        .f_mul_scalar(2.0)?
        .f_add(&sum_over_space(activation)?.f_mul(&cubed)?)?
        .f_add_scalar(EPSILON)?;
    let alpha = square.f_div(&denominator)?;
    let alpha = alpha.f_where_self(&gradient.f_ne(0.0)?, &gradient.f_zeros_like()?)?;
    sum_over_space(&gradient.f_relu()?.f_mul(&alpha)?)
}

/// `wₖ = Σ(g⊙A)/(ΣA + 1e-7)`.
fn xgrad_cam_weights(activation: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    const EPSILON: f64 = 1e-7;
    let total = sum_over_space(activation)?.f_add_scalar(EPSILON)?;
    sum_over_space(&gradient.f_mul(activation)?.f_div(&total)?)
}

/// The projection of each cell's channels on their first principal component, after a ReLU: `[h, w]`. The sign, which
/// is arbitrary, is the one in which the map agrees with the channels' mean.
fn first_component(channels: &Tensor) -> Result<Tensor> {
    let (_, c, h, w) = channels.size4()?;
    let cells = channels.f_view([c, h * w])?.f_transpose(0, 1)?;
    // Values that are not finite would make the decomposition fail; pytorch-grad-cam does the same.
    let cells = cells.f_nan_to_num(0.0, None, None)?;
    let centred = cells.f_sub(&cells.f_mean_dim([0i64].as_slice(), true, Kind::Float)?)?;
    let (_, _, basis) = centred.f_svd(true, true)?;
    let projection = centred.f_mv(&basis.f_select(1, 0)?)?;
    let mean = cells.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
    let agreement = f64::try_from(projection.f_dot(&mean.f_sub(&mean.f_mean(Kind::Float)?)?)?)?;
    let sign = if agreement < 0.0 { -1.0 } else { 1.0 };
    Ok(projection.f_mul_scalar(sign)?.f_relu()?.f_view([h, w])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cores::{Class, Cores};

    /// [`super::reduced`] where nobody else computes.
    fn reduced(weighted: &Tensor, reduction: Reduction) -> Result<Tensor> {
        let cores = Cores::of_this_machine();
        super::reduced(&cores.acquire(Class::Explain, 1), weighted, reduction)
    }

    /// Two channels of 1×2.
    fn channels(values: [f32; 4]) -> Tensor {
        Tensor::from_slice(&values).view([1, 2, 1, 2])
    }

    fn values(map: &Tensor) -> Vec<f32> {
        assert_eq!(map.size(), [1, 2]);
        map.flatten(0, -1).try_into().expect("f32")
    }

    fn of(weigh: Weigh) -> Vec<f32> {
        let (activation, gradient) = (channels([1.0, 2.0, 3.0, 1.0]), channels([1.0, 3.0, -2.0, 0.0]));
        let weighted = weigh(&activation, &gradient).expect("rank 4");
        values(&reduced(&weighted, Reduction::Sum).expect("rank 4"))
    }

    fn close(found: &[f32], expected: &[f32]) {
        let near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5);
        assert!(
            near && found.len() == expected.len(),
            "{found:?}, expected {expected:?}"
        );
    }

    #[test]
    fn methods_are_their_formulas() {
        // Weights 2 and −1: 2·1 − 1·3 is below zero; 2·2 − 1·1 = 3.
        close(&of(grad_cam), &[0.0, 3.0]);
        // 1·1 − 2·3 is below zero; 3·2 + 0·1 = 6.
        close(&of(hires_cam), &[0.0, 6.0]);
        // Without the negative gradient: 1·1, 3·2.
        close(&of(layer_cam), &[1.0, 6.0]);
        // Weights (1·1 + 3·2)/3 and (−2·3)/4: 7/3 − 4.5 < 0; 14/3 − 1.5.
        close(&of(xgrad_cam), &[0.0, 14.0 / 3.0 - 1.5]);
        // Channel 0, ΣA = 3: α = 1/(2+3) and 9/(18+81); weight 1/5 + 3·9/99. Channel 1 has no positive gradient.
        let weight = 0.2 + 27.0 / 99.0;
        close(&of(grad_cam_pp), &[weight, 2.0 * weight]);
    }

    #[test]
    fn the_first_component_agrees_with_the_mean_activation() {
        // Both channels rise to the right: the component does, too, whichever sign the decomposition has.
        for scale in [1.0, -1.0] {
            let rising = channels([0.0, 2.0 * scale, 0.0, 4.0 * scale]);
            let map = values(&reduced(&rising, Reduction::Eigen).expect("finite"));
            // Centred cells are ∓(1, 2)·scale: their length is √5.
            let expected = if scale > 0.0 {
                [0.0, 5f32.sqrt()]
            } else {
                [5f32.sqrt(), 0.0]
            };
            close(&map, &expected);
        }
    }
}
