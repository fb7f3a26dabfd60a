//! The parameters of each operation as a client writes them, and what they become.

mod making;
mod uncertain;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

pub use making::{Interpolate, Sample, Visualize, interpolate, sample, visualize};

pub use uncertain::{Uncertain, uncertain};

use super::parameters::Parameters;
use crate::error::Result;
use crate::manifest::MOST_DETECTIONS;
use crate::service::render::{MaskRender, MaskView};
use crate::tasks::bounds::{Fraction, at_least_one, within};
use crate::tasks::image_to_image::Resolution;
use crate::tasks::{captioning, classification, detection};

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
    /// How much of an overlay, or of a drawn mask of an object, is tint, 0 to 1.
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
    /// How much of a drawn mask is tint, 0 to 1. Segmentations document it: a name stands once in a list of parameters.
    #[param(ignore)]
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

/// How many classes to answer.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter)
pub fn classification(parameters: &Parameters) -> Result<classification::Options> {
    let asked: Classification = parameters.read()?;
    Ok(classification::Options::best(at_least_one("top_k", asked.top_k)?))
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
