//! The methods, and what each of them needs of a model.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::repository::manifest::TaskKind;

/// How a map is made. A = the layer's activation `[C, h, w]`, g = ∂S/∂A, S = the target's score, x = the input.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
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

/// What a method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 18] = [
        Self::GradCam,
        Self::GradCamPp,
        Self::HiresCam,
        Self::LayerCam,
        Self::XgradCam,
        Self::EigenCam,
        Self::ScoreCam,
        Self::AblationCam,
        Self::Saliency,
        Self::InputXGradient,
        Self::SmoothGrad,
        Self::IntegratedGradients,
        Self::GuidedBackprop,
        Self::GuidedGradCam,
        Self::Occlusion,
        Self::Rise,
        Self::DRise,
        Self::Attention,
    ];

    /// Every method that explains models of this task; a model may lack what one of them needs.
    #[must_use]
    pub fn of_task(task: TaskKind) -> Vec<Self> {
        let explains = |method: &Self| match (task, method) {
            (TaskKind::Tensor, _) => false,
            (_, Self::DRise) => task == TaskKind::Detection,
            (_, Self::Attention) => task == TaskKind::Captioning,
            _ => true,
        };
        Self::ALL.into_iter().filter(explains).collect()
    }

    /// What it needs.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::GradCam | Self::GradCamPp | Self::HiresCam | Self::LayerCam | Self::XgradCam => {
                Family::LayerGradients
            }
            Self::EigenCam | Self::ScoreCam | Self::AblationCam => Family::Layer,
            Self::Saliency
            | Self::InputXGradient
            | Self::SmoothGrad
            | Self::IntegratedGradients
            | Self::GuidedBackprop => Family::InputGradients,
            Self::GuidedGradCam => Family::LayerAndInputGradients,
            Self::Occlusion | Self::Rise | Self::DRise => Family::Outputs,
            Self::Attention => Family::Model,
        }
    }

    /// Whether values below zero mean something: what speaks against the target.
    #[must_use]
    pub fn is_signed(self) -> bool {
        matches!(
            self,
            Self::InputXGradient
                | Self::SmoothGrad
                | Self::IntegratedGradients
                | Self::GuidedBackprop
                | Self::GuidedGradCam
                | Self::Occlusion
        )
    }

    /// Whether it needs a ReLU in the model.
    #[must_use]
    pub fn is_guided(self) -> bool {
        matches!(self, Self::GuidedBackprop | Self::GuidedGradCam)
    }

    /// What whoever reads its maps should know.
    #[must_use]
    pub fn caution(self) -> Option<&'static str> {
        match self {
            Self::EigenCam => Some(
                "ignores the target; the sign of a principal component is arbitrary, and is chosen so that the map \
                 agrees with the mean activation",
            ),
            Self::GuidedBackprop | Self::GuidedGradCam => Some(
                "fails sanity checks (Adebayo et al., arXiv 1810.03292): it shows edges of the image even where the \
                 model's weights are random",
            ),
            Self::Attention => {
                Some("attention says where the decoder looked, not what made it choose the word")
            }
            _ => None,
        }
    }

    /// Its name in requests.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_in_the_references() {
        let names: Vec<String> = Method::ALL.into_iter().map(Method::name).collect();
        let expected = "grad_cam grad_cam_pp hires_cam layer_cam xgrad_cam eigen_cam score_cam ablation_cam saliency \
                        input_x_gradient smooth_grad integrated_gradients guided_backprop guided_grad_cam occlusion \
                        rise d_rise attention";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn tasks_have_the_methods_that_fit_them() {
        assert_eq!(Method::of_task(TaskKind::Classification).len(), 16);
        assert!(Method::of_task(TaskKind::Detection).contains(&Method::DRise));
        assert!(Method::of_task(TaskKind::Captioning).contains(&Method::Attention));
        assert!(Method::of_task(TaskKind::Tensor).is_empty());
    }
}
