//! The three spellings of a request: one raw image, multipart files, JSON with base64. All become pictures and parameters.

use std::borrow::Cow;
use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::npy;
use super::wire::TensorCall;
use crate::config::MOST_IMAGES;
use crate::error::{Error, Result, excerpt};
use crate::image::PoolThread;
use crate::reading::bounded::{self, JsonParameters, List, Object};
use crate::reading::{Parameters, b64, multipart};
use crate::service::{Asked, Pictures};
use crate::transport::{App, Form, Received, content_type};

/// Numbers of one latent at most: more than any model has.
const MOST_NUMBERS: usize = 1 << 20;

/// What an empty body should have been.
const IMAGES: &str = "an image, multipart/form-data with files, or JSON";
const LATENTS: &str = "JSON with `latents`, or an NPY array";

/// What a body that is no such JSON should have been.
const PARAMETERS_JSON: &str = "; expected {\"parameters\": {…}} or no body";
const IMAGES_JSON: &str = "; expected {\"images\": [{\"b64\": \"…\"}], \"parameters\": {…}}";
const LATENTS_JSON: &str = "; expected {\"latents\": [[…]]}";

/// The JSON spelling.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `images`")]
pub(super) struct JsonCall<'a> {
    /// At least one.
    #[serde(borrow)]
    #[schema(value_type = Vec<JsonImage<'_>>)]
    images: List<Object<JsonImage<'a>>, MOST_IMAGES>,
    /// The same names and values as in the query string.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<JsonParameters>,
}

/// The JSON body of an explanation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainCall<'a> {
    /// At least one.
    #[serde(borrow)]
    #[schema(value_type = Vec<JsonImage<'_>>)]
    images: List<Object<JsonImage<'a>>, MOST_IMAGES>,
    /// The picture that embeddings are compared with.
    #[serde(borrow, default)]
    #[schema(value_type = Option<JsonImage<'_>>)]
    reference: Option<Object<JsonImage<'a>>>,
    /// The same names and values as in the query string.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<JsonParameters>,
}

/// The JSON body of a prediction; for the OpenAPI document.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "it only describes the body, which is read by the model's task"
)]
pub(super) enum PredictCall<'a> {
    /// To a model of pictures.
    Images(JsonCall<'a>),
    /// To a model of tensors.
    Tensors(TensorCall),
}

/// A JSON body that has nothing but parameters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParametersCall {
    /// The same names and values as in the query string.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<JsonParameters>,
}

/// One image in JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `b64`")]
pub(super) struct JsonImage<'a> {
    /// The file's bytes in base64, of either alphabet, with line breaks or none, or a `data:` URL.
    #[serde(borrow)]
    #[schema(
        example = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR42mM8ESDCwMDAxMDAwMDAAAAO7gEwyEGFIgAAAABJRU5ErkJggg=="
    )]
    b64: Cow<'a, str>,
}

/// The files of a multipart body; for the OpenAPI document.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes the body, which multer reads")]
pub(super) struct MultipartCall {
    /// One or more files, under any name, of tensors under that of an input; text fields are
    /// parameters, and a field of JSON is one or an object of them.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<u8>,
}

/// The files of the multipart body of an explanation; for the OpenAPI document.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes the body, which multer reads")]
pub(super) struct ExplainParts {
    /// One or more files, under any name; text fields are parameters.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<u8>,
    /// Of a model of the task `embedding`: the picture that the others are compared with.
    #[schema(value_type = Option<String>, format = Binary)]
    reference: Vec<u8>,
}

/// The body of `decode`, where it is JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatentCall {
    /// One list of values for each picture, as `encode` answers under `latent.mu`.
    #[schema(value_type = Vec<Vec<f32>>)]
    latents: List<List<f32, MOST_NUMBERS>, MOST_IMAGES>,
}

/// Reads a request that holds images: the pictures, and the parameters of query and body.
///
/// # Errors
/// Those of [`App::read_some`]; [`Error::EmptyBody`], [`Error::InvalidBody`], [`Error::UnsupportedMediaType`],
/// [`Error::InvalidParameter`].
pub(super) async fn pictures(app: &App, request: Request) -> Result<(Pictures, Parameters)> {
    let (files, parameters) = files(app, request, (from_json, None)).await?;
    Ok((
        Pictures::new(files.images, app.service.limits().images)?,
        parameters,
    ))
}

/// Reads a request for explanations; with `takes_reference`, a file of the name `reference` is one.
///
/// # Errors
/// As [`pictures`].
pub(super) async fn explained(
    app: &App,
    request: Request,
    takes_reference: bool,
) -> Result<(Asked, Parameters)> {
    let reference = takes_reference.then_some("reference");
    let (files, parameters) = files(app, request, (explain_from_json, reference)).await?;
    let asked = Asked {
        pictures: Pictures::new(files.images, app.service.limits().images)?,
        reference: files.reference,
    };
    Ok((asked, parameters))
}

/// The files of one body.
#[derive(Default)]
struct Files {
    images: Vec<Bytes>,
    reference: Option<Bytes>,
}

/// What a JSON body has to say.
type FromJson = fn(&Received) -> Result<(Files, Parameters)>;

/// The files and parameters of a body in any spelling; of a multipart the one of the name `reference` apart.
async fn files(
    app: &App,
    request: Request,
    (from_json, reference): (FromJson, Option<&str>),
) -> Result<(Files, Parameters)> {
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let form = Form::of(content_type(request.headers()))?;
    let received = app.read_some(request, IMAGES).await?;
    let files = match form {
        Form::Raw => Files {
            images: vec![received.bytes],
            reference: None,
        },
        Form::Json => {
            let (files, more) = app.service.pool().run(move |_| from_json(&received)).await?;
            parameters.extend(more)?;
            files
        }
        Form::Multipart => divided(multipart::read(&received, &mut parameters).await?, reference)?,
    };
    Ok((files, parameters))
}

/// Pictures, and apart from them the file of the name `reference`, where one is wanted.
fn divided(parts: Vec<multipart::Part>, reference: Option<&str>) -> Result<Files> {
    let mut files = Files::default();
    for part in parts {
        if reference != Some(part.name.as_str()) {
            files.images.push(part.bytes);
        } else if files.reference.replace(part.bytes).is_some() {
            return Err(Error::InvalidBody(
                "more than one file is called `reference`".into(),
            ));
        }
    }
    if files.images.len() > MOST_IMAGES {
        return Err(Error::InvalidBody(format!("more than {MOST_IMAGES} files")));
    }
    Ok(files)
}

/// Refuses a body that says it is no JSON. A client that names no type, or curl's default, means JSON here.
fn may_be_json(content_type: &str) -> Result<()> {
    if matches!(Form::of(content_type), Ok(Form::Json | Form::Raw)) {
        return Ok(());
    }
    Err(Error::UnsupportedMediaType(format!(
        "content type `{}`; send application/json",
        excerpt(content_type)
    )))
}

/// Reads the body of a request without parameters, which has to be JSON; `what` says what to send.
///
/// # Errors
/// As [`pictures`].
pub(super) async fn json_body(app: &App, request: Request, what: &str) -> Result<Received> {
    may_be_json(content_type(request.headers()))?;
    app.read_some(request, what).await
}

/// What a JSON body says, read on the pool.
pub(super) async fn parsed<T: DeserializeOwned + Send + 'static>(
    app: &App,
    received: Received,
    expected: &'static str,
) -> Result<T> {
    let read = move |_: &PoolThread| bounded::object(&received.bytes).map_err(|e| not_json(&e, expected));
    app.service.pool().run(read).await
}

/// Reads latents: JSON (see [`LatentCall`]) or an NPY array `[n, D…]`.
///
/// # Errors
/// As [`pictures`].
pub(super) async fn latents(app: &App, request: Request) -> Result<Vec<Vec<f32>>> {
    Parameters::none_in(request.uri().query())?;
    if content_type(request.headers()).ends_with("npy") {
        let received = app.read_some(request, LATENTS).await?;
        return app
            .service
            .pool()
            .run(move |_| npy::rows(&received.bytes, (MOST_IMAGES, MOST_NUMBERS)))
            .await;
    }
    let received = json_body(app, request, LATENTS).await?;
    let List(latents) = parsed::<LatentCall>(app, received, LATENTS_JSON).await?.latents;
    Ok(latents.into_iter().map(|List(latent)| latent).collect())
}

/// Parameters of an operation that needs no body: from the query, and from a JSON object if there is one.
///
/// # Errors
/// As [`App::read`]; [`Error::InvalidBody`], [`Error::UnsupportedMediaType`], [`Error::InvalidParameter`].
pub(super) async fn parameters(app: &App, request: Request) -> Result<Parameters> {
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let received = app.read(request).await?;
    if !received.bytes.is_empty() {
        may_be_json(&received.content_type)?;
        let read = move |_: &PoolThread| {
            let call: Option<Object<ParametersCall>> =
                serde_json::from_slice(&received.bytes).map_err(|e| not_json(&e, PARAMETERS_JSON))?;
            let given = call.and_then(|Object(call)| call.parameters);
            given.map_or_else(|| Ok(Parameters::default()), |given| given.0)
        };
        parameters.extend(app.service.pool().run(read).await?)?;
    }
    Ok(parameters)
}

/// Says what is wrong with a JSON body, at a length that does not depend on the body's.
fn not_json(error: &serde_json::Error, expected: &str) -> Error {
    Error::InvalidBody(format!("{}{expected}", excerpt(&error.to_string())))
}

fn from_json(received: &Received) -> Result<(Files, Parameters)> {
    let call: JsonCall<'_> = bounded::object(&received.bytes).map_err(|e| not_json(&e, IMAGES_JSON))?;
    let parameters = JsonParameters::of(call.parameters)?;
    let files = Files {
        images: decoded(received, &call.images.0)?,
        reference: None,
    };
    Ok((files, parameters))
}

fn explain_from_json(received: &Received) -> Result<(Files, Parameters)> {
    let call: ExplainCall<'_> = bounded::object(&received.bytes).map_err(|e| not_json(&e, IMAGES_JSON))?;
    let (parameters, reference) = (JsonParameters::of(call.parameters)?, call.reference.as_ref());
    let files = Files {
        images: decoded(received, &call.images.0)?,
        reference: reference
            .map(|Object(reference)| of_base64(received, reference, &"reference"))
            .transpose()?,
    };
    Ok((files, parameters))
}

fn decoded(received: &Received, images: &[Object<JsonImage<'_>>]) -> Result<Vec<Bytes>> {
    let decode = |(index, Object(image)): (usize, &Object<JsonImage<'_>>)| {
        of_base64(received, image, &format_args!("images[{index}]"))
    };
    images.iter().enumerate().map(decode).collect()
}

/// The bytes of an image, which is called `name` in the body.
fn of_base64(received: &Received, image: &JsonImage<'_>, name: &dyn Display) -> Result<Bytes> {
    b64::decode(&image.b64)
        .map_err(|why| Error::InvalidBody(format!("{name}.b64: {why}")))
        .and_then(|bytes| received.own(bytes))
}
