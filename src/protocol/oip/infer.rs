//! `POST /v2/models/{name}[/versions/{version}]/infer`

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;

use super::answer::{Answer, HEADER_LENGTH, chosen};
use super::inputs;
use super::maps;
use super::openapi::{BinaryTensors, InferCall, Inferred, Refusals};
use super::predicted::{Tensors, predicted, without};
use super::request::{InferRequest, whole};
use super::signature;
use super::target::Target;
use super::tensor::{Head, Tensor};
use crate::catalog::{Model, Predict};
use crate::engine::Context;
use crate::engine::batcher::Priority;
use crate::error::{Error, Result, excerpt};
use crate::explain;
use crate::image::Taken;
use crate::manifest::TaskKind;
use crate::reading::{Parameters, bounded};
use crate::service::{Asked, Originals, Service};
use crate::tasks::tensor::NamedTensor;
use crate::transport::{App, Received, content_type, within};

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
    let model = target.model(&app.service)?;
    let context = app.context(request.headers())?;
    // A client that cannot get a place learns it before its body is read.
    model.predict.has_place()?;
    within(&context, async {
        let (mut asked, held) = read(app, request, &model).await?;
        let context = terms(&mut asked.parameters, &context)?;
        within(&context, respond(&app.service, &model, (asked, held), &context)).await
    })
    .await
}

/// Reads the request; what it takes beyond its body is held.
async fn read(app: &App, request: Request, model: &Model) -> Result<(InferRequest, Taken)> {
    let header = header_length(&request)?;
    let kind = content_type(request.headers()).to_ascii_lowercase();
    let is_raw = header.map_or(kind.starts_with("image/"), |length| length == 0);
    let of_query = Parameters::from_query(request.uri().query())?;
    let received = app.read_some(request, EXPECTED).await?;
    let (mut asked, held) = if is_raw {
        (raw(model, received.bytes)?, app.service.hold(0, 0).await?)
    } else {
        parsed(app, received, header).await?
    };
    asked.is_for(&model.name, &model.version)?;
    asked.parameters.extend(of_query)?;
    Ok((asked, held))
}

/// A request in JSON, whose first bytes are that where so many are said.
async fn parsed(app: &App, received: Received, header: Option<usize>) -> Result<(InferRequest, Taken)> {
    /// Of a number in JSON, of two characters and more.
    const BYTES_A_NUMBER: u64 = 8;
    let header = header.unwrap_or(received.bytes.len());
    let json = received.bytes.get(..header).unwrap_or_default();
    let numbers = bounded::separators(json);
    let held = app.service.hold(numbers * BYTES_A_NUMBER, 0).await;
    let held = held.map_err(|error| match error {
        Error::AnswerTooLarge(_) => Error::InvalidBody(format!(
            "the JSON has about {numbers} numbers, which take more memory than there is for them (max_answers_mb); send them in \
             binary"
        )),
        other => other,
    })?;
    let read = move |_: &_| InferRequest::read(&received.bytes, header);
    Ok((app.service.pool().run(read).await?, held))
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
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| {
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

/// The context of a request that may say how long it waits, and before whom it goes.
fn terms(parameters: &mut Parameters, context: &Context) -> Result<Context> {
    let mut context = context.clone();
    // As Triton has it: microseconds; 0 is the server's own limit.
    if let Some(timeout) = whole::<u64>(parameters, "timeout")?.filter(|timeout| *timeout > 0) {
        let wanted = Instant::now().checked_add(Duration::from_micros(timeout));
        context.deadline = match (context.deadline, wanted) {
            (Some(own), Some(wanted)) => Some(own.min(wanted)),
            (own, wanted) => own.or(wanted),
        };
    }
    if let Some(level) = whole(parameters, "priority")? {
        context.priority = Priority::level(level);
    }
    Ok(context)
}

/// Refuses what has nothing to change in tensors.
fn refuse_drawing(parameters: &Parameters) -> Result<()> {
    const OF_OTHER_FORMS: [&str; 5] = ["alpha", "attention", "colormap", "overlay", "render"];
    let mut names = parameters.pairs().map(|(name, _)| name);
    match names.find(|name| OF_OTHER_FORMS.contains(name)) {
        Some(name) => Err(Error::parameter(
            name,
            "the tensors of an answer have nothing of it; /v1/models/{name}/predict and /explain draw pictures",
        )),
        None => Ok(()),
    }
}

/// What of a request is wanted.
struct Wanted {
    prediction: bool,
    /// The method of an explanation.
    explanation: Option<Option<String>>,
}

impl Wanted {
    /// # Errors
    /// [`Error::InvalidParameter`] for an output that there is not.
    fn of(asked: &mut InferRequest, model: &Model) -> Result<Self> {
        let method = asked.parameters.take("explain");
        let explained = match method.as_deref() {
            None | Some("false") => None,
            Some("true") => Some(None),
            Some(method) => Some(Some(method.to_owned())),
        };
        let own: Vec<String> = signature::outputs(model)
            .into_iter()
            .map(|output| output.name)
            .collect();
        let is_map = |name: &str| maps::NAMES.contains(&name);
        for wanted in &asked.outputs {
            let is_known = own.contains(&wanted.name) || (explained.is_some() && is_map(&wanted.name));
            if !is_known {
                let text = match is_map(&wanted.name) {
                    true => "an explanation has it; say parameters.explain = \"grad_cam\"".to_owned(),
                    false => format!("no such output; the model answers {}", own.join(", ")),
                };
                return Err(Error::parameter(excerpt(&wanted.name), text));
            }
        }
        let names = || asked.outputs.iter().map(|output| output.name.as_str());
        let is_all = asked.outputs.is_empty();
        if explained.is_some() && !is_all && !names().any(is_map) {
            return Err(Error::parameter(
                "explain",
                format!(
                    "`outputs` names none of {}; add one, or leave `explain` out",
                    maps::NAMES.join(", ")
                ),
            ));
        }
        Ok(Self {
            prediction: explained.is_none() || is_all || names().any(|name| !is_map(name)),
            explanation: explained.filter(|_| is_all || names().any(is_map)),
        })
    }
}

/// The inputs of a request, as the model's task takes them.
enum Given {
    Pictures(Asked),
    Tensors(Vec<NamedTensor>),
}

async fn respond(
    service: &Service,
    model: &Arc<Model>,
    (mut asked, held): (InferRequest, Taken),
    context: &Context,
) -> Result<Response> {
    refuse_drawing(&asked.parameters)?;
    let wanted = Wanted::of(&mut asked, model)?;
    let tensors = std::mem::take(&mut asked.inputs);
    // Prepared pictures are copies, which live until they are computed.
    let copies = match model.spec.manifest.task {
        TaskKind::Tensor => 0,
        _ => tensors.iter().map(|tensor| tensor.single_size() as u64).sum(),
    };
    let copied = service.hold(copies, held.bytes()).await?;
    let given = match model.spec.manifest.task {
        TaskKind::Tensor => Given::Tensors(inputs::tensors(model, tensors)?),
        _ => Given::Pictures(inputs::pictures(model, tensors, service.limits().images)?),
    };
    let mut all = Tensors {
        tensors: Vec::new(),
        held: vec![held, copied],
    };
    let mut of_prediction = std::mem::take(&mut asked.parameters);
    let mut of_explanation = Parameters::default();
    if wanted.explanation.is_some() {
        std::mem::swap(&mut of_prediction, &mut of_explanation);
    } else if let Given::Pictures(Asked {
        reference: Some(_), ..
    }) = given
    {
        let text = "only an explanation compares with it; say parameters.explain = \"grad_cam\"";
        return Err(Error::parameter(signature::REFERENCE, text));
    }
    if wanted.prediction {
        let inputs = match &given {
            Given::Pictures(asked) => {
                predicted(service, model, asked.pictures.clone(), &of_prediction, context).await?
            }
            Given::Tensors(tensors) => {
                computed(service, model, (tensors.clone(), &of_prediction), context).await?
            }
        };
        all.extend(inputs);
    }
    if let Some(method) = wanted.explanation {
        if let Some(method) = method {
            of_explanation.add("method".into(), method)?;
        }
        all.extend(explained(service, model, (given, &of_explanation), context).await?);
    }
    written(service, model, asked, all).await
}

/// A prediction of a model of tensors.
async fn computed(
    service: &Service,
    model: &Arc<Model>,
    (tensors, parameters): (Vec<NamedTensor>, &Parameters),
    context: &Context,
) -> Result<Tensors> {
    without(parameters)?;
    let Predict::Tensor(engine) = &model.predict else {
        return Err(Error::Internal("tensors for a model of pictures".into()));
    };
    let done = service.compute(model, engine, tensors, context).await?;
    Tensors::of(service, done).await
}

async fn explained(
    service: &Service,
    model: &Arc<Model>,
    (given, parameters): (Given, &Parameters),
    context: &Context,
) -> Result<Tensors> {
    let options =
        explain::read(model.spec.manifest.task, parameters.pairs()).map_err(|error| match error {
            Error::InvalidParameter { name, message } if name == "method" => {
                Error::parameter("explain", message)
            }
            other => other,
        })?;
    match given {
        Given::Tensors(tensors) => {
            let done = service.explain_tensors(model, tensors, options, context).await?;
            let held = service
                .hold(8 * done.explanation.map.data.len() as u64, 0)
                .await?;
            let tensors = service.pool().run(move |_| maps::of_tensors(done)).await?;
            Ok(Tensors {
                tensors,
                held: vec![held],
            })
        }
        Given::Pictures(asked) => {
            let asked = (asked, Originals::Dropped);
            let done = service.explain(model, asked, options, context).await?;
            let bytes = maps::cost(&done);
            let held = service.hold(bytes, 0).await?;
            let tensors = service.pool().run(move |_| maps::of_pictures(&done)).await?;
            Ok(Tensors {
                tensors,
                held: vec![held],
            })
        }
    }
}

/// The response that bears the tensors which are asked for.
async fn written(
    service: &Service,
    model: &Arc<Model>,
    asked: InferRequest,
    all: Tensors,
) -> Result<Response> {
    /// Of an element in JSON, with room for a text that grows; in binary twice its eight at most.
    const BYTES_AN_ELEMENT: u64 = 32;
    let spec = Arc::clone(&model.spec);
    let outputs = chosen(all.tensors, (&asked.outputs, asked.is_binary), &spec)?;
    let bytes = outputs.iter().map(|(tensor, is_binary)| match is_binary {
        true => 2 * tensor.binary_size() as u64,
        false => tensor.count() as u64 * BYTES_AN_ELEMENT + tensor.binary_size() as u64,
    });
    let mut held = all.held;
    let own = held.iter().map(Taken::bytes).sum();
    held.push(service.hold(bytes.sum(), own).await?);
    let answer = Answer {
        model_name: model.name.clone(),
        model_version: model.version.clone(),
        id: asked.id,
        outputs,
    };
    let body = service.pool().run(move |_| answer.written()).await?;
    Ok(body.response(held))
}
