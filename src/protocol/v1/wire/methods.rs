//! What can be explained, and how: layers and methods.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::names::{Method, TaskKind};
use crate::explain::{self, Cells, DefaultOf, DefaultValue};

/// The layers of a model that a map can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct LayerList {
    #[schema(example = "mobilenet_v2")]
    model: String,
    /// The layer that is looked at when none is asked for.
    #[schema(example = "features.18")]
    default: Option<String>,
    /// In the order of execution.
    layers: Vec<LayerMap>,
}

/// A layer with a map.
#[derive(Debug, Serialize, ToSchema)]
struct LayerMap {
    /// Its path from the model's root.
    #[schema(example = "features.18")]
    path: String,
    /// Its class.
    #[schema(example = "Conv2dNormActivation")]
    kind: String,
    /// The shape of its output for one image: `[1, C, h, w]`, `[1, h, w, C]`, or `[1, N, D]` for tokens.
    #[schema(example = json!([1, 1280, 7, 7]))]
    shape: Vec<i64>,
    /// Where its cells are.
    #[schema(inline)]
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
    /// `[rows, columns]` that tokens are laid out in; those before the last rows · columns are no cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<[i64; 2]>,
    /// How many times it runs in one pass; of several runs the last one that matters is looked at.
    calls: usize,
}

/// How the output of a layer is to be read.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Layout {
    /// `[1, C, h, w]`
    Nchw,
    /// `[1, h, w, C]`
    Nhwc,
    /// `[1, N, D]`
    Tokens,
}

impl Layout {
    fn of(cells: Cells) -> Self {
        match cells {
            Cells::ChannelsFirst => Self::Nchw,
            Cells::ChannelsLast => Self::Nhwc,
            Cells::Tokens { .. } => Self::Tokens,
        }
    }
}

impl LayerList {
    pub(in crate::protocol::v1) fn new(model: &str, layers: explain::Layers) -> Self {
        let layer = |layer: explain::LayerMap| LayerMap {
            path: layer.path,
            kind: layer.kind,
            shape: layer.shape,
            layout: layer.cells.map(Layout::of),
            grid: match layer.cells {
                Some(Cells::Tokens { rows, columns, .. }) => Some([rows, columns]),
                _ => None,
            },
            calls: layer.calls,
        };
        Self {
            model: model.to_owned(),
            default: layers.default,
            layers: layers.with_map.into_iter().map(layer).collect(),
        }
    }
}

/// The methods that a model supports.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct ExplainerList {
    #[schema(example = "mobilenet_v2")]
    pub(in crate::protocol::v1) model: String,
    pub(in crate::protocol::v1) task: TaskKind,
    pub(in crate::protocol::v1) explainers: Vec<Manual>,
}

/// A method, as it explains one model.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Manual {
    /// Its name.
    method: Method,
    /// What it needs.
    needs: Family,
    /// Whether values below zero mean something.
    signed: bool,
    /// What it is asked with; the ways to show a map (`overlay`, `colormap`, `alpha`, `render`, `normalize`,
    /// `resolution`) hold for every method and are not repeated here.
    parameters: Vec<Parameter>,
    /// Passes through the model with the defaults, for one image and target.
    passes: Cost,
    /// What whoever reads its maps should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<&'static str>,
}

/// What a method needs.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Family {
    /// A layer and gradients.
    LayerGradients,
    /// A layer; no gradients.
    Layer,
    /// Gradients with respect to the input.
    InputGradients,
    /// A layer, and gradients with respect to the input.
    LayerAndInputGradients,
    /// Only outputs.
    Outputs,
    /// What the model itself says.
    Model,
}

/// A parameter of a method.
#[derive(Debug, Serialize, ToSchema)]
struct Parameter {
    /// Its name.
    #[schema(example = "n_masks")]
    name: &'static str,
    /// `integer`, `number`, `boolean` or `string`.
    #[serde(rename = "type")]
    #[schema(example = "integer")]
    kind: &'static str,
    /// What it is when it is not given; null: as its description says.
    #[schema(value_type = Value, example = 500)]
    default: Option<Value>,
    /// What it does.
    description: &'static str,
}

/// Passes through a model, in images.
#[derive(Debug, Serialize, ToSchema)]
struct Cost {
    /// Forward.
    forward: usize,
    /// Backward.
    backward: usize,
}

impl From<explain::Manual> for Manual {
    fn from(manual: explain::Manual) -> Self {
        let parameter = |described: explain::Described| Parameter {
            name: described.name,
            kind: described.kind,
            default: match described.default {
                DefaultOf::Layer(layer) => layer.map(Value::from),
                DefaultOf::Any(default) => default_json(default),
            },
            description: described.description,
        };
        Self {
            method: manual.method.into(),
            needs: manual.needs.into(),
            signed: manual.signed,
            parameters: manual.parameters.into_iter().map(parameter).collect(),
            passes: Cost {
                forward: manual.passes.forward,
                backward: manual.passes.backward,
            },
            caution: manual.caution,
        }
    }
}

/// The default of a parameter as JSON, where it has one that is not only described.
pub(in crate::protocol::v1) fn default_json(default: DefaultValue) -> Option<Value> {
    match default {
        DefaultValue::Described => None,
        DefaultValue::Integer(value) => Some(value.into()),
        DefaultValue::Number(value) => Some(value.into()),
        DefaultValue::Boolean(value) => Some(value.into()),
        DefaultValue::Word(value) => Some(value.into()),
    }
}

impl From<explain::Family> for Family {
    fn from(family: explain::Family) -> Self {
        use explain::Family as Core;
        match family {
            Core::LayerGradients => Self::LayerGradients,
            Core::Layer => Self::Layer,
            Core::InputGradients => Self::InputGradients,
            Core::LayerAndInputGradients => Self::LayerAndInputGradients,
            Core::Outputs => Self::Outputs,
            Core::Model => Self::Model,
        }
    }
}
