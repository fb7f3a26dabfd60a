//! Whole numbers of 64 bits are the same in every protocol, in and out: none goes by way of a float, which tells them apart
//! only up to 2⁵³.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use grpc_messages::Message as _;
use grpc_messages::inference::model_infer_request::InferInputTensor;
use grpc_messages::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use serde_json::json;

use crate::arrays::npy;
use crate::support::{Answer, send};
use crate::tensors::counter;

/// How many bytes of a body are JSON, where elements in binary follow.
const HEADER: &str = "inference-header-content-length";

const NUMBERS: [i64; 7] = [
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53) - 1,
    i64::MAX - 1,
    i64::MIN,
    0,
];

/// A protocol that writes numbers as JSON.
struct Listed {
    path: &'static str,
    /// The body for so many numbers that are written so.
    body: fn(&str, usize) -> String,
    /// Where they stand in the answer.
    place: &'static str,
}

const LISTED: [Listed; 3] = [
    Listed {
        path: "/v1/models/counter/predict",
        body: |data, count| format!(r#"{{"inputs": [{{"name": "k", "shape": [{count}], "data": {data}}}]}}"#),
        place: "/predictions/0/outputs/0/data",
    },
    Listed {
        path: "/v1/models/counter:predict",
        body: |data, _| format!(r#"{{"instances": {data}}}"#),
        place: "/predictions",
    },
    Listed {
        path: "/v2/models/counter/infer",
        body: |data, count| {
            format!(
                r#"{{"inputs": [{{"name": "k", "datatype": "INT64", "shape": [{count}], "data": {data}}}]}}"#
            )
        },
        place: "/outputs/0/data",
    },
];

impl Listed {
    fn request(&self, data: &str, count: usize) -> Request<Body> {
        let body = Body::from((self.body)(data, count));
        Request::post(self.path).body(body).expect("a request")
    }

    /// The numbers of an answer, each of which has to be written as a whole one.
    fn numbers(&self, answer: &Answer) -> Vec<i64> {
        let data = answer.json().pointer(self.place).cloned();
        let data = data.unwrap_or_else(|| panic!("{}: {}", self.path, answer.json()));
        serde_json::from_value(data).expect("whole numbers")
    }
}

/// A protocol that writes numbers as their bytes.
struct Binary {
    name: &'static str,
    request: fn(&[i64]) -> Request<Body>,
    numbers: fn(&Answer) -> Vec<i64>,
}

const BINARY: [Binary; 5] = [
    Binary {
        name: "NPY",
        request: arrays,
        numbers: of_array,
    },
    Binary {
        name: "the binary extension",
        request: extended,
        numbers: of_extension,
    },
    Binary {
        name: "the elements alone",
        request: bare,
        numbers: |answer| LISTED[2].numbers(answer),
    },
    Binary {
        name: "gRPC, int64_contents",
        request: |numbers| {
            let contents = InferTensorContents {
                int64_contents: numbers.to_vec(),
                ..Default::default()
            };
            message(numbers.len(), Some(contents), None)
        },
        numbers: of_message,
    },
    Binary {
        name: "gRPC, raw_input_contents",
        request: |numbers| message(numbers.len(), None, Some(bytes(numbers))),
        numbers: of_message,
    },
];

fn bytes(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<i64> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty(), "{bytes:?}");
    numbers.iter().map(|eight| i64::from_le_bytes(*eight)).collect()
}

fn arrays(numbers: &[i64]) -> Request<Body> {
    let array = npy(&[numbers.len() as u64], numbers);
    Request::post("/v1/models/counter/predict")
        .header("content-type", "application/x-npy")
        .header("accept", "application/x-npy")
        .body(Body::from(array))
        .expect("a request")
}

fn of_array(answer: &Answer) -> Vec<i64> {
    let array = npyz::NpyFile::new(answer.body.as_slice()).expect("an array");
    array.into_vec().expect("values of i64")
}

fn extended(numbers: &[i64]) -> Request<Body> {
    let elements = bytes(numbers);
    let input = json!({
        "name": "k", "datatype": "INT64", "shape": [numbers.len()],
        "parameters": {"binary_data_size": elements.len()},
    });
    let output = json!({"name": "next", "parameters": {"binary_data": true}});
    let call = json!({"inputs": [input], "outputs": [output]}).to_string();
    Request::post("/v2/models/counter/infer")
        .header(HEADER, call.len().to_string())
        .body(Body::from([call.as_bytes(), &elements].concat()))
        .expect("a request")
}

fn of_extension(answer: &Answer) -> Vec<i64> {
    let length = answer.headers[HEADER].to_str().expect("ASCII");
    let length: usize = length.parse().expect("bytes");
    numbers(&answer.body[length..])
}

/// The elements of the one input, without JSON before them.
fn bare(numbers: &[i64]) -> Request<Body> {
    Request::post("/v2/models/counter/infer")
        .header(HEADER, "0")
        .body(Body::from(bytes(numbers)))
        .expect("a request")
}

/// A call over gRPC, with the elements in one of both places.
fn message(count: usize, contents: Option<InferTensorContents>, raw: Option<Vec<u8>>) -> Request<Body> {
    let input = InferInputTensor {
        name: "k".into(),
        datatype: "INT64".into(),
        shape: vec![count as i64],
        contents,
        ..Default::default()
    };
    let call = ModelInferRequest {
        model_name: "counter".into(),
        inputs: vec![input],
        raw_input_contents: raw.into_iter().map(Into::into).collect(),
        ..Default::default()
    };
    let call = call.encode_to_vec();
    let length = (call.len() as u32).to_be_bytes();
    Request::post("/inference.GRPCInferenceService/ModelInfer")
        .version(axum::http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(Body::from([&[0u8][..], &length, &call].concat()))
        .expect("a request")
}

fn of_message(answer: &Answer) -> Vec<i64> {
    // Behind the five bytes of its prefix; an error has no message.
    let message = answer.body.get(5..);
    let message = message.unwrap_or_else(|| panic!("{:?}", answer.headers));
    let message = ModelInferResponse::decode(message).expect("an answer");
    numbers(&message.raw_output_contents[0])
}

#[tokio::test]
async fn every_protocol_keeps_whole_numbers_of_64_bits_exact() {
    let router = counter();
    let expected = NUMBERS.map(|number| number + 1);
    for protocol in &LISTED {
        let asked = protocol.request(&format!("{NUMBERS:?}"), NUMBERS.len());
        let answer = send(router.clone(), asked).await;
        assert_eq!(protocol.numbers(&answer), expected, "{}", protocol.path);
    }
    for protocol in &BINARY {
        let answer = send(router.clone(), (protocol.request)(&NUMBERS)).await;
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, StatusCode::OK, "{}: {said}", protocol.name);
        assert_eq!((protocol.numbers)(&answer), expected, "{}", protocol.name);
    }
}

#[tokio::test]
async fn a_float_that_stands_for_several_whole_numbers_is_refused() {
    let router = counter();
    for protocol in &LISTED {
        let path = protocol.path;
        // 2⁵³ itself is what 2⁵³ + 1 becomes when it is read.
        for ambiguous in [
            "9007199254740993.0",
            "9007199254740992.0",
            "-9007199254740993.0",
            "-9007199254740992.0",
            "9.007199254740993e15",
        ] {
            let refused = send(router.clone(), protocol.request(&format!("[{ambiguous}]"), 1)).await;
            let said = String::from_utf8_lossy(&refused.body);
            assert_eq!(
                refused.status,
                StatusCode::BAD_REQUEST,
                "{path} {ambiguous}: {said}"
            );
            assert!(
                said.contains("expected whole numbers of 64 bits"),
                "{path} {ambiguous}: {said}"
            );
        }
        let largest = protocol.request("[9007199254740991.0, -9007199254740991.0]", 2);
        let taken = send(router.clone(), largest).await;
        assert_eq!(protocol.numbers(&taken), [1i64 << 53, 2 - (1 << 53)], "{path}");
    }
}
