//! Bodies that are sent to the routes.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{blocking, router, send};

/// The status and the code that answer a body.
fn answer(route: &str, content_type: &str, body: Vec<u8>) -> (u16, String) {
    let request = Request::post(route)
        .header("content-type", content_type)
        .body(Body::from(body))
        .expect("a request");
    let answer = blocking(send(router(), request));
    let code = if answer.status.is_success() {
        String::new()
    } else {
        answer.code()
    };
    (answer.status.as_u16(), code)
}

/// Routes and content types that each read a body in its own way.
const READERS: [(&str, &str); 7] = [
    (
        "/v1/models/mobilenet_v2/predict",
        "multipart/form-data; boundary=x",
    ),
    ("/v1/models/mobilenet_v2/predict", "application/json"),
    ("/v1/models/mobilenet_v2/explain", "application/octet-stream"),
    ("/v1/models/vae/decode", "application/x-npy"),
    ("/v1/models/vae/decode", "application/json"),
    ("/v1/models/vae/sample", "application/json"),
    ("/v1/models/vae/interpolate", "multipart/form-data; boundary=x"),
];

/// Beginnings that lead a reader further into a body.
const BEGINNINGS: [&[u8]; 6] = [
    b"",
    b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n",
    b"--x\r\nContent-Disposition: form-data; name=\"top_k\"\r\n\r\n",
    b"{\"images\": [{\"b64\": \"",
    b"{\"latents\": [[",
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_body_is_answered_or_refused_as_the_client_s_fault(
        (route, content_type) in select(READERS.to_vec()),
        beginning in select(BEGINNINGS.to_vec()),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        end in select(vec![&b""[..], b"\r\n--x--\r\n", b"]]}", b"\"}]}"]),
    ) {
        let body = [beginning, &rest, end].concat();
        let (status, code) = answer(route, content_type, body);
        prop_assert!((200..500).contains(&status), "{route} {content_type}: {status} {code}");
    }

    #[test]
    fn an_array_of_any_shape_is_answered_or_refused(
        shape in proptest::collection::vec(select(vec![0i64, 1, 2, 64, -1, 1 << 31, i64::MAX]), 0..4),
        values in proptest::collection::vec(any::<f32>(), 0..70),
    ) {
        let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut body = b"\x93NUMPY\x01\x00".to_vec();
        body.extend(u16::try_from(header.len()).expect("short").to_le_bytes());
        body.extend(header.as_bytes());
        body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let (status, code) = answer("/v1/models/vae/decode", "application/x-npy", body);
        prop_assert!((200..500).contains(&status), "{shape:?}: {status} {code}");
    }
}
