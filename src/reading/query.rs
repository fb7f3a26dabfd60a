//! The parameters of each operation as a client writes them, and what they become.

use std::time::Duration;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::parameters::Parameters;
use crate::error::Result;
use crate::explain::Target;
use crate::explain::visualize::{self, Ascent};
use crate::manifest::MOST_DETECTIONS;
use crate::service::render::{MaskRender, MaskView};
use crate::service::{Draw, Way};
use crate::tasks::bounds::{Fraction, at_least_one, within};
use crate::tasks::image_to_image::Resolution;
use crate::tasks::{captioning, classification, detection, vae};

/// Parameters of a classification.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Classification {
    /// How many classes to answer, best first; all of them if there are fewer.
    #[param(minimum = 1, default = 5)]
    top_k: usize,
}

impl Default for Classification {
    fn default() -> Self {
        Self { top_k: 5 }
    }
}

/// How a PNG shows the classes.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Render {
    /// Indexed colours: a pixel's index is its class id, 255 where the model did not see.
    Mask,
    /// The classes but the first as a tint over the picture.
    Overlay,
}

/// Parameters of a segmentation.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Segmentation {
    /// How a PNG shows the classes.
    #[param(inline, required = false, default = "mask")]
    render: Render,
    /// How much of an overlay is tint, 0 to 1.
    #[param(required = false, default = 0.5, minimum = 0, maximum = 1)]
    alpha: f32,
}

impl Default for Segmentation {
    fn default() -> Self {
        Self {
            render: Render::Mask,
            alpha: Fraction::HALF.get(),
        }
    }
}

/// The grid of a picture that a model makes.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Grid {
    /// The module's own.
    Native,
    /// The original's.
    Original,
}

/// Parameters of a model from image to image.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ImageToImage {
    /// The grid that the picture is answered on: the module's own, or the original's, of what of the original it saw.
    #[param(inline, required = false, default = "native")]
    resolution: Grid,
}

impl Default for ImageToImage {
    fn default() -> Self {
        Self {
            resolution: Grid::Native,
        }
    }
}

/// Parameters of a detection; what is not given is as model.toml says.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Detection {
    /// Objects with a lower score are left out.
    #[param(required = false, minimum = 0, maximum = 1)]
    score_threshold: Option<f32>,
    /// Of two boxes of a class that overlap more (intersection over union), the lesser goes; for formats whose overlaps the
    /// server suppresses.
    #[param(required = false, minimum = 0, maximum = 1)]
    iou_threshold: Option<f32>,
    /// Objects in the answer at most, best first.
    #[param(required = false, minimum = 1, maximum = 1000)]
    max_detections: Option<usize>,
    /// How much of a drawn mask is tint, 0 to 1.
    #[param(required = false, default = 0.5, minimum = 0, maximum = 1)]
    alpha: f32,
}

impl Default for Detection {
    fn default() -> Self {
        Self {
            score_threshold: None,
            iou_threshold: None,
            max_detections: None,
            alpha: Fraction::HALF.get(),
        }
    }
}

/// Parameters of a captioning.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Captioning {
    /// Beginnings that the search keeps; 1 is greedy.
    #[param(required = false, minimum = 1, maximum = 32, default = 1)]
    beams: usize,
    /// Words at most, the end among them. Default: as model.toml says.
    #[param(required = false, minimum = 1, maximum = 512)]
    max_length: Option<usize>,
    /// A caption's score is its log-probability over its length to this power.
    #[param(required = false, minimum = 0, maximum = 4, default = 0.0)]
    length_penalty: f64,
    /// Whether each word bears its attention map.
    #[param(required = false, default = false)]
    attention: bool,
}

impl Default for Captioning {
    fn default() -> Self {
        Self {
            beams: 1,
            max_length: None,
            length_penalty: 0.0,
            attention: false,
        }
    }
}

/// Parameters of a prediction of the tensor task.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Tensor {
    /// The one output that is answered. Default: all of them.
    #[param(required = false, example = "logits")]
    output: Option<String>,
}

/// Parameters of `sample`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Sample {
    /// How many pictures.
    #[param(required = false, minimum = 1, maximum = 64, default = 16)]
    n: usize,
    /// The same seed gives the same pictures.
    #[param(required = false, default = 0)]
    seed: u64,
    /// The standard deviation of the latents; lower is more typical.
    #[param(required = false, minimum = 0, maximum = 10, default = 1.0)]
    temperature: f32,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            n: 16,
            seed: 0,
            temperature: 1.0,
        }
    }
}

/// The way from one latent to another.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Path {
    /// Along the straight line.
    Linear,
    /// Along the great circle (Shoemake, "Animating rotation with quaternion curves", 1985), lengths interpolated.
    Spherical,
}

/// Parameters of `interpolate`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Interpolate {
    /// Pictures on the way, both ends among them.
    #[param(required = false, minimum = 2, maximum = 64, default = 8)]
    steps: usize,
    /// The way: along the line, or along the great circle.
    #[param(inline, required = false, default = "linear")]
    path: Path,
}

impl Default for Interpolate {
    fn default() -> Self {
        Self {
            steps: 8,
            path: Path::Linear,
        }
    }
}

/// Parameters of a visualisation: a `layer` and a `channel` of it, or the `target` of a classifier.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Visualize {
    /// The layer whose channel is visualised; see `/layers`. Default: the model's own, else the last with a map.
    #[param(required = false, example = "features.10")]
    layer: Option<String>,
    /// A channel of the layer, from 0.
    #[param(required = false, minimum = 0)]
    channel: Option<i64>,
    /// A class id or a label, instead of a channel.
    #[param(value_type = String, required = false, example = "espresso")]
    target: AsTarget,
    /// Steps of the ascent.
    #[param(required = false, minimum = 1, maximum = 1000, default = 200)]
    n_steps: usize,
    /// How far a step goes, in units of a pixel's 255.
    #[param(required = false, minimum = 0, maximum = 100, default = 1.0)]
    learning_rate: f64,
    /// By how many pixels the picture is shifted at random before each step, at most.
    #[param(required = false, minimum = 0, maximum = 64, default = 4)]
    jitter: u32,
    /// The weight of the total variation, which makes it smooth.
    #[param(required = false, minimum = 0, maximum = 1000, default = 1.0)]
    tv: f64,
    /// The weight of the mean magnitude, which keeps it near gray.
    #[param(required = false, minimum = 0, maximum = 1000, default = 0.3)]
    l1: f64,
    /// The seed of the noise and the jitter; the same one gives the same picture.
    #[param(value_type = u64, required = false, maximum = 4294967295_u64, default = 0)]
    seed: u32,
    /// Stops after this long, and says how far it came.
    #[param(required = false, minimum = 1)]
    budget_ms: Option<u64>,
}

impl Default for Visualize {
    fn default() -> Self {
        Self {
            layer: None,
            channel: None,
            target: AsTarget::default(),
            n_steps: 200,
            learning_rate: 1.0,
            jitter: 4,
            tv: 1.0,
            l1: 0.3,
            seed: 0,
            budget_ms: None,
        }
    }
}

/// A target in its own grammar.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct AsTarget(Target);

impl TryFrom<String> for AsTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// How many classes to answer.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn classification(parameters: &Parameters) -> Result<classification::Options> {
    let asked: Classification = parameters.read()?;
    Ok(classification::Options {
        top_k: at_least_one("top_k", asked.top_k)?,
    })
}

/// How a mask is drawn.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn segmentation(parameters: &Parameters) -> Result<MaskView> {
    let asked: Segmentation = parameters.read()?;
    Ok(MaskView {
        render: match asked.render {
            Render::Mask => MaskRender::Mask,
            Render::Overlay => MaskRender::Overlay,
        },
        alpha: Fraction::new("alpha", asked.alpha)?,
    })
}

/// The grid of a picture that a model makes.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn image_to_image(parameters: &Parameters) -> Result<Resolution> {
    let asked: ImageToImage = parameters.read()?;
    Ok(match asked.resolution {
        Grid::Native => Resolution::Native,
        Grid::Original => Resolution::Original,
    })
}

/// Of a detection, and how much of a drawn mask is tint.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn detection(parameters: &Parameters) -> Result<(detection::Options, Fraction)> {
    let asked: Detection = parameters.read()?;
    let fraction = |name, value: Option<f32>| value.map(|found| Fraction::new(name, found)).transpose();
    let count = asked.max_detections.map(|found| {
        at_least_one(
            "max_detections",
            within("max_detections", found, 1, MOST_DETECTIONS)?,
        )
    });
    let options = detection::Options {
        score_threshold: fraction("score_threshold", asked.score_threshold)?,
        iou_threshold: fraction("iou_threshold", asked.iou_threshold)?,
        max_detections: count.transpose()?,
    };
    Ok((options, Fraction::new("alpha", asked.alpha)?))
}

/// How a caption is searched for.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn captioning(parameters: &Parameters) -> Result<captioning::Options> {
    let asked: Captioning = parameters.read()?;
    captioning::Options::new(
        asked.beams,
        asked.max_length,
        asked.length_penalty,
        asked.attention,
    )
}

/// The name of the output that is asked for, if one is.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn tensor(parameters: &Parameters) -> Result<Option<String>> {
    Ok(parameters.read::<Tensor>()?.output)
}

/// Which latents are drawn.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn sample(parameters: &Parameters) -> Result<Draw> {
    let asked: Sample = parameters.read()?;
    Ok(Draw {
        n: asked.n,
        seed: asked.seed,
        temperature: asked.temperature,
    })
}

/// The way between two pictures.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn interpolate(parameters: &Parameters) -> Result<Way> {
    let asked: Interpolate = parameters.read()?;
    Ok(Way {
        steps: asked.steps,
        path: match asked.path {
            Path::Linear => vae::Path::Linear,
            Path::Spherical => vae::Path::Spherical,
        },
    })
}

/// What is visualised, and how.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn visualize(parameters: &Parameters) -> Result<visualize::Options> {
    let asked: Visualize = parameters.read()?;
    let ascent = Ascent {
        n_steps: asked.n_steps,
        learning_rate: asked.learning_rate,
        jitter: asked.jitter,
        tv: asked.tv,
        l1: asked.l1,
        seed: asked.seed,
    };
    let budget = asked.budget_ms.map(Duration::from_millis);
    visualize::Options::new((asked.layer, asked.channel), asked.target.0, ascent, budget)
}
