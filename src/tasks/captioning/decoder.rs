//! The captioner's module between two steps: its memory and state, row by row.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use crate::error::{Error, Result};
use crate::runtime::Call;

/// The module between two steps.
pub(crate) struct Decoder<'a> {
    module: &'a dyn Call,
    memory: Value,
    state: Value,
}

/// What a step answers, for each row.
pub(crate) struct Step {
    /// `[N, V]`
    pub(crate) log_probs: Tensor,
    /// `[N, P]`, if the model has any.
    pub(crate) attention: Option<Tensor>,
}

impl<'a> Decoder<'a> {
    pub(super) fn start(module: &'a dyn Call, batch: Tensor) -> Result<Self> {
        Self::resume(module, module.call("start", &[Value::Tensor(batch)])?)
    }

    /// Goes on from what `start` gave.
    pub(crate) fn resume(module: &'a dyn Call, started: Value) -> Result<Self> {
        let mut parts = started.into_elements()?.into_iter();
        match (parts.next(), parts.next()) {
            (Some(memory), Some(state)) => Ok(Self {
                module,
                memory,
                state,
            }),
            _ => Err(Error::InferenceFailed("start must answer (memory, state)".into())),
        }
    }

    /// How many captions are under way.
    pub(crate) fn rows(&self) -> Result<usize> {
        let tensors = self.state.tensors().into_iter().chain(self.memory.tensors());
        let rows = tensors.filter_map(|tensor| tensor.size().first().copied()).next();
        rows.and_then(|rows| usize::try_from(rows).ok())
            .ok_or_else(|| Error::InferenceFailed("start must answer tensors as memory or state".into()))
    }

    pub(crate) fn step(&mut self, tokens: &[usize]) -> Result<Step> {
        let ids: Vec<i64> = tokens.iter().map(|&token| token as i64).collect();
        let token = Tensor::from_slice(&ids).f_to_device(self.module.device())?;
        let nothing = || Value::None;
        let memory = std::mem::replace(&mut self.memory, nothing());
        let state = std::mem::replace(&mut self.state, nothing());
        let inputs = [Value::Tensor(token), memory, state];
        let mut parts = self.module.call("step", &inputs)?.into_elements()?.into_iter();
        let [_, memory, _] = inputs;
        self.memory = memory;
        let (Some(logits), Some(state)) = (parts.next(), parts.next()) else {
            return Err(Error::InferenceFailed(
                "step must answer (logits, state, attention)".into(),
            ));
        };
        self.state = state;
        let attention = match parts.next() {
            Some(Value::Tensor(attention)) if attention.numel() > 0 => Some(attention),
            _ => None,
        };
        Ok(Step {
            log_probs: logits.into_tensor()?.f_log_softmax(-1, Kind::Float)?,
            attention,
        })
    }

    /// Goes on with these rows.
    pub(super) fn pick(&mut self, rows: &[i64]) -> Result<()> {
        let rows = Tensor::from_slice(rows).f_to_device(self.module.device())?;
        for value in [&mut self.memory, &mut self.state] {
            *value = picked(value, &rows)?;
        }
        Ok(())
    }
}

/// The same nest with these rows of every tensor in it.
fn picked(value: &Value, rows: &Tensor) -> Result<Value> {
    let all = |values: &[Value]| values.iter().map(|v| picked(v, rows)).collect::<Result<Vec<_>>>();
    Ok(match value {
        Value::Tensor(tensor) if tensor.dim() > 0 => Value::Tensor(tensor.f_index_select(0, rows)?),
        Value::Tensor(tensor) => Value::Tensor(tensor.shallow_clone()),
        Value::List(values) => Value::List(all(values)?),
        Value::Tuple(values) => Value::Tuple(all(values)?),
        Value::None => Value::None,
        Value::Int(number) => Value::Int(*number),
        other => {
            return Err(Error::InferenceFailed(format!(
                "memory and state must be tensors, found {}",
                other.kind()
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_picked_in_every_tensor_of_a_nest() {
        let rows = |values: &[f32]| Value::Tensor(Tensor::from_slice(values).view([3, 1]));
        let nest = Value::Tuple(vec![rows(&[1., 2., 3.]), Value::List(vec![rows(&[4., 5., 6.])])]);
        let found = picked(&nest, &Tensor::from_slice(&[2i64, 0, 0])).expect("picked");
        let values: Vec<Vec<f32>> = found
            .tensors()
            .iter()
            .map(|t| crate::runtime::staging::floats(t).expect("f32"))
            .collect();
        assert_eq!(values, [[3., 1., 1.], [6., 4., 4.]]);
    }
}
