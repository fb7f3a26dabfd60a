//! The three spellings of a request: one raw image, multipart files, JSON with base64. All become pictures and parameters.

use axum::body::Bytes;
use axum::extract::Request;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::npy;
use super::parameters::Parameters;
use crate::error::{Error, Result};
use crate::service::Pictures;
use crate::transport::{App, Form, Received, content_type};

/// What an empty body should have been.
const IMAGES: &str = "an image, multipart/form-data with files, or JSON";

/// The JSON spelling.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonCall {
    /// At least one.
    images: Vec<JsonImage>,
    /// The same names and values as in the query string.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: serde_json::Map<String, serde_json::Value>,
}

/// A JSON body that has nothing but parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParametersCall {
    #[serde(default)]
    parameters: serde_json::Map<String, serde_json::Value>,
}

/// One image in JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonImage {
    /// The file's bytes in base64, or a `data:` URL.
    b64: String,
}

/// The files of a multipart body; for the OpenAPI document.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes the body, which multer reads")]
pub(super) struct MultipartCall {
    /// One or more files, under any name; text fields are parameters.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<u8>,
}

/// The body of `decode`, where it is JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatentCall {
    /// One list of values for each picture, as `encode` answers under `latent.mu`.
    latents: Vec<Vec<f32>>,
}

/// Reads a request that holds images: the pictures, and the parameters of query and body.
///
/// # Errors
/// Those of [`App::read_some`]; [`Error::EmptyBody`], [`Error::InvalidBody`], [`Error::UnsupportedMediaType`],
/// [`Error::InvalidParameter`].
pub(super) async fn pictures(app: &App, request: Request) -> Result<(Pictures, Parameters)> {
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let form = Form::of(content_type(request.headers()))?;
    let received = app.read_some(request, IMAGES).await?;
    let files = match form {
        Form::Raw => vec![received.bytes],
        Form::Json => from_json(&received, &mut parameters)?,
        Form::Multipart => from_multipart(received, &mut parameters).await?,
    };
    Ok((Pictures::new(files, app.service.limits().images)?, parameters))
}

/// Reads a JSON body and the query's parameters.
///
/// # Errors
/// As [`pictures`].
pub(super) async fn json<T: DeserializeOwned>(app: &App, request: Request) -> Result<(T, Parameters)> {
    let parameters = Parameters::from_query(request.uri().query())?;
    let found = content_type(request.headers());
    if !matches!(Form::of(found), Ok(Form::Json | Form::Raw)) {
        return Err(Error::UnsupportedMediaType(format!(
            "content type `{found}`; send application/json"
        )));
    }
    let received = app.read_some(request, IMAGES).await?;
    let value = serde_json::from_slice(&received.bytes).map_err(|e| Error::InvalidBody(e.to_string()))?;
    Ok((value, parameters))
}

/// Reads latents: JSON (see [`LatentCall`]) or an NPY array `[n, D…]`.
///
/// # Errors
/// As [`pictures`].
pub(super) async fn latents(app: &App, request: Request) -> Result<Vec<Vec<f32>>> {
    Parameters::from_query(request.uri().query())?.none()?;
    if content_type(request.headers()).ends_with("npy") {
        return npy::rows(&app.read_some(request, IMAGES).await?.bytes);
    }
    Ok(json::<LatentCall>(app, request).await?.0.latents)
}

/// Parameters of an operation that needs no body: from the query, and from a JSON object if there is one.
///
/// # Errors
/// As [`App::read`]; [`Error::InvalidBody`], [`Error::InvalidParameter`].
pub(super) async fn parameters(app: &App, request: Request) -> Result<Parameters> {
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let received = app.read(request).await?;
    if !received.bytes.is_empty() {
        let call: ParametersCall = serde_json::from_slice(&received.bytes)
            .map_err(|e| Error::InvalidBody(format!("{e}; expected {{\"parameters\": {{…}}}} or no body")))?;
        parameters.add_json(call.parameters)?;
    }
    Ok(parameters)
}

fn from_json(received: &Received, parameters: &mut Parameters) -> Result<Vec<Bytes>> {
    let call: JsonCall = serde_json::from_slice(&received.bytes).map_err(|e| {
        Error::InvalidBody(format!(
            "{e}; expected {{\"images\": [{{\"b64\": \"…\"}}], \"parameters\": {{…}}}}"
        ))
    })?;
    parameters.add_json(call.parameters)?;
    let decode = |(index, image): (usize, &JsonImage)| {
        let text = image.b64.trim();
        let payload = match text.strip_prefix("data:") {
            Some(url) => url.split_once(";base64,").map_or("", |(_, payload)| payload),
            None => text,
        };
        BASE64_STANDARD
            .decode(payload)
            .map(|bytes| received.own(bytes))
            .map_err(|e| Error::InvalidBody(format!("images[{index}].b64 is not base64: {e}")))
    };
    call.images.iter().enumerate().map(decode).collect()
}

async fn from_multipart(received: Received, parameters: &mut Parameters) -> Result<Vec<Bytes>> {
    let wrong = |e: multer::Error| Error::InvalidBody(e.to_string());
    let boundary = multer::parse_boundary(&received.content_type).map_err(wrong)?;
    let body = futures_util::stream::once(std::future::ready(Ok::<_, std::io::Error>(
        received.bytes.clone(),
    )));
    let mut multipart = multer::Multipart::new(body, boundary);
    let mut images = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(wrong)? {
        if field.file_name().is_some() || field.content_type().is_some() {
            images.push(received.own(field.bytes().await.map_err(wrong)?.into()));
        } else {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.text().await.map_err(wrong)?;
            parameters.add(name, value)?;
        }
    }
    Ok(images)
}
