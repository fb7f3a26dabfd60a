//! A graph's nodes as steps, each with the modules in whose call it stands.

use crate::branches;
use crate::operators;
use crate::program::{Id, Step};
use crate::refused::{Refused, Result};
use crate::schema::{Graph, Node};
use crate::values::{Names, Values};

/// Modules in each other that a step may stand in.
const DEEPEST: usize = 128;

/// A call of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Another for each call: "L__self__layer1.0.relu@1".
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) class: String,
}

/// A step, and the calls that it stands in, from the outside; nothing where the file does not say.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) frames: Option<Vec<Frame>>,
    pub(crate) step: Step,
}

/// The steps of `graph`, whose inputs have their names already, and what it gives.
pub(crate) fn steps<'a>(
    graph: &'a Graph,
    names: &mut Names<'a>,
    values: &mut Values,
) -> Result<(Vec<Placed>, Vec<Option<Id>>)> {
    let mut placed = Vec::new();
    for node in &graph.nodes {
        let frames = frames(node)?;
        if let Some(name) = node.target.strip_prefix("torch.ops.higher_order.") {
            branches::expand(name, node, frames, names, values, &mut placed)?;
        } else if let Some(step) = operators::step(node, names, values)? {
            placed.push(Placed { frames, step });
        }
    }
    let mut constants = Vec::new();
    let given = graph
        .outputs
        .iter()
        .map(|output| operators::value(output, names, values, &mut constants));
    let given = given.collect::<Result<Vec<_>>>()?;
    // On top: what is in no module.
    placed.extend(constants.into_iter().map(|step| Placed {
        frames: Some(Vec::new()),
        step,
    }));
    Ok((placed, given))
}

/// The calls that a node stands in, but for the one of the whole network. `key,path,class;…`: classes may hold commas.
fn frames(node: &Node) -> Result<Option<Vec<Frame>>> {
    let Some(stack) = node.metadata.nn_module_stack.as_deref() else {
        return Ok(None);
    };
    let mut frames = Vec::new();
    for text in stack.split(';') {
        let mut parts = text.splitn(3, ',');
        let (Some(key), Some(path), Some(class)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(None);
        };
        if key.starts_with("_empty_nn_module_stack") {
            return Ok(None);
        }
        if !path.is_empty() {
            let frame = Frame {
                key: key.to_owned(),
                path: path.to_owned(),
                class: class.to_owned(),
            };
            frames.push(frame);
        }
    }
    if frames.len() > DEEPEST {
        return Err(Refused::damaged(format!(
            "a step stands in more than {DEEPEST} modules"
        )));
    }
    Ok(Some(frames))
}
