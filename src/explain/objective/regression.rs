//! A regression: one of its numbers, as it is answered, or each of them.

use std::sync::Arc;

use tch::Tensor;
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::Result;
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::runtime::Call;
use crate::runtime::staging::floats;
use crate::tasks::regression::{numbers, unit};
use crate::tasks::{Labels, ModelSpec};

struct OfNumbers {
    spec: Arc<ModelSpec>,
    indices: Vec<usize>,
}

impl Objective for OfNumbers {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let numbers = of_answer(&self.spec, output)?;
        let indices: Vec<i64> = self.indices.iter().map(|&index| index as i64).collect();
        let indices = Tensor::from_slice(&indices).f_to_device(numbers.device())?;
        Ok(numbers.f_index_select(1, &indices)?)
    }
}

/// `[n, K]`
fn of_answer(spec: &ModelSpec, output: &Value) -> Result<Tensor> {
    numbers(&output.shallow_clone().into_tensor()?, spec)
}

/// Which of `count` numbers of these names `target` means.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter) when it means none, with what would.
pub fn of_regression(target: &Target, names: &Labels, count: usize) -> Result<Vec<usize>> {
    let there = || {
        const SHOWN: usize = 16;
        let names: Vec<String> = (0..count.min(SHOWN)).map(|index| names.name(index)).collect();
        let more = if count > SHOWN { ", …" } else { "" };
        format!("`{}`{more}", names.join("`, `"))
    };
    match target {
        Target::Top if count == 1 => Ok(vec![0]),
        Target::Top => Err(refused(format!(
            "the model answers {count} numbers, none of which is the best; say which, by name or index, or `all`: {}",
            there()
        ))),
        Target::All => Ok((0..count).collect()),
        Target::Class(ClassName::Id(index) | ClassName::Exactly(index)) if *index >= count => {
            Err(refused(format!(
                "there is no number {index}; the model answers {count}, from 0: {}",
                there()
            )))
        }
        Target::Class(ClassName::Label(name)) if names.find(name).is_none() => Err(refused(format!(
            "no number is called \"{name}\"; there are {}",
            there()
        ))),
        Target::Class(name) => Ok(name.find(names, count)?.into_iter().collect()),
        _ => Err(refused(format!(
            "a regression explains one of its numbers, by name or index, or `all`: {}",
            there()
        ))),
    }
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let spec = untouched.spec;
    let values = floats(&of_answer(spec, output)?.f_select(0, 0)?)?;
    let indices = of_regression(target, &spec.labels, values.len())?;
    let resolved = |&index: &usize| ResolvedTarget::Number {
        number: index,
        name: spec.labels.name(index),
        value: values[index],
        unit: unit(spec, index),
    };
    Ok(Resolved {
        targets: indices.iter().map(resolved).collect(),
        objective: Box::new(OfNumbers {
            spec: Arc::clone(spec),
            indices,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_meant_by_name_or_index() {
        let names = Labels::new(["pressure", "tilt"].map(String::from));
        let of = |text: &str, count| of_regression(&text.parse().expect("a target"), &names, count);
        assert_eq!(of("tilt", 2), Ok(vec![1]));
        assert_eq!((of("0", 2), of("all", 2)), (Ok(vec![0]), Ok(vec![0, 1])));
        assert_eq!(of_regression(&Target::Top, &Labels::default(), 1), Ok(vec![0]));
        for (text, word) in [
            ("", "`pressure`, `tilt`"),
            ("2", "answers 2"),
            ("temperature", "called \"temperature\""),
            ("mu[0]", "by name or index"),
            ("@pixel=1,2", "by name or index"),
        ] {
            let refused = of(text, 2).expect_err(text).to_string();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }
}
