//! Tensors keep their bits, whichever way they are written, and what lies of itself is named.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::Listed;
use super::datatype::Datatype;
use super::listed::listed;
use super::request::InferRequest;
use super::tensor::{Elements, Head, Tensor};
use crate::error::Result;

const DATATYPES: [&str; 14] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32",
    "FP64", "BYTES",
];

fn head(datatype: &str, shape: &[i64]) -> Head {
    Head::new("x".into(), datatype, shape.to_vec()).expect("a tensor")
}

/// What `tensor` says in JSON, flat or as deep as its shape.
fn in_json(tensor: &Tensor, is_nested: bool) -> Box<RawValue> {
    let flat = serde_json::to_value(Listed(tensor)).expect("JSON");
    let value = match is_nested {
        true => nested(
            &tensor.shape,
            &mut flat.as_array().expect("a list").iter().cloned(),
        ),
        false => flat,
    };
    serde_json::value::to_raw_value(&value).expect("JSON")
}

fn nested(shape: &[i64], elements: &mut impl Iterator<Item = Value>) -> Value {
    match shape.split_first() {
        None => elements.next().expect("an element"),
        Some((&size, inner)) => (0..size).map(|_| nested(inner, elements)).collect(),
    }
}

/// The same bits, but for the payload of a NaN, which JSON does not have.
fn is_same(one: &Tensor, other: &Tensor) -> bool {
    let (Elements::Plain(a), Elements::Plain(b)) = (&one.elements, &other.elements) else {
        return one == other;
    };
    let size = one.datatype.size().expect("plain elements");
    let is_nan = |bytes: &[u8]| match (one.datatype, bytes) {
        (Datatype::Fp16, &[a, b]) => half::f16::from_le_bytes([a, b]).is_nan(),
        (Datatype::Bf16, &[a, b]) => half::bf16::from_le_bytes([a, b]).is_nan(),
        (Datatype::Fp32, bytes) => f32::from_le_bytes(bytes.try_into().expect("four")).is_nan(),
        (Datatype::Fp64, bytes) => f64::from_le_bytes(bytes.try_into().expect("eight")).is_nan(),
        _ => false,
    };
    let mut pairs = a.chunks(size).zip(b.chunks(size));
    (&one.shape, a.len()) == (&other.shape, b.len()) && pairs.all(|(a, b)| a == b || (is_nan(a) && is_nan(b)))
}

/// Sizes and enough bytes for them.
pub(super) fn any_tensor() -> impl Strategy<Value = (usize, Vec<i64>, Vec<u8>)> {
    let shape = proptest::collection::vec(0i64..4, 0..4);
    (0..DATATYPES.len(), shape).prop_flat_map(|(datatype, shape)| {
        let count = shape.iter().product::<i64>() as usize;
        let bytes = proptest::collection::vec(any::<u8>(), count * 8);
        (Just(datatype), Just(shape), bytes)
    })
}

pub(super) fn tensor((datatype, shape, mut bytes): (usize, Vec<i64>, Vec<u8>)) -> Tensor {
    let head = head(DATATYPES[datatype], &shape);
    match head.datatype.size() {
        Some(size) => {
            bytes.truncate(head.count * size);
            if head.datatype == Datatype::Bool {
                bytes.iter_mut().for_each(|byte| *byte %= 2);
            }
            head.binary(bytes.into()).expect("as many as the shape says")
        }
        None => {
            let texts = bytes
                .chunks(8)
                .map(|text| String::from_utf8_lossy(text).into_owned().into());
            head.clone().holding(Elements::Texts(texts.collect()))
        }
    }
}

proptest! {
    #[test]
    fn json_and_binary_give_the_same_tensor(given in any_tensor()) {
        let tensor = tensor(given);
        let again = || head(tensor.datatype.name(), &tensor.shape);
        let of_binary = again().binary(tensor.binary()).expect("as it was written");
        prop_assert_eq!(&of_binary, &tensor);
        for is_nested in [false, true] {
            if is_nested && tensor.shape.is_empty() {
                continue;
            }
            let of_json = listed(again(), &in_json(&tensor, is_nested)).expect("as it was written");
            prop_assert!(is_same(&of_json, &tensor), "{:?} {:?}", of_json, tensor);
        }
    }

    #[test]
    fn no_bytes_bring_a_reader_down(body in proptest::collection::vec(any::<u8>(), 0..200), header in 0usize..220) {
        drop(InferRequest::read(&Bytes::from(body), header));
    }
}

#[test]
fn values_at_the_edges_keep_their_bits() {
    let edges = [
        0.0,
        -0.0,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        0.1,
    ];
    let bytes: Vec<u8> = edges.iter().flat_map(|value| value.to_le_bytes()).collect();
    let double = head("FP64", &[9]).binary(bytes.into()).expect("nine");
    let again = listed(head("FP64", &[9]), &in_json(&double, false)).expect("nine");
    assert!(is_same(&again, &double), "{again:?}");
    let great = json!([9_007_199_254_740_993u64, u64::MAX]);
    let great = listed(
        head("UINT64", &[2]),
        &serde_json::value::to_raw_value(&great).expect("JSON"),
    );
    let Elements::Plain(bytes) = great.expect("whole numbers").elements else {
        panic!("plain elements");
    };
    assert_eq!(bytes[..8], 9_007_199_254_740_993u64.to_le_bytes());
    assert_eq!(bytes[8..], u64::MAX.to_le_bytes());
}

/// What is wrong with a request of this JSON, and these bytes behind it.
fn refused(json: &str, behind: &[u8]) -> String {
    let body = [json.as_bytes(), behind].concat();
    let read = InferRequest::read(&Bytes::from(body), json.len());
    read.expect_err(json).to_string()
}

/// What a request says of a tensor behind its name, how many bytes stand behind the JSON (−7: one of that value), and what is told.
const LIES: [(&str, i32, &str); 26] = [
    (
        r#""shape": [2], "datatype": "FP32", "data": [1]"#,
        0,
        "`x`: data: found 1 element, expected 2",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "data": [1, 2]"#,
        0,
        "more than 1 element",
    ),
    (
        r#""shape": [2, 2], "datatype": "FP32", "data": [[1, 2, 3], [4]]"#,
        0,
        "a list of 3 at depth 1",
    ),
    (
        r#""shape": [2, 2], "datatype": "FP32", "data": [[1, 2], 3, 4]"#,
        0,
        "side by side",
    ),
    (
        r#""shape": [2], "datatype": "FP32", "data": [[1, 2]]"#,
        0,
        "deeper than the shape",
    ),
    (
        r#""shape": [2, 2, 2], "datatype": "INT8", "data": [[1, 2], [3, 4]]"#,
        0,
        "not as deep",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "data": 7"#,
        0,
        "expected a list",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "data": [{"a": 1}]"#,
        0,
        "found an object",
    ),
    (
        r#""shape": [1], "datatype": "UINT8", "data": [256]"#,
        0,
        "element 0 is 256, expected whole numbers from 0 to 255",
    ),
    (
        r#""shape": [1], "datatype": "INT64", "data": [0.5]"#,
        0,
        "element 0 is 0.5",
    ),
    (
        r#""shape": [1], "datatype": "FP16", "data": [65520]"#,
        0,
        "±65504",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "data": ["one"]"#,
        0,
        "element 0 is \"one\"",
    ),
    (
        r#""shape": [1], "datatype": "FP8", "data": [1]"#,
        0,
        "datatype: found `FP8`, expected one of BOOL",
    ),
    (
        r#""shape": [-1], "datatype": "FP32", "data": [1]"#,
        0,
        "no sizes of a tensor",
    ),
    (
        r#""shape": [4294967296, 4294967296], "datatype": "FP32", "data": [1]"#,
        0,
        "no sizes of a tensor",
    ),
    (
        r#""shape": [99999999], "datatype": "BYTES", "data": ["a"]"#,
        0,
        "at most 65536 of BYTES",
    ),
    (r#""shape": [1], "datatype": "FP32""#, 0, "has no elements"),
    (
        r#""shape": [1], "datatype": "FP32", "data": [1], "parameters": {"binary_data_size": 4}"#,
        4,
        "has both",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 8}"#,
        4,
        "has 4 bytes left",
    ),
    (
        r#""shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 4}"#,
        4,
        "found 4 bytes, expected 8",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}"#,
        9,
        "found 5 bytes behind",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": -4}"#,
        4,
        "a whole number",
    ),
    (
        r#""shape": [1], "datatype": "BOOL", "parameters": {"binary_data_size": 1}"#,
        -7,
        "element 0 is 7",
    ),
    (
        r#""shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 3}"#,
        3,
        "cut off",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "parameters": {"shared_memory_region": "r"}"#,
        0,
        "shared memory is not supported",
    ),
    (
        r#""shape": [1], "datatype": "FP32", "data": [1], "parameters": {"colour": 1}"#,
        0,
        "`colour`",
    ),
];

#[test]
fn a_tensor_that_lies_is_named_with_what_is_wrong() {
    let input = |rest: &str| format!(r#"{{"inputs": [{{"name": "x", {rest}}}]}}"#);
    for (rest, behind, word) in LIES {
        let behind = match behind {
            -7 => vec![7],
            length => vec![255; length as usize],
        };
        let said = refused(&input(rest), &behind);
        assert!(said.contains(word), "{rest}: {said}");
    }
}

#[test]
fn a_request_that_is_none_is_told_what_would_be() {
    let x = r#"{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}"#;
    for (json, word) in [
        ("{", "expected {\"inputs\""),
        ("[]", "expected an object"),
        ("{\"inputs\": 1}", "a list of at most 64"),
        ("{\"ouputs\": []}", "unknown field `ouputs`"),
        (
            &format!("{{\"inputs\": [{x}, {x}]}}"),
            "`x`: stands more than once among the inputs",
        ),
        (
            &format!("{{\"inputs\": [{x}], \"outputs\": [{{\"name\": \"y\"}}, {{\"name\": \"y\"}}]}}"),
            "`y`: stands more than once among the outputs",
        ),
        (
            &format!("{{\"inputs\": [{x}], \"parameters\": {{\"a\": {{}}}}}}"),
            "`a`",
        ),
    ] {
        let said = refused(json, &[]);
        assert!(said.contains(word), "{json}: {said}");
    }
    let read =
        |json: &str| -> Result<InferRequest> { InferRequest::read(&Bytes::from(json.to_owned()), 9999) };
    let said = read("{}").expect_err("too short").to_string();
    assert!(
        said.contains("Inference-Header-Content-Length is 9999, but the body has 2 bytes"),
        "{said}"
    );
}

#[test]
fn numbers_that_python_writes_bare_are_read() {
    let json = r#"{"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [NaN, -Infinity]}]}"#;
    let read = InferRequest::read(&Bytes::from(json), json.len()).expect("two floats");
    let rows = read.inputs[0].single_rows(2).expect("floats");
    assert!(rows[0][0].is_nan() && rows[0][1] == f32::NEG_INFINITY, "{rows:?}");
}

#[test]
fn texts_in_binary_stand_behind_their_lengths() {
    let bytes = [&[3, 0, 0, 0][..], b"one", &[0, 0, 0, 0]].concat();
    let texts = head("BYTES", &[2])
        .binary(bytes.clone().into())
        .expect("two texts");
    assert_eq!(texts.elements, Elements::Texts(vec!["one".into(), Bytes::new()]));
    assert_eq!(texts.binary(), bytes);
    let more = [bytes, vec![9]].concat();
    let said = head("BYTES", &[2])
        .binary(more.into())
        .expect_err("a byte more")
        .to_string();
    assert!(said.contains("found 1 byte behind its 2 elements"), "{said}");
}
