//! Named tensors.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::manifest;
use crate::tasks::tensor;

/// A tensor that goes in or comes out, of the tensor task.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorSpec {
    /// Its name in requests and answers.
    name: String,
    /// The type of its values.
    dtype: Dtype,
    /// Its shape; −1 is any size, and as the first it is the batch.
    shape: Vec<i64>,
}

/// The type of a tensor's values.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Dtype {
    /// 32-bit floats.
    F32,
    /// 64-bit integers.
    I64,
}

/// The body of a prediction of the tensor task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::protocol::v1) struct TensorCall {
    /// One for each of the model's inputs, in any order.
    inputs: Vec<NamedTensor>,
}

/// A named tensor in a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NamedTensor {
    /// As model.toml names it.
    #[schema(example = "x")]
    name: String,
    /// Its sizes.
    #[schema(example = json!([1, 4]))]
    shape: Vec<i64>,
    /// Its values, row-major.
    #[schema(value_type = Vec<f64>, example = json!([5.1, 3.5, 1.4, 0.2]))]
    data: Vec<Number>,
}

/// A number as JSON has it: one without a fraction stays whole.
#[derive(Debug, Clone, Copy)]
struct Number(tensor::Number);

/// A named tensor in an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AnsweredTensor {
    /// As model.toml names it.
    #[schema(example = "y")]
    name: String,
    /// Its sizes.
    #[schema(example = json!([1, 2]))]
    shape: Vec<i64>,
    /// Its values, row-major.
    data: Numbers,
}

/// Values as the model computes them, so that JSON has no more digits than they have.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Numbers {
    /// Of any type with a fraction.
    #[schema(example = json!([0.9, 0.1]))]
    Floats(Vec<f32>),
    /// Of any type without.
    Integers(Vec<i64>),
}

impl From<&manifest::TensorSpec> for TensorSpec {
    fn from(spec: &manifest::TensorSpec) -> Self {
        Self {
            name: spec.name.clone(),
            dtype: match spec.dtype {
                manifest::Dtype::F32 => Dtype::F32,
                manifest::Dtype::I64 => Dtype::I64,
            },
            shape: spec.shape.clone(),
        }
    }
}

impl From<TensorCall> for Vec<tensor::NamedTensor> {
    fn from(call: TensorCall) -> Self {
        let named = |input: NamedTensor| tensor::NamedTensor {
            name: input.name,
            shape: input.shape,
            data: input.data.into_iter().map(|Number(number)| number).collect(),
        };
        call.inputs.into_iter().map(named).collect()
    }
}

impl From<tensor::AnsweredTensor> for AnsweredTensor {
    fn from(answered: tensor::AnsweredTensor) -> Self {
        Self {
            name: answered.name,
            shape: answered.shape,
            data: match answered.data {
                tensor::Numbers::Floats(values) => Numbers::Floats(values),
                tensor::Numbers::Integers(values) => Numbers::Integers(values),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;

        impl Visitor<'_> for AnyNumber {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(tensor::Number::Whole(value)))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(match i64::try_from(value) {
                    Ok(whole) => tensor::Number::Whole(whole),
                    Err(_) => tensor::Number::Real(value as f64),
                }))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(tensor::Number::Real(value)))
            }
        }

        deserializer.deserialize_any(AnyNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole_on_the_wire() {
        let text = r#"{"inputs": [{"name": "k", "shape": [3], "data": [9007199254740993, -9223372036854775808, 2.5]}]}"#;
        let call: TensorCall = serde_json::from_str(text).expect("a body");
        let tensors = Vec::<tensor::NamedTensor>::from(call);
        let expected = [
            tensor::Number::Whole(9_007_199_254_740_993),
            tensor::Number::Whole(i64::MIN),
            tensor::Number::Real(2.5),
        ];
        assert_eq!(tensors[0].data, expected);
    }
}
