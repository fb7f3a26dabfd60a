//! What a failure is in gRPC: <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::super::failure::{Counted, advise, failure};
use crate::error::Error;

/// What gRPC is sent as.
pub(super) const CONTENT: HeaderValue = HeaderValue::from_static("application/grpc");

/// The stable code of a failure, for machines, beside gRPC's own.
const CODE: HeaderName = HeaderName::from_static("lucarne-code");

/// What is escaped in a message.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// A code of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl From<&Error> for Code {
    fn from(error: &Error) -> Self {
        match error {
            Error::EmptyBody(_)
            | Error::InvalidBody(_)
            | Error::InvalidParameter { .. }
            | Error::InvalidImage(_)
            | Error::NotAcceptable(_)
            | Error::UnsupportedMediaType(_)
            | Error::UnsupportedForTask(_)
            | Error::NotDifferentiable(_)
            | Error::NotLoaded(_)
            | Error::NothingDetected(_) => Self::InvalidArgument,
            Error::Unauthorized(_) => Self::Unauthenticated,
            Error::Forbidden(_) => Self::PermissionDenied,
            Error::ModelNotFound(_) | Error::LayerNotFound(_) => Self::NotFound,
            Error::RouteNotFound(_) | Error::MethodNotAllowed(_) => Self::Unimplemented,
            Error::RateLimited { .. }
            | Error::ImageTooLarge(_)
            | Error::BodyTooLarge(_)
            | Error::AnswerTooLarge(_) => Self::ResourceExhausted,
            // What a client's own policy may send again.
            Error::QueueFull { .. } | Error::NotReady(_) | Error::OutOfMemory(_) | Error::DeviceLost(_) => {
                Self::Unavailable
            }
            Error::DeadlineExceeded(_) => Self::DeadlineExceeded,
            Error::Cancelled(_) => Self::Cancelled,
            Error::InferenceFailed(_)
            | Error::NotFinite(_)
            | Error::Internal(_)
            | Error::InvalidModel { .. }
            | Error::InvalidSettings(_) => Self::Internal,
        }
    }
}

/// What stands at the end of an answer.
pub(super) fn trailers(code: Code, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code as u16));
    if !message.is_empty() {
        let escaped = utf8_percent_encode(message, ESCAPED).to_string();
        if let Ok(message) = HeaderValue::try_from(escaped) {
            trailers.insert("grpc-message", message);
        }
    }
    trailers
}

/// The trailers that tell of `error`.
pub(super) fn of_error(error: &Error) -> HeaderMap {
    let failure = failure(error);
    let mut trailers = trailers(Code::from(error), &failure.detail);
    trailers.insert(CODE, HeaderValue::from_static(failure.code));
    advise(error, &mut trailers);
    trailers
}

/// The answer to an error, which says all of it in its head.
#[must_use]
pub fn body(error: &Error, _request_id: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = of_error(error);
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response.extensions_mut().insert(Counted(failure(error).status));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_ascii() {
        let error = Error::InvalidBody("100 %\nof “it”".into());
        let said = of_error(&error);
        assert_eq!(said["grpc-status"], "3");
        assert_eq!(said["grpc-message"], "100 %25%0Aof %E2%80%9Cit%E2%80%9D");
        assert_eq!(said["lucarne-code"], "invalid_body");
    }
}
