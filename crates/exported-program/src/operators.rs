//! Nodes that call one operator, and their arguments.

use crate::program::{Arg, Id, Kind, Operator, Output, Step, Symbol, Whole};
use crate::refused::{Refused, Result, excerpt};
use crate::schema::{Argument, Float, Node, OptionalTensor, SymBool, SymFloat, SymInt, TensorArgument};
use crate::values::{Names, Values};
use crate::weights::Number;

/// Operators on numbers, each with TorchScript's name of it; the name is empty where an operator hands its number on.
const SYMBOLS: &[(&str, &str)] = &[
    ("_operator.eq", "aten::eq"),
    ("_operator.ne", "aten::ne"),
    ("_operator.le", "aten::le"),
    ("_operator.ge", "aten::ge"),
    ("_operator.lt", "aten::lt"),
    ("_operator.gt", "aten::gt"),
    ("_operator.neg", "aten::neg"),
    ("_operator.pos", ""),
    ("math.trunc", "aten::Int"),
    ("torch.sym_not", "aten::__not__"),
    ("_operator.mul", "aten::mul"),
    ("_operator.add", "aten::add"),
    ("_operator.sub", "aten::sub"),
    ("_operator.floordiv", "aten::floordiv"),
    ("_operator.mod", "aten::remainder"),
    ("_operator.pow", "aten::pow"),
    ("torch.sym_int", "aten::Int"),
    ("torch.sym_float", "aten::Float"),
    ("torch.sym_ite", "prim::If"),
    ("torch.sym_max", "prim::max"),
    ("torch.sym_min", "prim::min"),
    ("torch._sym_sqrt", "aten::sqrt"),
    ("torch.sym_sqrt", "aten::sqrt"),
    ("_operator.truediv", "aten::div"),
    ("_operator.and_", "aten::__and__"),
    ("_operator.or_", "aten::__or__"),
    ("_operator.lshift", "aten::__lshift__"),
    ("_operator.rshift", "aten::__rshift__"),
    ("torch.ops.aten.sym_size.int", "aten::size"),
    ("torch.ops.aten.sym_numel.default", "aten::numel"),
    ("torch.ops.aten.sym_stride.int", "aten::stride"),
    (
        "torch.ops.aten.sym_storage_offset.default",
        "aten::storage_offset",
    ),
];

/// Operators that say something of their tensors and compute nothing: the devices and dtypes of the machine where the program was
/// exported, ranges that tracing has used already.
const SAID: [&str; 4] = [
    "torch.ops.aten._assert_tensor_metadata.default",
    "torch.ops.aten.sym_constrain_range.default",
    "torch.ops.aten.sym_constrain_range_for_size.default",
    "torch.ops.aten._assert_async.msg",
];

/// The step of a node; nothing where it computes nothing.
pub(crate) fn step<'a>(node: &'a Node, names: &mut Names<'a>, values: &mut Values) -> Result<Option<Step>> {
    let target = node.target.as_str();
    if SAID.contains(&target) {
        return Ok(None);
    }
    let args = node
        .inputs
        .iter()
        .map(|input| Ok((input.name.clone(), arg(&input.arg, names, values)?)));
    let args = args.collect::<Result<Vec<_>>>()?;
    if let Some((_, name)) = SYMBOLS.iter().find(|(known, _)| *known == target) {
        let args = args.into_iter().map(|(_, arg)| arg).collect();
        return symbol(node, name, args, names, values).map(|symbol| Some(Step::Symbol(symbol)));
    }
    if let ("torch.ops.aten._assert_scalar.default", [(_, condition), (_, Arg::Text(message))]) =
        (target, args.as_slice())
    {
        return Ok(Some(Step::Check {
            condition: condition.clone(),
            message: excerpt(message),
        }));
    }
    let Some((name, overload)) = operator(target) else {
        let target = excerpt(target);
        return Err(Refused::unsupported(format!(
            "the program calls {target}, which is no operator of torch"
        )));
    };
    refuse_training(&name, &args)?;
    let outputs = node
        .outputs
        .iter()
        .map(|given| output(given, names, values))
        .collect::<Result<_>>()?;
    Ok(Some(Step::Operator(Operator {
        name,
        overload,
        args,
        outputs,
    })))
}

/// A batch norm by the statistics of its own batch, a dropout that drops: answers would hang on the pictures beside, or on
/// chance.
fn refuse_training(name: &str, args: &[(String, Arg)]) -> Result<()> {
    let says = |flag: &str| {
        args.iter()
            .any(|(name, arg)| name == flag && *arg == Arg::Bool(true))
    };
    let trains = match name {
        "aten::batch_norm" => says("training"),
        "aten::dropout" | "aten::feature_dropout" | "aten::alpha_dropout" => says("train"),
        _ => false,
    };
    if trains {
        return Err(Refused::unsupported(format!(
            "{name} computes as in training, so that an answer depends on the pictures beside it or on chance; call \
             model.eval() before it is exported"
        )));
    }
    Ok(())
}

/// "aten::conv2d" and "" of "torch.ops.aten.conv2d.default".
fn operator(target: &str) -> Option<(String, String)> {
    let (namespace, rest) = target.strip_prefix("torch.ops.")?.split_once('.')?;
    let (name, overload) = rest.rsplit_once('.')?;
    let is_word = |word: &str| {
        !word.is_empty() && word.len() < 200 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let overload = if overload == "default" { "" } else { overload };
    let is_right = is_word(namespace) && is_word(name) && (overload.is_empty() || is_word(overload));
    is_right.then(|| (format!("{namespace}::{name}"), overload.to_owned()))
}

fn symbol<'a>(
    node: &'a Node,
    name: &'static str,
    args: Vec<Arg>,
    names: &mut Names<'a>,
    values: &mut Values,
) -> Result<Symbol> {
    let target = excerpt(&node.target);
    let wanted = match name {
        "prim::If" => 3,
        ""
        | "aten::neg"
        | "aten::Int"
        | "aten::Float"
        | "aten::__not__"
        | "aten::sqrt"
        | "aten::numel"
        | "aten::storage_offset" => 1,
        _ => 2,
    };
    let is_number = |arg: &Arg| matches!(arg, Arg::Value(_) | Arg::Int(_) | Arg::Float(_) | Arg::Bool(_));
    if args.len() != wanted || !args.iter().all(is_number) {
        return Err(Refused::damaged(format!(
            "{target} does not get the {wanted} numbers that it takes"
        )));
    }
    match node.outputs.as_slice() {
        [given] => match output(given, names, values)? {
            Output::One(output) if values.kind(output) != Kind::Tensor => Ok(Symbol { name, args, output }),
            _ => Err(Refused::damaged(format!("{target} does not give a number"))),
        },
        _ => Err(Refused::damaged(format!("{target} does not give one number"))),
    }
}

/// What a node gives, as new values.
pub(crate) fn output<'a>(given: &'a Argument, names: &mut Names<'a>, values: &mut Values) -> Result<Output> {
    let mut one = |name: &'a str, kind| names.define(name, kind, values).map(Output::One);
    match given {
        Argument::Tensor(tensor) | Argument::OptionalTensor(OptionalTensor::Tensor(tensor)) => {
            one(&tensor.name, Kind::Tensor)
        }
        Argument::SymInt(SymInt::Name(name)) => one(name, Kind::Int),
        Argument::SymFloat(SymFloat::Name(name)) => one(name, Kind::Float),
        Argument::SymBool(SymBool::Name(name)) => one(name, Kind::Bool),
        Argument::Tensors(tensors) => {
            let ids = tensors
                .iter()
                .map(|tensor| names.define(&tensor.name, Kind::Tensor, values));
            Ok(Output::Many(ids.collect::<Result<_>>()?))
        }
        Argument::Nothing(_) | Argument::OptionalTensor(OptionalTensor::None(_)) => Ok(Output::Nothing),
        _ => Err(Refused::unsupported(
            "an operator gives something else than tensors and numbers",
        )),
    }
}

/// What a node takes.
pub(crate) fn arg(argument: &Argument, names: &Names<'_>, values: &Values) -> Result<Arg> {
    let tensor = |tensor: &TensorArgument| names.find_kind(&tensor.name, Kind::Tensor, values);
    let number = |name: &str, kind| names.find_kind(name, kind, values).map(Arg::Value);
    Ok(match argument {
        Argument::Nothing(_) | Argument::OptionalTensor(OptionalTensor::None(_)) => Arg::None,
        Argument::Tensor(named) | Argument::OptionalTensor(OptionalTensor::Tensor(named)) => {
            Arg::Value(tensor(named)?)
        }
        Argument::Tensors(all) => Arg::Tensors(all.iter().map(tensor).collect::<Result<_>>()?),
        Argument::OptionalTensors(all) => {
            let each = |named: &OptionalTensor| match named {
                OptionalTensor::Tensor(named) => tensor(named).map(Some),
                OptionalTensor::None(_) => Ok(None),
            };
            Arg::OptionalTensors(all.iter().map(each).collect::<Result<_>>()?)
        }
        Argument::Int(number) | Argument::SymInt(SymInt::Int(number)) => Arg::Int(*number),
        Argument::Ints(all) => Arg::Ints(all.iter().copied().map(Whole::Known).collect()),
        Argument::SymInt(SymInt::Name(name)) => number(name, Kind::Int)?,
        Argument::SymInts(all) => Arg::Ints(
            all.iter()
                .map(|each| whole(each, names, values))
                .collect::<Result<_>>()?,
        ),
        Argument::Float(Float(number)) | Argument::SymFloat(SymFloat::Float(Float(number))) => {
            Arg::Float(*number)
        }
        Argument::Floats(all) => Arg::Floats(all.iter().map(|Float(number)| *number).collect()),
        Argument::SymFloat(SymFloat::Name(name)) => number(name, Kind::Float)?,
        Argument::Bool(flag) | Argument::SymBool(SymBool::Bool(flag)) => Arg::Bool(*flag),
        Argument::Bools(all) => Arg::Bools(all.clone()),
        Argument::SymBool(SymBool::Name(name)) => number(name, Kind::Bool)?,
        Argument::Text(text) => Arg::Text(text.clone()),
        Argument::Texts(all) => Arg::Texts(all.clone()),
        Argument::ScalarType(dtype) => Arg::Int(Number::of(*dtype)?.c10()),
        Argument::Complex(number) => Arg::Complex(number.real.0, number.imag.0),
        Argument::Device(device) => match device.kind.as_str() {
            "cpu" | "cuda" => Arg::Device,
            other => {
                return Err(Refused::unsupported(format!(
                    "it makes tensors on the device {}",
                    excerpt(other)
                )));
            }
        },
        other => constant(other)?,
    })
}

fn whole(number: &SymInt, names: &Names<'_>, values: &Values) -> Result<Whole> {
    match number {
        SymInt::Int(number) => Ok(Whole::Known(*number)),
        SymInt::Name(name) => names.find_kind(name, Kind::Int, values).map(Whole::Value),
    }
}

/// Layouts and memory formats, whose numbers are not c10's.
fn constant(argument: &Argument) -> Result<Arg> {
    let kind = match argument {
        Argument::Layout(7) => return Ok(Arg::Int(0)),
        Argument::Layout(_) => "a layout that is not dense",
        Argument::MemoryFormat(1) => return Ok(Arg::Int(0)),
        Argument::MemoryFormat(2) => return Ok(Arg::Int(2)),
        Argument::MemoryFormat(3) => return Ok(Arg::Int(3)),
        Argument::MemoryFormat(4) => return Ok(Arg::Int(1)),
        Argument::MemoryFormat(_) => "an unknown memory format",
        Argument::SymFloats(_) => "a list of floats that are computed",
        Argument::SymBools(_) => "a list of truth values that are computed",
        Argument::Graph(_) => "a graph where there should be a value",
        Argument::CustomObj(_) => "an object of a custom class",
        Argument::Operator(_) => "an operator as a value",
        Argument::NestedTensors(_) => "a list of lists of tensors",
        Argument::IntLists(_) | Argument::FloatLists(_) => "a list of lists of numbers",
        Argument::Named(_) => "a dict",
        _ => "something unknown",
    };
    Err(Refused::unsupported(format!(
        "an operator of the program takes {kind}, which is not computed here"
    )))
}

/// A value of what a graph takes or gives: one that it has, or a constant by a step of its own.
pub(crate) fn value(
    argument: &Argument,
    names: &Names<'_>,
    values: &mut Values,
    steps: &mut Vec<Step>,
) -> Result<Option<Id>> {
    let (kind, constant) = match arg(argument, names, values)? {
        Arg::None => return Ok(None),
        Arg::Value(id) => return Ok(Some(id)),
        constant @ Arg::Int(_) => (Kind::Int, constant),
        constant @ Arg::Float(_) => (Kind::Float, constant),
        constant @ Arg::Bool(_) => (Kind::Bool, constant),
        _ => {
            return Err(Refused::unsupported(
                "the program answers something else than tensors and numbers",
            ));
        }
    };
    let output = values.fresh(kind)?;
    steps.push(Step::Symbol(Symbol {
        name: "",
        args: vec![constant],
        output,
    }));
    Ok(Some(output))
}
