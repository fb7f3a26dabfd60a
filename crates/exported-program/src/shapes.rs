//! What shapes a program was exported for.

use std::collections::HashMap;

use crate::refused::{Refused, Result};
use crate::schema::{RangeConstraint, Size, TensorMeta};
use crate::weights::Number;

/// The shape and numbers of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its numbers.
    pub number: Number,
    /// Its dimensions.
    pub dimensions: Vec<Dimension>,
}

/// One dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// Of this size alone.
    Fixed(i64),
    /// Of any size that the symbol may have.
    Free {
        /// Its name; dimensions with one name have one size.
        symbol: String,
        /// What it may be.
        range: Range,
    },
    /// Computed from symbols.
    Derived,
}

/// The sizes that a dimension may have, both ends counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The smallest.
    pub least: i64,
    /// The largest.
    pub most: i64,
}

impl Range {
    /// Whether `size` lies in it.
    #[must_use]
    pub fn contains(self, size: i64) -> bool {
        (self.least..=self.most).contains(&size)
    }
}

/// The shape that an input was exported with.
pub(crate) fn shape(meta: &TensorMeta, ranges: &HashMap<String, RangeConstraint>) -> Result<Shape> {
    let dimensions = meta.sizes.iter().map(|size| dimension(size, ranges));
    Ok(Shape {
        number: Number::of(meta.dtype)?,
        dimensions: dimensions.collect::<Result<_>>()?,
    })
}

fn dimension(size: &Size, ranges: &HashMap<String, RangeConstraint>) -> Result<Dimension> {
    Ok(match size {
        Size::Int(size) if *size < 0 => return Err(Refused::damaged(format!("a dimension of {size}"))),
        Size::Int(size) => Dimension::Fixed(*size),
        Size::Expression(expression) => match symbol(&expression.expr_str) {
            None => Dimension::Derived,
            Some(symbol) => {
                let found = ranges.get(symbol);
                // A size that was left to torch.export is «at least 2» there, and 1 is computed all the same.
                let least = found
                    .and_then(|range| range.min_val)
                    .filter(|least| *least > 2)
                    .unwrap_or(0);
                let most = found.and_then(|range| range.max_val).unwrap_or(i64::MAX);
                if least > most {
                    return Err(Refused::damaged(format!("a dimension of {least} to {most}")));
                }
                Dimension::Free {
                    symbol: symbol.to_owned(),
                    range: Range { least, most },
                }
            }
        },
    })
}

/// The name in SymPy's text of a symbol alone: `Symbol('s77', positive=True, integer=True)`, or `s77`.
fn symbol(text: &str) -> Option<&str> {
    let name = match text.strip_prefix("Symbol('") {
        Some(rest) => rest
            .split_once('\'')
            .filter(|(_, rest)| !rest.contains('('))
            .map(|(name, _)| name)?,
        None => text,
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_symbol_alone_is_free() {
        assert_eq!(symbol("Symbol('s77', positive=True, integer=True)"), Some("s77"));
        assert_eq!(symbol("s0"), Some("s0"));
        assert_eq!(symbol("Mul(Integer(12), Symbol('s77', integer=True))"), None);
        assert_eq!(symbol("Symbol('s77'), Symbol('s78')"), None);
        assert_eq!(symbol("12"), None);
    }
}
