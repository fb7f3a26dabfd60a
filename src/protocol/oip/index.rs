//! `POST /v2/repository/index`: which models there are, and what has become of each.

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::openapi::Refusals;
use crate::catalog::State as Life;
use crate::error::{Error, Result, excerpt};
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
    /// The one that answers; empty while none does.
    #[schema(example = "1")]
    pub(super) version: String,
    /// `READY`, `LOADING`, or `UNAVAILABLE`.
    #[schema(example = "READY")]
    pub(super) state: &'static str,
    /// Why it is unavailable.
    pub(super) reason: String,
}

/// The models by name.
pub(super) fn listed(app: &App, is_ready: bool) -> Vec<Indexed> {
    let models = app.service.models().into_iter();
    let models = models.map(|listed| {
        let (version, state, reason) = match listed.state {
            Life::Ready(model) => (model.version.clone(), "READY", String::new()),
            Life::Loading => (String::new(), "LOADING", String::new()),
            Life::Failed(error) => (String::new(), "UNAVAILABLE", error.to_string()),
            Life::Unloaded => (String::new(), "UNAVAILABLE", "unloaded".into()),
        };
        Indexed {
            name: listed.name,
            version,
            state,
            reason,
        }
    });
    models
        .filter(|model| !is_ready || model.state == "READY")
        .collect()
}

/// The index of the repository
#[utoipa::path(
    post, path = "/v2/repository/index", tag = "open inference protocol",
    request_body(content = Option<IndexCall>),
    responses((status = OK, body = Vec<Indexed>), Refusals),
)]
pub(super) async fn index(State(app): State<App>, request: Request) -> Result<Json<Vec<Indexed>>> {
    let received = app.read(request).await?;
    let call = match received.bytes.trim_ascii() {
        b"" => IndexCall::default(),
        json => serde_json::from_slice(json).map_err(|error| {
            let why = error.to_string();
            Error::InvalidBody(format!(
                "{}; expected {{\"ready\": true}}, or nothing",
                excerpt(&why)
            ))
        })?,
    };
    Ok(Json(listed(&app, call.ready)))
}
