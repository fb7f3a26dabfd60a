//! What a failure is over HTTP. A handler's [`Error`] becomes a bare response that carries the error; each protocol
//! writes its own body in [`layers`](super::layers), where it is logged and counted once.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::encoding::ENCODINGS;
use crate::error::{Error, seconds};
use crate::telemetry::Metrics;

/// A failure as a client may learn it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for machines.
    pub code: &'static str,
    /// What was wrong and how to mend it; of failures inside the server no detail.
    pub detail: String,
}

/// What an answer counts as, where its protocol has one HTTP status for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted(pub(super) StatusCode);

/// What a client learns of `error`.
#[must_use]
pub fn failure(error: &Error) -> Failure {
    Failure {
        status: status(error),
        code: error.code(),
        detail: detail(error),
    }
}

/// The one place where an error becomes a status.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::EmptyBody(_) | Error::InvalidBody(_) | Error::InvalidParameter { .. } => {
            StatusCode::BAD_REQUEST
        }
        Error::ModelNotFound(_) | Error::LayerNotFound(_) | Error::RouteNotFound(_) => StatusCode::NOT_FOUND,
        Error::Unauthorized(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
        Error::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
        Error::ImageTooLarge(_) | Error::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::InvalidImage(_)
        | Error::UnsupportedForTask(_)
        | Error::NotDifferentiable(_)
        | Error::AnswerTooLarge(_)
        | Error::NotLoaded(_)
        | Error::NothingDetected(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::QueueFull { .. } | Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::NotReady(_) | Error::OutOfMemory(_) | Error::DeviceLost(_) => StatusCode::SERVICE_UNAVAILABLE,
        // Nobody reads the answer to a client that left.
        Error::DeadlineExceeded(_) | Error::Cancelled(_) => StatusCode::GATEWAY_TIMEOUT,
        Error::InferenceFailed(_)
        | Error::NotFinite(_)
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

fn detail(error: &Error) -> String {
    let of_device = match error {
        Error::OutOfMemory(_) => {
            "the model's device has not the memory for this; try again later, or with less at once"
        }
        Error::DeviceLost(_) => "the model's device answers nothing any more; the server must be restarted",
        // That is of the model's answer alone.
        Error::NotFinite(_) => return error.to_string(),
        _ if is_internal(error) => "the server failed on this request",
        _ => return error.to_string(),
    };
    format!("{of_device}; its log has the detail under the request id")
}

/// Says in `headers` what mends the failure, where a client reads it there.
pub fn advise(error: &Error, headers: &mut HeaderMap) {
    if let Error::UnsupportedMediaType(_) = error {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
    }
    if let Error::Unauthorized(_) = error {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Error::QueueFull { retry_after, .. } | Error::RateLimited { retry_after, .. } = error {
        let seconds = HeaderValue::from(seconds(*retry_after));
        headers.insert(header::RETRY_AFTER, seconds);
    }
}

/// Logs and counts a failure.
pub fn report(error: &Error, request_id: &str, metrics: &Metrics) {
    metrics.failed(error.code());
    if is_internal(error) {
        tracing::error!(code = error.code(), %error, request_id, "request failed");
    } else {
        tracing::debug!(code = error.code(), %error, request_id, "request refused");
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = status(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
