//! What of a model can be explained: its layers with their shapes, the one that is looked at by default, and which
//! methods have what they need.

use tch::Tensor;
use torch_bridge::{Given, Tap, Value};

use super::layers::{LayerMap, Layers, has_map, token_grid};
use super::method::Family;
use super::pace::Pace;
use super::table::{Row, of_task};
use crate::error::Result;
use crate::manifest::{Input, TaskKind};
use crate::runtime::{self, Transparent};
use crate::tasks::{self, ModelSpec};

/// What one layer gave a blank image, last execution first tensor.
struct Seen {
    layer: LayerMap,
    output: Option<Tensor>,
}

/// The layers of a model, as a blank image goes through them.
pub(super) fn layers(exported: &dyn Transparent, spec: &ModelSpec, pace: &Pace<'_>) -> Result<Layers> {
    if matches!(spec.manifest.input, Input::Tensors { .. }) {
        return Ok(Layers::default());
    }
    let (seen, output) = walk(exported, spec, pace)?;
    let default = match &spec.manifest.explain.layer {
        Some(layer) => Some(layer.clone()),
        None => by_default(&seen, &output, pace)?,
    };
    let (with_map, without_map) = seen
        .into_iter()
        .map(|seen| seen.layer)
        .partition(|layer| has_map(&layer.shape));
    Ok(Layers {
        with_map,
        without_map,
        default,
    })
}

fn walk(exported: &dyn Transparent, spec: &ModelSpec, pace: &Pace<'_>) -> Result<(Vec<Seen>, Value)> {
    let method = tasks::methods(spec.manifest.task)[0];
    let found = exported.layers(method)?;
    let taps: Vec<Tap> = found.iter().map(|layer| Tap::record(&layer.path)).collect();
    let blank = spec.blank(1, exported.device())?;
    let given = taps.iter().map(|_| Given::Nothing).collect();
    let argument = tasks::argument(spec, &blank)?;
    let capture = exported.capture(method, &taps)?;
    let permit = pace.permit()?;
    let run = capture.run(&permit, &[argument], given)?;
    drop(permit);
    let seen = found
        .into_iter()
        .zip(run.recorded)
        .map(|(layer, mut executions)| {
            let calls = executions.len();
            let last = executions.pop().unwrap_or_default();
            // Of several tensors the first that has a map.
            let first_map = last
                .iter()
                .position(|tensor| has_map(&tensor.size()))
                .unwrap_or(0);
            let output = last.into_iter().nth(first_map);
            let shape = output.as_ref().map(Tensor::size).unwrap_or_default();
            Seen {
                layer: LayerMap {
                    path: layer.path,
                    kind: layer.kind,
                    grid: token_grid(&shape),
                    shape,
                    calls,
                },
                output,
            }
        });
    Ok((seen.collect(), run.output))
}

/// The last layer with a map `[B, C, h, w]`. If it lies in the first half, the model goes on with tokens: then the last
/// layer whose cells still matter for the output, since the last ones of a transformer only read the class token.
fn by_default(seen: &[Seen], output: &Value, pace: &Pace<'_>) -> Result<Option<String>> {
    let is_map = |seen: &&Seen| has_map(&seen.layer.shape) && seen.layer.grid.is_none();
    let last_map = seen.iter().rposition(|seen| is_map(&seen));
    if last_map.is_some_and(|index| 2 * index >= seen.len()) {
        return Ok(last_map.map(|index| seen[index].layer.path.clone()));
    }
    for seen in seen.iter().rev() {
        if let (Some([rows, columns]), Some(tokens)) = (seen.layer.grid, &seen.output)
            && matters(tokens, rows * columns, output, pace)?
        {
            return Ok(Some(seen.layer.path.clone()));
        }
    }
    Ok(last_map.map(|index| seen[index].layer.path.clone()))
}

/// Whether the output hangs on the last `cells` of `tokens [1, N, D]`.
fn matters(tokens: &Tensor, cells: i64, output: &Value, pace: &Pace<'_>) -> Result<bool> {
    let Some(output) = output.tensors().into_iter().find(|t| t.requires_grad()) else {
        return Ok(false);
    };
    let permit = pace.permit()?;
    let scalar = output.f_square()?.f_sum(tch::Kind::Float)?;
    let Some(gradient) = runtime::gradients(&permit, &scalar, &[tokens], true)?
        .pop()
        .flatten()
    else {
        return Ok(false);
    };
    let of_cells = gradient.f_narrow(1, tokens.size()[1] - cells, cells)?;
    Ok(f64::try_from(of_cells.f_abs()?.f_max()?)? > 0.0)
}

/// The methods that have what they need.
pub(super) fn abilities(
    exported: &dyn Transparent,
    spec: &ModelSpec,
    layers: &Layers,
) -> Result<Vec<&'static Row>> {
    let task = spec.manifest.task;
    if task == TaskKind::Tensor {
        return Ok(Vec::new());
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
    };
    Ok(of_task(task).filter(able).collect())
}
