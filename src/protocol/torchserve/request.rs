//! The pictures of a request: a file as the whole body, or files of a form.

use axum::body::Bytes;
use axum::extract::Request;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::image::PoolThread;
use crate::manifest::TaskKind;
use crate::reading::{Parameters, b64, multipart};
use crate::service::Pictures;
use crate::transport::{App, Form, Received, content_type};

const EXPECTED: &str = "an image, or multipart/form-data with images";

/// Which model a path names.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) model: String,
    #[serde(default)]
    pub(super) version: Option<String>,
}

impl Target {
    /// The version; `1.0`, as archives of TorchServe have it, is 1 here.
    pub(super) fn version(&self) -> Option<&str> {
        self.version
            .as_deref()
            .map(|version| version.strip_suffix(".0").unwrap_or(version))
    }
}

/// The files of a form; for the OpenAPI document.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes the body, which multer reads")]
pub(super) struct DataForm {
    /// One or more pictures, under any name; a text field by this name is one in base64, others are parameters.
    #[schema(value_type = Vec<String>, format = Binary)]
    data: Vec<u8>,
}

/// Fields of a form whose text is a file in base64, as the handlers of TorchServe take it.
const TEXTS: [&str; 2] = ["data", "body"];

/// Whether a body is such a form: `data=…`, and not the bytes that curl sends under its type.
fn is_form(received: &Received) -> bool {
    received
        .content_type
        .starts_with("application/x-www-form-urlencoded")
        && TEXTS.iter().any(|name| {
            received
                .bytes
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"="))
        })
}

/// The first field of a form.
fn field(form: &[u8]) -> Result<String> {
    // The others are not read: there may be millions.
    let first = form.split(|byte| *byte == b'&').next().unwrap_or_default();
    let first: Vec<(String, String)> =
        serde_urlencoded::from_bytes(first).map_err(|e| Error::InvalidBody(e.to_string()))?;
    Ok(first.into_iter().next().map(|(_, text)| text).unwrap_or_default())
}

fn utf8(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| Error::InvalidBody("a text of the form is no UTF-8".into()))
}

/// The file that the text in these bytes of what was received stands for.
async fn from_text(
    app: &App,
    (received, bytes): (Received, Bytes),
    text: fn(&[u8]) -> Result<String>,
) -> Result<Bytes> {
    let work = move |_: &PoolThread| {
        let text = text(&bytes)?;
        let file = b64::decode(&text).map_err(|why| {
            Error::InvalidImage(format!(
                "the text of the form is no picture: {why}; send {EXPECTED}"
            ))
        })?;
        received.own(file)
    };
    app.service.pool().run(work).await
}

/// Reads a request to a model of this task.
///
/// # Errors
/// [`Error::UnsupportedForTask`] for a task without pictures, whose handlers are everybody's own; those of reading.
pub(super) async fn pictures(app: &App, request: Request, task: TaskKind) -> Result<(Pictures, Parameters)> {
    if task == TaskKind::Tensor {
        return Err(Error::UnsupportedForTask(
            "the handlers of TorchServe have no form for tensors; send them to /v1/models/{name}/predict or to \
             /v2/models/{name}/infer"
                .into(),
        ));
    }
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let form = Form::of(content_type(request.headers()))?;
    let received = app.read_some(request, EXPECTED).await?;
    let files = match form {
        Form::Raw if is_form(&received) => {
            let form = received.bytes.clone();
            vec![from_text(app, (received, form), field).await?]
        }
        Form::Raw => vec![received.bytes],
        Form::Multipart => {
            let mut files = Vec::new();
            for part in multipart::read_with(&received, &mut parameters, &TEXTS).await? {
                files.push(match part.is_text {
                    true => from_text(app, (received.clone(), part.bytes), utf8).await?,
                    false => part.bytes,
                });
            }
            files
        }
        Form::Json => {
            return Err(Error::UnsupportedMediaType(format!(
                "application/json; send {EXPECTED}, or the JSON to /v1/models/{{name}}/predict"
            )));
        }
    };
    Ok((Pictures::new(files, app.service.limits().images)?, parameters))
}
