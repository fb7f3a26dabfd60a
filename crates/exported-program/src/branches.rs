//! Operators that take graphs: `torch.cond`, and regions without gradients.

use crate::graph::{self, Frame, Placed};
use crate::operators;
use crate::program::{Body, Branch, Id, Kind, Output, Step};
use crate::refused::{Refused, Result, excerpt};
use crate::schema::{Argument, Graph, Node, SymBool, SymInt};
use crate::values::{Names, Values};

/// Puts what the node computes behind `placed`.
pub(crate) fn expand<'a>(
    name: &str,
    node: &'a Node,
    frames: Option<Vec<Frame>>,
    names: &mut Names<'a>,
    values: &mut Values,
    placed: &mut Vec<Placed>,
) -> Result<()> {
    let args: Vec<&'a Argument> = node.inputs.iter().map(|input| &input.arg).collect();
    match (name, args.as_slice()) {
        ("cond", [condition, Argument::Graph(yes), Argument::Graph(no), operands]) => {
            let operands = self::operands(&[operands], names, values)?;
            let condition = condition_of(condition, names, values)?;
            let ways = [
                body(&yes.graph, &operands, values)?,
                body(&no.graph, &operands, values)?,
            ];
            let step = branch(condition, ways, outputs(node, names, values)?)?;
            placed.push(Placed { frames, step });
            Ok(())
        }
        ("wrap_with_set_grad_enabled", [Argument::Bool(enabled), Argument::Graph(inner), operands @ ..]) => {
            let region = Region {
                node,
                frames,
                detached: !enabled,
            };
            region.inline(&inner.graph, operands, (names, values), placed)
        }
        (
            "wrap_with_autocast",
            [
                _,
                _,
                Argument::Bool(false),
                _,
                Argument::Graph(inner),
                operands @ ..,
            ],
        ) => {
            let region = Region {
                node,
                frames,
                detached: false,
            };
            region.inline(&inner.graph, operands, (names, values), placed)
        }
        ("wrap_with_autocast", _) => Err(Refused::unsupported(
            "the network computes under torch.autocast; write its casts into the program before it is saved: \
             exported = exported.run_decompositions({})",
        )),
        _ => Err(Refused::unsupported(format!(
            "the program uses {}, which is not computed here; of torch's higher-order operators only cond and \
             torch.no_grad are",
            excerpt(name)
        ))),
    }
}

/// A step of `torch.cond`, both of whose ways give as many values.
fn branch(condition: Id, [yes, no]: [Body; 2], outputs: Vec<Id>) -> Result<Step> {
    if yes.outputs.len() != outputs.len() || no.outputs.len() != outputs.len() {
        return Err(Refused::damaged(
            "the ways of a cond give different numbers of values",
        ));
    }
    Ok(Step::Branch(Branch {
        condition,
        yes,
        no,
        outputs,
    }))
}

/// A graph that is a part of the one around it.
struct Region<'a> {
    node: &'a Node,
    frames: Option<Vec<Frame>>,
    detached: bool,
}

impl<'a> Region<'a> {
    fn inline(
        self,
        graph: &'a Graph,
        operands: &[&'a Argument],
        (names, values): (&mut Names<'a>, &mut Values),
        placed: &mut Vec<Placed>,
    ) -> Result<()> {
        let operands = self::operands(operands, names, values)?;
        let (steps, given) = within(graph, &operands, values)?;
        let here = self.frames.clone();
        placed.extend(steps.into_iter().map(|mut inner| {
            inner.frames = inner.frames.or_else(|| here.clone());
            inner
        }));
        let outputs = outputs(self.node, names, values)?;
        if outputs.len() != given.len() {
            return Err(Refused::damaged(
                "a region gives another number of values than is read of it",
            ));
        }
        for (to, from) in outputs.into_iter().zip(given) {
            let step = if self.detached && values.kind(from) == Kind::Tensor {
                Step::Detach { from, to }
            } else {
                Step::Same { from, to }
            };
            placed.push(Placed {
                frames: self.frames.clone(),
                step,
            });
        }
        Ok(())
    }
}

/// The values that a node hands to its graphs.
fn operands(all: &[&Argument], names: &Names<'_>, values: &Values) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    for argument in all {
        let found = operators::arg(argument, names, values)?;
        let count = ids.len();
        ids.extend(found.values());
        if ids.len() == count && !matches!(argument, Argument::Tensors(none) if none.is_empty()) {
            return Err(Refused::unsupported(
                "a graph within the program takes something else than tensors and numbers",
            ));
        }
    }
    Ok(ids)
}

fn condition_of(condition: &Argument, names: &Names<'_>, values: &Values) -> Result<Id> {
    match condition {
        Argument::Tensor(tensor) => names.find_kind(&tensor.name, Kind::Tensor, values),
        Argument::SymBool(SymBool::Name(name)) => names.find_kind(name, Kind::Bool, values),
        _ => Err(Refused::damaged("a cond has no condition")),
    }
}

/// A graph within another, as steps that stand in no call of their own.
fn body(graph: &Graph, operands: &[Id], values: &mut Values) -> Result<Body> {
    let (steps, outputs) = within(graph, operands, values)?;
    Ok(Body {
        steps: steps.into_iter().map(|placed| placed.step).collect(),
        outputs,
    })
}

fn within(graph: &Graph, operands: &[Id], values: &mut Values) -> Result<(Vec<Placed>, Vec<Id>)> {
    let mut names = Names::default();
    if graph.inputs.len() != operands.len() {
        return Err(Refused::damaged(
            "a graph within the program gets another number of values than it takes",
        ));
    }
    for (input, id) in graph.inputs.iter().zip(operands) {
        let name = match input {
            Argument::Tensor(tensor) => tensor.name.as_str(),
            Argument::SymInt(SymInt::Name(name)) => name,
            _ => {
                return Err(Refused::unsupported(
                    "a graph within the program takes something else than tensors",
                ));
            }
        };
        names.bind(name, *id)?;
    }
    let (steps, given) = graph::steps(graph, &mut names, values)?;
    let all = given.into_iter().collect::<Option<Vec<Id>>>();
    let outputs = all.ok_or_else(|| Refused::unsupported("a graph within the program gives None"))?;
    Ok((steps, outputs))
}

fn outputs<'a>(node: &'a Node, names: &mut Names<'a>, values: &mut Values) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    for given in &node.outputs {
        match operators::output(given, names, values)? {
            Output::One(id) => ids.push(id),
            Output::Many(all) => ids.extend(all),
            Output::Nothing => return Err(Refused::unsupported("a graph within the program gives None")),
        }
    }
    Ok(ids)
}
