//! Loading and unloading, as Triton's clients ask for it: `POST /v2/repository/models/{name}/load` and `unload`.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::index::call_of;
use super::openapi::Refusals;
use super::request::flag;
use crate::error::{Error, Result, excerpt};
use crate::manifest::Which;
use crate::reading::Parameters;
use crate::reading::bounded::{self, JsonParameters};
use crate::transport::App;

/// Versions of one request at most.
const MOST_VERSIONS: usize = 256;

/// What is asked beside the name; an empty body asks for nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RepositoryCall {
    /// Of `load`: `config`, a JSON text whose `version_policy` says which versions.
    #[schema(value_type = Option<Object>)]
    parameters: Option<JsonParameters>,
}

/// A part of Triton's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default, rename = "name")]
    _name: String,
    #[serde(default, alias = "versionPolicy")]
    version_policy: Option<VersionPolicy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum VersionPolicy {
    Latest {
        #[serde(alias = "numVersions")]
        num_versions: usize,
    },
    All {},
    Specific {
        versions: Vec<serde_json::Value>,
    },
}

/// Which versions the parameters of a load ask for; nothing where model.toml says it.
///
/// # Errors
/// [`Error::InvalidParameter`] for what cannot be said here, since model.toml says it.
pub(super) fn wanted<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Option<Which>> {
    let mut which = None;
    for (name, text) in parameters {
        match name {
            "config" => which = of_config(text)?,
            other if other.starts_with("file:") => {
                return Err(Error::parameter(
                    excerpt(other),
                    "files are not taken from clients; put them into the model's folder",
                ));
            }
            other => {
                return Err(Error::parameter(
                    excerpt(other),
                    "there is no such parameter of a load",
                ));
            }
        }
    }
    Ok(which)
}

fn of_config(text: &str) -> Result<Option<Which>> {
    let wrong = |why: String| Error::parameter("config", why);
    let config: Config = bounded::object(text.as_bytes()).map_err(|error| {
        let why = error.to_string();
        wrong(format!(
            "{}; here it has `version_policy` alone, the rest stands in model.toml",
            excerpt(&why)
        ))
    })?;
    let Some(policy) = config.version_policy else {
        return Ok(None);
    };
    let which = match policy {
        VersionPolicy::All {} => Which::All,
        VersionPolicy::Latest { num_versions } => Which::Newest(num_versions.clamp(1, MOST_VERSIONS)),
        VersionPolicy::Specific { versions } => {
            // Protocol buffers write 64-bit numbers as texts.
            let named = versions.iter().map(|version| match version {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let named: Vec<String> = named.collect();
            match named.len() {
                1..=MOST_VERSIONS => Which::These(named),
                found => {
                    return Err(wrong(format!(
                        "found {found} versions, expected 1 to {MOST_VERSIONS}"
                    )));
                }
            }
        }
    };
    Ok(Some(which))
}

/// What the body asks for, of a client that may ask for changes.
async fn called(app: &App, request: Request) -> Result<Parameters> {
    app.service.may_change()?;
    let call: RepositoryCall = call_of(app, request, "{\"parameters\": {…}}").await?;
    JsonParameters::of(call.parameters)
}

/// Load
///
/// What model.toml wants, as `PUT /v1/models/{name}` does, or the versions that `parameters.config` asks for by Triton's `version_policy`. Only with `model_control =
/// "explicit"`.
#[utoipa::path(
    post, path = "/v2/repository/models/{name}/load", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    request_body(content = Option<RepositoryCall>),
    responses((status = OK, description = "It answers"), Refusals),
)]
pub(super) async fn load(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<StatusCode> {
    let parameters = called(&app, request).await?;
    let which = wanted(parameters.pairs())?;
    app.service.load_versions(&name, which.as_ref()).await?;
    Ok(StatusCode::OK)
}

/// Unload
///
/// Every version; requests that are under way end. Only with `model_control = "explicit"`.
#[utoipa::path(
    post, path = "/v2/repository/models/{name}/unload", tag = "open inference protocol",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    request_body(content = Option<RepositoryCall>),
    responses((status = OK, description = "It is unloaded"), Refusals),
)]
pub(super) async fn unload(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<StatusCode> {
    let mut parameters = called(&app, request).await?;
    // It is true of every model: none depends on another.
    flag(&mut parameters, "unload_dependents")?;
    parameters.none_left("there is no such parameter of an unload; it has `unload_dependents`")?;
    app.service.unload(&name, None).await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_asked_for_as_triton_has_it() {
        let of = |config: &str| wanted([("config", config)].into_iter());
        for (config, expected) in [
            ("{}", None),
            (
                r#"{"version_policy": {"latest": {"num_versions": 3}}}"#,
                Some(Which::Newest(3)),
            ),
            (r#"{"version_policy": {"all": {}}}"#, Some(Which::All)),
            (
                r#"{"name": "m", "versionPolicy": {"specific": {"versions": [1, "3"]}}}"#,
                Some(Which::These(vec!["1".into(), "3".into()])),
            ),
        ] {
            assert_eq!(of(config).expect(config), expected, "{config}");
        }
        for (config, word) in [
            ("{", "version_policy"),
            (r#"{"max_batch_size": 8}"#, "model.toml"),
            (
                r#"{"version_policy": {"specific": {"versions": []}}}"#,
                "found 0 versions",
            ),
        ] {
            let refused = of(config).expect_err(config).to_string();
            assert!(refused.contains(word), "{refused}");
        }
        let file = wanted([("file:1/model.pt", "")].into_iter()).expect_err("a file");
        assert!(file.to_string().contains("the model's folder"), "{file}");
    }
}
