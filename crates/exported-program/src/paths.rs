//! The paths of calls from the top of the network.
//!
//! Of what is called within a module whose `forward` was replaced by another of its methods, torch.export notes the path from
//! that module alone: `conv` for `body.0.conv`, and within a list of modules there `m.0`, `m.0.conv`. Such a path may also be the
//! one of another module, so the weights that are read in a call tell where several could be meant.

use std::collections::{HashMap, HashSet};

use crate::graph::{Frame, Placed};
use crate::modules::lies_in;
use crate::program::Id;
use crate::scopes::reads;

/// Weights of a call that are looked at.
const LOOKED_AT: usize = 8;

/// Writes out the paths of the calls that `steps` stand in. `listed` are the network's modules, `weights` the paths of values
/// that are weights.
pub(crate) fn complete(steps: &mut [Placed], listed: &HashSet<&str>, weights: &HashMap<Id, &str>) {
    let mut read: HashMap<String, Vec<&str>> = HashMap::new();
    for placed in steps.iter() {
        let own: Vec<&str> = reads(&placed.step)
            .iter()
            .filter_map(|id| weights.get(id).copied())
            .collect();
        if own.is_empty() {
            continue;
        }
        for frame in placed.frames.iter().flatten() {
            let known = read.entry(frame.key.clone()).or_default();
            known.extend(own.iter().take(LOOKED_AT.saturating_sub(known.len())));
        }
    }
    for placed in steps {
        if let Some(frames) = &mut placed.frames {
            write_out(frames, listed, &read);
        }
    }
}

fn write_out(frames: &mut [Frame], listed: &HashSet<&str>, read: &HashMap<String, Vec<&str>>) {
    // From which module the path of the call around was noted, and that path.
    let (mut from, mut noted) = (String::new(), String::new());
    for at in 0..frames.len() {
        let own = frames[at].path.clone();
        let around = at.checked_sub(1).map_or("", |above| &frames[above].path);
        let same = lies_in(&own, &noted).then_some(from.as_str());
        let mut possible: Vec<(&str, String)> = Vec::new();
        for from in same.into_iter().chain(["", around]) {
            let path = match from {
                "" => own.clone(),
                _ => format!("{from}.{own}"),
            };
            if listed.contains(path.as_str()) && possible.iter().all(|(_, other)| *other != path) {
                possible.push((from, path));
            }
        }
        let holds = |path: &str| {
            let mut weights = read.get(&frames[at].key).into_iter().flatten();
            weights.any(|weight| lies_in(weight, path))
        };
        let told = possible
            .iter()
            .find(|(_, path)| possible.len() > 1 && holds(path));
        let chosen = told.or(possible.first()).cloned();
        let (next, path) = chosen.map_or((String::new(), own.clone()), |(from, path)| {
            (from.to_owned(), path)
        });
        frames[at].path = path;
        (from, noted) = (next, own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: [&str; 12] = [
        "body",
        "body.m",
        "body.m.0",
        "body.m.0.cv1",
        "body.m.0.cv1.conv",
        "body.m.0.m",
        "body.m.0.m.0",
        "body.m.0.m.0.cv1",
        "body.m.0.m.0.cv1.conv",
        "head",
        "head.conv",
        "conv",
    ];

    /// The paths of calls that were noted so, in the innermost of which this weight is read.
    fn paths(noted: &[&str], weight: Option<&'static str>) -> Vec<String> {
        let frame = |path: &&str| Frame {
            key: format!("L__self__{path}@1"),
            path: (*path).into(),
            class: String::new(),
        };
        let mut frames: Vec<Frame> = noted.iter().map(frame).collect();
        let read = weight.map(|weight| {
            frames
                .iter()
                .map(|frame| (frame.key.clone(), vec![weight]))
                .collect()
        });
        write_out(&mut frames, &LISTED.into(), &read.unwrap_or_default());
        frames.into_iter().map(|frame| frame.path).collect()
    }

    #[test]
    fn paths_from_the_top_stay() {
        assert_eq!(paths(&["body", "body.m.0"], None), ["body", "body.m.0"]);
        assert_eq!(
            paths(&["body", "head", "head.conv"], None),
            ["body", "head", "head.conv"]
        );
        assert_eq!(
            paths(&["elsewhere", "within"], None),
            ["elsewhere", "within"],
            "not listed"
        );
    }

    #[test]
    fn paths_from_a_module_are_from_the_same_one_as_the_call_around() {
        let noted = ["body", "m.0", "m.0.cv1", "conv"];
        let expected = ["body", "body.m.0", "body.m.0.cv1", "body.m.0.cv1.conv"];
        // Below body.m.0 there is an m.0.cv1, too, and a conv at the top.
        assert_eq!(paths(&noted, Some("body.m.0.cv1.conv.weight")), expected);
        let noted = ["body", "m.0", "m.0.m", "m.0.m.0", "m.0.m.0.cv1", "conv"];
        let expected = [
            "body",
            "body.m.0",
            "body.m.0.m",
            "body.m.0.m.0",
            "body.m.0.m.0.cv1",
            "body.m.0.m.0.cv1.conv",
        ];
        assert_eq!(paths(&noted, Some("body.m.0.m.0.cv1.conv.weight")), expected);
    }

    #[test]
    fn weights_tell_modules_of_one_path_apart() {
        assert_eq!(
            paths(&["head", "conv"], Some("head.conv.weight")),
            ["head", "head.conv"]
        );
        assert_eq!(paths(&["head", "conv"], Some("conv.weight")), ["head", "conv"]);
        assert_eq!(
            paths(&["head", "conv"], None),
            ["head", "conv"],
            "from the top, where nothing tells"
        );
        let deep = paths(&["body", "m.0", "m.0.cv1"], Some("body.m.0.m.0.cv1.conv.weight"));
        assert_eq!(
            deep,
            ["body", "body.m.0", "body.m.0.m.0.cv1"],
            "called from a replaced forward"
        );
    }
}
