//! What is read of a file.

use crate::shapes::Shape;
use crate::tree::Tree;
use crate::weights::Weight;

/// A file of torch.export.
#[derive(Debug)]
pub struct Exported {
    /// One for each program in it; a file with one has `forward`.
    pub methods: Vec<Method>,
    /// The parameters, buffers and constants of all of them.
    pub weights: Vec<Weight>,
    /// The paths of all modules, parents before children, whether a step of theirs is left or not.
    pub modules: Vec<String>,
}

/// A value within a method.
pub type Id = usize;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tensor.
    Tensor,
    /// A whole number, such as the size of a batch.
    Int,
    /// A number.
    Float,
    /// A truth value.
    Bool,
}

/// A method.
#[derive(Debug)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// What it takes, in order. What was no tensor and no number when it was exported is left out: it is fixed.
    pub arguments: Vec<Argument>,
    /// What it gives; the values are those of `body.outputs`, in their order, and `None` where it gives nothing.
    pub answer: Tree<Option<Id>>,
    /// What it does.
    pub body: Body,
    /// The weights that it reads.
    pub attributes: Vec<Attribute>,
    /// The kind of each value.
    pub kinds: Vec<Kind>,
}

/// An argument of a method.
#[derive(Debug)]
pub struct Argument {
    /// Its name in the program's signature.
    pub name: String,
    /// The values that it holds.
    pub values: Tree<Id>,
    /// Of each value, in order; none of a number.
    pub shapes: Vec<Option<Shape>>,
}

/// A weight as a value of a method.
#[derive(Debug)]
pub struct Attribute {
    /// The value.
    pub id: Id,
    /// Which of [`Exported::weights`].
    pub weight: usize,
}

/// Steps, and which values they are for.
#[derive(Debug, Default)]
pub struct Body {
    /// In order.
    pub steps: Vec<Step>,
    /// What is given.
    pub outputs: Vec<Id>,
}

/// A step of a method.
#[derive(Debug)]
pub enum Step {
    /// An operator of torch.
    Operator(Operator),
    /// A calculation with numbers.
    Symbol(Symbol),
    /// A value that no gradient goes through.
    Detach {
        /// The value.
        from: Id,
        /// Without a gradient.
        to: Id,
    },
    /// Another name of a value.
    Same {
        /// The value.
        from: Id,
        /// Its other name.
        to: Id,
    },
    /// Fails with the message where the number is not true.
    Check {
        /// The number.
        condition: Arg,
        /// What is said then.
        message: String,
    },
    /// One way or the other.
    Branch(Branch),
    /// A module that was called.
    Call(Call),
}

/// A call of an operator.
#[derive(Debug)]
pub struct Operator {
    /// "aten::conv2d"
    pub name: String,
    /// Its overload; empty for the default.
    pub overload: String,
    /// By name, or by place where the name is empty.
    pub args: Vec<(String, Arg)>,
    /// What it gives.
    pub outputs: Vec<Output>,
}

/// What an operator gives.
#[derive(Debug)]
pub enum Output {
    /// One value.
    One(Id),
    /// A list of tensors, each a value.
    Many(Vec<Id>),
    /// Something that nobody reads.
    Nothing,
}

/// A calculation with numbers.
#[derive(Debug)]
pub struct Symbol {
    /// TorchScript's name of it, "aten::mul"; empty for the number itself.
    pub name: &'static str,
    /// What it takes.
    pub args: Vec<Arg>,
    /// What it gives.
    pub output: Id,
}

/// `torch.cond`
#[derive(Debug)]
pub struct Branch {
    /// A truth value, or a tensor of one.
    pub condition: Id,
    /// Where it is true.
    pub yes: Body,
    /// Where it is not.
    pub no: Body,
    /// What both give.
    pub outputs: Vec<Id>,
}

/// A module that was called: a function of its own.
#[derive(Debug)]
pub struct Call {
    /// Its path from the top.
    pub path: String,
    /// Its class, "torch.nn.modules.conv.Conv2d".
    pub class: String,
    /// A name that no other call of this module has: `forward`, `forward1` …
    pub method: String,
    /// What it does.
    pub body: Body,
    /// Its own weights that it reads, and those of modules in it.
    pub attributes: Vec<Id>,
    /// What else it reads.
    pub inputs: Vec<Id>,
}

/// A whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// That was known when the program was exported.
    Known(i64),
    /// A value.
    Value(Id),
}

/// An argument of an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// `None`
    None,
    /// A value.
    Value(Id),
    /// A list of tensors.
    Tensors(Vec<Id>),
    /// A list of tensors, some of which may be missing.
    OptionalTensors(Vec<Option<Id>>),
    /// A whole number; also a dtype, a layout or a memory format in libtorch's own numbering.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<Whole>),
    /// A number.
    Float(f64),
    /// Numbers.
    Floats(Vec<f64>),
    /// A complex number.
    Complex(f64, f64),
    /// A truth value.
    Bool(bool),
    /// Truth values.
    Bools(Vec<bool>),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// The device that the program is on.
    Device,
}

impl Arg {
    /// The values in it.
    pub fn values(&self) -> Vec<Id> {
        match self {
            Self::Value(id) => vec![*id],
            Self::Tensors(ids) => ids.clone(),
            Self::OptionalTensors(ids) => ids.iter().flatten().copied().collect(),
            Self::Ints(numbers) => numbers
                .iter()
                .filter_map(|number| match number {
                    Whole::Value(id) => Some(*id),
                    Whole::Known(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}
