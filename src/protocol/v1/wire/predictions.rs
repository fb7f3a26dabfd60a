//! What each task predicts.

use serde::Serialize;
use utoipa::ToSchema;

use super::detections::Detection;
use super::embeddings::Embedded;
use super::latents::PngFrame;
use super::names::TaskKind;
use super::numbers::Regression;
use super::pictures::Translation;
use super::rle::Rle;
use super::sizes::ImageSize;
use super::tensors::AnsweredTensor;
use super::uncertainties::{MaskUncertainty, Uncertainty};
use crate::error::Result;
use crate::image::PoolThread;
use crate::protocol::v1::timing::TimingMs;
use crate::tasks::{
    captioning, classification, detection, embedding, image_to_image, regression, segmentation, tensor, vae,
};

/// The predictions for the inputs of one request, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Predictions {
    #[schema(example = "mobilenet_v2")]
    pub(in crate::protocol::v1) model: String,
    #[schema(example = "1")]
    pub(in crate::protocol::v1) version: String,
    pub(in crate::protocol::v1) task: TaskKind,
    pub(in crate::protocol::v1) predictions: Vec<ImagePrediction>,
    pub(in crate::protocol::v1) timing_ms: TimingMs,
}

/// The prediction for one input.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct ImagePrediction {
    /// The picture's size, where the input is a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::protocol::v1) image: Option<ImageSize>,
    #[serde(flatten)]
    pub(in crate::protocol::v1) prediction: Prediction,
}

/// What was predicted, by task.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::protocol::v1) enum Prediction {
    /// By a classifier.
    Classification(Classification),
    /// By a segmenter.
    Segmentation(Segmentation),
    /// By a detector.
    Detection(Detection),
    /// By a captioner.
    Captioning(Captioning),
    /// By a VAE, from an image to its latent and back.
    Reconstruction(Box<Reconstruction>),
    /// By a VAE, from an image to its latent.
    Encoding(Encoding),
    /// Of an embedding.
    Embedding(Embedded),
    /// By a regression.
    Regression(Regression),
    /// By a model from image to image.
    Translation(Translation),
    /// By any other model.
    Tensor(Tensors),
}

/// The best classes of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Classification {
    /// Best first.
    classes: Vec<Class>,
    /// How sure the model is, with `uncertainty=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertainty: Option<Uncertainty>,
}

/// One class and its score.
#[derive(Debug, Serialize, ToSchema)]
struct Class {
    /// The index of the logit.
    class_id: usize,
    /// Its label; the index as text where the model has no labels.
    #[schema(example = "Egyptian cat")]
    label: String,
    /// After the model's activation (softmax: a probability).
    score: f32,
}

impl From<classification::Prediction> for Prediction {
    fn from(found: classification::Prediction) -> Self {
        let class = |class: classification::Class| Class {
            class_id: class.class_id,
            label: class.label,
            score: class.score,
        };
        Self::Classification(Classification {
            classes: found.classes.into_iter().map(class).collect(),
            uncertainty: found.uncertainty.map(Uncertainty::from),
        })
    }
}

/// The classes of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Segmentation {
    /// The classes that were found, by id.
    classes: Vec<ClassArea>,
    /// Where they are, in the original picture.
    mask: Mask,
    /// How sure the model is, with `uncertainty=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertainty: Option<MaskUncertainty>,
}

/// How much of the picture is of a class.
#[derive(Debug, Serialize, ToSchema)]
struct ClassArea {
    /// The index of the logit.
    class_id: usize,
    /// Its label; the index as text where the model has no labels.
    #[schema(example = "person")]
    label: String,
    /// Pixels of the original picture.
    pixels: usize,
    /// Of all its pixels.
    fraction: f64,
}

/// A COCO mask for each class that was found.
#[derive(Debug, Serialize, ToSchema)]
struct Mask {
    /// `[height, width]` of the original picture.
    size: [usize; 2],
    /// In the order of `classes`.
    rle: Vec<ClassMask>,
}

/// The pixels of one class; `pycocotools.mask.decode` reads it as it is.
#[derive(Debug, Serialize, ToSchema)]
struct ClassMask {
    /// The class.
    class_id: usize,
    /// Its pixels.
    #[serde(flatten)]
    rle: Rle,
}

impl From<segmentation::Prediction> for Prediction {
    fn from(found: segmentation::Prediction) -> Self {
        let area = |area: segmentation::ClassArea| ClassArea {
            class_id: area.class_id,
            label: area.label,
            pixels: area.pixels,
            fraction: area.fraction,
        };
        let mask = |mask: segmentation::ClassMask| ClassMask {
            class_id: mask.class_id,
            rle: mask.rle.into(),
        };
        Self::Segmentation(Segmentation {
            classes: found.classes.into_iter().map(area).collect(),
            mask: Mask {
                size: found.mask.size,
                rle: found.mask.rle.into_iter().map(mask).collect(),
            },
            uncertainty: found.uncertainty.map(MaskUncertainty::from),
        })
    }
}

impl From<detection::Prediction> for Prediction {
    fn from(found: detection::Prediction) -> Self {
        Self::Detection(found.into())
    }
}

/// The caption of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Captioning {
    /// One caption.
    captions: Vec<Caption>,
}

/// A caption.
#[derive(Debug, Serialize, ToSchema)]
struct Caption {
    /// Its words, without the end.
    #[schema(example = "a boot left of a bag")]
    text: String,
    /// The log-probability of all tokens, the end among them.
    log_prob: f64,
    /// Whether it ended by itself, not at the longest length.
    complete: bool,
    /// Its tokens; the end, if it was reached, is the last.
    tokens: Vec<Token>,
}

/// A token of a caption.
#[derive(Debug, Serialize, ToSchema)]
struct Token {
    /// Its line in the vocabulary.
    token_id: usize,
    /// Its text.
    #[schema(example = "boot")]
    text: String,
    /// Its log-probability, given those before it.
    log_prob: f32,
    /// Where the model looked when it chose it, if it says; with `attention=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Attention>,
}

/// The weights of one word over the cells of the picture.
#[derive(Debug, Serialize, ToSchema)]
struct Attention {
    /// `[rows, columns]`
    shape: [usize; 2],
    /// Row-major.
    data: Vec<f32>,
}

impl From<captioning::Prediction> for Prediction {
    fn from(found: captioning::Prediction) -> Self {
        let token = |token: captioning::Token| Token {
            token_id: token.token_id,
            text: token.text,
            log_prob: token.log_prob,
            attention: token.attention.map(|attention| Attention {
                shape: attention.shape,
                data: attention.data,
            }),
        };
        let caption = |caption: captioning::Captioned| Caption {
            text: caption.text,
            log_prob: caption.log_prob,
            complete: caption.complete,
            tokens: caption.tokens.into_iter().map(token).collect(),
        };
        Self::Captioning(Captioning {
            captions: found.captions.into_iter().map(caption).collect(),
        })
    }
}

/// An image, as the model remembers it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Reconstruction {
    /// Where the image lies.
    latent: Latent,
    /// The decoded mean.
    reconstruction: PngFrame,
    /// How far it is from the image.
    error: Divergence,
}

/// An image's latent.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Encoding {
    /// Where the image lies.
    latent: Latent,
}

/// The posterior of one image, row-major where the latent has more than one dimension.
#[derive(Debug, Serialize, ToSchema)]
struct Latent {
    /// The mean μ.
    mu: Vec<f32>,
    /// The logarithm of the variance, log σ².
    logvar: Vec<f32>,
}

/// The reconstruction's error, and the two terms of the ELBO.
#[derive(Debug, Serialize, ToSchema)]
struct Divergence {
    /// The mean squared error of pixel values from 0 to 1.
    mse: f64,
    /// The peak signal-to-noise ratio in decibels, `10 · log₁₀(1 / mse)`; absent when nothing differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    psnr_db: Option<f64>,
    /// The divergence of the posterior from N(0, I) in nats: `−½ Σ (1 + log σ² − μ² − σ²)` (Kingma & Welling,
    /// arXiv 1312.6114, appendix B).
    kl: f64,
}

impl From<vae::Latent> for Latent {
    fn from(latent: vae::Latent) -> Self {
        Self {
            mu: latent.mu,
            logvar: latent.logvar,
        }
    }
}

impl From<vae::Latent> for Prediction {
    fn from(latent: vae::Latent) -> Self {
        Self::Encoding(Encoding {
            latent: latent.into(),
        })
    }
}

impl Prediction {
    /// The reconstruction, whose picture is compressed here.
    pub(in crate::protocol::v1) fn reconstruction(
        thread: &PoolThread,
        found: vae::Reconstruction,
    ) -> Result<Self> {
        Ok(Self::Reconstruction(Box::new(Reconstruction {
            reconstruction: PngFrame::new(thread, &found.reconstruction)?,
            latent: found.latent.into(),
            error: Divergence {
                mse: found.error.mse,
                psnr_db: found.error.psnr_db,
                kl: found.error.kl,
            },
        })))
    }
}

/// The tensors of one answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Tensors {
    /// In the order of model.toml's `[[outputs]]`.
    outputs: Vec<AnsweredTensor>,
}

impl From<tensor::Prediction> for Prediction {
    fn from(found: tensor::Prediction) -> Self {
        Self::Tensor(Tensors {
            outputs: found.outputs.into_iter().map(AnsweredTensor::from).collect(),
        })
    }
}

impl From<embedding::Embedding> for Prediction {
    fn from(found: embedding::Embedding) -> Self {
        Self::Embedding(found.into())
    }
}

impl From<regression::Prediction> for Prediction {
    fn from(found: regression::Prediction) -> Self {
        Self::Regression(found.into())
    }
}

impl From<image_to_image::Prediction> for Prediction {
    fn from(found: image_to_image::Prediction) -> Self {
        Self::Translation(found.into())
    }
}
