//! Errors as the protocol's clients read them: `{"error": "…"}`, with a stable code and the request's id beside it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::transport::{advise, failure};

/// What was wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refusal {
    /// What was wrong and how to mend it.
    error: String,
    /// Stable, for machines.
    #[schema(example = "invalid_parameter")]
    code: &'static str,
    /// As the log has it.
    request_id: String,
}

/// The answer to an error.
pub fn body(error: &Error, request_id: &str) -> Response {
    let failure = failure(error);
    let refusal = Refusal {
        error: failure.detail,
        code: failure.code,
        request_id: request_id.to_owned(),
    };
    let mut response = (failure.status, Json(refusal)).into_response();
    advise(error, response.headers_mut());
    response
}
