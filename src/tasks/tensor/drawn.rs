//! Inputs at random, each within what a request may have, on which a model is examined.

use tch::{Device, Kind, Tensor};
use torch_bridge::Generator;

use super::numbers::kind;
use crate::error::Result;
use crate::manifest::{Dtype, TensorInput, Tensors};

/// Whole numbers that most models bear where nothing says which they take: rows of an embedding, a mask, a flag.
const FEW: [i64; 2] = [0, 1];

/// How numbers with a fraction are drawn. They differ by more than their noise, since a network that looks at the whole batch may do
/// so by its mean or its largest value alone; and none is the same number everywhere, since the order of equal scores is chance.
#[derive(Debug, Clone, Copy)]
enum Draw {
    /// The standard normal distribution.
    Normal,
    /// From 0 to 1, as pixels are.
    Bright,
    /// From −4 to 0.
    Dark,
}

/// Three calls of `forward`, each a tensor an input, with a batch of one where there are batches.
pub(in crate::tasks) fn drawn(model: &Tensors, device: Device) -> Result<Vec<Vec<Tensor>>> {
    let mut generator = Generator::new(0)?;
    let draws = [Draw::Normal, Draw::Bright, Draw::Dark];
    let mut call = |draw: Draw| -> Result<Vec<Tensor>> {
        let inputs = model.inputs.iter();
        let one = |input: &TensorInput| {
            let mut shape = input.example.clone();
            if let (true, Some(first)) = (model.is_batched(), shape.first_mut()) {
                *first = 1;
            }
            Ok(of_input(input, &shape, draw, &mut generator)?.f_to_device(device)?)
        };
        inputs.map(one).collect()
    };
    draws.into_iter().map(&mut call).collect()
}

/// One input of this shape.
fn of_input(input: &TensorInput, shape: &[i64], draw: Draw, generator: &mut Generator) -> Result<Tensor> {
    let dtype = input.spec.dtype;
    let drawn = match dtype {
        Dtype::Bool => generator.uniform(shape)?.f_ge(0.5)?,
        Dtype::U8 | Dtype::I32 | Dtype::I64 => {
            let all = dtype.whole_numbers().filter(|_| dtype == Dtype::U8);
            whole(&generator.uniform(shape)?, input.range.or(all).unwrap_or(FEW))?
        }
        Dtype::F16 | Dtype::F32 | Dtype::F64 => match draw {
            Draw::Normal => generator.normal(shape)?,
            Draw::Bright => generator.uniform(shape)?,
            Draw::Dark => generator.uniform(shape)?.f_mul_scalar(-4.0)?,
        },
    };
    // Weights in half precision were widened; see `runtime::Program`.
    let kind = if dtype == Dtype::F16 {
        Kind::Float
    } else {
        kind(dtype)
    };
    Ok(drawn.f_to_kind(kind)?)
}

/// Whole numbers of a range, by numbers from 0 to 1.
fn whole(uniform: &Tensor, [least, greatest]: [i64; 2]) -> Result<Tensor> {
    let (first, last) = (least as f64, greatest as f64);
    let spread = uniform
        .f_to_kind(Kind::Double)?
        .f_mul_scalar(last - first + 1.0)?;
    let floored = spread.f_add_scalar(first)?.f_floor()?;
    // At the ends of 64 bits a double is beyond them.
    let within = floored.f_clamp(first, last.min(9.2e18))?;
    Ok(within.f_to_kind(Kind::Int64)?.f_clamp(least, greatest)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn drawn_of(inputs: &str, first: &str) -> Vec<Vec<Tensor>> {
        let text = format!(
            "task = \"tensor\"\n{inputs}[[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [{first}, 1]\n"
        );
        let manifest = Manifest::parse(&text).expect("a tensor model");
        drawn(manifest.tensors().expect("tensors"), Device::Cpu).expect("numbers")
    }

    #[test]
    fn what_is_drawn_is_of_the_type_the_shape_and_the_range_of_each_input() {
        let input = |dtype: &str, keys: &str| {
            format!("[[inputs]]\nname = \"{dtype}\"\ndtype = \"{dtype}\"\nshape = [-1, 64]\n{keys}\n")
        };
        let of = [
            ("bool", "", Kind::Bool, [0, 1]),
            ("u8", "", Kind::Uint8, [0, 255]),
            ("i32", "range = [-7, 12]", Kind::Int, [-7, 12]),
            ("i64", "", Kind::Int64, FEW),
            ("f16", "", Kind::Float, [-9, 9]),
            ("f64", "", Kind::Double, [-9, 9]),
        ];
        let inputs: String = of.iter().map(|(dtype, keys, ..)| input(dtype, keys)).collect();
        let calls = drawn_of(&inputs, "-1");
        assert_eq!(calls.len(), 3);
        for call in calls {
            for (tensor, (dtype, _, kind, [least, greatest])) in call.iter().zip(of) {
                assert_eq!((tensor.size(), tensor.kind()), (vec![1, 64], kind), "{dtype}");
                let values = tensor.to_kind(Kind::Double);
                let ends = [values.min(), values.max()].map(|end| end.double_value(&[]));
                assert!(
                    ends[0] >= least as f64 && ends[1] <= greatest as f64,
                    "{dtype}: {ends:?}"
                );
                assert!(ends[0] < ends[1], "{dtype} does not vary");
            }
        }
    }

    #[test]
    fn a_range_of_all_whole_numbers_is_kept_and_shapes_without_a_batch_are_the_example_s() {
        let range = format!("range = [{}, {}]", i64::MIN, i64::MAX);
        let inputs = format!(
            "[[inputs]]\nname = \"k\"\ndtype = \"i64\"\nshape = [3, -1]\nexample = [3, 8]\n{range}\n"
        );
        let calls = drawn_of(&inputs, "3");
        assert_eq!(calls[0][0].size(), [3, 8]);
        assert!(calls[0][0].min().int64_value(&[]) < calls[0][0].max().int64_value(&[]));
    }
}
