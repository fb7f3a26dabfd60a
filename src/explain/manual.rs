//! What a client should know of a method before it asks: its parameters with types and defaults, and what it costs.

use super::known::TARGET;
use super::layers::Layers;
use super::method::{Family, Method};
use super::options::Channels;
use super::parameter::{DefaultValue, Parameter};
use super::read::defaults;
use super::table::{Cost, Costed, Row};
use crate::manifest::TaskKind;

/// A method, as it explains one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Manual {
    /// Its name.
    pub method: Method,
    /// What it needs.
    pub needs: Family,
    /// Whether values below zero mean something.
    pub signed: bool,
    /// What it is asked with, but for the ways to show a map.
    pub parameters: Vec<Described>,
    /// Passes through the model with the defaults, for one image and target.
    pub passes: Cost,
    /// What a reader of its maps should know.
    pub caution: Option<&'static str>,
}

/// A parameter, as it is for one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// `integer`, `number`, `boolean` or `string`.
    pub kind: &'static str,
    /// What it is when it is not given.
    pub default: DefaultOf,
    /// What it does.
    pub description: &'static str,
}

/// What a parameter is when it is not given.
#[derive(Debug, Clone, PartialEq)]
pub enum DefaultOf {
    /// As for any model.
    Any(DefaultValue),
    /// The model's own layer, if it has one.
    Layer(Option<String>),
}

/// What is to be known of a method for a model of this input `(height, width)` and these layers.
#[must_use]
pub fn manual(row: &Row, task: TaskKind, size: (usize, usize), layers: &Layers) -> Manual {
    let target = Described {
        name: TARGET.name,
        kind: TARGET.type_name(),
        default: DefaultOf::Any(DefaultValue::Described),
        description: targets(task),
    };
    let own = row
        .parameters_of(task)
        .map(|parameter| described(row, parameter, layers));
    let options = defaults(row.method);
    let costed = Costed {
        options: &options,
        size,
        channels: layers.default_channels(),
    };
    Manual {
        method: row.method,
        needs: row.family,
        signed: row.is_signed,
        parameters: std::iter::once(target).chain(own).collect(),
        passes: row.cost(&costed),
        caution: row.caution,
    }
}

fn described(row: &Row, parameter: &Parameter, layers: &Layers) -> Described {
    let default = match parameter.name {
        "layer" => DefaultOf::Layer(layers.default.clone()),
        "channels" => DefaultOf::Any(DefaultValue::Word(Channels::usual(row.method).name())),
        _ => DefaultOf::Any(parameter.default()),
    };
    Described {
        name: parameter.name,
        kind: parameter.type_name(),
        default,
        description: parameter.description,
    }
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
        TaskKind::Embedding => "similarity (to the reference), a dimension's index; similarity",
        TaskKind::Regression => "a number's name or index, all; the number, where there is one",
        TaskKind::ImageToImage => {
            "pixel=x,y, box=x0,y0,x1,y1, CHANNEL@pixel=x,y, CHANNEL@box=x0,y0,x1,y1; none"
        }
        TaskKind::Tensor => {
            "NAME[I,…], an element of an output, of which a row is counted; the only one, where there is one"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::table::row;

    #[test]
    fn a_method_is_told_with_its_own_parameters_and_cost() {
        let of = |method| {
            manual(
                row(method),
                TaskKind::Classification,
                (224, 224),
                &Layers::default(),
            )
        };
        let names = |method| -> Vec<&str> { of(method).parameters.into_iter().map(|p| p.name).collect() };
        assert_eq!(
            names(Method::GradCam),
            ["target", "layer", "grid", "layout", "smooth", "fuse"]
        );
        assert_eq!(
            names(Method::Rise),
            ["target", "n_masks", "p", "cell", "baseline", "seed", "budget_ms"]
        );
        assert_eq!(names(Method::Saliency), ["target", "channels"]);
        let channels = |method| of(method).parameters[1].default.clone();
        assert_eq!(
            channels(Method::Saliency),
            DefaultOf::Any(DefaultValue::Word("max_abs"))
        );
        assert_eq!(
            channels(Method::InputXGradient),
            DefaultOf::Any(DefaultValue::Word("sum"))
        );
        let expected = Cost {
            forward: 170,
            backward: 0,
        };
        assert_eq!(of(Method::Occlusion).passes, expected);
    }
}
