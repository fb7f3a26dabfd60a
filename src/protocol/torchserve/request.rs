//! The pictures of a request: a file as the whole body, or files of a form.

use axum::extract::Request;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::manifest::TaskKind;
use crate::reading::{Parameters, multipart};
use crate::service::Pictures;
use crate::transport::{App, Form, content_type};

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
    /// One or more pictures, under any name; text fields are parameters.
    #[schema(value_type = Vec<String>, format = Binary)]
    data: Vec<u8>,
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
        Form::Raw => vec![received.bytes],
        Form::Multipart => {
            let parts = multipart::read(received, &mut parameters).await?;
            parts.into_iter().map(|part| part.bytes).collect()
        }
        Form::Json => {
            return Err(Error::UnsupportedMediaType(format!(
                "application/json; send {EXPECTED}, or the JSON to /v1/models/{{name}}/predict"
            )));
        }
    };
    Ok((Pictures::new(files, app.service.limits().images)?, parameters))
}
