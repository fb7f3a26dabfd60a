//! Tensors as NPY arrays and raw bytes, of every type and of open sizes.

use std::path::Path;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lucarne::config::Settings;
use npyz::WriterBuilder;
use serde_json::{Value, json};

use crate::support::{Answer, path, router_over, send};

/// Every type but i64, each with something done to it: of one row 2 values.
const TYPES: [(&str, &str); 5] = [
    ("flag", "bool"),
    ("byte", "u8"),
    ("count", "i32"),
    ("half", "f16"),
    ("double", "f64"),
];

fn tables(key: &str, tensors: &[(&str, &str)], rest: &str) -> String {
    let table =
        |(name, dtype): &(&str, &str)| format!("[[{key}]]\nname = \"{name}\"\ndtype = \"{dtype}\"\n{rest}\n");
    tensors.iter().map(table).collect()
}

/// A model of tests/golden with this model.toml.
fn write(models: &Path, file: &str, manifest: &str) {
    let source = path("tests/golden").join(file);
    let folder = models.join(source.file_stem().expect("a name"));
    std::fs::create_dir(&folder).expect("writable");
    std::fs::copy(source, folder.join("model.pt")).expect("a copy");
    std::fs::write(
        folder.join("model.toml"),
        format!("task = \"tensor\"\n{manifest}"),
    )
    .expect("writable");
}

fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| {
        let models = tempfile::tempdir().expect("a temporary folder");
        let shape = "shape = [-1, 2]";
        let manifest = tables("inputs", &TYPES, shape) + &tables("outputs", &TYPES, shape);
        write(models.path(), "tensors/types.pt", &manifest);
        let manifest = tables(
            "inputs",
            &[("x", "f32")],
            "shape = [-1, 2, -1]\nexample = [1, 2, 5]",
        ) + &tables("outputs", &[("mean", "f32")], shape)
            + "[batching]\nmax_batch_size = 8\nmax_delay_ms = 20\n";
        write(models.path(), "tensors/lengths.pt", &manifest);
        let manifest = tables("inputs", &[("x", "f32")], "shape = [-1, 3, 6, 8]")
            + &tables("outputs", &[("logits", "f32")], "shape = [-1, 3]");
        write(models.path(), "closed_forms/linear.pt", &manifest);
        let manifest = tables("inputs", &[("x", "f32"), ("m", "f32")], "shape = [-1, 4]")
            + &tables("outputs", &[("sum", "f32")], "shape = [-1, 1]")
            + &tables("outputs", &[("squares", "f32")], "shape = [-1, 4]");
        write(models.path(), "tensors/writes.pt", &manifest);
        router_over(models.keep(), Settings::default())
    });
    ROUTER.clone()
}

async fn post(uri: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::post(format!("/v1/models/{uri}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router(), request.body(body.into()).expect("a request")).await
}

pub fn npy<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(&mut bytes);
    let mut writer = options.begin_nd().expect("a header");
    writer.extend(values.iter().copied()).expect("values");
    writer.finish().expect("a file");
    bytes
}

/// A multipart body: the name, content type and bytes of each part.
fn parts(parts: &[(&str, &str, &[u8])]) -> (String, Vec<u8>) {
    let boundary = "a-boundary-that-no-array-holds";
    let mut body = Vec::new();
    for (name, content_type, bytes) in parts {
        let kind = if content_type.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {content_type}\r\n")
        };
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{kind}\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

fn listed(data: [Value; 5]) -> Value {
    let named = TYPES.iter().zip(data);
    let inputs: Vec<Value> = named
        .map(|((name, _), data)| json!({"name": name, "shape": [1, 2], "data": data}))
        .collect();
    json!({"inputs": inputs})
}

#[tokio::test]
async fn every_type_keeps_its_values() {
    let asked = listed([
        json!([true, 0]),
        json!([254, 0]),
        json!([-1_000_000_000, 3]),
        json!([0.5, -2]),
        json!([0.1, 1e300]),
    ]);
    let answer = post("types/predict", &[], asked.to_string()).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let outputs = answer.json()["predictions"][0]["outputs"].clone();
    let data: Vec<&Value> = outputs
        .as_array()
        .expect("outputs")
        .iter()
        .map(|o| &o["data"])
        .collect();
    let expected = [
        json!([false, true]),
        json!([255, 1]),
        json!([-2_000_000_000i64, 6]),
        json!([1.0, -4.0]),
        json!([0.1 / 3.0, 1e300 / 3.0]),
    ];
    assert_eq!(
        data,
        expected.iter().collect::<Vec<_>>(),
        "doubles are not rounded"
    );
    for (place, wrong, word) in [
        (
            0,
            json!([true, 2]),
            "parameter `flag`: value 1 is 2, expected true and false",
        ),
        (
            1,
            json!([300, 0]),
            "parameter `byte`: value 0 is 300, expected whole numbers from 0 to 255",
        ),
        (
            2,
            json!([0, 3_000_000_000u64]),
            "parameter `count`: value 1 is 3000000000",
        ),
        (3, json!([70000, 0]), "parameter `half`: value 0 is 70000"),
        (4, json!([true, 0]), "parameter `double`: value 0 is true"),
    ] {
        let mut data = [(); 5].map(|()| json!([0, 0]));
        data[place] = wrong;
        let refused = post("types/predict", &[], listed(data).to_string()).await;
        assert_eq!(refused.code(), "invalid_parameter");
        assert!(refused.detail().contains(word), "{}", refused.detail());
    }
}

#[tokio::test]
async fn arrays_go_in_and_come_out() {
    let x: Vec<f32> = (0..288).map(|i| i as f32 / 100.0).collect();
    let body = npy(&[2, 3, 6, 8], &x);
    let json = json!({"inputs": [{"name": "x", "shape": [2, 3, 6, 8], "data": x}]}).to_string();
    let expected = post("linear/predict", &[], json).await.json();
    let expected = expected["predictions"][0]["outputs"][0].clone();
    for content_type in ["application/x-npy", "application/octet-stream"] {
        let headers = [("content-type", content_type), ("accept", "application/x-npy")];
        let answer = post("linear/predict", &headers, body.clone()).await;
        assert_eq!(answer.headers["content-type"], "application/x-npy");
        let file = npyz::NpyFile::new(answer.body.as_slice()).expect("an array");
        assert_eq!(file.shape(), [2, 3]);
        let data: Vec<f32> = serde_json::from_value(expected["data"].clone()).expect("numbers");
        assert_eq!(file.into_vec::<f32>().expect("f32 values"), data);
    }
    let raw: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (kind, bytes) in [("application/octet-stream", &raw), ("application/x-npy", &body)] {
        let (content_type, body) = parts(&[("x", kind, bytes)]);
        let answer = post("linear/predict", &[("content-type", &content_type)], body).await;
        assert_eq!(answer.json()["predictions"][0]["outputs"][0], expected);
    }
}

#[tokio::test]
async fn several_outputs_come_by_name() {
    let asked = listed([(); 5].map(|()| json!([1, 0]))).to_string();
    let ask = async |uri: &str, accept: &str| post(uri, &[("accept", accept)], asked.clone()).await;
    let one = ask("types/predict?output=double", "application/x-npy").await;
    let file = npyz::NpyFile::new(one.body.as_slice()).expect("an array");
    assert_eq!(file.into_vec::<f64>().expect("f64 values"), [1.0 / 3.0, 0.0]);
    let one = ask("types/predict?output=byte", "application/json").await.json();
    assert_eq!(
        one["predictions"][0]["outputs"],
        json!([{"name": "byte", "shape": [1, 2], "data": [2, 1]}])
    );
    let several = ask("types/predict", "application/x-npy").await;
    assert_eq!(several.code(), "not_acceptable");
    assert!(
        several.detail().contains("say output=NAME"),
        "{}",
        several.detail()
    );
    let all = ask("types/predict", "application/zip").await;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(all.body)).expect("an archive");
    assert_eq!(archive.len(), 5);
    let file = npyz::NpyFile::new(archive.by_name("flag.npy").expect("a file")).expect("an array");
    assert_eq!(file.into_vec::<bool>().expect("flags"), [false, true]);
    let unknown = ask("types/predict?output=logits", "application/json").await;
    assert!(
        unknown.detail().contains("expected one of flag, byte"),
        "{}",
        unknown.detail()
    );
}

#[tokio::test]
async fn arrays_that_do_not_fit_are_refused_with_the_cure() {
    let array = npy(&[1, 3, 6, 8], &[0f32; 144]);
    let cut = array[..array.len() - 1].to_vec();
    let double = npy(&[1, 3, 6, 8], &[0f64; 144]);
    let small = npy(&[1, 3, 6, 7], &[0f32; 126]);
    let npy_type = ("content-type", "application/x-npy");
    for (body, code, word) in [
        (cut, "invalid_body", "was it written whole"),
        (
            double,
            "invalid_parameter",
            "`x`: found values of f64, expected f32",
        ),
        (
            small,
            "invalid_parameter",
            "found shape [1, 3, 6, 7], expected [-1, 3, 6, 8]",
        ),
        (b"\x93NUMPY\x01\0".to_vec(), "invalid_body", "no NPY file"),
        (b"{}".to_vec(), "invalid_body", "no NPY file"),
        (Vec::new(), "empty_body", "application/x-npy array"),
    ] {
        let refused = post("linear/predict", &[npy_type], body).await;
        assert_eq!(refused.code(), code, "{}", refused.detail());
        assert!(refused.detail().contains(word), "{}", refused.detail());
    }
    let several = post("types/predict", &[npy_type], array.clone()).await;
    assert!(
        several.detail().contains("flag, byte, count, half, double"),
        "{}",
        several.detail()
    );
    for (part, code, word) in [
        (
            ("y", "application/x-npy", &array[..]),
            "invalid_parameter",
            "`x`: this input is missing",
        ),
        (
            ("x", "application/octet-stream", &[0; 577]),
            "invalid_parameter",
            "a multiple of 576",
        ),
        (("x", "image/png", &array[..100]), "invalid_body", "part `x`"),
        (
            ("x", "image/png", &[0; 576]),
            "unsupported_media_type",
            "application/octet-stream",
        ),
    ] {
        let (content_type, body) = parts(&[part]);
        let refused = post("linear/predict", &[("content-type", &content_type)], body).await;
        assert_eq!(refused.code(), code, "{}", refused.detail());
        assert!(refused.detail().contains(word), "{}", refused.detail());
    }
}

#[tokio::test]
async fn requests_of_other_inner_sizes_share_no_batch() {
    let ask = async |rows: u64, length: u64| {
        let x: Vec<f32> = (0..rows * 2 * length).map(|i| i as f32).collect();
        let body = npy(&[rows, 2, length], &x);
        let answer = post("lengths/predict", &[("content-type", "application/x-npy")], body).await;
        let mean = |part: &[f32]| f64::from(part.iter().sum::<f32>()) / part.len() as f64;
        let expected: Vec<f64> = x.chunks(length as usize).map(mean).collect();
        (
            answer.json()["predictions"][0]["outputs"][0]["data"].clone(),
            json!(expected),
        )
    };
    let sizes = [(1, 4), (2, 7), (1, 4), (3, 4), (1, 80), (9, 7), (1, 4)];
    let asked = sizes.map(|(rows, length)| ask(rows, length));
    for (found, expected) in futures_util::future::join_all(asked).await {
        assert_eq!(found, expected);
    }
    let long = npy(&[1, 2, 81], &[0f32; 162]);
    let refused = post("lengths/predict", &[("content-type", "application/x-npy")], long).await;
    assert_eq!(refused.code(), "invalid_parameter");
    assert!(
        refused
            .detail()
            .contains("at most 160 values in each row (max_elements"),
        "{}",
        refused.detail()
    );
}

#[tokio::test]
async fn an_input_that_the_model_writes_to_is_the_same_the_next_time() {
    let array = |values: &[f32]| npy(&[1, 4], values);
    let (x, m) = (array(&[1.0, 2.0, 3.0, 4.0]), array(&[0.5; 4]));
    let (content_type, body) = parts(&[("x", "application/x-npy", &x), ("m", "application/x-npy", &m)]);
    let expected = json!([0.25, 2.25, 6.25, 12.25]);
    let ask = async || {
        let answer = post("writes/predict", &[("content-type", &content_type)], body.clone()).await;
        answer.json()["predictions"][0]["outputs"][1]["data"].clone()
    };
    for found in futures_util::future::join_all((0..5).map(|_| ask())).await {
        assert_eq!(found, expected);
    }
    assert_eq!(ask().await, expected);
}
