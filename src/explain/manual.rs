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
    let defaults = Options::default();
    let parameter = |name, kind, default, description| Parameter {
        name,
        kind,
        default,
        description,
    };
    let mut all = vec![parameter("target", "string", Value::Null, targets(task))];
    if method.family().has_layer() {
        let of_layers = [
            (
                "layer",
                "string",
                json!(layers.default),
                "a path of /layers, or several with commas between",
            ),
            (
                "grid",
                "string",
                Value::Null,
                "rows,columns of tokens; by themselves where they are a square",
            ),
        ];
        all.extend(of_layers.map(|(n, k, d, t)| parameter(n, k, d, t)));
    }
    if matches!(method.family(), Family::LayerGradients | Family::Layer) {
        let smooth = "aug: the mean over six variants of the picture; eigen: the first principal component";
        all.push(parameter("smooth", "string", Value::Null, smooth));
        all.push(parameter(
            "fuse",
            "boolean",
            json!(defaults.fuse),
            "one map of several layers",
        ));
    }
    if matches!(
        method.family(),
        Family::InputGradients | Family::LayerAndInputGradients
    ) {
        let usual = if method == Method::Saliency {
            "max_abs"
        } else {
            "sum"
        };
        let text = "how channels become a map: sum, max_abs or keep";
        all.push(parameter("channels", "string", json!(usual), text));
    }
    let baseline = "what covers or replaces the picture, in the model's normalised units";
    let baseline = parameter("baseline", "number", json!(defaults.baseline), baseline);
    let seed = parameter(
        "seed",
        "integer",
        json!(defaults.seed),
        "the same one gives the same map",
    );
    let budget = "stop after so many milliseconds, and say how far it came";
    let budget = parameter("budget_ms", "integer", Value::Null, budget);
    match method {
        Method::SmoothGrad => {
            let sigma =
                "the noise's standard deviation, in the model's normalised units; 0.15 of the input's range";
            all.push(parameter(
                "n_samples",
                "integer",
                json!(defaults.n_samples),
                "noisy copies",
            ));
            all.push(parameter("sigma", "number", Value::Null, sigma));
            all.extend([seed, budget]);
        }
        Method::IntegratedGradients => {
            all.push(parameter(
                "n_steps",
                "integer",
                json!(defaults.n_steps),
                "points of the quadrature",
            ));
            all.push(baseline);
        }
        Method::Occlusion => {
            let window =
                "the window's side, or height,width, in pixels of the input; a seventh of the shorter side";
            all.push(parameter("window", "string", Value::Null, window));
            all.push(parameter(
                "stride",
                "string",
                Value::Null,
                "from one window to the next; half a window",
            ));
            all.extend([baseline, budget]);
        }
        Method::Rise | Method::DRise => {
            all.push(parameter(
                "n_masks",
                "integer",
                json!(defaults.n_masks),
                "how many masks",
            ));
            all.push(parameter(
                "p",
                "number",
                json!(defaults.p),
                "the part of a mask's cells that is kept",
            ));
            all.push(parameter(
                "cell",
                "integer",
                json!(defaults.cell),
                "a mask's cells on a side",
            ));
            all.extend([baseline, seed, budget]);
        }
        Method::ScoreCam | Method::AblationCam => all.push(budget),
        _ => {}
    }
    all
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
