//! `forward` of a frozen module, compiled by oneDNN Graph for two batch sizes; any batch is cut into those.
//!
//! An image costs nearly the same in a batch of four as in a larger one, and every size has packed weights of its own.

use tch::{Kind, Tensor};
use torch_bridge::{Module, Specialised, Value};

use super::parts::{self, Part};
use crate::error::{Error, Result};

/// The largest batch that is compiled for.
const LARGEST: usize = 4;

/// How far the compiled answers may be from the plain ones, as a part of the largest of these.
const TOLERANCE: f64 = 1e-3;

/// One program a batch size, smallest first; the first is 1.
#[derive(Debug)]
pub(super) struct Specialisations {
    sizes: Vec<usize>,
    programs: Vec<Specialised>,
}

impl Specialisations {
    /// Compiles `module`, which is frozen and not fused, for batches of one and of several, none larger than
    /// `max_batch`, and compares what it answers with the module itself. `example` makes a batch of some size.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when nothing in it can be compiled, when its answers are no batches, or when they
    /// differ.
    pub(super) fn compile(
        module: &Module,
        max_batch: usize,
        example: impl Fn(usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let mut sizes = vec![1, max_batch.clamp(1, LARGEST)];
        sizes.dedup();
        let one = |&size: &usize| {
            let blank = parts::in_order(&example(size)?)?;
            let random = Value::Tensor(blank.f_rand_like()?);
            let program = module.specialise("forward", &[Value::Tensor(blank)])?;
            let inputs = [random];
            compare(&module.call("forward", &inputs)?, &program.run(&inputs)?, size)?;
            Ok(program)
        };
        let programs = sizes.iter().map(one).collect::<Result<_>>()?;
        Ok(Self { sizes, programs })
    }

    /// `forward` of `inputs`, tensors with the batch in dimension 0.
    pub(super) fn forward(&self, inputs: &[Value]) -> Result<Value> {
        let inputs = inputs.iter().map(parts::batch).collect::<Result<Vec<_>>>()?;
        let total = inputs.first().map_or(0, |t| t.size()[0]);
        let run = |part: Part| {
            let rows = |input: &&Tensor| Ok(Value::Tensor(parts::in_order(&parts::rows(input, part)?)?));
            let inputs = inputs.iter().map(rows).collect::<Result<Vec<_>>>()?;
            Ok(self.programs[part.program].run(&inputs)?)
        };
        let cut = parts::exact(usize::try_from(total).unwrap_or(0), &self.sizes);
        parts::join(cut.into_iter().map(run).collect::<Result<_>>()?)
    }
}

/// Whether two answers to a batch of `size` are the same within [`TOLERANCE`], and can be joined to others.
fn compare(plain: &Value, compiled: &Value, size: usize) -> Result<()> {
    let differ = |how: String| Err(Error::InferenceFailed(format!("compiled, it answers {how}")));
    let (plain, compiled) = (plain.tensors(), compiled.tensors());
    if plain.len() != compiled.len() || plain.is_empty() {
        return differ(format!("{} tensors for {}", compiled.len(), plain.len()));
    }
    for (expected, found) in plain.into_iter().zip(compiled) {
        if found.size() != expected.size() || found.size().first() != Some(&(size as i64)) {
            return differ(format!("{:?} for a batch of {size}", found.size()));
        }
        let largest = expected.f_abs()?.f_max()?.f_double_value(&[])?;
        let off = expected
            .f_sub(found)?
            .f_abs()?
            .f_max()?
            .f_to_kind(Kind::Double)?
            .f_double_value(&[])?;
        if off.is_nan() || off > TOLERANCE * largest.max(1e-6) {
            return differ(format!("otherwise, by {off} of {largest}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn answer(numbers: &[f32]) -> Value {
        Value::Tensor(Tensor::from_slice(numbers).to_device(Device::Cpu))
    }

    #[test]
    fn answers_are_compared_by_form_and_by_size() {
        let plain = answer(&[1.0, -2.0]);
        assert!(compare(&plain, &answer(&[1.0005, -2.0]), 2).is_ok());
        assert!(compare(&plain, &answer(&[1.01, -2.0]), 2).is_err());
        assert!(compare(&plain, &answer(&[f32::NAN, -2.0]), 2).is_err());
        assert!(compare(&plain, &answer(&[1.0]), 2).is_err());
        assert!(compare(&plain, &plain, 1).is_err(), "no batch of one");
        assert!(compare(&Value::None, &Value::None, 1).is_err());
    }
}
