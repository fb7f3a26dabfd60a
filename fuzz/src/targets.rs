//! What each fuzz target does with the bytes that it is given. A panic is a fault, and so are an answer that blames the
//! server, pictures that two ways of decoding tell apart, and a refusal without a reason.
//!
//! The tests of the server run the same functions over `fuzz/seeds`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, Version};
use exported_program::{Exported, Records};
use http_body_util::BodyExt as _;
use lucarne::app::Server;
use lucarne::config::Settings;
use lucarne::error::Error;
use lucarne::explain;
use lucarne::image::{self, Color, Decoding, Fit, Interpolation, Limits, Memory, ResizeMode};
use lucarne::manifest::{Manifest, TaskKind};
use serde_json::json;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The name of its program and of its folder of seeds, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("image", image),
    ("multipart", multipart),
    ("json", json),
    ("manifest", manifest),
    ("target", target),
    ("npy", npy),
    ("base64", base64),
    ("encoded", encoded),
    ("exported", exported),
    ("infer", infer),
    ("messages", messages),
];

/// An image file. What a model sees of it is what it sees of the whole picture, however little was decoded for it.
fn image(bytes: &[u8]) {
    let limits = Limits {
        max_pixels: 1 << 16,
        max_side: 1 << 12,
        memory: Memory::new(16 << 20),
        ..Limits::default()
    };
    let decoded = image::decode(bytes, &limits);
    if let Err(error) = &decoded {
        let is_refusal = matches!(
            error,
            Error::EmptyBody(_)
                | Error::UnsupportedMediaType(_)
                | Error::InvalidImage(_)
                | Error::ImageTooLarge(_)
        );
        assert!(is_refusal && !error.to_string().is_empty(), "{error:?}");
    }
    for (mode, color) in [
        (ResizeMode::ShorterSide, Color::Rgb),
        (ResizeMode::Letterbox, Color::Gray),
    ] {
        let fit = Fit {
            size: (20, 24),
            mode,
            resize_to: None,
            interpolation: Interpolation::Bilinear,
            color,
            letterbox_fill: Fit::LETTERBOX_FILL,
            decoding: Decoding::Exact,
        };
        let seen = image::model_input(bytes, &limits, &fit);
        match (&decoded, seen) {
            (Ok(picture), Ok(seen)) => {
                assert!(
                    image::fit(picture, &fit).as_ref() == Ok(&seen),
                    "a part differs from the whole"
                );
            }
            (Ok(_), Err(error)) => panic!("decoded whole, not for a model: {error}"),
            (Err(error), Ok(_)) => panic!("decoded for a model, not whole: {error}"),
            (Err(_), Err(_)) => {}
        }
        assert_eq!(limits.memory.taken(), 0, "memory that nobody gave back");
    }
}

/// The parts of a multipart body; the first line is what stands behind `multipart/form-data;`.
fn multipart(bytes: &[u8]) {
    let (line, body) = first_line(bytes);
    let kind = format!("multipart/form-data;{}", line.trim());
    ask("vae/predict", &[("content-type", &kind)], body);
}

/// A JSON body: of images, of parameters, of latents or of tensors, as the first byte says.
fn json(bytes: &[u8]) {
    let Some((which, body)) = bytes.split_first() else {
        return;
    };
    let routes = ["vae/predict", "vae/sample", "vae/decode", "linear/predict"];
    let route = routes[usize::from(*which) % routes.len()];
    ask(route, &[("content-type", "application/json")], body);
}

/// A model.toml.
fn manifest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(problems) = Manifest::parse(&text) {
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.is_empty()));
    }
}

/// The first line is a target, the others are parameters of an explanation.
fn target(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (target, parameters) = text.split_once('\n').unwrap_or((&text, ""));
    if let Err(reason) = target.parse::<explain::Target>() {
        assert!(reason.contains("expected"), "{reason}");
    }
    let pairs = parameters.lines().filter_map(|line| line.split_once('='));
    for task in [TaskKind::Classification, TaskKind::Tensor] {
        if let Err(error) = explain::read(task, pairs.clone()) {
            assert!(matches!(error, Error::InvalidParameter { .. }), "{error:?}");
        }
    }
}

/// An array of latents, and of a model of tensors.
fn npy(bytes: &[u8]) {
    ask("vae/decode", &[("content-type", "application/x-npy")], bytes);
    ask("linear/predict", &[("content-type", "application/x-npy")], bytes);
}

/// The text of an image in JSON.
fn base64(bytes: &[u8]) {
    let body = json!({"images": [{"b64": String::from_utf8_lossy(bytes)}]}).to_string();
    ask(
        "vae/predict",
        &[("content-type", "application/json")],
        body.as_bytes(),
    );
}

/// A compressed body; the first line is its encoding.
fn encoded(bytes: &[u8]) {
    let (encoding, body) = first_line(bytes);
    ask("vae/predict", &[("content-encoding", &encoding)], body);
}

/// A call of the Open Inference Protocol; the first line is the model and, where binary elements follow, the bytes of the JSON.
fn infer(bytes: &[u8]) {
    let (line, body) = first_line(bytes);
    let (model, header) = line.split_once(' ').unwrap_or((&line, ""));
    let model = if model == "vae" { "vae" } else { "linear" };
    let header = ("inference-header-content-length", header);
    let headers: &[_] = if header.1.is_empty() { &[] } else { &[header] };
    post(&format!("/v2/models/{model}/infer"), headers, body);
}

/// A message of gRPC that asks for inference, or such messages in their frames, compressed or not.
fn messages(bytes: &[u8]) {
    let is_framed = matches!(bytes.first(), Some(0 | 1));
    let length = (bytes.len() as u32).to_be_bytes();
    let body = match is_framed {
        true => bytes.to_vec(),
        false => [&[0], &length[..], bytes].concat(),
    };
    for method in ["ModelInfer", "ModelStreamInfer"] {
        let request = Request::post(format!("/inference.GRPCInferenceService/{method}"))
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "gzip");
        let answer = answered(request.body(Body::from(body.clone())).expect("a request"));
        let told = |name| answer.trailers.get(name).or_else(|| answer.headers.get(name));
        let said = told("grpc-status")
            .and_then(|code| code.to_str().ok())
            .expect("a status");
        // None of them blames the server, but for numbers of which the model makes infinity.
        let is_infinite = told("lucarne-code").is_some_and(|code| code == "not_finite");
        assert!(
            is_infinite || ["0", "3", "4", "5", "8"].contains(&said),
            "{said} {:?}",
            answer.headers
        );
    }
}

/// A file of torch.export, or the program in one whose other records are right.
fn exported(bytes: &[u8]) {
    static REST: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(records);
    let mut file = tempfile::tempfile().expect("a temporary file");
    if bytes.starts_with(b"PK") {
        file.write_all(bytes).expect("writable");
    } else {
        let mut archive = ZipWriter::new(&file);
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let all = REST.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        for (name, bytes) in all.chain([("ways/models/model.json", bytes)]) {
            archive.start_file(name, stored).expect("a record");
            archive.write_all(bytes).expect("writable");
        }
        archive.finish().expect("an archive");
    }
    match Exported::read(&file) {
        Ok(exported) => {
            let mut records = Records::open(&file).expect("it was read");
            for weight in &exported.weights {
                let bytes = records.bytes(weight).expect("its numbers were there");
                assert!(!bytes.is_empty() || weight.sizes.contains(&0));
            }
        }
        Err(error) => assert!((1..1000).contains(&error.to_string().len()), "{error}"),
    }
}

/// What else is in a file with two ways.
fn records() -> Vec<(String, Vec<u8>)> {
    let path = root().join("crates/torch-bridge/tests/fixtures/exported/ways.pt2");
    let mut archive = ZipArchive::new(File::open(path).expect("a fixture")).expect("an archive");
    let mut found = Vec::new();
    for at in 0..archive.len() {
        let mut record = archive.by_index(at).expect("a record");
        let name = record.name().expect("a name").into_owned();
        let mut bytes = Vec::new();
        record.read_to_end(&mut bytes).expect("its bytes");
        if !name.ends_with("/model.json") {
            found.push((name, bytes));
        }
    }
    found
}

/// The first line, as it may stand in a header, and the rest.
fn first_line(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let line = bytes[..end].iter().filter(|byte| matches!(byte, b' '..=b'~'));
    let line = line.map(|byte| char::from(*byte)).collect();
    (line, bytes.get(end + 1..).unwrap_or_default())
}

/// Posts `body` to a route of Lucarne's own protocol.
fn ask(route: &str, headers: &[(&str, &str)], body: &[u8]) {
    post(&format!("/v1/models/{route}"), headers, body);
}

/// Posts `body`; the answer is one to a client, whatever it says.
fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = answered(request.body(Body::from(body.to_vec())).expect("a request"));
    let (status, text) = (answer.status, String::from_utf8_lossy(&answer.body));
    assert!(
        !status.is_server_error()
            || status == StatusCode::GATEWAY_TIMEOUT
            // Of numbers that are large enough every model makes infinity.
            || text.contains("\"code\":\"not_finite\""),
        "{status}: {text}"
    );
    assert!(
        !status.is_client_error() || text.contains("\"code\""),
        "{status}: {text}"
    );
}

/// An answer, read to its end.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

fn answered(request: Request<Body>) -> Answered {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    });
    static ROUTER: LazyLock<Router> = LazyLock::new(|| RUNTIME.block_on(serve()));
    let router = ROUTER.clone();
    RUNTIME.block_on(async {
        let response = router.oneshot(request).await.expect("routers do not fail");
        let (parts, body) = response.into_parts();
        let whole = body.collect().await.expect("a whole body");
        Answered {
            status: parts.status,
            headers: parts.headers,
            trailers: whole.trailers().cloned().unwrap_or_default(),
            body: whole.to_bytes().to_vec(),
        }
    })
}

/// The root of the repository, whichever crate this is compiled in.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_root = |folder: &&Path| folder.join("fuzz/seeds").is_dir();
    here.ancestors().find(is_root).expect("a checkout")
}

/// A small model of pictures and latents, and one of tensors.
async fn serve() -> Router {
    lucarne::runtime::process::configure_process();
    let models = tempfile::tempdir().expect("a temporary folder");
    let copy = |from: &str, to: &str| {
        let to = models.path().join(to);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("writable");
        std::fs::copy(root().join(from), to).expect("a copy");
    };
    copy("models/vae/model.pt", "vae/model.pt");
    copy("models/vae/model.toml", "vae/model.toml");
    copy("tests/golden/closed_forms/linear.pt", "linear/model.pt");
    let manifest = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 3, 6, 8]\n\
                    [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]\n";
    std::fs::write(models.path().join("linear/model.toml"), manifest).expect("writable");
    let settings = Settings {
        models: models.keep(),
        max_body_mb: 1,
        ..Settings::default()
    };
    let server = Server::new(&settings).expect("a server");
    server.load_or_fail().await.expect("both models are right");
    server.router()
}
