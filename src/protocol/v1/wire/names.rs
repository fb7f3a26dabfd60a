//! Words that stand in several answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{explain, manifest};

/// What a model does.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::protocol::v1) enum TaskKind {
    /// `forward(x[B, C, H, W]) → logits[B, K]`
    Classification,
    /// `forward(x) → logits[B, K, h, w]`, or a dict with `out`, or one channel
    Segmentation,
    /// `forward(x) → boxes and scores`
    Detection,
    /// `start(x) → (memory, state)`, `step(token, memory, state) → (logits, state, attention)`
    Captioning,
    /// `encode(x) → (mu, logvar)`, `decode(z) → x`
    Vae,
    /// `forward(x[B, C, H, W]) → vectors[B, D]`
    Embedding,
    /// `forward(x[B, C, H, W]) → numbers[B, K]`
    Regression,
    /// `forward(x[B, C, H, W]) → pictures[B, 3, h, w]`, or a map `[B, 1, h, w]`
    ImageToImage,
    /// `forward` of named tensors
    Tensor,
}

impl From<manifest::TaskKind> for TaskKind {
    fn from(task: manifest::TaskKind) -> Self {
        match task {
            manifest::TaskKind::Classification => Self::Classification,
            manifest::TaskKind::Segmentation => Self::Segmentation,
            manifest::TaskKind::Detection => Self::Detection,
            manifest::TaskKind::Captioning => Self::Captioning,
            manifest::TaskKind::Vae => Self::Vae,
            manifest::TaskKind::Embedding => Self::Embedding,
            manifest::TaskKind::Regression => Self::Regression,
            manifest::TaskKind::ImageToImage => Self::ImageToImage,
            manifest::TaskKind::Tensor => Self::Tensor,
        }
    }
}

/// How a map is made. A = the layer's activation `[C, h, w]`, g = ∂S/∂A, S = the target's score, x = the input.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    GradCam,
    GradCamPp,
    HiresCam,
    LayerCam,
    XgradCam,
    EigenCam,
    ScoreCam,
    AblationCam,
    Saliency,
    InputXGradient,
    SmoothGrad,
    IntegratedGradients,
    GuidedBackprop,
    GuidedGradCam,
    Occlusion,
    Rise,
    DRise,
    Attention,
}

impl From<explain::Method> for Method {
    fn from(method: explain::Method) -> Self {
        use explain::Method as Core;
        match method {
            Core::GradCam => Self::GradCam,
            Core::GradCamPp => Self::GradCamPp,
            Core::HiresCam => Self::HiresCam,
            Core::LayerCam => Self::LayerCam,
            Core::XgradCam => Self::XgradCam,
            Core::EigenCam => Self::EigenCam,
            Core::ScoreCam => Self::ScoreCam,
            Core::AblationCam => Self::AblationCam,
            Core::Saliency => Self::Saliency,
            Core::InputXGradient => Self::InputXGradient,
            Core::SmoothGrad => Self::SmoothGrad,
            Core::IntegratedGradients => Self::IntegratedGradients,
            Core::GuidedBackprop => Self::GuidedBackprop,
            Core::GuidedGradCam => Self::GuidedGradCam,
            Core::Occlusion => Self::Occlusion,
            Core::Rise => Self::Rise,
            Core::DRise => Self::DRise,
            Core::Attention => Self::Attention,
        }
    }
}
