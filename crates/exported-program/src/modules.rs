//! The tree of modules, and which of them can be reached from which.

use std::collections::{BTreeMap, HashMap};

use crate::graph::Frame;
use crate::refused::{Refused, Result};

/// Modules that a network may have.
const MOST: usize = 1 << 18;

/// Paths of modules, parents before children, in the order in which they were registered.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    paths: Vec<String>,
    place: HashMap<String, usize>,
}

#[derive(Default)]
struct Node {
    /// By the order in which they came.
    children: Vec<String>,
    known: BTreeMap<String, Node>,
}

impl Modules {
    /// The modules at `paths`, and those around them.
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut top = Node::default();
        let mut count = 0;
        for path in paths {
            let mut node = &mut top;
            for part in path.split('.') {
                if !node.known.contains_key(part) {
                    count += 1;
                    node.children.push(part.to_owned());
                }
                node = node.known.entry(part.to_owned()).or_default();
            }
            if count > MOST {
                return Err(Refused::damaged(format!(
                    "the network has more than {MOST} modules"
                )));
            }
        }
        let mut modules = Self::default();
        modules.walk("", &top);
        Ok(modules)
    }

    fn walk(&mut self, above: &str, node: &Node) {
        for name in &node.children {
            let path = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}.{name}")
            };
            self.place.insert(path.clone(), self.paths.len());
            self.paths.push(path.clone());
            self.walk(&path, &node.known[name]);
        }
    }

    pub(crate) fn into_paths(self) -> Vec<String> {
        self.paths
    }

    /// The calls of `frames` that can stand in each other: each of a module in the one around it, or of one that was
    /// registered before it, as the parts that two modules share are. What was registered before leads to nothing that was
    /// registered later, so the modules form no circle. Other calls are a part of the one around them.
    pub(crate) fn nested(&self, frames: Vec<Frame>) -> Vec<Frame> {
        let mut kept: Vec<Frame> = Vec::new();
        for frame in frames {
            let stands = kept.last().is_none_or(|around| {
                let is_before = self.place.get(&frame.path) < self.place.get(&around.path);
                lies_in(&frame.path, &around.path) || (is_before && !lies_in(&around.path, &frame.path))
            });
            if stands {
                kept.push(frame);
            }
        }
        kept
    }
}

/// Whether what is at `path` belongs to the module at `module`, or to one in it.
pub(crate) fn lies_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_modules_are_reached_and_circles_are_not() {
        let modules =
            Modules::of(["body", "body.conv", "head", "head.fc"].into_iter()).expect("four modules");
        let nested = |paths: &[&str]| -> Vec<String> {
            let frame = |path: &&str| Frame {
                key: (*path).into(),
                path: (*path).into(),
                class: String::new(),
            };
            modules
                .nested(paths.iter().map(frame).collect())
                .into_iter()
                .map(|frame| frame.path)
                .collect()
        };
        assert_eq!(nested(&["body", "body.conv"]), ["body", "body.conv"]);
        assert_eq!(
            nested(&["head", "body", "body.conv"]),
            ["head", "body", "body.conv"]
        );
        assert_eq!(
            nested(&["body", "head", "body.conv"]),
            ["body", "body.conv"],
            "it was registered later"
        );
        assert_eq!(nested(&["head.fc", "head"]), ["head.fc"], "it is around it");
        assert_eq!(nested(&["body", "body"]), ["body"]);
    }

    #[test]
    fn modules_around_others_are_there_too() {
        let modules = Modules::of(["b.0.conv", "a"].into_iter()).expect("three modules");
        assert_eq!(modules.into_paths(), ["b", "b.0", "b.0.conv", "a"]);
    }
}
