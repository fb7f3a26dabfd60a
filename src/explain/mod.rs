//! Where did it look? Methods, targets and rendering of saliency maps.
//!
//! [`Explainer`] owns an unfrozen copy of the model, loaded when the first explanation is asked for, and runs on
//! a thread and a queue of its own. The maps it answers are raw; [`render`] lays them on the picture.

pub mod cam;
mod colormap;
mod explainer;
mod layers;
pub mod render;
mod target;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{Error, Result};
use crate::image::Tile;
use crate::repository::manifest::TaskKind;
pub use colormap::Colormap;
pub use explainer::{Explainer, Origin};
pub use layers::{LayerMap, Layers};
pub use target::{ResolvedTarget, Target};

/// How a map is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Selvaraju et al., Grad-CAM (arXiv 1610.02391), eq. 1 and 2: `ReLU(Σₖ mean(∂S/∂Aₖ) · Aₖ)`.
    #[default]
    GradCam,
}

impl Method {
    /// Every method that explains a model of this task.
    #[must_use]
    pub fn of_task(task: TaskKind) -> &'static [Self] {
        match task {
            TaskKind::Classification => &[Self::GradCam],
            _ => &[],
        }
    }
}

/// Parameters of an explanation.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// How the map is made.
    #[param(inline, required = false, default = "grad_cam")]
    pub method: Method,
    /// The layer whose activation is looked at; see `/layers`. Default: the model's own, else the last with a map.
    #[param(required = false, example = "features.18")]
    pub layer: Option<String>,
    /// What is explained: a class id or a label. Default: the model's best class for this image.
    #[param(value_type = String, required = false, example = "Egyptian cat")]
    pub target: Target,
    /// Whether a JSON answer bears the overlay, too.
    #[param(required = false, default = false)]
    pub overlay: bool,
    /// The colours of the overlay.
    #[param(inline, required = false, default = "turbo")]
    pub colormap: Colormap,
    /// How much of the overlay is heat, 0 to 1.
    #[param(required = false, default = 0.5, minimum = 0, maximum = 1)]
    pub alpha: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: Method::default(),
            layer: None,
            target: Target::Top,
            overlay: false,
            colormap: Colormap::default(),
            alpha: 0.5,
        }
    }
}

impl Options {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.alpha) {
            let found = self.alpha;
            return Err(Error::parameter(
                "alpha",
                format!("found {found}, expected 0 to 1"),
            ));
        }
        Ok(())
    }
}

/// What an [`Explainer`] is asked.
#[derive(Debug)]
pub enum Request {
    /// A map for one image.
    Explain(Box<Item>),
    /// Which layers have a map?
    Layers,
}

/// One image for one explanation.
#[derive(Debug)]
pub struct Item {
    /// The model's input, before normalisation.
    pub tile: Tile,
    /// How the map is made.
    pub method: Method,
    /// A layer path.
    pub layer: Option<String>,
    /// What is explained.
    pub target: Target,
}

/// What an [`Explainer`] answers.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Explain`].
    Explanation(Explanation),
    /// To [`Request::Layers`].
    Layers(Layers),
}

/// A saliency map and what it is of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// How it was made.
    pub method: Method,
    /// The layer whose activation was looked at.
    #[schema(example = "features.18")]
    pub layer: String,
    /// What was explained.
    pub target: ResolvedTarget,
    /// The method's own result.
    pub map: Map,
    /// Whether the map says nothing: it is zero everywhere, or not finite.
    pub degenerate: bool,
    /// Why the map is degenerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degenerate_reason: Option<&'static str>,
}

/// A raw map at its native resolution, not normalised.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Map {
    /// `[height, width]`
    #[schema(example = json!([7, 7]))]
    pub shape: [usize; 2],
    /// Row-major; one value a cell. Values that are not finite are `null` in JSON.
    pub data: Vec<f32>,
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
}

impl Map {
    /// A map of `shape[0] · shape[1]` values.
    #[must_use]
    pub fn new(shape: [usize; 2], data: Vec<f32>) -> Self {
        debug_assert_eq!(shape[0] * shape[1], data.len());
        let min = data.iter().copied().fold(f32::INFINITY, f32::min);
        let max = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Self {
            shape,
            data,
            min,
            max,
        }
    }

    /// Why this map says nothing, if so.
    #[must_use]
    pub fn degeneracy(&self) -> Option<&'static str> {
        if self.data.iter().any(|v| !v.is_finite()) {
            Some("the map has values that are not finite")
        } else if self.data.iter().all(|&v| v == 0.0) {
            Some("the map is zero everywhere: nothing at this layer raises the target's score")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_knows_when_it_says_nothing() {
        assert_eq!(Map::new([1, 2], vec![0.0, 0.5]).degeneracy(), None);
        assert!(
            Map::new([1, 2], vec![0.0, 0.0])
                .degeneracy()
                .is_some_and(|r| r.contains("zero"))
        );
        assert!(
            Map::new([1, 2], vec![1.0, f32::NAN])
                .degeneracy()
                .is_some_and(|r| r.contains("finite"))
        );
    }
}
