//! The names of the methods. What each needs, costs and does stands in its row of [`super::table`].

/// How a map is made. A = the layer's activation `[C, h, w]`, g = ∂S/∂A, S = the target's score, x = the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Method {
    /// Grad-CAM (arXiv 1610.02391, eq. 1 and 2): `ReLU(Σₖ mean(gₖ) Aₖ)`.
    #[default]
    GradCam,
    /// Grad-CAM++ (arXiv 1710.11063): gradients weighed by `g²/(2g² + ΣA·g³)`.
    GradCamPp,
    /// HiResCAM (arXiv 2011.08891): `ReLU(Σₖ gₖ ⊙ Aₖ)`.
    HiresCam,
    /// LayerCAM (IEEE TIP 2021): `ReLU(Σₖ ReLU(gₖ) ⊙ Aₖ)`.
    LayerCam,
    /// XGrad-CAM (arXiv 2008.02312): `ReLU(Σₖ Σ(gₖ⊙Aₖ)/ΣAₖ · Aₖ)`.
    XgradCam,
    /// Eigen-CAM (arXiv 2008.00299): the first principal component of A, whatever the target is.
    EigenCam,
    /// Score-CAM (arXiv 1910.01279): channels weighed by the score of what each of them shows.
    ScoreCam,
    /// Ablation-CAM (WACV 2020): channels weighed by what the score loses without them.
    AblationCam,
    /// Vanilla gradient (arXiv 1312.6034): `|∂S/∂x|`.
    Saliency,
    /// `x ⊙ ∂S/∂x`.
    InputXGradient,
    /// SmoothGrad (arXiv 1706.03825): the mean gradient over noisy copies.
    SmoothGrad,
    /// Integrated gradients (arXiv 1703.01365), by Gauss–Legendre quadrature.
    IntegratedGradients,
    /// Guided backpropagation (arXiv 1412.6806): only positive gradients pass a ReLU.
    GuidedBackprop,
    /// Guided backpropagation times the Grad-CAM map.
    GuidedGradCam,
    /// Occlusion (arXiv 1311.2901): what the score loses when a window is covered.
    Occlusion,
    /// RISE (arXiv 1806.07421): random masks weighed by the score that each leaves.
    Rise,
    /// D-RISE (arXiv 2006.03204): RISE by the similarity of the boxes that each mask leaves.
    DRise,
    /// Where the captioner says that it looked, a map a word.
    Attention,
}

impl Method {
    /// Every method and its name in requests.
    pub const NAMES: [(Self, &'static str); 18] = [
        (Self::GradCam, "grad_cam"),
        (Self::GradCamPp, "grad_cam_pp"),
        (Self::HiresCam, "hires_cam"),
        (Self::LayerCam, "layer_cam"),
        (Self::XgradCam, "xgrad_cam"),
        (Self::EigenCam, "eigen_cam"),
        (Self::ScoreCam, "score_cam"),
        (Self::AblationCam, "ablation_cam"),
        (Self::Saliency, "saliency"),
        (Self::InputXGradient, "input_x_gradient"),
        (Self::SmoothGrad, "smooth_grad"),
        (Self::IntegratedGradients, "integrated_gradients"),
        (Self::GuidedBackprop, "guided_backprop"),
        (Self::GuidedGradCam, "guided_grad_cam"),
        (Self::Occlusion, "occlusion"),
        (Self::Rise, "rise"),
        (Self::DRise, "d_rise"),
        (Self::Attention, "attention"),
    ];

    /// Its name in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// What a method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A layer and gradients.
    LayerGradients,
    /// A layer; no gradients.
    Layer,
    /// Gradients with respect to the input.
    InputGradients,
    /// A layer, and gradients with respect to the input.
    LayerAndInputGradients,
    /// Only outputs.
    Outputs,
    /// What the model itself says.
    Model,
}

impl Family {
    /// Whether it looks at a layer.
    #[must_use]
    pub fn has_layer(self) -> bool {
        matches!(
            self,
            Self::LayerGradients | Self::Layer | Self::LayerAndInputGradients
        )
    }

    /// Whether it takes gradients of what is explained.
    #[must_use]
    pub fn has_gradients(self) -> bool {
        matches!(
            self,
            Self::LayerGradients | Self::InputGradients | Self::LayerAndInputGradients
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_in_the_references() {
        for (index, (method, name)) in Method::NAMES.into_iter().enumerate() {
            assert_eq!((method as usize, method.name()), (index, name));
        }
    }
}
