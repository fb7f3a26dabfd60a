//! `POST /v2/repository/index`: which models there are, and what has become of each.

use axum::Json;
use axum::extract::{Request, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::openapi::Refusals;
use crate::catalog::State as Life;
use crate::error::{Error, Result, excerpt};
use crate::reading::bounded;
use crate::transport::App;

/// What is asked of the index; an empty body asks for all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IndexCall {
    /// Only models that answer.
    ready: bool,
}

/// A model of the index.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Indexed {
    #[schema(example = "mobilenet_v2")]
    pub(super) name: String,
    /// A version that is loaded; empty while none is.
    #[schema(example = "1")]
    pub(super) version: String,
    /// `READY`, `LOADING`, or `UNAVAILABLE`.
    #[schema(example = "READY")]
    pub(super) state: &'static str,
    /// Why it is unavailable.
    pub(super) reason: String,
}

/// Each version that is loaded, and the models of which none is.
pub(super) fn listed(app: &App, is_ready: bool) -> Vec<Indexed> {
    let models = app.service.models().into_iter();
    let models = models.flat_map(|listed| {
        let indexed = |version: String, state, reason| Indexed {
            name: listed.name.clone(),
            version,
            state,
            reason,
        };
        let (state, reason) = match listed.state {
            Life::Ready(_) => {
                let versions = listed.loaded.iter().map(|model| model.version.clone());
                return versions
                    .map(|version| indexed(version, "READY", String::new()))
                    .collect();
            }
            Life::Loading => ("LOADING", String::new()),
            Life::Failed(error) => ("UNAVAILABLE", error.to_string()),
            Life::Unloaded => ("UNAVAILABLE", "unloaded".into()),
            Life::Resting => ("READY", "resting; a request loads it".into()),
        };
        vec![indexed(String::new(), state, reason)]
    });
    models
        .filter(|model| !is_ready || model.state == "READY")
        .collect()
}

/// What the body of `request` asks of the repository: JSON, `expected` for example; one that is empty asks for nothing.
///
/// # Errors
/// [`Error::BodyTooLarge`] beyond what there is to ask; [`Error::InvalidBody`]; those of reading.
pub(super) async fn call_of<T: DeserializeOwned + Default>(
    app: &App,
    request: Request,
    expected: &str,
) -> Result<T> {
    /// As much as a call of gRPC may say.
    const MOST: usize = 64 << 10;
    let received = app.read(request).await?;
    if received.bytes.len() > MOST {
        let kb = MOST >> 10;
        return Err(Error::BodyTooLarge(format!(
            "the call is larger than {kb} KiB; expected {expected}, or nothing: files of models are not taken from clients"
        )));
    }
    match received.bytes.trim_ascii() {
        b"" => Ok(T::default()),
        json => bounded::object(json).map_err(|error| {
            let why = error.to_string();
            Error::InvalidBody(format!("{}; expected {expected}, or nothing", excerpt(&why)))
        }),
    }
}

/// The index of the repository
#[utoipa::path(
    post, path = "/v2/repository/index", tag = "open inference protocol",
    request_body(content = Option<IndexCall>),
    responses((status = OK, body = Vec<Indexed>), Refusals),
)]
pub(super) async fn index(State(app): State<App>, request: Request) -> Result<Json<Vec<Indexed>>> {
    let call: IndexCall = call_of(&app, request, "{\"ready\": true}").await?;
    Ok(Json(listed(&app, call.ready)))
}
