//! Regression: numbers `[B, K]`, each with a name and a unit, scaled back to what they count.

use tch::{Kind, Tensor};

use super::embedding::are_probabilities;
use super::gist::Gist;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, answer};
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::image::ModelInput;
use crate::manifest::{MOST_NUMBERS, RegressionOutput};
use crate::runtime::Call;
use crate::runtime::staging::{finite, floats};

/// A picture to its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Regress;

/// The numbers of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// In the module's order, at least one.
    pub values: Vec<Quantity>,
}

/// A number and what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// Its name; the index as text where it has none.
    pub name: String,
    /// Finite.
    pub value: f32,
    /// What it is counted in.
    pub unit: Option<String>,
}

impl Operation for Regress {
    type Input = ModelInput;
    type Options = ();
    type Output = Prediction;
    type Queue = TicketOf<Self>;

    fn gist(output: &Prediction) -> Option<Gist> {
        Some(Gist::of(
            output.values.iter().map(|quantity| f64::from(quantity.value)),
        ))
    }
}

impl Batched for Regress {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let answer = answer::<Self>(net, spec, batch)?;
        let numbers = numbers(&answer, spec)?;
        let one = |index: usize| {
            let values = finite(&numbers.f_select(0, index as i64)?, "the numbers")?;
            let values = values.into_iter().enumerate();
            let quantity = |(index, value)| Quantity {
                name: spec.labels.name(index),
                value,
                unit: unit(spec, index),
            };
            Ok(Prediction {
                values: values.map(quantity).collect(),
            })
        };
        Ok((0..batch.len()).map(one).collect())
    }
}

fn keys(spec: &ModelSpec) -> Result<&RegressionOutput> {
    let keys = spec.manifest.output.regression.as_ref();
    keys.ok_or_else(|| Error::Internal("a regression without its keys".into()))
}

/// What number `index` is counted in.
pub(crate) fn unit(spec: &ModelSpec, index: usize) -> Option<String> {
    let unit = keys(spec).ok()?.units.get(index)?;
    (!unit.is_empty()).then(|| unit.clone())
}

/// The numbers `[B, K]` of an answer, scaled as model.toml says; `[B]` is one for each picture.
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub(crate) fn numbers(answer: &Tensor, spec: &ModelSpec) -> Result<Tensor> {
    let keys = keys(spec)?;
    let mut numbers = answer.f_to_kind(Kind::Float)?.f_view([answer.size()[0], -1])?;
    let row = |values: &[f64]| -> Result<Tensor> {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Ok(Tensor::from_slice(&values).f_to_device(answer.device())?)
    };
    if !keys.scale.is_empty() {
        numbers = numbers.f_mul(&row(&keys.scale)?)?;
    }
    if !keys.offset.is_empty() {
        numbers = numbers.f_add(&row(&keys.offset)?)?;
    }
    Ok(numbers)
}

/// `forward(x[B, C, H, W]) → numbers[B, K]`
pub(super) struct Numbers;

impl Contract for Numbers {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let keys = keys(spec)?;
        let blank = net.forward(spec.blank(size, net.device())?)?;
        shape(&blank.size(), size, keys)?;
        spec.same_row(&blank.size())?;
        if size == 1 {
            let noise = net.forward(spec.noise(net.device())?)?;
            shape(&noise.size(), 1, keys)?;
            values(&floats(&blank)?, &floats(&noise)?, keys)?;
        }
        Ok(())
    }
}

/// Whether this is `[size, K]`, or `[size]`, with K as the keys have it.
fn shape(shape: &[i64], size: usize, keys: &RegressionOutput) -> Result<(), String> {
    let found = || format!("forward answered {shape:?}, expected numbers [{size}, K]");
    let numbers = match shape {
        [batch, ..] if *batch != size as i64 => {
            return Err(format!("{}: is the batch its first dimension?", found()));
        }
        [_] => 1,
        [_, numbers] => usize::try_from(*numbers).unwrap_or(0),
        [_, _, _, _] => {
            return Err(format!(
                "{}; numbers of each pixel are task = \"segmentation\" where they are the logits of classes",
                found()
            ));
        }
        _ => return Err(found()),
    };
    if !(1..=MOST_NUMBERS).contains(&numbers) {
        return Err(format!("{}, K from 1 to {MOST_NUMBERS}", found()));
    }
    match keys.count() {
        Some(count) if count != numbers => Err(format!(
            "forward answered {numbers} numbers, but output.names, units, scale or offset are of {count}; they must be as many"
        )),
        _ => Ok(()),
    }
}

/// Whether these may be the numbers of a black picture and of one of noise.
fn values(blank: &[f32], noise: &[f32], keys: &RegressionOutput) -> Result<(), String> {
    if noise.iter().any(|v| !v.is_finite()) {
        return Err("of a picture of noise: forward answered NaN or infinity".into());
    }
    if keys.names.is_empty() && [blank, noise].into_iter().all(are_probabilities) {
        return Err(format!(
            "forward answered {} numbers from 0 to 1 whose sum is 1: if they are probabilities of classes, that is \
             task = \"classification\", output.activation = \"none\"; if they are parts of something, say of what, with output.names",
            noise.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(output: &str) -> ModelSpec {
        let text = format!("task = \"regression\"\n[input]\nsize = [2, 2]\n[output]\n{output}");
        ModelSpec::new(
            Manifest::parse(&text).expect("a right manifest"),
            Labels::default(),
        )
    }

    #[test]
    fn numbers_are_scaled_before_the_offset_is_added() {
        let answer = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).view([2, 2]);
        let of = |output: &str, answer: &Tensor| {
            let numbers = numbers(answer, &spec(output)).expect("numbers");
            Vec::<f32>::try_from(numbers.flatten(0, -1)).expect("floats")
        };
        assert_eq!(of("", &answer), [1.0, 2.0, 3.0, 4.0]);
        let scaled = "scale = [10, -1]\noffset = [0.5, 100]\nunits = [\"m\", \"\"]";
        assert_eq!(of(scaled, &answer), [10.5, 98.0, 30.5, 96.0]);
        assert_eq!(
            of("scale = [2]", &Tensor::from_slice(&[1f32, 2.0])),
            [2.0, 4.0],
            "[B]"
        );
        let spec = spec(scaled);
        assert_eq!(
            (unit(&spec, 0).as_deref(), unit(&spec, 1), unit(&spec, 2)),
            (Some("m"), None, None)
        );
    }

    #[test]
    fn what_is_no_regression_is_refused_with_what_it_looks_like() {
        let of = |output: &str| keys(&spec(output)).expect("keys").clone();
        let (none, two) = (of(""), of("names = [\"a\", \"b\"]"));
        for (right, keys) in [(&[3, 7][..], &none), (&[3], &none), (&[3, 2], &two)] {
            assert_eq!(shape(right, 3, keys), Ok(()));
        }
        for (wrong, keys, word) in [
            (&[1, 2][..], &none, "first dimension"),
            (&[3, 3], &two, "3 numbers, but"),
            (&[3], &two, "1 numbers, but"),
            (&[3, 5, 8, 8], &none, "segmentation"),
            (&[3, 5, 8], &none, "[3, K]"),
            (&[3, 5000], &none, "4096"),
        ] {
            assert!(
                shape(wrong, 3, keys).is_err_and(|text| text.contains(word)),
                "{wrong:?}"
            );
        }
        let probabilities = [0.25, 0.75];
        assert!(
            values(&probabilities, &probabilities, &none).is_err_and(|text| text.contains("classification"))
        );
        assert_eq!(
            values(&probabilities, &probabilities, &two),
            Ok(()),
            "their names were said"
        );
        assert!(values(&[1.0], &[f32::INFINITY], &none).is_err());
    }
}
