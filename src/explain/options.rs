//! The parameters of an explanation, as a client writes them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Colormap, Method, Normalize, Resolution, Target};
use crate::error::{Error, Result};

/// How CAMs are made less noisy, as pytorch-grad-cam does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Smooth {
    /// The mean over six variants of the picture, each scaled to 0..=1 at the input's size: as it is and mirrored,
    /// times 0.9, 1 and 1.1.
    Aug,
    /// The first principal component of the weighted channels instead of their sum.
    Eigen,
}

/// How `[channels, height, width]` becomes a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Their sum.
    Sum,
    /// The value of the largest magnitude, without its sign.
    MaxAbs,
    /// Not at all: a map of three dimensions.
    Keep,
}

/// How a PNG shows maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Render {
    /// The picture under the heat.
    #[default]
    Overlay,
    /// The heat alone.
    Heat,
    /// The picture, and beside it the picture under the heat.
    SideBySide,
}

/// Two sides, height and width: `32`, or `32,24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sides {
    /// Height.
    pub height: usize,
    /// Width.
    pub width: usize,
}

impl TryFrom<String> for Sides {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let sides: Vec<usize> = text
            .split(',')
            .filter_map(|side| side.trim().parse().ok())
            .collect();
        match (sides[..].first(), sides[..].last(), text.split(',').count()) {
            (Some(&height), Some(&width), 1 | 2)
                if height > 0 && width > 0 && sides.len() == text.split(',').count() =>
            {
                Ok(Self { height, width })
            }
            _ => Err("expected one side, such as 32, or height,width, such as 32,24".into()),
        }
    }
}

/// Parameters of an explanation. A parameter that the method does not use is ignored; `/explainers` lists which method
/// uses which.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// How the map is made.
    #[param(inline, required = false, default = "grad_cam")]
    pub method: Method,
    /// The layer whose activation is looked at, or several with commas between; see `/layers`. Default: the model's
    /// own, else the last with a map.
    #[param(required = false, example = "features.18")]
    pub layer: Option<String>,
    /// Of several layers, one map: each from 0 to 1 at the input's size, and their mean.
    #[param(required = false, default = false)]
    pub fuse: bool,
    /// What is explained. Default: the model's own best answer.
    /// Classification: a class id or a label. Segmentation: a class (over its own mask), `CLASS@pixel=x,y`, `all`.
    /// Detection: an object's index, a label, `box=x0,y0,x1,y1`, `all`. Captioning: `words`, `word=3`, `caption`.
    /// VAE: `mu[3]`, `sum_mu`, `reconstruction`.
    #[param(value_type = String, required = false, example = "Egyptian cat")]
    pub target: Target,
    /// `[rows, columns]` of a layer that gives tokens `[B, N, D]`, where N (or N − 1) is no square: `14,14`.
    #[param(value_type = String, required = false)]
    pub grid: Option<Sides>,
    /// How a CAM is made less noisy.
    #[param(inline, required = false)]
    pub smooth: Option<Smooth>,
    /// How the channels of an input attribution become a map. Default: `max_abs` for `saliency`, else `sum`.
    #[param(inline, required = false)]
    pub channels: Option<Channels>,
    /// What covers or replaces the picture, in the model's normalised units; 0 is the mean colour.
    #[param(required = false, default = 0.0)]
    pub baseline: f64,
    /// `integrated_gradients`: points on the way from the baseline.
    #[param(required = false, default = 50, minimum = 1, maximum = 1000)]
    pub n_steps: usize,
    /// `smooth_grad`: noisy copies.
    #[param(required = false, default = 25, minimum = 1, maximum = 1000)]
    pub n_samples: usize,
    /// `smooth_grad`: the noise's standard deviation, in the model's normalised units. Default: 0.15 of the range of
    /// the input.
    #[param(required = false, minimum = 0)]
    pub sigma: Option<f64>,
    /// `occlusion`: the window's side in pixels of the input, or height,width. Default: a seventh of the shorter side.
    #[param(value_type = String, required = false, example = "32")]
    pub window: Option<Sides>,
    /// `occlusion`: from one window to the next. Default: half a window.
    #[param(value_type = String, required = false, example = "16")]
    pub stride: Option<Sides>,
    /// `rise`, `d_rise`: how many masks.
    #[param(required = false, default = 500, minimum = 1, maximum = 20000)]
    pub n_masks: usize,
    /// `rise`, `d_rise`: the part of a mask's cells that is kept.
    #[param(required = false, default = 0.5, minimum = 0, maximum = 1)]
    pub p: f64,
    /// `rise`, `d_rise`: a mask's cells on a side.
    #[param(required = false, default = 8, minimum = 1, maximum = 64)]
    pub cell: usize,
    /// The seed of everything random; the same one gives the same map.
    #[param(required = false, default = 0)]
    pub seed: u64,
    /// Methods of many passes stop after this long, and say how far they came.
    #[param(required = false, minimum = 1)]
    pub budget_ms: Option<u64>,
    /// How the map is scaled.
    #[param(inline, required = false, default = "none")]
    pub normalize: Normalize,
    /// The grid that the map is answered on.
    #[param(inline, required = false, default = "native")]
    pub resolution: Resolution,
    /// Whether a JSON answer bears the overlay, too.
    #[param(required = false, default = false)]
    pub overlay: bool,
    /// How a PNG shows the map. Several maps of one picture are shown side by side, each with its target.
    #[param(inline, required = false, default = "overlay")]
    pub render: Render,
    /// The colours. Default: `turbo`; for maps with values below zero `red_blue`, white at zero.
    #[param(inline, required = false)]
    pub colormap: Option<Colormap>,
    /// How much of the overlay is heat, 0 to 1; where a signed map says little, less.
    #[param(required = false, default = 0.5, minimum = 0, maximum = 1)]
    pub alpha: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: Method::default(),
            layer: None,
            fuse: false,
            target: Target::Top,
            grid: None,
            smooth: None,
            channels: None,
            baseline: 0.0,
            n_steps: 50,
            n_samples: 25,
            sigma: None,
            window: None,
            stride: None,
            n_masks: 500,
            p: 0.5,
            cell: 8,
            seed: 0,
            budget_ms: None,
            normalize: Normalize::None,
            resolution: Resolution::Native,
            overlay: false,
            render: Render::Overlay,
            colormap: None,
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
        let number = |name: &str, found: f64, fits: bool, expected: &str| {
            let problem = || Error::parameter(name, format!("found {found}, expected {expected}"));
            if fits { Ok(()) } else { Err(problem()) }
        };
        let whole = |name: &str, found: usize, most: usize| {
            number(
                name,
                found as f64,
                (1..=most).contains(&found),
                &format!("1 to {most}"),
            )
        };
        number(
            "alpha",
            self.alpha.into(),
            (0.0..=1.0).contains(&self.alpha),
            "0 to 1",
        )?;
        number(
            "p",
            self.p,
            self.p > 0.0 && self.p <= 1.0,
            "more than 0, at most 1",
        )?;
        number(
            "baseline",
            self.baseline,
            self.baseline.is_finite(),
            "a finite number",
        )?;
        let sigma = self.sigma.unwrap_or(1.0);
        number(
            "sigma",
            sigma,
            sigma.is_finite() && sigma >= 0.0,
            "a finite number, 0 or more",
        )?;
        whole("n_steps", self.n_steps, 1000)?;
        whole("n_samples", self.n_samples, 1000)?;
        whole("n_masks", self.n_masks, 20_000)?;
        whole("cell", self.cell, 64)?;
        number("budget_ms", 0.0, self.budget_ms != Some(0), "at least 1")?;
        number(
            "seed",
            self.seed as f64,
            i64::try_from(self.seed).is_ok(),
            "less than 2⁶³",
        )?;
        if self.smooth.is_some() && !self.method.family().has_layer() {
            let method = self.method.name();
            return Err(Error::parameter(
                "smooth",
                format!("smooths methods that look at a layer, not {method}"),
            ));
        }
        Ok(())
    }

    /// The layers that were asked for; none: the default.
    #[must_use]
    pub fn layers(&self) -> Vec<&str> {
        let paths = self
            .layer
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::trim);
        paths.filter(|path| !path.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_one_or_two() {
        let sides = |text: &str| Sides::try_from(text.to_owned());
        assert_eq!(
            sides("32"),
            Ok(Sides {
                height: 32,
                width: 32
            })
        );
        assert_eq!(
            sides("32, 24"),
            Ok(Sides {
                height: 32,
                width: 24
            })
        );
        for wrong in ["", "0", "1,2,3", "a", "1,b", "-1"] {
            assert!(sides(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let wrong = |options: Options, name: &str| {
            let error = options.validate().expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        };
        wrong(
            Options {
                p: 0.0,
                ..Options::default()
            },
            "p",
        );
        wrong(
            Options {
                n_masks: 0,
                ..Options::default()
            },
            "n_masks",
        );
        wrong(
            Options {
                sigma: Some(f64::NAN),
                ..Options::default()
            },
            "sigma",
        );
        let smoothed = Options {
            method: Method::Rise,
            smooth: Some(Smooth::Aug),
            ..Options::default()
        };
        wrong(smoothed, "smooth");
        assert_eq!(Options::default().validate(), Ok(()));
    }

    #[test]
    fn layers_stand_with_commas_between() {
        let options = Options {
            layer: Some("a.b, c".into()),
            ..Options::default()
        };
        assert_eq!(options.layers(), ["a.b", "c"]);
        assert!(Options::default().layers().is_empty());
    }
}
