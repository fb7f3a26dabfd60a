//! `POST /v2/models/{name}[/versions/{version}]/infer`

use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use tracing::Instrument;

use super::answer::HEADER_LENGTH;
use super::inferred::{Inferred as Done, inferred, scope, terms};
use super::openapi::{BinaryTensors, InferCall, Inferred, Refusals};
use super::request::InferRequest;
use super::signature;
use super::target::Target;
use super::tensor::{Head, Tensor};
use crate::catalog::Model;
use crate::error::{Error, Result, excerpt};
use crate::image::Taken;
use crate::manifest::TaskKind;
use crate::reading::{Parameters, bounded};
use crate::service::Service;
use crate::spans;
use crate::transport::{App, Caller, Received, content_type, within};

/// What an empty body should have been.
const EXPECTED: &str = "JSON with `inputs`, or JSON and tensors in binary behind it";

/// Infer
///
/// Tensors in and out, as JSON, in binary, or as both. A model of pictures takes `image`: files as `BYTES [B]`, of any
/// sizes, or pictures that are prepared, `FP32 [B, C, H, W]`. With `parameters.explain` the answer also has saliency maps.
#[utoipa::path(
    post, path = "/v2/models/{name}/infer", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    request_body(content((InferCall = "application/json"), (BinaryTensors = "application/octet-stream"))),
    responses(
        (status = OK, description = "The outputs", content(
            (Inferred = "application/json"), (BinaryTensors = "application/octet-stream"),
        )),
        Refusals,
    ),
)]
pub(super) async fn infer(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

/// Infer with a version
#[utoipa::path(
    post, path = "/v2/models/{name}/versions/{version}/infer", tag = "open inference protocol",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        ("version" = String, Path, description = "A version that is loaded", example = "1"),
    ),
    request_body(content((InferCall = "application/json"), (BinaryTensors = "application/octet-stream"))),
    responses(
        (status = OK, description = "The outputs", content(
            (Inferred = "application/json"), (BinaryTensors = "application/octet-stream"),
        )),
        Refusals,
    ),
)]
pub(super) async fn infer_version(
    State(app): State<App>,
    Path(target): Path<Target>,
    request: Request,
) -> Result<Response> {
    answered(&app, &target, request).await
}

async fn answered(app: &App, target: &Target, request: Request) -> Result<Response> {
    let started = Instant::now();
    let context = app.context(request.headers())?;
    let mut of_query = Parameters::from_query(request.uri().query())?;
    let context = terms(&mut of_query, &context, started)?;
    let model = target.answering(app, request.headers(), &context).await?;
    let caller = Caller::of(request.extensions());
    // A client that cannot get a place learns it before its body is read.
    model.predict.has_place()?;
    within(&context, async {
        let (mut asked, held) = read(app, request, (&model, of_query)).await?;
        caller.may(scope(&asked))?;
        let context = terms(&mut asked.parameters, &context, started)?;
        within(&context, async {
            let done = inferred(&app.service, &model, (asked, held), &context).await?;
            written(&app.service, done).await
        })
        .await
    })
    .await
}

/// Reads the request; what it takes beyond its body is held.
async fn read(
    app: &App,
    request: Request,
    (model, of_query): (&Model, Parameters),
) -> Result<(InferRequest, Taken)> {
    let header = header_length(&request)?;
    let kind = content_type(request.headers()).to_ascii_lowercase();
    let is_raw = header.map_or(kind.starts_with("image/"), |length| length == 0);
    let received = app.read_some(request, EXPECTED).await?;
    let (mut asked, held) = if is_raw {
        (raw(model, received.bytes)?, app.service.hold(0, 0).await?)
    } else {
        parsed(app, received, header).await?
    };
    asked.is_for(&model.name, &model.version)?;
    asked.say(of_query)?;
    Ok((asked, held))
}

/// A request in JSON, whose first bytes are that where so many are said.
async fn parsed(app: &App, received: Received, header: Option<usize>) -> Result<(InferRequest, Taken)> {
    /// Of a number in JSON, of two characters and more.
    const BYTES_A_NUMBER: u64 = 8;
    /// Reading a byte of JSON takes as long as copying so many.
    const READING: usize = 32;
    let header = header.unwrap_or(received.bytes.len());
    let json = received.bytes.get(..header).unwrap_or_default();
    let numbers = bounded::separators(json);
    let held = app.service.hold_numbers(numbers, BYTES_A_NUMBER).await?;
    let work = json.len() * READING + received.bytes.len();
    let read = move || InferRequest::read(&received.bytes, header);
    Ok((app.service.pool().run_over(work, read).await?, held))
}

/// How many bytes of the body are JSON, where a header says so.
fn header_length(request: &Request) -> Result<Option<usize>> {
    let mut values = request.headers().get_all(HEADER_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let wrong = |why: String| Error::parameter("Inference-Header-Content-Length", why);
    if values.next().is_some() {
        return Err(wrong("stands more than once".into()));
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|_| digits);
    parsed.map(Some).ok_or_else(|| {
        wrong(format!(
            "found `{}`, expected the bytes of the JSON in the body",
            excerpt(text)
        ))
    })
}

/// A body that is the model's one input, with no JSON before it: a file, or the elements of a tensor.
fn raw(model: &Model, body: Bytes) -> Result<InferRequest> {
    let signatures = signature::inputs(model);
    let [input] = &signatures[..] else {
        return Err(Error::InvalidBody(format!(
            "one tensor without JSON, and the model has the inputs {}; send JSON that says which is which",
            signature::names(&signatures)
        )));
    };
    if model.spec.manifest.task != TaskKind::Tensor {
        return Ok(InferRequest::of(Tensor::file(signature::IMAGE, body)));
    }
    let known: i64 = input.shape.iter().filter(|size| **size > 0).product();
    let open = input.shape.iter().filter(|size| **size < 0).count();
    let elements = body.len() / input.datatype.size().unwrap_or(1);
    let rest = elements as i64 / known.max(1);
    if open > 1 {
        let shape = &input.shape;
        return Err(Error::InvalidBody(format!(
            "the shape of `{}` is {shape:?}, which its bytes do not tell; send JSON that says it",
            input.name
        )));
    }
    let shape = input.shape.iter().map(|&size| if size < 0 { rest } else { size });
    let head = Head::new(input.name.clone(), input.datatype.name(), shape.collect())?;
    Ok(InferRequest::of(head.binary(body)?))
}

/// The response that bears what was inferred.
async fn written(service: &Service, done: Done) -> Result<Response> {
    /// Of an element in JSON, with room for a text that grows; in binary twice its eight at most.
    const BYTES_AN_ELEMENT: u64 = 32;
    let outputs = done.answer.outputs.iter();
    let bytes = outputs.map(|(tensor, is_binary)| match is_binary {
        true => 2 * tensor.binary_size() as u64,
        false => tensor.count() as u64 * BYTES_AN_ELEMENT + tensor.binary_size() as u64,
    });
    let bytes = bytes.sum();
    let (answer, held) = done.holding(service, bytes).await?;
    let work = usize::try_from(bytes).unwrap_or(usize::MAX);
    let body = service.pool().run_over(work, move || answer.written());
    let body = body.instrument(spans::encode()).await?;
    Ok(body.response(held))
}
