//! Measures whether a map depends on what the model has learned (Adebayo et al., «Sanity Checks for Saliency Maps», arXiv
//! 1810.03292, section 3.1): the values of weights change places, from the output down, and the map is made again. A map that stays
//! as it was shows the picture, and nothing of the model.
//!
//! Of a method that looks at a layer it is the weights above that layer; of the others the later half of the layers, and then all.
//! The target is that of the model as it is. It is done to copies, one after the other; the model stays as it is.

use torch_bridge::Layer;

use super::known::{BUDGET_MS, N_STEPS};
use super::map::{Map, Resolution};
use super::method::Family;
use super::objective::Settled;
use super::ranks::{correlation, ranks};
use super::sample::{Attribution, Attributions, Captures, Sample};
use super::sensitivity::{Randomised, Sensitivity, Stage, Subject, Untold};
use super::table::Row;
use crate::error::{Error, Result};
use crate::image::Placement;
use crate::tasks;

/// Random copies of each stage: fewer where each takes many passes.
fn copies(row: &Row) -> usize {
    let many = [BUDGET_MS.name, N_STEPS.name];
    let takes_many = row
        .parameters
        .iter()
        .any(|parameter| many.contains(&parameter.name));
    if takes_many { 3 } else { 8 }
}

/// How often a map is made again.
pub(super) fn times_made(row: &Row) -> usize {
    copies(row) * stages_of(row.family).len()
}

fn stages_of(family: Family) -> &'static [Randomised] {
    match family {
        Family::Layer | Family::LayerGradients => &[Randomised::AboveTheLayer],
        Family::LayerAndInputGradients | Family::InputGradients | Family::Outputs => {
            &[Randomised::UpperHalf, Randomised::All]
        }
        Family::Model => &[],
    }
}

/// What is known of the method and layer of one of the maps `made`, measured on it where nothing is; nothing where the budget ends.
///
/// # Errors
/// As those of passes, where the answer is no longer wanted or the device is full.
pub(super) fn sensitivity(
    sample: &Sample<'_>,
    row: &Row,
    (made, map): (&Attribution, &Map),
    settled: &Settled,
) -> Result<Option<Sensitivity>> {
    let subject = Subject {
        method: row.method,
        layer: made.layer.clone(),
        smooth: sample.ask.smooth,
        channels: sample.ask.channels,
    };
    if let Some(known) = sample.sensitivities.get(&subject) {
        return Ok(Some(known));
    }
    let found = match Measure::new(sample, row, (made, map), settled)? {
        Err(why) => Some(Sensitivity::Untold(why)),
        Ok(measure) => match measure.stages() {
            Ok(stages) => stages.map(|stages| Sensitivity::Measured {
                stages,
                copies: copies(row),
            }),
            Err(error) if is_of_the_request(&error) => return Err(error),
            Err(error) => {
                tracing::info!(%error, method = row.method.name(), "no map with random weights");
                Some(Sensitivity::Untold(Untold::Fails))
            }
        },
    };
    if let Some(found) = &found {
        sample.sensitivities.keep(subject, found);
    }
    Ok(found)
}

/// Whether it is not the random weights' doing.
fn is_of_the_request(error: &Error) -> bool {
    matches!(
        error,
        Error::Cancelled(_) | Error::DeadlineExceeded(_) | Error::OutOfMemory(_) | Error::DeviceLost(_)
    )
}

/// One map, and what is done to it.
struct Measure<'a> {
    sample: &'a Sample<'a>,
    row: &'a Row,
    settled: &'a Settled,
    made: &'a Attribution,
    placement: Placement,
    /// Of its magnitudes.
    ranks: Vec<f64>,
    /// Which weights, stage by stage.
    weights: Vec<(Randomised, Vec<String>)>,
}

impl<'a> Measure<'a> {
    fn new(
        sample: &'a Sample<'a>,
        row: &'a Row,
        (made, map): (&'a Attribution, &Map),
        settled: &'a Settled,
    ) -> Result<Result<Self, Untold>> {
        if row.family == Family::Model {
            return Ok(Err(Untold::OwnWords));
        }
        let Some(placement) = sample.placement else {
            return Err(Error::Internal("no picture here".into()));
        };
        let all = sample.exported.weights()?;
        if all.is_empty() {
            return Ok(Err(Untold::ConstantWeights));
        }
        let ranks = ranks_of(map, &placement);
        if map.degeneracy().is_some() || correlation(&ranks, &ranks).is_none() {
            return Ok(Err(Untold::EmptyMap));
        }
        let mut layers = Vec::new();
        for method in tasks::methods(sample.spec.manifest.task) {
            layers.extend(sample.exported.layers(method)?);
        }
        let owners = Owners { layers: &layers };
        let looked_at: Vec<&str> = made.layer.iter().flat_map(|layer| layer.split(',')).collect();
        let stage = |randomised: &Randomised| {
            let chosen = match randomised {
                Randomised::AboveTheLayer => owners.above(&all, &looked_at),
                Randomised::UpperHalf => owners.upper_half(&all),
                Randomised::All => all.clone(),
            };
            (*randomised, chosen)
        };
        let weights: Vec<(Randomised, Vec<String>)> = stages_of(row.family).iter().map(stage).collect();
        if weights.iter().any(|(_, chosen)| chosen.is_empty()) {
            return Ok(Err(Untold::NothingAbove));
        }
        Ok(Ok(Self {
            sample,
            row,
            settled,
            made,
            placement,
            ranks,
            weights,
        }))
    }

    /// Nothing where the budget ends before the last.
    fn stages(&self) -> Result<Option<Vec<Stage>>> {
        let mut stages = Vec::new();
        for (randomised, weights) in &self.weights {
            let mut stage = Stage {
                randomised: *randomised,
                parameters: weights.len(),
                correlation: 0.0,
                empty: 0,
            };
            let names: Vec<&str> = weights.iter().map(String::as_str).collect();
            let copies = copies(self.row);
            for seed in 0..copies {
                if self.sample.pace.is_spent() {
                    return Ok(None);
                }
                let again = self.again(&names, seed as u32)?;
                match again.and_then(|map| correlation(&self.ranks, &ranks_of(&map, &self.placement))) {
                    Some(found) => stage.correlation += found / copies as f64,
                    None => stage.empty += 1,
                }
            }
            stages.push(stage);
        }
        // A map that was cut short is no map to compare with.
        Ok((!self.sample.pace.is_spent()).then_some(stages))
    }

    /// The map by a copy whose weights of these names are random; nothing where it is not finite or there is none.
    fn again(&self, names: &[&str], seed: u32) -> Result<Option<Map>> {
        let copied = {
            // It is no pass, but takes a core all the same.
            let _permit = self.sample.pace.permit()?;
            self.sample.exported.shuffled(names, seed)?
        };
        let Some(module) = copied else {
            return Err(Error::InferenceFailed("the module cannot be copied".into()));
        };
        let captures = Captures::default();
        let sample = self.sample.by(&*module, &captures, self.settled);
        // Methods of gradients take them.
        let Attributions { maps, .. } = tch::with_grad(|| (self.row.run)(&sample))?;
        let same = |one: &Attribution| one.target == self.made.target && one.layer == self.made.layer;
        let Some(found) = maps.iter().find(|one| same(one)) else {
            return Ok(None);
        };
        let map = Map::of(&found.values)?;
        Ok(map.data.iter().all(|value| value.is_finite()).then_some(map))
    }
}

/// The ranks of the magnitudes of a map at the size of the input.
fn ranks_of(map: &Map, placement: &Placement) -> Vec<f64> {
    let large = map.resized(Resolution::Input, placement);
    ranks(&large.data.iter().map(|value| value.abs()).collect::<Vec<f32>>())
}

/// Which layer a weight is of.
struct Owners<'a> {
    /// In the order in which they finish.
    layers: &'a [Layer],
}

impl Owners<'_> {
    /// The innermost layer that has `weight`, and when it finishes; nothing of what the network itself has.
    fn of<'w>(&self, weight: &'w str) -> Option<(&'w str, usize)> {
        let mut path = weight;
        while let Some((around, _)) = path.rsplit_once('.') {
            if let Some(place) = self.place(around) {
                return Some((around, place));
            }
            path = around;
        }
        None
    }

    fn place(&self, path: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.path == path)
    }

    /// The weights of layers that run after all those of `looked_at`: what finishes later, and is not around them.
    fn above(&self, all: &[String], looked_at: &[&str]) -> Vec<String> {
        let last = looked_at.iter().filter_map(|path| self.place(path)).max();
        let Some(last) = last else { return Vec::new() };
        let is_in = |path: &str, around: &str| {
            path == around
                || path
                    .strip_prefix(around)
                    .is_some_and(|rest| rest.starts_with('.'))
        };
        let is_above = |weight: &&String| {
            self.of(weight).is_some_and(|(owner, place)| {
                place > last && !looked_at.iter().any(|path| is_in(path, owner))
            })
        };
        all.iter().filter(is_above).cloned().collect()
    }

    /// The weights of the later half of the layers that have any.
    fn upper_half(&self, all: &[String]) -> Vec<String> {
        let mut places: Vec<usize> = all.iter().filter_map(|weight| Some(self.of(weight)?.1)).collect();
        places.sort_unstable();
        places.dedup();
        let Some(first) = places.get(places.len() / 2) else {
            return Vec::new();
        };
        let is_late = |weight: &&String| self.of(weight).is_some_and(|(_, place)| place >= *first);
        all.iter().filter(is_late).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(paths: &[&str]) -> Vec<Layer> {
        let layer = |path: &&str| Layer {
            path: (*path).to_owned(),
            kind: String::new(),
            calls: 1,
        };
        paths.iter().map(layer).collect()
    }

    #[test]
    fn weights_above_a_layer_are_of_what_runs_after_it() {
        let layers = layers(&[
            "stem",
            "body.0.conv",
            "body.0.norm",
            "body.0",
            "body.1.conv",
            "body.1",
            "body",
            "head",
        ]);
        let owners = Owners { layers: &layers };
        let all = [
            "token",
            "stem.weight",
            "body.0.conv.weight",
            "body.0.scale",
            "body.1.conv.weight",
            "body.scale",
            "head.weight",
            "head.inner.bias",
        ];
        let all: Vec<String> = all.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            owners.above(&all, &["body.0"]),
            ["body.1.conv.weight", "head.weight", "head.inner.bias"]
        );
        // What is around the layer is computed with it, and not after it.
        assert_eq!(
            owners.above(&all, &["body.1.conv"]),
            ["head.weight", "head.inner.bias"]
        );
        assert_eq!(
            owners.above(&all, &["stem", "body"]),
            ["head.weight", "head.inner.bias"]
        );
        assert!(owners.above(&all, &["head"]).is_empty());
        assert!(owners.above(&all, &["nowhere"]).is_empty());
        assert_eq!(
            owners.upper_half(&all),
            [
                "body.1.conv.weight",
                "body.scale",
                "head.weight",
                "head.inner.bias"
            ]
        );
    }
}
