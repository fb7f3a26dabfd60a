//! Errors on the wire: RFC 9457 `application/problem+json` with a stable code and the request's id.
//!
//! A handler's [`Error`] becomes a bare response that carries the error; the [`finish`] middleware, which knows
//! the request's id, writes the body, logs once and counts once.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::request_id::RequestId;
use utoipa::ToSchema;

use super::App;
use crate::error::Error;

/// What went wrong, for machines (`code`) and for people (`detail`).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// A name for the kind of problem; the code with a prefix.
    #[serde(rename = "type")]
    #[schema(example = "urn:lucarne:problem:queue_full")]
    kind: String,
    /// The status in words.
    #[schema(example = "Too Many Requests")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 429)]
    status: u16,
    /// What was wrong and how to mend it.
    #[schema(example = "the queue of mobilenet_v2 is full; retry after 1 s")]
    detail: String,
    /// Stable, for machines.
    #[schema(example = "queue_full")]
    code: &'static str,
    /// As in the `x-request-id` header and in the log.
    #[schema(example = "0198c5b2-9c5e-7d30-a5d2-5c6f1f4c9a10")]
    request_id: String,
}

/// The one place where an error becomes a status.
pub(super) fn status(error: &Error) -> StatusCode {
    match error {
        Error::EmptyBody(_) | Error::InvalidBody(_) | Error::InvalidParameter { .. } => {
            StatusCode::BAD_REQUEST
        }
        Error::ModelNotFound(_) | Error::LayerNotFound(_) | Error::RouteNotFound(_) => StatusCode::NOT_FOUND,
        Error::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
        Error::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
        Error::ImageTooLarge(_) | Error::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::InvalidImage(_) | Error::UnsupportedForTask(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::NotReady(_) | Error::OutOfMemory(_) | Error::DeviceLost(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::DeadlineExceeded(_) => StatusCode::GATEWAY_TIMEOUT,
        Error::InferenceFailed(_)
        | Error::Internal(_)
        | Error::InvalidModel { .. }
        | Error::InvalidSettings(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether the detail is for the log alone.
fn is_internal(error: &Error) -> bool {
    let is_of_device = matches!(error, Error::OutOfMemory(_) | Error::DeviceLost(_));
    is_of_device || status(error) == StatusCode::INTERNAL_SERVER_ERROR
}

/// What the client reads; of failures inside the server it learns no detail.
fn detail(error: &Error) -> String {
    let of_device = match error {
        Error::OutOfMemory(_) => "the model's device has no memory left for this; try again later",
        Error::DeviceLost(_) => "the model's device answers nothing any more; the server must be restarted",
        _ if is_internal(error) => "the server failed on this request",
        _ => return error.to_string(),
    };
    format!("{of_device}; its log has the detail under the request id")
}

/// A failure in the midst of a stream.
#[derive(Debug, Serialize)]
pub(super) struct Brief {
    code: &'static str,
    status: u16,
    detail: String,
}

/// What a stream says of a failure after it has begun.
pub(super) fn brief(error: &Error) -> Brief {
    Brief {
        code: error.code(),
        status: status(error).as_u16(),
        detail: detail(error),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = status(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Turns the error of a failed request into its body.
pub(super) async fn finish(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok());
    let request_id = id.unwrap_or_default().to_owned();
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<Error>() else {
        return response;
    };
    app.metrics.failed(error.code());
    let status = status(&error);
    if is_internal(&error) {
        tracing::error!(code = error.code(), %error, request_id, "request failed");
    } else {
        tracing::debug!(code = error.code(), %error, request_id, "request refused");
    }
    let problem = Problem {
        kind: format!("urn:lucarne:problem:{}", error.code()),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: detail(&error),
        code: error.code(),
        request_id,
    };
    let mut finished = (status, Json(problem)).into_response();
    let json = HeaderValue::from_static("application/problem+json");
    finished.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Error::QueueFull { retry_after, .. } = error {
        finished.headers_mut().insert(
            header::RETRY_AFTER,
            HeaderValue::from(retry_after.as_secs().max(1)),
        );
    }
    finished
}

/// For what no handler caught.
#[expect(
    clippy::needless_pass_by_value,
    reason = "CatchPanicLayer hands the panic over by value"
)]
pub(super) fn of_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Error::Internal(format!("panic: {}", text.unwrap_or_default())).into_response()
}
