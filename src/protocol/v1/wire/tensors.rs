//! Named tensors.

use std::fmt;

use half::f16;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::manifest;
use crate::reading::Parameters;
use crate::reading::bounded::{JsonParameters, Object};
use crate::tasks::tensor::{self, Given};

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
    /// Of an input: values that a request may have at most, in each row where requests share batches; absent where there
    /// is no other bound than that of bodies.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_elements: Option<i64>,
    /// Of an input: the least and the greatest whole number that a request may have; absent where that is the type's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[i64; 2]>,
}

/// The type of a tensor's values.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Dtype {
    /// `true` and `false`.
    Bool,
    /// 8-bit integers from 0 to 255.
    U8,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
    /// 16-bit floats.
    F16,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

/// The body of a prediction of the tensor task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::protocol::v1) struct TensorCall {
    /// One for each of the model's inputs, in any order.
    #[schema(value_type = Vec<NamedTensor>)]
    inputs: Vec<Object<NamedTensor>>,
    /// The same names and values as in the query string.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<JsonParameters>,
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
    /// Its values, row-major; of `bool` true and false, or 1 and 0.
    #[schema(value_type = Vec<Value>, example = json!([5.1, 3.5, 1.4, 0.2]))]
    data: Vec<Number>,
}

/// A value of a tensor.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "it only describes values, which are read by their tensor's type"
)]
enum Value {
    /// Of any type but `bool`; of `bool` 0 or 1.
    Number(f64),
    /// Of `bool`.
    Flag(bool),
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
    #[schema(value_type = Numbers)]
    data: Written,
}

/// Values of a tensor in an answer.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "it only describes values, which are written by their tensor's type"
)]
enum Numbers {
    /// Of any type with a fraction; what is not finite is `null`.
    #[schema(value_type = Vec<Option<f64>>, example = json!([0.9, 0.1]))]
    Floats(Vec<f64>),
    /// Of any type without.
    Integers(Vec<i64>),
    /// Of `bool`.
    Flags(Vec<bool>),
}

/// Values as the model computes them, so that JSON has no more digits than they have.
#[derive(Debug)]
struct Written(tensor::Numbers);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = &self.0;
        match numbers.dtype() {
            manifest::Dtype::Bool => serializer.collect_seq(numbers.values::<bool>()),
            manifest::Dtype::U8 => serializer.collect_seq(numbers.values::<u8>()),
            manifest::Dtype::I32 => serializer.collect_seq(numbers.values::<i32>()),
            manifest::Dtype::I64 => serializer.collect_seq(numbers.values::<i64>()),
            manifest::Dtype::F16 => serializer.collect_seq(numbers.values::<f16>().map(f32::from)),
            manifest::Dtype::F32 => serializer.collect_seq(numbers.values::<f32>()),
            manifest::Dtype::F64 => serializer.collect_seq(numbers.values::<f64>()),
        }
    }
}

impl From<&manifest::TensorSpec> for TensorSpec {
    fn from(spec: &manifest::TensorSpec) -> Self {
        Self {
            name: spec.name.clone(),
            dtype: match spec.dtype {
                manifest::Dtype::Bool => Dtype::Bool,
                manifest::Dtype::U8 => Dtype::U8,
                manifest::Dtype::I32 => Dtype::I32,
                manifest::Dtype::I64 => Dtype::I64,
                manifest::Dtype::F16 => Dtype::F16,
                manifest::Dtype::F32 => Dtype::F32,
                manifest::Dtype::F64 => Dtype::F64,
            },
            shape: spec.shape.clone(),
            max_elements: None,
            range: None,
        }
    }
}

impl From<&manifest::TensorInput> for TensorSpec {
    fn from(input: &manifest::TensorInput) -> Self {
        Self {
            max_elements: input.max_elements,
            range: input.range,
            ..Self::from(&input.spec)
        }
    }
}

impl TensorCall {
    /// The tensors, and the parameters or what is wrong with them.
    pub(in crate::protocol::v1) fn into_parts(
        self,
    ) -> (Vec<tensor::NamedTensor>, crate::error::Result<Parameters>) {
        let named = |Object(input): Object<NamedTensor>| tensor::NamedTensor {
            name: input.name,
            given: Given::Listed {
                shape: input.shape,
                data: input.data.into_iter().map(|Number(number)| number).collect(),
            },
        };
        (
            self.inputs.into_iter().map(named).collect(),
            JsonParameters::of(self.parameters),
        )
    }
}

impl From<tensor::AnsweredTensor> for AnsweredTensor {
    fn from(answered: tensor::AnsweredTensor) -> Self {
        Self {
            name: answered.name,
            shape: answered.shape,
            data: Written(answered.data),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;

        impl Visitor<'_> for AnyNumber {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, true or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Number, E> {
                Ok(Number(tensor::Number::Flag(value)))
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
        let (tensors, parameters) = call.into_parts();
        let expected = [
            tensor::Number::Whole(9_007_199_254_740_993),
            tensor::Number::Whole(i64::MIN),
            tensor::Number::Real(2.5),
        ];
        let given = Given::Listed {
            shape: vec![3],
            data: expected.to_vec(),
        };
        assert_eq!(
            (&tensors[0].given, parameters),
            (&given, Ok(Parameters::default()))
        );
    }

    #[test]
    fn values_are_written_with_the_digits_of_their_type() {
        use manifest::Dtype::{Bool, F16, F32, F64, I64};
        let written = |bytes: &[u8], dtype| {
            let numbers = tensor::Numbers::of_bytes(bytes.to_vec().into(), dtype).expect("values");
            serde_json::to_string(&Written(numbers)).expect("JSON")
        };
        assert_eq!(written(&[1, 0], Bool), "[true,false]");
        assert_eq!(written(&0.1f64.to_le_bytes(), F64), "[0.1]");
        assert_eq!(written(&0.1f32.to_le_bytes(), F32), "[0.1]");
        assert_eq!(written(&f16::from_f32(0.1).to_le_bytes(), F16), "[0.099975586]");
        assert_eq!(written(&f64::NAN.to_le_bytes(), F64), "[null]");
        assert_eq!(written(&i64::MIN.to_le_bytes(), I64), "[-9223372036854775808]");
    }
}
