//! What a method takes and gives: weights first, then what the caller hands over, all of it flat.

use crate::archive::Archive;
use crate::program::{Argument, Id, Kind};
use crate::refused::{Refused, Result, excerpt};
use crate::schema::{self, Document, InputSpec, ModuleCallSignature, OutputSpec, SymInt};
use crate::shapes::{self, Shape};
use crate::tree::{self, Key, Tree};
use crate::values::{Names, Values};
use crate::weights::{Tables, Weight};

/// The inputs of a program, whose names are bound.
pub(crate) struct Inputs {
    pub(crate) weights: Vec<(Id, Weight)>,
    pub(crate) arguments: Vec<Argument>,
}

/// Binds the names of the graph's inputs, and finds its weights.
pub(crate) fn inputs<'a>(
    document: &'a Document,
    tables: &Tables,
    archive: &mut Archive<'_>,
    (names, values): (&mut Names<'a>, &mut Values),
) -> Result<Inputs> {
    let specs = &document.graph_module.signature.input_specs;
    if specs.len() != document.graph_module.graph.inputs.len() {
        return Err(Refused::damaged(
            "the signature has another number of inputs than the graph",
        ));
    }
    let mut weights = Vec::new();
    let mut given = Vec::new();
    for spec in specs {
        let (arg, weight) = match spec {
            InputSpec::Parameter { arg, parameter_name } => {
                (arg, tables.weight(archive, parameter_name, true)?)
            }
            InputSpec::Buffer {
                arg,
                buffer_name,
                persistent: true,
            } => (arg, tables.weight(archive, buffer_name, false)?),
            InputSpec::Buffer { arg, buffer_name, .. } => (arg, tables.constant(archive, buffer_name)?),
            InputSpec::TensorConstant {
                arg,
                tensor_constant_name,
            } => (arg, tables.constant(archive, tensor_constant_name)?),
            InputSpec::UserInput { arg } => {
                given.push(user_input(arg, document, names, values)?);
                continue;
            }
            InputSpec::ConstantInput { .. } => {
                given.push(None);
                continue;
            }
            InputSpec::CustomObj { custom_obj_name } => {
                return Err(Refused::unsupported(format!(
                    "the network holds an object of a custom class, {}, which is a pickle; a pickle is not opened",
                    excerpt(custom_obj_name)
                )));
            }
            InputSpec::Token {} => {
                return Err(Refused::unsupported(
                    "the program has effects in an order (tokens)",
                ));
            }
        };
        weights.push((names.define(&arg.name, Kind::Tensor, values)?, weight));
    }
    Ok(Inputs {
        weights,
        arguments: arguments(document, given)?,
    })
}

/// A value that the caller hands over: nothing where it was fixed when the program was exported.
type Given = Option<(Id, Option<Shape>)>;

fn user_input<'a>(
    arg: &'a schema::Argument,
    document: &Document,
    names: &mut Names<'a>,
    values: &mut Values,
) -> Result<Given> {
    let (name, kind) = match arg {
        schema::Argument::Tensor(tensor) => (tensor.name.as_str(), Kind::Tensor),
        schema::Argument::SymInt(SymInt::Name(name)) => (name.as_str(), Kind::Int),
        schema::Argument::SymFloat(schema::SymFloat::Name(name)) => (name.as_str(), Kind::Float),
        schema::Argument::SymBool(schema::SymBool::Name(name)) => (name.as_str(), Kind::Bool),
        schema::Argument::CustomObj(_) => {
            return Err(Refused::unsupported("it takes an object of a custom class"));
        }
        _ => return Ok(None),
    };
    let shape = match kind {
        Kind::Tensor => {
            let meta = document.graph_module.graph.tensor_values.get(name);
            let missing = || Refused::damaged(format!("the input {} has no shape", excerpt(name)));
            Some(shapes::shape(
                meta.ok_or_else(missing)?,
                &document.range_constraints,
            )?)
        }
        _ => None,
    };
    Ok(Some((names.define(name, kind, values)?, shape)))
}

fn call_signature(document: &Document) -> Result<&ModuleCallSignature> {
    let top = document
        .graph_module
        .module_call_graph
        .iter()
        .find(|entry| entry.fqn.is_empty());
    top.and_then(|entry| entry.signature.as_ref())
        .ok_or_else(|| Refused::damaged("the signature of the network is missing"))
}

/// The values by argument.
fn arguments(document: &Document, mut given: Vec<Given>) -> Result<Vec<Argument>> {
    let signature = call_signature(document)?;
    let tree = tree::parse(
        &signature.in_spec,
        &document.graph_module.treespec_namedtuple_fields,
    )?;
    if tree.leaves().len() != given.len() {
        return Err(Refused::damaged(
            "the arguments hold another number of values than the signature has",
        ));
    }
    let tree = tree.map(&mut |at| given[at].take());
    let damaged = || Refused::damaged("the arguments are no pair of a tuple and a dict");
    let Tree::Tuple(pair) = tree else {
        return Err(damaged());
    };
    let [positional, named] = <[Tree<Given>; 2]>::try_from(pair).map_err(|_| damaged())?;
    let Tree::Tuple(positional) = positional else {
        return Err(damaged());
    };
    let named = match named {
        Tree::Dict(named) => named,
        Tree::Tuple(none) if none.is_empty() => Vec::new(),
        _ => return Err(damaged()),
    };
    let known = signature.forward_arg_names.as_deref().unwrap_or_default();
    let name = |at: usize| known.get(at).cloned().unwrap_or_else(|| format!("input{at}"));
    let positional = positional
        .into_iter()
        .enumerate()
        .map(|(at, tree)| (name(at), tree));
    let named = named.into_iter().map(|(key, tree)| match key {
        Key::Text(name) => (name, tree),
        Key::Int(number) => (number.to_string(), tree),
    });
    Ok(positional
        .chain(named)
        .filter_map(|(name, tree)| argument(&name, tree))
        .collect())
}

fn argument(name: &str, tree: Tree<Given>) -> Option<Argument> {
    let tree = tree.without(&|given| given)?;
    let mut shapes = Vec::new();
    let values = tree.map(&mut |(id, shape)| {
        shapes.push(shape);
        id
    });
    Some(Argument {
        name: excerpt(name),
        values,
        shapes,
    })
}

/// What the method gives, of what its graph gives.
pub(crate) fn answer(document: &Document, given: Vec<Option<Id>>) -> Result<Tree<Option<Id>>> {
    let specs = &document.graph_module.signature.output_specs;
    if specs.len() != given.len() {
        return Err(Refused::damaged(
            "the signature has another number of outputs than the graph",
        ));
    }
    let mut answers = Vec::new();
    for (spec, id) in specs.iter().zip(given) {
        match spec {
            OutputSpec::UserOutput { .. } | OutputSpec::LossOutput { .. } => answers.push(id),
            // The caller never sees its inputs again.
            OutputSpec::UserInputMutation { .. } => {}
            OutputSpec::BufferMutation { buffer_name: name }
            | OutputSpec::ParameterMutation { parameter_name: name } => {
                return Err(changes(name));
            }
            OutputSpec::GradientToParameter { .. } | OutputSpec::GradientToUserInput { .. } => {
                return Err(Refused::unsupported(
                    "it is a step of training; export the network in eval()",
                ));
            }
            OutputSpec::Token {} => {
                return Err(Refused::unsupported(
                    "the program has effects in an order (tokens)",
                ));
            }
        }
    }
    let signature = call_signature(document)?;
    let tree = tree::parse(
        &signature.out_spec,
        &document.graph_module.treespec_namedtuple_fields,
    )?;
    if tree.leaves().len() != answers.len() {
        return Err(Refused::damaged(
            "the answer holds another number of values than the signature has",
        ));
    }
    Ok(tree.map(&mut |at| answers[at]))
}

/// The network changes what it owns.
pub(crate) fn changes(name: &str) -> Refused {
    Refused::unsupported(format!(
        "each call changes the buffer {} of the network, so that answers would depend on what others asked before; export \
         it in eval(), or hand the state over as an argument",
        excerpt(name)
    ))
}
