//! The three spellings of a request: one raw image, multipart files, JSON with base64.
//!
//! All become the same [`Call`]: images as bytes, parameters as text. Bytes are counted as they arrive,
//! against the limit of one body and against what all bodies together may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use super::App;
use super::parameters::Parameters;
use super::vae::LatentCall;
use crate::error::{Error, Result};

/// A request, whichever way it was spelt.
#[derive(Debug)]
pub(super) struct Call {
    /// At least one, in the client's order.
    pub(super) images: Vec<Bytes>,
    /// From the query and the body.
    pub(super) parameters: Parameters,
    /// The place that the bytes take among all bodies under way, until dropped.
    pub(super) held: Held,
}

/// See [`Call::held`].
#[derive(Debug, Default)]
pub(super) struct Held(Option<OwnedSemaphorePermit>);

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
#[expect(dead_code, reason = "it only describes the body; axum's Multipart reads it")]
pub(super) struct MultipartCall {
    /// One or more files, under any name; text fields are parameters.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<u8>,
}

/// When the client stops waiting: `X-Request-Timeout-Ms`, else the server's own limit.
///
/// # Errors
/// [`Error::InvalidParameter`] when the header is no positive number.
pub(super) fn deadline(headers: &HeaderMap, default: Option<Duration>) -> Result<Option<Instant>> {
    const NAME: &str = "X-Request-Timeout-Ms";
    let now = Instant::now();
    let Some(value) = headers.get(NAME) else {
        return Ok(default.map(|timeout| now + timeout));
    };
    let ms = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok())
        .filter(|&ms| ms > 0);
    let ms = ms.ok_or_else(|| {
        Error::parameter(
            NAME,
            format!("found {value:?}, expected a whole number of milliseconds, at least 1"),
        )
    })?;
    Ok(Some(now + Duration::from_millis(ms.into())))
}

impl Call {
    /// Reads the body of `request`, which holds images.
    ///
    /// # Errors
    /// [`Error::EmptyBody`], [`Error::BodyTooLarge`], [`Error::InvalidBody`], [`Error::UnsupportedMediaType`],
    /// [`Error::InvalidParameter`]; [`Error::QueueFull`] when all bodies under way leave no room.
    pub(super) async fn read(app: &App, request: Request) -> Result<Self> {
        let mut parameters = Parameters::from_query(request.uri().query())?;
        let (parts, body) = request.into_parts();
        let content_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let form = Form::of(content_type)?;
        let (bytes, held) = read_bytes(app, &parts.headers, body).await?;
        let images = match form {
            Form::Raw => vec![bytes],
            Form::Json => from_json(&bytes, &mut parameters)?,
            Form::Multipart => from_multipart(content_type, bytes, &mut parameters).await?,
        };
        let (found, most) = (images.len(), app.settings.max_images);
        match found {
            0 => Err(Error::EmptyBody("the body holds no image".into())),
            _ if found > most => Err(Error::InvalidBody(format!(
                "{found} images in one request, at most {most}"
            ))),
            _ => Ok(Self {
                images,
                parameters,
                held,
            }),
        }
    }
}

/// Reads a JSON body and the query's parameters.
///
/// # Errors
/// As [`Call::read`].
pub(super) async fn read_json<T: serde::de::DeserializeOwned>(
    app: &App,
    request: Request,
) -> Result<(T, Parameters)> {
    let parameters = Parameters::from_query(request.uri().query())?;
    let (parts, body) = request.into_parts();
    if !matches!(Form::of(content_type(&parts.headers)), Ok(Form::Json | Form::Raw)) {
        let found = content_type(&parts.headers);
        return Err(Error::UnsupportedMediaType(format!(
            "content type `{found}`; send application/json"
        )));
    }
    let (bytes, _held) = read_bytes(app, &parts.headers, body).await?;
    let value = serde_json::from_slice(&bytes).map_err(|e| Error::InvalidBody(e.to_string()))?;
    Ok((value, parameters))
}

/// Reads latents: JSON (see [`LatentCall`]) or an NPY array `[n, D…]`.
///
/// # Errors
/// As [`Call::read`].
pub(super) async fn read_latents(app: &App, request: Request) -> Result<Vec<Vec<f32>>> {
    Parameters::from_query(request.uri().query())?.none()?;
    let is_npy = content_type(request.headers()).ends_with("npy");
    let latents = if is_npy {
        let (parts, body) = request.into_parts();
        let (bytes, _held) = read_bytes(app, &parts.headers, body).await?;
        super::npy::rows(&bytes)?
    } else {
        read_json::<LatentCall>(app, request).await?.0.latents
    };
    if latents.is_empty() {
        return Err(Error::EmptyBody("the body holds no latent".into()));
    }
    if latents.iter().flatten().any(|v| !v.is_finite()) {
        return Err(Error::parameter("latents", "every value must be finite"));
    }
    Ok(latents)
}

/// Parameters of an operation that needs no body: from the query, and from a JSON object if there is one.
///
/// # Errors
/// As [`Call::read`].
pub(super) async fn read_parameters(app: &App, request: Request) -> Result<Parameters> {
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let (parts, body) = request.into_parts();
    let (bytes, _held) = collect(app, &parts.headers, body).await?;
    if !bytes.is_empty() {
        let call: ParametersCall = serde_json::from_slice(&bytes)
            .map_err(|e| Error::InvalidBody(format!("{e}; expected {{\"parameters\": {{…}}}} or no body")))?;
        parameters.add_json(call.parameters)?;
    }
    Ok(parameters)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
}

/// The whole body, which must not be empty.
async fn read_bytes(app: &App, headers: &HeaderMap, body: Body) -> Result<(Bytes, Held)> {
    let patience = Duration::from_secs(app.settings.body_timeout_s);
    let late = || Error::DeadlineExceeded(format!("the body took longer than {} s", patience.as_secs()));
    let (bytes, held) = tokio::time::timeout(patience, collect(app, headers, body))
        .await
        .map_err(|_| late())??;
    if bytes.is_empty() {
        let text = "the body is empty; send an image, multipart/form-data with files, or JSON";
        return Err(Error::EmptyBody(text.into()));
    }
    Ok((bytes, held))
}

enum Form {
    Raw,
    Json,
    Multipart,
}

impl Form {
    /// A client that names no type, or curl's default, means the bytes; their content decides what they are.
    fn of(content_type: &str) -> Result<Self> {
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Self::Raw),
            "application/json" => Ok(Self::Json),
            "multipart/form-data" => Ok(Self::Multipart),
            image if image.starts_with("image/") => Ok(Self::Raw),
            other => Err(Error::UnsupportedMediaType(format!(
                "content type `{other}`; send image/*, application/octet-stream, multipart/form-data or application/json"
            ))),
        }
    }
}

async fn collect(app: &App, headers: &HeaderMap, mut body: Body) -> Result<(Bytes, Held)> {
    let most = app.settings.max_body_bytes();
    let too_large = || {
        let mb = app.settings.max_body_mb;
        Error::BodyTooLarge(format!("the body is larger than {mb} MiB (max_body_mb)"))
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
    let mut held = Held::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::InvalidBody(format!("the body broke off: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large());
        }
        held.grow(&app.inflight, data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), held))
}

impl Held {
    fn grow(&mut self, inflight: &Arc<Semaphore>, bytes: usize) -> Result<()> {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(inflight)
            .try_acquire_many_owned(count)
            .map_err(|_| Error::QueueFull {
                queue: "request bodies (max_inflight_mb)".into(),
                retry_after: Duration::from_secs(1),
            })?;
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            empty => *empty = Some(more),
        }
        Ok(())
    }
}

fn from_json(bytes: &[u8], parameters: &mut Parameters) -> Result<Vec<Bytes>> {
    let call: JsonCall = serde_json::from_slice(bytes).map_err(|e| {
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
            .map(Bytes::from)
            .map_err(|e| Error::InvalidBody(format!("images[{index}].b64 is not base64: {e}")))
    };
    call.images.iter().enumerate().map(decode).collect()
}

async fn from_multipart(content_type: &str, bytes: Bytes, parameters: &mut Parameters) -> Result<Vec<Bytes>> {
    let mut request = Request::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(bytes))
        .map_err(|e| Error::InvalidBody(e.to_string()))?;
    // The body was held against our own limit while it was read.
    axum::extract::DefaultBodyLimit::disable().apply(&mut request);
    let wrong = |e: axum::extract::multipart::MultipartError| Error::InvalidBody(e.body_text());
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|e| Error::InvalidBody(e.body_text()))?;
    let mut images = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(wrong)? {
        if field.file_name().is_some() || field.content_type().is_some() {
            images.push(field.bytes().await.map_err(wrong)?);
        } else {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.text().await.map_err(wrong)?;
            parameters.add(name, value)?;
        }
    }
    Ok(images)
}
