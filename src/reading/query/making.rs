//! The parameters of operations that make pictures, of latents or of nothing.

use std::time::Duration;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::Result;
use crate::explain::Target;
use crate::explain::visualize::{self, Ascent};
use crate::reading::parameters::Parameters;
use crate::service::{Draw, Way};
use crate::tasks::vae;

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
