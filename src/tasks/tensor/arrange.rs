//! From the tensors of a request, however they were written, to those that the model takes.

use bytes::Bytes;
use tch::{Device, Tensor};

use super::number::Number;
use super::numbers::Numbers;
use crate::error::{Error, Result, counted, excerpt};
use crate::manifest::{TensorInput, TensorSpec, Tensors};
use crate::tasks::operation::Weighed;

/// A named tensor in a request.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// As model.toml names it.
    pub name: String,
    /// How it came.
    pub given: Given,
}

impl NamedTensor {
    /// Fitting it to its model takes as long as copying so many bytes.
    #[must_use]
    pub fn work(&self) -> usize {
        /// A number that was written, to be typed and bounded.
        const A_NUMBER: usize = 32;
        match &self.given {
            Given::Listed { data, .. } => data.len() * A_NUMBER,
            Given::Array { data, .. } => data.bytes().len(),
            Given::Raw(bytes) => bytes.len(),
        }
    }
}

/// How a tensor was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A shape, and values without a type, row-major.
    Listed {
        /// Its sizes.
        shape: Vec<i64>,
        /// Its values.
        data: Vec<Number>,
    },
    /// A shape, and values of a type, row-major.
    Array {
        /// Its sizes.
        shape: Vec<i64>,
        /// Its values.
        data: Numbers,
    },
    /// The bytes of the values, row-major and little-endian; their type and shape are those of model.toml.
    Raw(Bytes),
}

/// A tensor that fits its [`TensorSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    pub(super) shape: Vec<i64>,
    pub(super) data: Numbers,
}

impl Weighed for Vec<Values> {
    fn bytes(&self) -> usize {
        self.iter().map(|values| values.data.bytes().len()).sum()
    }
}

impl Values {
    /// Its sizes.
    #[must_use]
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// The tensor itself, which shares nothing with the request.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] where the device has no room.
    pub(crate) fn tensor(&self, device: Device) -> Result<Tensor> {
        Numbers::tensor(&[&self.data], &self.shape, device)
    }
}

/// The request's tensors in the order of the model's inputs.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the tensor, what was found and what is expected.
pub fn arrange(mut given: Vec<NamedTensor>, model: &Tensors) -> Result<Vec<Values>> {
    let is_batched = model.is_batched();
    let mut values = Vec::with_capacity(model.inputs.len());
    for input in &model.inputs {
        let name = &input.spec.name;
        let place = given.iter().position(|tensor| tensor.name == *name);
        let place = place.ok_or_else(|| missing(name, &given, model))?;
        let fitted = fitted(given.swap_remove(place).given, input, is_batched);
        values.push(fitted.map_err(|text| Error::parameter(name, text))?);
    }
    match given.first() {
        Some(left) if model.inputs.iter().any(|input| input.spec.name == left.name) => {
            Err(Error::parameter(&left.name, "this input is given more than once"))
        }
        Some(unknown) => {
            let known: Vec<&str> = model
                .inputs
                .iter()
                .map(|input| input.spec.name.as_str())
                .collect();
            Err(Error::parameter(
                excerpt(&unknown.name),
                format!("no such input; the model has {}", known.join(", ")),
            ))
        }
        None => Ok(values),
    }
}

/// What is missing, and what stands in its place.
fn missing(name: &str, given: &[NamedTensor], model: &Tensors) -> Error {
    let is_unknown = |tensor: &&NamedTensor| model.inputs.iter().all(|input| input.spec.name != tensor.name);
    let unknown = given.iter().find(is_unknown);
    let instead = unknown.map(|tensor| {
        format!(
            "; the request has `{}`, which the model has not",
            excerpt(&tensor.name)
        )
    });
    Error::parameter(
        name,
        format!("this input is missing{}", instead.unwrap_or_default()),
    )
}

fn fitted(given: Given, input: &TensorInput, is_batched: bool) -> Result<Values, String> {
    let spec = &input.spec;
    let (shape, data) = match given {
        Given::Listed { shape, data } => {
            check_shape(&shape, input, is_batched)?;
            check_count(&shape, data.len())?;
            (shape, Numbers::typed(&data, spec.dtype)?)
        }
        Given::Array { shape, data } => {
            check_shape(&shape, input, is_batched)?;
            if data.dtype() != spec.dtype {
                let (found, expected) = (data.dtype(), spec.dtype);
                return Err(format!(
                    "found values of {found}, expected {expected}; convert them"
                ));
            }
            check_count(&shape, data.count())?;
            (shape, data)
        }
        Given::Raw(bytes) => {
            let shape = shape_of_bytes(bytes.len(), spec)?;
            check_shape(&shape, input, is_batched)?;
            (shape, Numbers::of_bytes(bytes, spec.dtype)?)
        }
    };
    match input.range.and_then(|range| Some((range, data.beyond(range)?))) {
        None => Ok(Values { shape, data }),
        Some(([least, most], (index, value))) => Err(format!(
            "value {index} is {value}, expected whole numbers from {least} to {most} (range in model.toml)"
        )),
    }
}

fn check_shape(found: &[i64], input: &TensorInput, is_batched: bool) -> Result<(), String> {
    let expected = &input.spec.shape;
    let fits = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(&found, &size)| found > 0 && (size == -1 || size == found));
    if !fits {
        let least = if found.iter().any(|&size| size < 1) {
            "; the sizes of a request are at least 1"
        } else {
            ""
        };
        let found = shown(found);
        return Err(format!(
            "found shape {found}, expected {expected:?} (−1 is any size){least}"
        ));
    }
    let counted = if is_batched { &found[1..] } else { found };
    let most = input.max_elements.unwrap_or(i64::MAX);
    if product(counted).is_some_and(|count| count <= most) {
        return Ok(());
    }
    let of = if is_batched { " in each row" } else { "" };
    Err(format!(
        "found shape {}, expected at most {most} values{of} (max_elements in model.toml)",
        shown(found)
    ))
}

/// A shape for a message, of which a client says how long it is.
fn shown(shape: &[i64]) -> String {
    const MOST: usize = 16;
    match shape.get(..MOST) {
        Some(first) if shape.len() > MOST => format!("{first:?} and {} more sizes", shape.len() - MOST),
        _ => format!("{shape:?}"),
    }
}

fn product(sizes: &[i64]) -> Option<i64> {
    sizes
        .iter()
        .try_fold(1i64, |product, &size| product.checked_mul(size))
}

fn check_count(shape: &[i64], found: usize) -> Result<(), String> {
    if product(shape) == i64::try_from(found).ok() {
        return Ok(());
    }
    Err(format!("found {} for shape {shape:?}", counted(found, "value")))
}

/// The shape of so many bytes, where only the first size is open.
fn shape_of_bytes(found: usize, spec: &TensorSpec) -> Result<Vec<i64>, String> {
    if spec.has_open_inner_sizes() {
        return Err(format!(
            "raw bytes do not say the shape, and {:?} has open sizes; send application/x-npy",
            spec.shape
        ));
    }
    let fixed: i64 = spec.shape.iter().filter(|&&size| size != -1).product();
    let bytes = usize::try_from(fixed)
        .unwrap_or(usize::MAX)
        .saturating_mul(spec.dtype.size());
    let is_open = spec.shape.first() == Some(&-1);
    let rows = found / bytes;
    if rows * bytes != found || rows == 0 || (!is_open && rows != 1) {
        let expected = if is_open { "a multiple of " } else { "" };
        return Err(format!(
            "found {found} bytes, expected {expected}{bytes}: {:?} of {}, little-endian",
            spec.shape, spec.dtype
        ));
    }
    let sizes = spec.shape.iter();
    Ok(sizes
        .map(|&size| if size == -1 { rows as i64 } else { size })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Dtype, Manifest};

    const MODEL: &str = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 2]\n\
                         [[inputs]]\nname = \"k\"\ndtype = \"i64\"\nshape = [-1]\n\
                         [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]";

    fn model(text: &str) -> Tensors {
        let manifest = Manifest::parse(text).expect("a tensor model");
        manifest.tensors().expect("tensors").clone()
    }

    fn named_tensor(name: &str, shape: &[i64], data: &[f64]) -> NamedTensor {
        NamedTensor {
            name: name.into(),
            given: Given::Listed {
                shape: shape.into(),
                data: data.iter().map(|&v| Number::Real(v)).collect(),
            },
        }
    }

    fn of_bytes(name: &str, given: Given) -> NamedTensor {
        NamedTensor {
            name: name.into(),
            given,
        }
    }

    #[test]
    fn tensors_are_put_in_the_model_s_order() {
        let given = vec![
            named_tensor("k", &[1], &[3.0]),
            named_tensor("x", &[1, 2], &[1.0, 2.0]),
        ];
        let values = arrange(given, &model(MODEL)).expect("they fit");
        assert_eq!(values[0].data.values().collect::<Vec<f32>>(), [1.0, 2.0]);
        assert_eq!(values[1].data.values().collect::<Vec<i64>>(), [3]);
    }

    #[test]
    fn whole_numbers_lie_in_their_range() {
        let mut model = model(MODEL);
        model.inputs[1].range = Some([0, 9]);
        let with = |k: f64| {
            arrange(
                vec![
                    named_tensor("x", &[1, 2], &[1.0, 2.0]),
                    named_tensor("k", &[1], &[k]),
                ],
                &model,
            )
        };
        assert!(with(9.0).is_ok());
        let refused = with(-1.0).expect_err("below").to_string();
        assert!(
            refused.contains("value 0 is -1, expected whole numbers from 0 to 9"),
            "{refused}"
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wrong = |x: NamedTensor, k: NamedTensor| {
            arrange(vec![x, k], &model(MODEL)).expect_err("wrong").to_string()
        };
        let (x, k) = (
            || named_tensor("x", &[1, 2], &[1.0, 2.0]),
            || named_tensor("k", &[1], &[3.0]),
        );
        assert!(
            wrong(named_tensor("x", &[1, 3], &[0.0; 3]), k())
                .ends_with("found shape [1, 3], expected [-1, 2] (−1 is any size)")
        );
        for shape in [[0, 2], [-1, 2]] {
            let text = wrong(named_tensor("x", &shape, &[]), k());
            assert!(text.ends_with("the sizes of a request are at least 1"), "{text}");
        }
        let long = wrong(named_tensor("x", &[1; 1000], &[]), k());
        assert!(long.contains("and 984 more sizes"), "{long}");
        assert!(wrong(named_tensor("x", &[1, 2], &[0.0]), k()).contains("found 1 value for"));
        assert!(
            wrong(x(), named_tensor("k", &[1], &[0.5])).contains("value 0 is 0.5, expected whole numbers")
        );
        assert!(wrong(x(), named_tensor("z", &[1], &[0.0])).contains("`k`: this input is missing"));
        let three = |third| {
            arrange(vec![x(), k(), third], &model(MODEL))
                .expect_err("three")
                .to_string()
        };
        assert!(three(x()).contains("`x`: this input is given more than once"));
        assert!(three(named_tensor("z", &[1], &[0.0])).contains("`z`: no such input; the model has x, k"));
    }

    #[test]
    fn bytes_are_as_many_rows_as_they_fill() {
        let raw = |count: usize| of_bytes("x", Given::Raw(vec![0; count].into()));
        let k = || named_tensor("k", &[1], &[3.0]);
        let values = arrange(vec![raw(24), k()], &model(MODEL)).expect("three rows");
        assert_eq!(values[0].shape, [3, 2]);
        for count in [0, 4, 25] {
            let text = arrange(vec![raw(count), k()], &model(MODEL))
                .expect_err("no rows")
                .to_string();
            assert!(
                text.contains("expected a multiple of 8: [-1, 2] of f32"),
                "{text}"
            );
        }
        let data = Numbers::of_bytes(Bytes::from_static(&[0; 16]), Dtype::F64).expect("two values");
        let array = Given::Array {
            shape: vec![1, 2],
            data,
        };
        let text = arrange(vec![of_bytes("x", array), k()], &model(MODEL))
            .expect_err("f64")
            .to_string();
        assert!(text.contains("found values of f64, expected f32"), "{text}");
    }

    #[test]
    fn open_sizes_have_a_bound() {
        let model = model(
            "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"u8\"\nshape = [-1, 2, -1]\nexample = [1, 2, 3]\n\
             [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]",
        );
        let array = |rows: i64, length: i64| {
            let data = Numbers::zeros((rows * 2 * length) as usize, Dtype::U8);
            let shape = vec![rows, 2, length];
            arrange(vec![of_bytes("x", Given::Array { shape, data })], &model)
        };
        assert!(array(4, 48).is_ok(), "16 times the example in each row");
        let text = array(1, 49).expect_err("98 values").to_string();
        assert!(
            text.contains("at most 96 values in each row (max_elements"),
            "{text}"
        );
        let raw = arrange(
            vec![of_bytes("x", Given::Raw(Bytes::from_static(&[1; 6])))],
            &model,
        );
        assert!(
            raw.expect_err("no shape")
                .to_string()
                .contains("send application/x-npy")
        );
        let huge = named_tensor("x", &[i64::MAX, 2, i64::MAX], &[]);
        assert!(arrange(vec![huge], &model).is_err());
    }
}
