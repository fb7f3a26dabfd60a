//! What a client should know of a method before it asks: its parameters with types and defaults, and what it costs.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::masks::windows;
use super::{Family, Layers, Method, Options};
use crate::repository::manifest::TaskKind;

/// A method, as it explains one model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Manual {
    /// Its name.
    pub method: Method,
    /// What it needs.
    pub needs: Family,
    /// Whether values below zero mean something.
    pub signed: bool,
    /// What it is asked with; the ways to show a map (`overlay`, `colormap`, `alpha`, `render`, `normalize`,
    /// `resolution`) hold for every method and are not repeated here.
    pub parameters: Vec<Parameter>,
    /// Passes through the model with the defaults, for one image and target.
    pub passes: Cost,
    /// What whoever reads its maps should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<&'static str>,
}

/// A parameter of a method.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Parameter {
    /// Its name.
    #[schema(example = "n_masks")]
    pub name: &'static str,
    /// `integer`, `number`, `boolean` or `string`.
    #[serde(rename = "type")]
    #[schema(example = "integer")]
    pub kind: &'static str,
    /// What it is when it is not given; null: as its description says.
    #[schema(value_type = Option<f64>, example = 500)]
    pub default: Value,
    /// What it does.
    pub description: &'static str,
}

/// Passes through a model, in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cost {
    /// Forward.
    pub forward: usize,
    /// Backward.
    pub backward: usize,
}

/// What is to be known of `method` for a model of this input `(height, width)` and these layers.
#[must_use]
pub fn manual(method: Method, task: TaskKind, size: (usize, usize), layers: &Layers) -> Manual {
    Manual {
        method,
        needs: method.family(),
        signed: method.is_signed(),
        parameters: parameters(method, task, layers),
        passes: cost(method, size, layers),
        caution: method.caution(),
    }
}

fn cost(method: Method, size: (usize, usize), layers: &Layers) -> Cost {
    let defaults = Options::default();
    let chosen = layers
        .with_map
        .iter()
        .find(|layer| Some(&layer.path) == layers.default.as_ref());
    let channels = chosen.map_or(0, |layer| {
        if layer.grid.is_some() {
            layer.shape[2]
        } else {
            layer.shape[1]
        }
    });
    let channels = usize::try_from(channels).unwrap_or(0);
    let (forward, backward) = match method {
        Method::EigenCam => (2, 0),
        Method::ScoreCam => (2 + channels, 0),
        Method::AblationCam => (3 + channels, 0),
        Method::SmoothGrad => (1 + defaults.n_samples, defaults.n_samples),
        Method::IntegratedGradients => (3 + defaults.n_steps, defaults.n_steps),
        Method::GuidedGradCam => (2, 2),
        Method::Occlusion => (1 + windows(size, None, None).len(), 0),
        Method::Rise | Method::DRise => (1 + defaults.n_masks, 0),
        Method::Attention => (1, 0),
        _ => (1, 1),
    };
    Cost { forward, backward }
}

fn parameters(method: Method, task: TaskKind, layers: &Layers) -> Vec<Parameter> {
    let target = Parameter {
        name: "target",
        kind: "string",
        default: Value::Null,
        description: targets(task),
    };
    let used = KNOWN
        .iter()
        .filter(|known| (known.used_by)(method))
        .map(|known| Parameter {
            name: known.name,
            kind: known.kind,
            default: match known.name {
                "layer" => json!(layers.default),
                "channels" if method == Method::Saliency => json!("max_abs"),
                _ => (known.default)(&Options::default()),
            },
            description: known.description,
        });
    std::iter::once(target).chain(used).collect()
}

/// A parameter, and which methods it is for.
struct Known {
    name: &'static str,
    kind: &'static str,
    default: fn(&Options) -> Value,
    description: &'static str,
    used_by: fn(Method) -> bool,
}

const KNOWN: [Known; 16] = [
    Known {
        name: "layer",
        kind: "string",
        default: |_| Value::Null,
        description: "a path of /layers, or several with commas between",
        used_by: |method| method.family().has_layer(),
    },
    Known {
        name: "grid",
        kind: "string",
        default: |_| Value::Null,
        description: "rows,columns of tokens; found by itself where they are a square",
        used_by: |method| method.family().has_layer(),
    },
    Known {
        name: "smooth",
        kind: "string",
        default: |_| Value::Null,
        description: "aug: the mean over six variants of the picture; eigen: the first principal component",
        used_by: is_cam,
    },
    Known {
        name: "fuse",
        kind: "boolean",
        default: |options| json!(options.fuse),
        description: "one map of several layers",
        used_by: is_cam,
    },
    Known {
        name: "channels",
        kind: "string",
        default: |_| json!("sum"),
        description: "how channels become a map: sum, max_abs or keep",
        used_by: |method| {
            matches!(
                method.family(),
                Family::InputGradients | Family::LayerAndInputGradients
            )
        },
    },
    Known {
        name: "n_samples",
        kind: "integer",
        default: |options| json!(options.n_samples),
        description: "noisy copies",
        used_by: |method| method == Method::SmoothGrad,
    },
    Known {
        name: "sigma",
        kind: "number",
        default: |_| Value::Null,
        description: "the noise's standard deviation, in the model's normalised units; 0.15 of the input's range",
        used_by: |method| method == Method::SmoothGrad,
    },
    Known {
        name: "n_steps",
        kind: "integer",
        default: |options| json!(options.n_steps),
        description: "points of the quadrature",
        used_by: |method| method == Method::IntegratedGradients,
    },
    Known {
        name: "window",
        kind: "string",
        default: |_| Value::Null,
        description: "the window's side, or height,width, in pixels of the input; a seventh of the shorter side",
        used_by: |method| method == Method::Occlusion,
    },
    Known {
        name: "stride",
        kind: "string",
        default: |_| Value::Null,
        description: "from one window to the next; half a window",
        used_by: |method| method == Method::Occlusion,
    },
    Known {
        name: "n_masks",
        kind: "integer",
        default: |options| json!(options.n_masks),
        description: "how many masks",
        used_by: is_rise,
    },
    Known {
        name: "p",
        kind: "number",
        default: |options| json!(options.p),
        description: "the part of a mask's cells that is kept",
        used_by: is_rise,
    },
    Known {
        name: "cell",
        kind: "integer",
        default: |options| json!(options.cell),
        description: "a mask's cells on a side",
        used_by: is_rise,
    },
    Known {
        name: "baseline",
        kind: "number",
        default: |options| json!(options.baseline),
        description: "what covers or replaces the picture, in the model's normalised units",
        used_by: |method| method.family() == Family::Outputs || method == Method::IntegratedGradients,
    },
    Known {
        name: "seed",
        kind: "integer",
        default: |options| json!(options.seed),
        description: "the same one gives the same map",
        used_by: |method| is_rise(method) || method == Method::SmoothGrad,
    },
    Known {
        name: "budget_ms",
        kind: "integer",
        default: |_| Value::Null,
        description: "stop after so many milliseconds, and say how far it came",
        used_by: |method| {
            let by_channel = matches!(method, Method::ScoreCam | Method::AblationCam);
            by_channel || method.family() == Family::Outputs || method == Method::SmoothGrad
        },
    },
];

fn is_cam(method: Method) -> bool {
    matches!(method.family(), Family::LayerGradients | Family::Layer)
}

fn is_rise(method: Method) -> bool {
    matches!(method, Method::Rise | Method::DRise)
}

fn targets(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Classification => "a class id or a label; the best class",
        TaskKind::Segmentation => {
            "a class id or a label (over its own mask), CLASS@pixel=x,y, all; the largest class"
        }
        TaskKind::Detection => "an object's index, a label, box=x0,y0,x1,y1, all; the surest object",
        TaskKind::Captioning => "word=N, a word, words, caption; every word",
        TaskKind::Vae => "mu[K], sum_mu, reconstruction; sum_mu",
        TaskKind::Tensor => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_told_with_its_own_parameters_and_cost() {
        let names = |method| -> Vec<&str> {
            let parameters =
                manual(method, TaskKind::Classification, (224, 224), &Layers::default()).parameters;
            parameters.into_iter().map(|parameter| parameter.name).collect()
        };
        assert_eq!(
            names(Method::GradCam),
            ["target", "layer", "grid", "smooth", "fuse"]
        );
        assert_eq!(
            names(Method::Rise),
            ["target", "n_masks", "p", "cell", "baseline", "seed", "budget_ms"]
        );
        assert_eq!(names(Method::Saliency), ["target", "channels"]);
        let occlusion = manual(
            Method::Occlusion,
            TaskKind::Classification,
            (224, 224),
            &Layers::default(),
        );
        assert_eq!(
            occlusion.passes,
            Cost {
                forward: 170,
                backward: 0
            }
        );
    }
}
