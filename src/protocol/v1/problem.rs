//! Errors on the wire: RFC 9457 `application/problem+json` with a stable code and the request's id.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::transport::{Failure, Streamed, advise, failure};

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

/// A failure in the midst of a stream.
#[derive(Debug, Serialize)]
struct Brief {
    code: &'static str,
    status: u16,
    detail: String,
}

/// What a stream says of a failure after it has begun.
pub(super) fn event(error: &Error) -> Streamed {
    let Failure { status, code, detail } = failure(error);
    let brief = Brief {
        code,
        status: status.as_u16(),
        detail,
    };
    Streamed {
        name: "error",
        json: serde_json::to_string(&brief).unwrap_or_else(|_| "{}".into()),
    }
}

/// The answer to a request that failed.
pub fn body(error: &Error, request_id: &str) -> Response {
    let Failure { status, code, detail } = failure(error);
    let problem = Problem {
        kind: format!("urn:lucarne:problem:{code}"),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail,
        code,
        request_id: request_id.to_owned(),
    };
    let mut response = (status, Json(problem)).into_response();
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    advise(error, response.headers_mut());
    response
}
