//! The shapes that a program was exported for. Its graph holds what was true of them, so with others it may answer nonsense.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use exported_program::{Dimension, Exported, Number, Range, Shape, Tree};
use torch_bridge::Value;

use crate::error::{Error, Result};
use crate::manifest::Dtype;
use crate::runtime::wrapped::Around;

/// What each method of a program may be called with.
#[derive(Debug)]
pub(crate) struct Bounds {
    methods: HashMap<String, Vec<Argument>>,
}

impl Around for Arc<Bounds> {
    fn before(&self, method: &str, inputs: &[Value]) -> Result<()> {
        self.check(method, inputs)
    }
}

#[derive(Debug)]
struct Argument {
    name: String,
    /// How many there are in it, where it is a list or a tuple.
    length: Option<i64>,
    /// Of each value in it, in order.
    shapes: Vec<Option<Shape>>,
}

impl Bounds {
    pub(in crate::runtime) fn of(exported: &Exported) -> Self {
        let argument = |argument: &exported_program::Argument| Argument {
            name: argument.name.clone(),
            length: match &argument.values {
                Tree::List(items) | Tree::Tuple(items) => i64::try_from(items.len()).ok(),
                _ => None,
            },
            shapes: argument.shapes.clone(),
        };
        let methods = exported.methods.iter().map(|method| {
            let arguments = method.arguments.iter().map(argument).collect();
            (method.name.clone(), arguments)
        });
        Self {
            methods: methods.collect(),
        }
    }

    /// Whether `method` was exported for inputs of these shapes.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with what it takes.
    pub(crate) fn check(&self, method: &str, inputs: &[Value]) -> Result<()> {
        let Some(arguments) = self.methods.get(method) else {
            return Ok(());
        };
        let mut symbols: HashMap<&str, i64> = HashMap::new();
        for (argument, input) in arguments.iter().zip(inputs) {
            for (shape, value) in argument.shapes.iter().zip(leaves(input)) {
                let (Some(shape), Value::Tensor(tensor)) = (shape, value) else {
                    continue;
                };
                let found = tensor.size();
                if !fits(shape, &found, &mut symbols) {
                    return Err(Error::InferenceFailed(format!(
                        "{method} was exported for an `{}` of shape {}, and gets {found:?}; export the network for what it is \
                         to take, with dynamic_shapes for what may vary",
                        argument.name,
                        told(shape)
                    )));
                }
            }
        }
        Ok(())
    }

    /// The sizes of a batch that all `methods` take: those of the first dimension of their first tensor, or of their first
    /// list.
    pub(in crate::runtime) fn batch(&self, methods: &[&str]) -> Option<RangeInclusive<usize>> {
        let firsts = methods.iter().filter_map(|method| {
            let first = self.methods.get(*method)?.first()?;
            if let Some(length) = first.length {
                return Some(Range {
                    least: length,
                    most: length,
                });
            }
            match first.shapes.first()?.as_ref()?.dimensions.first()? {
                Dimension::Fixed(size) => Some(Range {
                    least: *size,
                    most: *size,
                }),
                Dimension::Free { range, .. } => Some(*range),
                Dimension::Derived => None,
            }
        });
        let range = firsts.reduce(|one, other| Range {
            least: one.least.max(other.least),
            most: one.most.min(other.most),
        })?;
        let size = |size: i64| usize::try_from(size.max(1)).unwrap_or(usize::MAX);
        Some(size(range.least)..=size(range.most))
    }

    /// Height and width of the pictures that `method` takes first, where it takes those of one size.
    pub(crate) fn picture(&self, method: &str) -> Option<(u32, u32)> {
        let first = self.methods.get(method)?.first()?;
        match &first.shapes.first()?.as_ref()?.dimensions[..] {
            [
                _,
                Dimension::Fixed(1..=4),
                Dimension::Fixed(height),
                Dimension::Fixed(width),
            ] => Some((u32::try_from(*height).ok()?, u32::try_from(*width).ok()?)),
            _ => None,
        }
    }

    /// Numbers and shapes of what `method` takes, with one in a batch; nothing where an argument is no tensor.
    pub(crate) fn inputs(&self, method: &str) -> Option<Vec<(Dtype, Vec<i64>)>> {
        let one = |argument: &Argument| match (&argument.shapes[..], argument.length) {
            ([Some(shape)], None) => Some((dtype(shape.number)?, example(shape))),
            _ => None,
        };
        self.methods.get(method)?.iter().map(one).collect()
    }

    /// The shapes of the tensors that `method` takes, as they are written.
    pub(crate) fn described(&self, method: &str) -> Vec<String> {
        let arguments = self.methods.get(method).into_iter().flatten();
        let one = |argument: &Argument| {
            let shapes: Vec<String> = argument.shapes.iter().flatten().map(told).collect();
            format!("{}: {}", argument.name, shapes.join(", "))
        };
        arguments
            .filter(|argument| argument.shapes.iter().any(Option::is_some))
            .map(one)
            .collect()
    }
}

fn dtype(number: Number) -> Option<Dtype> {
    Some(match number {
        Number::Bool => Dtype::Bool,
        Number::U8 => Dtype::U8,
        Number::I32 => Dtype::I32,
        Number::I64 => Dtype::I64,
        Number::F16 => Dtype::F16,
        Number::F32 | Number::Bf16 => Dtype::F32,
        Number::F64 => Dtype::F64,
        _ => return None,
    })
}

/// A shape that fits, with a batch of one.
fn example(shape: &Shape) -> Vec<i64> {
    const MIDDLING: i64 = 16;
    let size = |(at, dimension): (usize, &Dimension)| match dimension {
        Dimension::Fixed(size) => *size,
        Dimension::Free { range, .. } => (if at == 0 { 1 } else { MIDDLING }).clamp(range.least, range.most),
        Dimension::Derived => MIDDLING,
    };
    shape.dimensions.iter().enumerate().map(size).collect()
}

/// The values that are no containers, in order.
fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter().flat_map(leaves).collect(),
        Value::Dict(items) => items.iter().flat_map(|(_, item)| leaves(item)).collect(),
        leaf => vec![leaf],
    }
}

fn fits<'a>(shape: &'a Shape, found: &[i64], symbols: &mut HashMap<&'a str, i64>) -> bool {
    let fits_one = |(dimension, size): (&'a Dimension, &i64)| match dimension {
        Dimension::Fixed(fixed) => fixed == size,
        Dimension::Free { symbol, range } => {
            range.contains(*size) && *symbols.entry(symbol).or_insert(*size) == *size
        }
        Dimension::Derived => true,
    };
    shape.dimensions.len() == found.len() && shape.dimensions.iter().zip(found).all(fits_one)
}

/// "[1 to 16, 3, 224, 224]"
fn told(shape: &Shape) -> String {
    let dimensions = shape.dimensions.iter().map(|dimension| match dimension {
        Dimension::Fixed(size) => size.to_string(),
        Dimension::Free { range, .. } if range.most == i64::MAX => "any".to_owned(),
        Dimension::Free { range, .. } => format!("{} to {}", range.least.max(1), range.most),
        Dimension::Derived => "a computed size".to_owned(),
    });
    format!("[{}]", dimensions.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn free(symbol: &str, least: i64, most: i64) -> Dimension {
        Dimension::Free {
            symbol: symbol.into(),
            range: Range { least, most },
        }
    }

    fn bounds(shapes: Vec<Vec<Dimension>>) -> Bounds {
        let shape = |dimensions| {
            Some(Shape {
                number: Number::F32,
                dimensions,
            })
        };
        let pair = Argument {
            name: "pair".into(),
            length: None,
            shapes: shapes.into_iter().map(shape).collect(),
        };
        Bounds {
            methods: HashMap::from([("forward".to_owned(), vec![pair])]),
        }
    }

    fn pair(first: &[i64], second: &[i64]) -> Value {
        let zeros = |size: &[i64]| Value::Tensor(Tensor::zeros(size, (Kind::Float, Device::Cpu)));
        Value::Tuple(vec![zeros(first), zeros(second)])
    }

    #[test]
    fn what_a_program_was_not_exported_for_is_refused() {
        let bounds = bounds(vec![
            vec![free("b", 0, 4), Dimension::Fixed(3)],
            vec![free("b", 0, 4), Dimension::Derived],
        ]);
        let check = |first: &[i64], second: &[i64]| bounds.check("forward", &[pair(first, second)]);
        assert_eq!(check(&[2, 3], &[2, 7]), Ok(()));
        assert!(check(&[2, 3], &[1, 7]).is_err(), "two sizes of one batch");
        assert!(check(&[2, 4], &[2, 7]).is_err());
        assert!(check(&[2, 3, 1], &[2, 7]).is_err());
        let refused = check(&[5, 3], &[5, 7]).expect_err("five").to_string();
        assert!(
            refused.contains("`pair` of shape [1 to 4, 3], and gets [5, 3]"),
            "{refused}"
        );
        assert_eq!(bounds.batch(&["forward"]), Some(1..=4));
        assert_eq!(bounds.batch(&["encode"]), None);
    }
}
