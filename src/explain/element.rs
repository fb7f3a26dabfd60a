//! The target of a model of tensors: an element of one of its outputs.

use super::target::{ClassName, Target, refused};
use crate::error::{Result, excerpt};
use crate::manifest::{TensorSpec, Tensors};

/// An element of an output: `logits[3]`, `scores[0,2]`; of one row, so that the batch does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// The place of the output among all.
    pub(super) output: usize,
    /// The index along each size; empty for the only element that there is.
    pub(super) index: Vec<i64>,
}

impl Element {
    /// What `target` means for a model of these outputs.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) with the ways to say it, where it cannot be told.
    pub(super) fn of(target: &Target, model: &Tensors) -> Result<Self> {
        let (name, index) = said(target).ok_or_else(|| refused(format!("expected {}", ways(model))))?;
        let output = match name {
            None if model.outputs.len() == 1 => 0,
            None => return Err(refused(format!("say of which output: {}", ways(model)))),
            Some(name) => {
                let place = model.outputs.iter().position(|spec| spec.name == name);
                place.ok_or_else(|| {
                    let name = excerpt(&name);
                    refused(format!("there is no output `{name}`; expected {}", ways(model)))
                })?
            }
        };
        let sizes = sizes(&model.outputs[output], model.is_batched());
        let is_alone = index.is_empty() && sizes.iter().all(|&size| matches!(size, -1 | 1));
        let fits = index.len() == sizes.len()
            && index
                .iter()
                .zip(sizes)
                .all(|(&at, &size)| at >= 0 && (size == -1 || at < size));
        if fits || is_alone {
            return Ok(Self { output, index });
        }
        Err(refused(format!(
            "expected {}",
            way(&model.outputs[output], sizes)
        )))
    }

    /// The place of the element in a row of these sizes.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) where the row, which may be of open sizes, has no
    /// such element, or more than one.
    pub(super) fn place(&self, sizes: &[i64]) -> Result<i64> {
        let count: i64 = sizes.iter().product();
        if self.index.is_empty() && count == 1 {
            return Ok(0);
        }
        let inside = self.index.iter().zip(sizes).all(|(at, size)| at < size);
        if self.index.len() != sizes.len() || !inside {
            let index = &self.index;
            return Err(refused(format!(
                "found the index {index:?}, and the output is {sizes:?} here"
            )));
        }
        let place = |place: i64, (at, size): (&i64, &i64)| place * size + at;
        Ok(self.index.iter().zip(sizes).fold(0, place))
    }
}

/// The sizes of an output that an index is over.
fn sizes(spec: &TensorSpec, is_batched: bool) -> &[i64] {
    &spec.shape[usize::from(is_batched)..]
}

/// The output and the index that a target names, each if it does. The words of other tasks may be names of outputs here.
fn said(target: &Target) -> Option<(Option<String>, Vec<i64>)> {
    let named = |name: &str| Some((Some(name.to_owned()), Vec::new()));
    match target {
        Target::Top => Some((None, Vec::new())),
        Target::Class(ClassName::Id(index)) => Some((None, vec![i64::try_from(*index).ok()?])),
        Target::Class(ClassName::Label(text)) => parsed(text),
        Target::Latent(index) => Some((Some("mu".into()), vec![i64::try_from(*index).ok()?])),
        Target::Caption => named("caption"),
        Target::SumMu => named("sum_mu"),
        Target::Reconstruction => named("reconstruction"),
        _ => None,
    }
}

/// `logits[3]`, `scores[0,2]`, `[3]`, `value`.
fn parsed(text: &str) -> Option<(Option<String>, Vec<i64>)> {
    let Some((name, behind)) = text.split_once('[') else {
        return Some((Some(text.to_owned()), Vec::new()));
    };
    let numbers = behind.strip_suffix(']')?.split(',');
    let index: Option<Vec<i64>> = numbers.map(|number| number.trim().parse().ok()).collect();
    let name = name.trim();
    Some(((!name.is_empty()).then(|| name.to_owned()), index?))
}

/// How an element of this output is named.
fn way(spec: &TensorSpec, sizes: &[i64]) -> String {
    let name = &spec.name;
    if sizes.iter().all(|&size| size == 1) {
        return format!("`{name}`");
    }
    let last: Vec<String> = sizes
        .iter()
        .map(|&size| {
            if size == -1 {
                "…".to_owned()
            } else {
                (size - 1).to_string()
            }
        })
        .collect();
    let first = vec!["0"; sizes.len()];
    format!("`{name}[{}]` to `{name}[{}]`", first.join(","), last.join(","))
}

fn ways(model: &Tensors) -> String {
    let is_batched = model.is_batched();
    let each = model
        .outputs
        .iter()
        .map(|spec| way(spec, sizes(spec, is_batched)));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn model() -> Tensors {
        let tensor =
            |name: &str, shape: &str| format!("name = \"{name}\"\ndtype = \"f32\"\nshape = {shape}\n");
        let text = format!(
            "task = \"tensor\"\n[[inputs]]\n{}[[outputs]]\n{}[[outputs]]\n{}[[outputs]]\n{}",
            tensor("x", "[-1, 2]"),
            tensor("logits", "[-1, 3]"),
            tensor("mu", "[-1, 2, -1]"),
            tensor("value", "[-1, 1]"),
        );
        let manifest = Manifest::parse(&text).expect("a model");
        manifest.tensors().expect("tensors").clone()
    }

    fn of(text: &str) -> Result<Element> {
        Element::of(&text.parse().expect("a target"), &model())
    }

    #[test]
    fn an_element_is_named_by_its_output_and_its_index() {
        let element = |output, index: &[i64]| {
            Ok(Element {
                output,
                index: index.to_vec(),
            })
        };
        assert_eq!(of("logits[2]"), element(0, &[2]));
        assert_eq!(of(" logits[ 2 ] "), element(0, &[2]));
        assert_eq!(of("mu[1,7]"), element(1, &[1, 7]));
        assert_eq!(of("value"), element(2, &[]));
        assert_eq!(of("value[0]"), element(2, &[0]));
        let mut one = model();
        one.outputs.truncate(1);
        for text in ["1", "[1]", "logits[1]"] {
            assert_eq!(
                Element::of(&text.parse().expect("a target"), &one),
                element(0, &[1]),
                "{text}"
            );
        }
        let place = |index: &[i64], sizes: &[i64]| element(0, index).and_then(|element| element.place(sizes));
        assert_eq!(place(&[1, 2], &[2, 5]), Ok(7));
        assert_eq!(place(&[], &[1, 1]), Ok(0));
        assert!(place(&[], &[2]).is_err() && place(&[1, 5], &[2, 5]).is_err());
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_the_ways_to_say_it() {
        let ways = "`logits[0]` to `logits[2]`, `mu[0,0]` to `mu[1,…]`, `value`";
        for (text, words) in [
            ("", ways),
            ("2", ways),
            ("all", ways),
            ("cat@mask", ways),
            ("scores[1]", ways),
            ("logits", "expected `logits[0]` to `logits[2]`"),
            ("logits[3]", "expected `logits[0]` to `logits[2]`"),
            ("logits[-1]", "expected `logits[0]` to `logits[2]`"),
            ("logits[1,1]", "expected `logits[0]` to `logits[2]`"),
            ("logits[x]", ways),
            ("mu[1]", "expected `mu[0,0]` to `mu[1,…]`"),
        ] {
            let refused = of(text).expect_err(text).to_string();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
