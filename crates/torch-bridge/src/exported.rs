//! Programs of torch.export as TorchScript modules.
//!
//! Rust has read and checked the file (`exported_program`); C++ builds a module of it, with the same tree of submodules as
//! the network, each call of one being a method of it. So a layer stands where it stands in a TorchScript file, and all that
//! works on those works on these. What goes over the boundary is one value, which `cpp/exported.h` describes.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::collections::HashMap;
use std::fs::File;

use exported_program::{
    Arg, Argument, Body, Branch, Call, Exported, Id, Key, Kind, Method, Number, Operator, Output, Records,
    Refused, Step, Symbol, Tree, Weight, Whole,
};
use tch::{Device, Kind as Dtype, Tensor};

use crate::error::{BridgeError, Result};
use crate::ffi::{self, c_text, produce};
use crate::module::{Module, device_name};
use crate::value::Value;

impl Module {
    /// Builds the module that `exported` describes, whose weights are read from `file`. `widened`: what is in half precision
    /// becomes f32.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when the file is not the one that was read, an operator is not there or takes other arguments,
    /// or the device is not there.
    pub fn build(exported: &Exported, file: &File, device: Device, widened: bool) -> Result<Self> {
        let description = describe(exported, file)?.to_ivalue()?;
        let device = c_text(&device_name(device))?;
        // SAFETY: the description and the text live through the call.
        Self::own(produce(|out| unsafe {
            ffi::bridge_module_build(description.as_ptr(), device.as_ptr(), widened, out)
        })?)
    }
}

fn tuple(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Tuple(items.into_iter().collect())
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn id(id: Id) -> Value {
    // Ids count the values of a method.
    Value::Int(id as i64)
}

fn ids(all: &[Id]) -> Value {
    list(all.iter().copied().map(id))
}

fn describe(exported: &Exported, file: &File) -> Result<Value> {
    let mut functions = Vec::new();
    let mut classes: HashMap<&str, &str> = HashMap::new();
    for method in &exported.methods {
        let function = Function {
            method,
            weights: &exported.weights,
        };
        function.calls(&method.body, &mut functions, &mut classes);
        functions.push(function.top());
    }
    let modules = exported.modules.iter().map(|path| {
        let class = classes.get(path.as_str()).copied().unwrap_or("Module");
        tuple([Value::from(path.as_str()), Value::from(qualified(class))])
    });
    let mut records = Records::open(file)?;
    let weights = exported.weights.iter().map(|weight| {
        let tensor = tensor(weight, &records.bytes(weight)?)?;
        Ok(tuple([
            Value::from(weight.path.as_str()),
            Value::Tensor(tensor),
            Value::Bool(weight.is_parameter),
        ]))
    });
    let weights = weights.collect::<Result<Vec<_>>>()?;
    Ok(tuple([
        list(modules),
        Value::List(weights),
        Value::List(functions),
    ]))
}

/// A class of Python as TorchScript names one.
fn qualified(class: &str) -> String {
    let word = |part: &str| {
        part.chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let parts = class.split('.').map(word).filter(|part| !part.is_empty());
    let known: Vec<String> = std::iter::once("__torch__".to_owned()).chain(parts).collect();
    if known.len() == 1 {
        "__torch__.Module".to_owned()
    } else {
        known.join(".")
    }
}

fn dtype(number: Number) -> Dtype {
    match number {
        Number::U8 => Dtype::Uint8,
        Number::I8 => Dtype::Int8,
        Number::I16 => Dtype::Int16,
        Number::I32 => Dtype::Int,
        Number::I64 => Dtype::Int64,
        Number::F16 => Dtype::Half,
        Number::F32 => Dtype::Float,
        Number::F64 => Dtype::Double,
        Number::C64 => Dtype::ComplexFloat,
        Number::C128 => Dtype::ComplexDouble,
        Number::Bool => Dtype::Bool,
        Number::Bf16 => Dtype::BFloat16,
    }
}

impl From<Refused> for BridgeError {
    fn from(error: Refused) -> Self {
        Self::Torch(error.to_string())
    }
}

fn tensor(weight: &Weight, bytes: &[u8]) -> Result<Tensor> {
    let kind = dtype(weight.number);
    let count = bytes.len() / weight.number.bytes() as usize;
    let whole = &bytes[..count * weight.number.bytes() as usize];
    let storage = Tensor::f_from_data_size(whole, &[count as i64], kind)?;
    let view = storage.f_as_strided(&weight.sizes[..], &weight.strides[..], weight.offset)?;
    let is_float = matches!(kind, Dtype::Half | Dtype::Float | Dtype::Double | Dtype::BFloat16);
    Ok(if weight.is_parameter && is_float {
        view.set_requires_grad(weight.requires_grad)
    } else {
        view
    })
}

/// A method of the file, whose calls are functions of their own.
struct Function<'a> {
    method: &'a Method,
    weights: &'a [Weight],
}

impl<'a> Function<'a> {
    /// The functions of the calls in `body`: a function stands behind those that it calls.
    fn calls(&self, body: &'a Body, functions: &mut Vec<Value>, classes: &mut HashMap<&'a str, &'a str>) {
        for step in &body.steps {
            match step {
                Step::Call(call) => {
                    self.calls(&call.body, functions, classes);
                    classes.entry(&call.path).or_insert(&call.class);
                    functions.push(self.inner(call));
                }
                Step::Branch(branch) => {
                    self.calls(&branch.yes, functions, classes);
                    self.calls(&branch.no, functions, classes);
                }
                _ => {}
            }
        }
    }

    fn inner(&self, call: &Call) -> Value {
        let leaf = |value: &Id| self.leaf(*value);
        let name = |(at, value): (usize, &Id)| tuple([Value::from(format!("input{at}")), leaf(value)]);
        let inputs = list(call.inputs.iter().enumerate().map(name));
        let answer = match call.body.outputs.as_slice() {
            [one] => leaf(one),
            several => tuple([Value::from("tuple"), list(several.iter().map(leaf))]),
        };
        self.function(
            &call.path,
            &call.method,
            inputs,
            self.attributes(&call.attributes),
            &call.body,
            answer,
        )
    }

    fn top(&self) -> Value {
        let argument = |argument: &Argument| {
            tuple([
                Value::from(argument.name.as_str()),
                self.tree(&argument.values, &|value| self.leaf(*value)),
            ])
        };
        let inputs = list(self.method.arguments.iter().map(argument));
        let all: Vec<Id> = self
            .method
            .attributes
            .iter()
            .map(|attribute| attribute.id)
            .collect();
        let answer = self.tree(&self.method.answer, &|value| match value {
            Some(value) => self.leaf(*value),
            None => tuple([Value::from("none")]),
        });
        self.function(
            "",
            &self.method.name,
            inputs,
            self.attributes(&all),
            &self.method.body,
            answer,
        )
    }

    fn function(
        &self,
        path: &str,
        name: &str,
        inputs: Value,
        attributes: Value,
        body: &Body,
        answer: Value,
    ) -> Value {
        tuple([
            Value::from(path),
            Value::from(name),
            inputs,
            attributes,
            self.body(body),
            answer,
        ])
    }

    /// Values that are weights, with their paths.
    fn attributes(&self, all: &[Id]) -> Value {
        let wanted: std::collections::HashSet<Id> = all.iter().copied().collect();
        let known = self
            .method
            .attributes
            .iter()
            .filter(|attribute| wanted.contains(&attribute.id));
        list(known.map(|attribute| {
            let path = self.weights[attribute.weight].path.as_str();
            tuple([id(attribute.id), Value::from(path)])
        }))
    }

    fn kind(&self, value: Id) -> Value {
        Value::from(match self.method.kinds[value] {
            Kind::Tensor => "Tensor",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Bool => "bool",
        })
    }

    fn leaf(&self, value: Id) -> Value {
        tuple([Value::from("leaf"), id(value), self.kind(value)])
    }

    fn tree<T>(&self, tree: &Tree<T>, leaf: &dyn Fn(&T) -> Value) -> Value {
        let all = |items: &[Tree<T>]| list(items.iter().map(|item| self.tree(item, leaf)));
        match tree {
            Tree::Leaf(value) => leaf(value),
            Tree::List(items) => tuple([Value::from("list"), all(items)]),
            Tree::Tuple(items) => tuple([Value::from("tuple"), all(items)]),
            Tree::Dict(items) => {
                let keys = items.iter().map(|(key, _)| match key {
                    Key::Text(text) => Value::from(text.as_str()),
                    Key::Int(number) => Value::Int(*number),
                });
                let values = items.iter().map(|(_, item)| self.tree(item, leaf));
                tuple([Value::from("dict"), list(values), list(keys)])
            }
        }
    }

    fn body(&self, body: &Body) -> Value {
        tuple([
            list(body.steps.iter().map(|step| self.step(step))),
            ids(&body.outputs),
        ])
    }

    fn step(&self, step: &Step) -> Value {
        match step {
            Step::Operator(operator) => self.operator(operator),
            Step::Symbol(Symbol { name, args, output }) => {
                let args = list(args.iter().map(arg));
                tuple([
                    Value::from("symbol"),
                    Value::from(*name),
                    args,
                    id(*output),
                    self.kind(*output),
                ])
            }
            Step::Detach { from, to } => tuple([Value::from("detach"), id(*from), id(*to)]),
            Step::Same { from, to } => tuple([Value::from("same"), id(*from), id(*to)]),
            Step::Check { condition, message } => tuple([
                Value::from("check"),
                arg(condition),
                Value::from(message.as_str()),
            ]),
            Step::Branch(Branch {
                condition,
                yes,
                no,
                outputs,
            }) => tuple([
                Value::from("branch"),
                id(*condition),
                self.body(yes),
                self.body(no),
                ids(outputs),
            ]),
            Step::Call(Call {
                path,
                method,
                inputs,
                body,
                ..
            }) => tuple([
                Value::from("call"),
                Value::from(path.as_str()),
                Value::from(method.as_str()),
                ids(inputs),
                ids(&body.outputs),
            ]),
        }
    }

    fn operator(&self, operator: &Operator) -> Value {
        let args = operator
            .args
            .iter()
            .map(|(name, given)| tuple([Value::from(name.as_str()), arg(given)]));
        let outputs = operator.outputs.iter().map(|output| match output {
            Output::One(one) => tuple([Value::from("one"), id(*one), self.kind(*one)]),
            Output::Many(all) => tuple([Value::from("many"), ids(all)]),
            Output::Nothing => tuple([Value::from("nothing")]),
        });
        let (name, overload) = (operator.name.as_str(), operator.overload.as_str());
        tuple([
            Value::from("operator"),
            Value::from(name),
            Value::from(overload),
            list(args),
            list(outputs),
        ])
    }
}

fn arg(given: &Arg) -> Value {
    let constant = |value: Value| tuple([Value::from("constant"), value]);
    match given {
        Arg::None => constant(Value::None),
        Arg::Value(value) => tuple([Value::from("value"), id(*value)]),
        Arg::Tensors(all) => tuple([Value::from("tensors"), ids(all)]),
        Arg::OptionalTensors(all) => tuple([
            Value::from("tensors"),
            list(all.iter().map(|value| value.map_or(Value::None, id))),
        ]),
        Arg::Int(number) => constant(Value::Int(*number)),
        Arg::Ints(all) => {
            let number = |whole: &Whole| match whole {
                Whole::Known(number) => tuple([Value::Bool(false), Value::Int(*number)]),
                Whole::Value(value) => tuple([Value::Bool(true), id(*value)]),
            };
            tuple([Value::from("ints"), list(all.iter().map(number))])
        }
        Arg::Float(number) => constant(Value::Double(*number)),
        Arg::Floats(all) => constant(list(all.iter().copied().map(Value::Double))),
        Arg::Complex(real, imaginary) => tuple([
            Value::from("complex"),
            Value::Double(*real),
            Value::Double(*imaginary),
        ]),
        Arg::Bool(flag) => constant(Value::Bool(*flag)),
        Arg::Bools(all) => constant(list(all.iter().copied().map(Value::Bool))),
        Arg::Text(text) => constant(Value::from(text.as_str())),
        Arg::Texts(all) => constant(list(all.iter().map(|text| Value::from(text.as_str())))),
        Arg::Device => tuple([Value::from("device")]),
    }
}
