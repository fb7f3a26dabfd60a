//! What of a model can be explained: its layers with their shapes, the one that is looked at by default, and which
//! methods have what they need.

use tch::Tensor;
use torch_bridge::{Brief, Given, Tap, Value};

use super::cells::{Geometry, Hints};
use super::default_layer::{self, Seen};
use super::layers::{LayerMap, Layers};
use super::method::Family;
use super::order;
use super::pace::Pace;
use super::sides::Sides;
use super::table::{Row, of_model};
use crate::error::{Error, Result};
use crate::manifest::{ImageInput, Input};
use crate::runtime::Transparent;
use crate::tasks::{self, ModelSpec};

/// The layers of a model, as a blank image goes through them.
pub(super) fn layers(exported: &dyn Transparent, spec: &ModelSpec, pace: &Pace<'_>) -> Result<Layers> {
    let Input::Image(input) = &spec.manifest.input else {
        return Ok(Layers::default());
    };
    if !exported.has_gradients() {
        return Ok(Layers::default());
    }
    match seen_layers(exported, spec, input, pace) {
        Err(Error::InferenceFailed(words) | Error::NotDifferentiable(words)) => {
            let _no_grad = tch::no_grad_guard();
            Ok(Layers {
                without_gradients: Some(Brief(&words).to_string()),
                ..seen_layers(exported, spec, input, pace)?
            })
        }
        found => found,
    }
}

/// The same, with gradients or without, as the calling thread's grad mode says.
fn seen_layers(
    exported: &dyn Transparent,
    spec: &ModelSpec,
    input: &ImageInput,
    pace: &Pace<'_>,
) -> Result<Layers> {
    let blank = spec.blank(1, exported.device())?;
    let (walked, output) = walk(exported, spec, &blank, pace)?;
    let (height, width) = input.fit.size;
    let all = walked.iter().flat_map(|(layer, tensors, _)| {
        let shapes = tensors.iter().map(Tensor::size);
        shapes.map(|shape| (layer.kind.clone(), shape))
    });
    let all: Vec<(String, Vec<i64>)> = all.collect();
    let geometry = Geometry::new(
        [i64::from(height), i64::from(width)],
        all.iter().map(|(kind, shape)| (kind.as_str(), &shape[..])),
    );
    let hints = hints(spec);
    let as_seen = |walked: Vec<Walked>, geometry: &Geometry| -> Vec<Seen> {
        let all = walked.into_iter();
        all.map(|(layer, tensors, calls)| seen(layer, tensors, calls, geometry, hints))
            .collect()
    };
    let mut seen = as_seen(walked, &geometry);
    let mut geometry = geometry;
    if let Some(grid) = order::questioned(&seen) {
        let picture = order::with_first_patch(&blank, &spec.white(exported.device())?, grid)?;
        let (walked, _) = walk(exported, spec, &picture, pace)?;
        if order::is_cells_first(&seen, &as_seen(walked, &geometry))? {
            geometry = geometry.with_cells_first();
            for Seen { layer, .. } in &mut seen {
                layer.cells = layer
                    .cells
                    .and_then(|_| geometry.cells(&layer.kind, &layer.shape, hints));
            }
        }
    }
    let default = match &spec.manifest.explain.layer {
        Some(layer) => Some(layer.clone()),
        None => default_layer::find(&seen, &output, spec.manifest.task, pace)?,
    };
    let (with_map, without_map) = seen
        .into_iter()
        .map(|seen| seen.layer)
        .partition(|layer| layer.cells.is_some());
    Ok(Layers {
        with_map,
        without_map,
        default,
        without_gradients: None,
        folded: exported.folded(tasks::methods(spec.manifest.task)[0])?,
        geometry,
        hints,
    })
}

/// What model.toml says about the axes of layers.
fn hints(spec: &ModelSpec) -> Hints {
    let explain = &spec.manifest.explain;
    Hints {
        layout: explain.layout,
        grid: explain.grid.map(|[rows, columns]| Sides {
            height: rows as usize,
            width: columns as usize,
        }),
    }
}

/// PyTorch's layer that answers the weights of its attention beside its output. `[1, N, N]` look like tokens, and are none.
const ATTENTION: &str = "MultiheadAttention";

/// A layer, what its last execution gave, and how many there were.
type Walked = (torch_bridge::Layer, Vec<Tensor>, usize);

/// What each layer gives `picture`, and what the model does.
fn walk(
    exported: &dyn Transparent,
    spec: &ModelSpec,
    picture: &Tensor,
    pace: &Pace<'_>,
) -> Result<(Vec<Walked>, Value)> {
    let method = tasks::methods(spec.manifest.task)[0];
    let found = exported.layers(method)?;
    let taps: Vec<Tap> = found.iter().map(|layer| Tap::record(&layer.path)).collect();
    let given = taps.iter().map(|_| Given::Nothing).collect();
    let argument = tasks::argument(spec, picture)?;
    let capture = exported.capture(method, &taps)?;
    let permit = pace.permit()?;
    let run = capture.run(&permit, &[argument], given)?;
    drop(permit);
    let walked = found
        .into_iter()
        .zip(run.recorded)
        .map(|(layer, mut executions)| {
            let calls = executions.len();
            (layer, executions.pop().unwrap_or_default(), calls)
        });
    Ok((walked.collect(), run.output))
}

fn seen(
    layer: torch_bridge::Layer,
    tensors: Vec<Tensor>,
    calls: usize,
    geometry: &Geometry,
    hints: Hints,
) -> Seen {
    let cells = |tensor: &Tensor| geometry.cells(&layer.kind, &tensor.size(), hints);
    let tensors: Vec<Tensor> = if layer.kind == ATTENTION {
        tensors.into_iter().take(1).collect()
    } else {
        tensors
    };
    let is_map = |tensor: &Tensor| tensor.is_floating_point() && cells(tensor).is_some();
    let first_map = tensors.iter().position(is_map);
    let output = tensors.into_iter().nth(first_map.unwrap_or(0));
    Seen {
        layer: LayerMap {
            cells: output.as_ref().and_then(cells),
            shape: output.as_ref().map(Tensor::size).unwrap_or_default(),
            path: layer.path,
            kind: layer.kind,
            calls,
        },
        output,
    }
}

/// The methods that have what they need.
pub(super) fn abilities(
    exported: &dyn Transparent,
    spec: &ModelSpec,
    layers: &Layers,
) -> Result<Vec<&'static Row>> {
    let task = spec.manifest.task;
    if !exported.has_gradients() {
        return Ok(of_model(&spec.manifest)
            .filter(|row| row.family == Family::Outputs)
            .collect());
    }
    let capture = exported.capture(tasks::methods(task)[0], &[Tap::GuidedRelu])?;
    let has_relu = capture.places().first().is_some_and(|places| *places > 0);
    let says_where = spec
        .manifest
        .output
        .captioning
        .as_ref()
        .is_some_and(|keys| keys.attention_grid.is_some());
    let able = |row: &&Row| {
        (layers.default.is_some() || !row.family.has_layer())
            && (has_relu || !row.is_guided)
            && (says_where || row.family != Family::Model)
            && (layers.without_gradients.is_none() || !row.family.has_gradients())
    };
    Ok(of_model(&spec.manifest).filter(able).collect())
}
