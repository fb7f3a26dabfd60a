//! What is asked of an explanation, as types.

use std::time::Duration;

use super::cells::Hints;
use super::colormap::Colormap;
use super::map::{Normalize, Resolution};
use super::method::Method;
use super::sides::Sides;
use super::target::Target;
use crate::error::{Error, Result};

/// How CAMs are made less noisy, as pytorch-grad-cam does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smooth {
    /// The mean over six variants of the picture, each scaled to 0..=1 at the input's size: as it is and mirrored,
    /// times 0.9, 1 and 1.1.
    Aug,
    /// The first principal component of the weighted channels instead of their sum.
    Eigen,
}

/// How `[channels, height, width]` becomes a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Their sum.
    Sum,
    /// The value of the largest magnitude, without its sign.
    MaxAbs,
    /// Not at all: a map of three dimensions.
    Keep,
}

impl Channels {
    /// How the channels become a map where nothing else is asked.
    #[must_use]
    pub fn usual(method: Method) -> Self {
        match method {
            Method::Saliency => Self::MaxAbs,
            _ => Self::Sum,
        }
    }

    /// Its name in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::MaxAbs => "max_abs",
            Self::Keep => "keep",
        }
    }
}

/// How a PNG shows maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Render {
    /// The picture under the heat.
    #[default]
    Overlay,
    /// The heat alone.
    Heat,
    /// The picture, and beside it the picture under the heat.
    SideBySide,
}

/// How a map is shown; any method's may be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct View {
    /// How the map is scaled.
    pub normalize: Normalize,
    /// The grid that the map is answered on.
    pub resolution: Resolution,
    /// Whether a JSON answer bears the overlay, too.
    pub overlay: bool,
    /// How a PNG shows the map.
    pub render: Render,
    /// The colours; those that fit the method where none are asked for.
    pub colormap: Option<Colormap>,
    /// How much of the overlay is heat, 0 to 1.
    pub alpha: f32,
}

/// What is asked of an explanation. [`super::read`] makes one that is within the bounds of every parameter; a method looks
/// at those that its row of the table names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// How the map is made.
    pub method: Method,
    /// What is explained.
    pub target: Target,
    /// Of a model of tensors, the input that is explained; none: the only one of floats.
    pub input: Option<String>,
    /// The layers whose activation is looked at; none: the model's own.
    pub layers: Vec<String>,
    /// Of several layers, one map.
    pub fuse: bool,
    /// Where the cells of the layers are.
    pub hints: Hints,
    /// How a CAM is made less noisy.
    pub smooth: Option<Smooth>,
    /// How the channels of an input attribution become a map, where it is not the method's own way.
    pub channels: Option<Channels>,
    /// What covers or replaces the picture, in the model's normalised units.
    pub baseline: f64,
    /// Whether the baseline was asked for.
    pub baseline_is_given: bool,
    /// Points on the way from the baseline.
    pub n_steps: usize,
    /// Noisy copies.
    pub n_samples: usize,
    /// The noise's standard deviation, in the model's normalised units.
    pub sigma: Option<f64>,
    /// A window's sides in pixels of the input.
    pub window: Option<Sides>,
    /// From one window to the next.
    pub stride: Option<Sides>,
    /// How many masks.
    pub n_masks: usize,
    /// The part of a mask's cells that is kept.
    pub p: f64,
    /// A mask's cells on a side.
    pub cell: usize,
    /// The seed of everything random.
    pub seed: u32,
    /// Methods of many passes stop after this long.
    pub budget: Option<Duration>,
    /// Whether it is measured how far the map can be trusted.
    pub evidence: bool,
    /// Whether it is measured, too, how the map depends on the weights.
    pub weights: bool,
    /// Random maps that its evidence compares it with.
    pub random_maps: usize,
    /// How the map is shown.
    pub view: View,
}

impl Options {
    /// Refuses what an answer that has maps and nothing else has no place for: a picture, an array, a tensor.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn with_maps_alone(self) -> Result<Self> {
        if self.evidence {
            return Err(Error::parameter(
                "evidence",
                "this answer has a place for maps alone; ask /v1/models/{name}/explain for JSON",
            ));
        }
        Ok(self)
    }
}
