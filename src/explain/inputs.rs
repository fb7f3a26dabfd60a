//! What of a model of tensors is explained: one input of one row, for an element of an output.

use tch::{Device, Tensor};
use torch_bridge::Value;

use super::element::Element;
use super::options::Options;
use super::target::refused;
use crate::error::{Error, Result};
use crate::manifest::{Dtype, TensorSpec, Tensors};
use crate::tasks::tensor::Values;

/// The inputs of one row, and which of them is explained.
#[derive(Debug)]
pub struct Inputs {
    values: Vec<Values>,
    place: usize,
    is_batched: bool,
}

impl Inputs {
    /// `values`, which fit the inputs of `model`, for what `options` ask, by a method that may need gradients.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] where they are more than one row, where it cannot be told which input or which element of
    /// an output is meant, or where the method cannot explain it.
    pub fn new(
        values: Vec<Values>,
        options: &Options,
        model: &Tensors,
        needs_gradients: bool,
    ) -> Result<Self> {
        let place = explained(options, model, needs_gradients)?;
        let is_batched = model.is_batched();
        for (value, input) in values.iter().zip(&model.inputs) {
            let rows = value.shape().first().copied().unwrap_or(1);
            if is_batched && rows != 1 {
                let text = format!("found {rows} rows; an explanation is of one, so send them one by one");
                return Err(Error::parameter(&input.spec.name, text));
            }
        }
        let element = Element::of(&options.target, model)?;
        let output = &model.outputs[element.output];
        if needs_gradients && !output.dtype.is_float() {
            return Err(refused(format!(
                "`{}` is of {}, whose values have no gradient; `occlusion` explains it",
                output.name, output.dtype
            )));
        }
        Ok(Self {
            values,
            place,
            is_batched,
        })
    }

    /// The place of the explained input among all.
    #[must_use]
    pub fn place(&self) -> usize {
        self.place
    }

    /// The sizes of the explained input without the batch.
    fn sizes(&self) -> &[i64] {
        let shape = self.values.get(self.place).map_or(&[][..], Values::shape);
        &shape[usize::from(self.is_batched)..]
    }

    /// (height, width) of what windows go over.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        last_two(self.sizes())
    }

    /// The tensors themselves.
    pub(super) fn on(&self, device: Device) -> Result<Beside> {
        let tensors = self.values.iter().map(|values| {
            let tensor = values.tensor(device)?;
            Ok(if self.is_batched {
                tensor
            } else {
                tensor.f_unsqueeze(0)?
            })
        });
        Ok(Beside {
            tensors: tensors.collect::<Result<_>>()?,
            place: self.place,
            is_batched: self.is_batched,
        })
    }
}

/// (height, width) of the last two of these sizes; of one alone a row, of none a cell.
#[must_use]
pub fn last_two(sizes: &[i64]) -> (usize, usize) {
    let side = |size: &i64| usize::try_from(*size).unwrap_or(1);
    match sizes {
        [.., height, width] => (side(height), side(width)),
        [width] => (1, side(width)),
        [] => (1, 1),
    }
}

/// The place of the input that is explained.
fn explained(options: &Options, model: &Tensors, needs_gradients: bool) -> Result<usize> {
    let specs: Vec<&TensorSpec> = model.inputs.iter().map(|input| &input.spec).collect();
    let floats: Vec<usize> = (0..specs.len())
        .filter(|&index| specs[index].dtype.is_float())
        .collect();
    let place = match (&options.input, &floats[..], specs.len()) {
        (Some(name), ..) => specs.iter().position(|spec| spec.name == *name),
        (None, &[only], _) => Some(only),
        (None, [], 1) => Some(0),
        (None, ..) => None,
    };
    let place = place.ok_or_else(|| {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        Error::parameter(
            "input",
            format!("say which input is explained: {}", names.join(", ")),
        )
    })?;
    let spec = specs[place];
    if spec.dtype.is_float() {
        return Ok(place);
    }
    let (name, dtype) = (&spec.name, spec.dtype);
    if needs_gradients {
        return Err(Error::parameter(
            "input",
            format!("`{name}` is of {dtype}, whose values have no gradient; `occlusion` explains it"),
        ));
    }
    if !options.baseline_is_given || !is_value(options.baseline, dtype) {
        let text = format!("say what covers `{name}`: a value of {dtype}");
        return Err(Error::parameter("baseline", text));
    }
    Ok(place)
}

/// Whether a number is a value of this type without a fraction.
fn is_value(number: f64, dtype: Dtype) -> bool {
    let (least, most) = match dtype {
        Dtype::Bool => (0.0, 1.0),
        Dtype::U8 => (0.0, 255.0),
        _ => (f64::from(i32::MIN), f64::from(i32::MAX)),
    };
    number.fract() == 0.0 && (least..=most).contains(&number)
}

/// All inputs of a model of tensors, and the place of the explained one, of which copies are made.
pub(super) struct Beside {
    /// Each with the copies as the first size.
    tensors: Vec<Tensor>,
    place: usize,
    is_batched: bool,
}

impl Beside {
    /// The explained input, `[1, …]`.
    pub(super) fn explained(&self) -> Tensor {
        self.tensors[self.place].shallow_clone()
    }

    /// Whether a pass takes several copies.
    pub(super) fn is_batched(&self) -> bool {
        self.is_batched
    }

    /// What `forward` is given for `copies [n, …]` of the explained input: tensors of its own, which it may write to.
    pub(super) fn arguments(&self, copies: &Tensor) -> Result<Vec<Value>> {
        let count = copies.size()[0];
        let argument = |(place, tensor): (usize, &Tensor)| -> Result<Value> {
            let (tensor, count) = if place == self.place {
                (copies, 1)
            } else {
                (tensor, count)
            };
            let own = copied(tensor, count)?;
            Ok(Value::Tensor(if self.is_batched {
                own
            } else {
                own.f_select(0, 0)?
            }))
        };
        self.tensors.iter().enumerate().map(argument).collect()
    }

    /// Values of a plane of the last two sizes, in the shape of the explained input: the same in every plane.
    pub(super) fn of_plane(&self, plane: &Tensor) -> Result<Tensor> {
        let inner = self.tensors[self.place].size().len() - 1;
        let last = &plane.size()[2 - inner.min(2)..];
        self.shaped(&plane.f_view(last)?)
    }

    /// Values of one copy, without the first size, in the shape of the explained input.
    pub(super) fn shaped(&self, values: &Tensor) -> Result<Tensor> {
        let size = self.tensors[self.place].size();
        let values = values.f_expand(&size[1..], false)?;
        Ok(if self.is_batched {
            values.f_unsqueeze(0)?
        } else {
            values
        })
    }
}

/// `count` copies of what `tensor` has, below each other.
pub(super) fn copied(tensor: &Tensor, count: i64) -> Result<Tensor> {
    let mut times = vec![1; tensor.dim()];
    if let Some(first) = times.first_mut() {
        *first = count;
    }
    Ok(tensor.f_repeat(times)?)
}
