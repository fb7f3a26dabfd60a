//! Tensors keep their bits in messages as they do over REST, and what lies of itself is named.

use bytes::Bytes;
use grpc_messages::inference::model_infer_request::InferInputTensor;
use grpc_messages::inference::{InferTensorContents, ModelInferRequest};
use grpc_messages::{DecodeError, Message};
use proptest::prelude::*;

use super::super::datatype::Datatype;
use super::super::tensor::{Elements, Tensor};
use super::super::tests::{any_tensor, tensor};
use super::measure::measured;
use super::request::read;

fn values<T, const N: usize>(bytes: &Bytes, value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|bytes| value(*bytes))
        .collect()
}

/// The elements in the list of their datatype, which FP16 and BF16 have not.
fn contents(tensor: &Tensor) -> Option<InferTensorContents> {
    let mut lists = InferTensorContents::default();
    let bytes = match &tensor.elements {
        Elements::Plain(bytes) => bytes,
        Elements::Texts(texts) => {
            lists.bytes_contents.clone_from(texts);
            return Some(lists);
        }
    };
    match tensor.datatype {
        Datatype::Bool => lists.bool_contents = bytes.iter().map(|byte| *byte != 0).collect(),
        Datatype::Int8 => lists.int_contents = values(bytes, |b| i8::from_le_bytes(b).into()),
        Datatype::Int16 => lists.int_contents = values(bytes, |b| i16::from_le_bytes(b).into()),
        Datatype::Int32 => lists.int_contents = values(bytes, i32::from_le_bytes),
        Datatype::Int64 => lists.int64_contents = values(bytes, i64::from_le_bytes),
        Datatype::Uint8 => lists.uint_contents = values(bytes, |b| u8::from_le_bytes(b).into()),
        Datatype::Uint16 => lists.uint_contents = values(bytes, |b| u16::from_le_bytes(b).into()),
        Datatype::Uint32 => lists.uint_contents = values(bytes, u32::from_le_bytes),
        Datatype::Uint64 => lists.uint64_contents = values(bytes, u64::from_le_bytes),
        Datatype::Fp32 => lists.fp32_contents = values(bytes, f32::from_le_bytes),
        Datatype::Fp64 => lists.fp64_contents = values(bytes, f64::from_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => return None,
    }
    Some(lists)
}

fn input(tensor: &Tensor) -> InferInputTensor {
    InferInputTensor {
        name: tensor.name.clone(),
        datatype: tensor.datatype.name().into(),
        shape: tensor.shape.clone(),
        ..Default::default()
    }
}

/// The request as it arrives.
fn sent(request: &ModelInferRequest) -> ModelInferRequest {
    let bytes = request.encode_to_vec();
    measured(&bytes).expect("a message");
    ModelInferRequest::decode(Bytes::from(bytes)).expect("as it was written")
}

fn refused(request: &ModelInferRequest) -> String {
    read(sent(request)).expect_err("it lies").to_string()
}

proptest! {
    #[test]
    fn lists_and_raw_bytes_give_the_same_tensor(given in any_tensor()) {
        let tensor = tensor(given);
        let raw = ModelInferRequest {
            inputs: vec![input(&tensor)],
            raw_input_contents: vec![tensor.binary()],
            ..Default::default()
        };
        let (_, of_raw) = read(sent(&raw)).expect("as it was written");
        prop_assert_eq!(&of_raw.inputs, std::slice::from_ref(&tensor));
        let Some(contents) = contents(&tensor) else {
            return Ok(());
        };
        let listed = ModelInferRequest {
            inputs: vec![InferInputTensor { contents: Some(contents), ..input(&tensor) }],
            ..Default::default()
        };
        let (_, of_list) = read(sent(&listed)).expect("as it was written");
        prop_assert_eq!(of_list.inputs, vec![tensor]);
    }

    #[test]
    fn what_is_measured_is_no_less_than_what_is_built(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let built: Result<ModelInferRequest, DecodeError> = ModelInferRequest::decode(&bytes[..]);
        if let Ok(built) = built {
            let lists = built.inputs.iter().filter_map(|input| input.contents.as_ref());
            let elements: usize = lists.map(|lists| lists.int64_contents.len() * 8 + lists.bool_contents.len()).sum();
            if let Ok(measured) = measured(&bytes) {
                prop_assert!(measured >= elements as u64);
            }
        }
    }
}

#[test]
fn what_lies_of_itself_is_named() {
    let numbers = |datatype: &str, shape: Vec<i64>, contents| InferInputTensor {
        name: "x".into(),
        datatype: datatype.into(),
        shape,
        contents: Some(contents),
        ..Default::default()
    };
    let ints = |ints: &[i32]| InferTensorContents {
        int_contents: ints.to_vec(),
        ..Default::default()
    };
    for (input, expected) in [
        (
            numbers("INT8", vec![1], ints(&[128])),
            "element 0 is 128, which is no INT8",
        ),
        (
            numbers("INT32", vec![3], ints(&[1, 2])),
            "found 2 elements in int_contents, expected 3",
        ),
        (
            numbers("FP32", vec![2], ints(&[1, 2])),
            "found 2 elements in int_contents, expected 0",
        ),
        (
            numbers("FP16", vec![1], ints(&[1])),
            "send it in raw_input_contents",
        ),
        (numbers("INT4", vec![1], ints(&[1])), "expected one of BOOL"),
    ] {
        let request = ModelInferRequest {
            inputs: vec![input],
            ..Default::default()
        };
        let said = refused(&request);
        assert!(said.contains(expected) && said.contains('x'), "{said}");
    }
    let both = ModelInferRequest {
        inputs: vec![numbers("INT32", vec![1], ints(&[1]))],
        raw_input_contents: vec![Bytes::from_static(&[0; 4])],
        ..Default::default()
    };
    assert!(refused(&both).contains("both"), "{}", refused(&both));
    let few = ModelInferRequest {
        inputs: vec![numbers("INT32", vec![1], ints(&[1])); 2],
        raw_input_contents: vec![Bytes::from_static(&[0; 4])],
        ..Default::default()
    };
    assert!(
        refused(&few).contains("each of the 2 inputs"),
        "{}",
        refused(&few)
    );
    let short = ModelInferRequest {
        inputs: vec![InferInputTensor {
            contents: None,
            ..numbers("INT32", vec![2], ints(&[]))
        }],
        raw_input_contents: vec![Bytes::from_static(&[0; 4])],
        ..Default::default()
    };
    assert!(
        refused(&short).contains("found 4 bytes, expected 8"),
        "{}",
        refused(&short)
    );
}
