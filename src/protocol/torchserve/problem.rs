//! Errors as TorchServe's clients read them: `{"code": 404, "type": "ModelNotFoundException", "message": "…"}`.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::response::Response as Documented;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::error::Error;
use crate::transport::{advise, failure};

/// What was wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Exception {
    /// The HTTP status.
    #[schema(example = 404)]
    code: u16,
    /// As TorchServe names it.
    #[serde(rename = "type")]
    #[schema(example = "ModelNotFoundException")]
    kind: &'static str,
    /// What was wrong and how to mend it.
    message: String,
    /// Lucarne's own code of it.
    #[schema(example = "model_not_found")]
    error: &'static str,
    /// As the log has it.
    request_id: String,
}

/// The answer to an error.
pub fn body(error: &Error, request_id: &str) -> Response {
    let failure = failure(error);
    let status = match error {
        // TorchServe has no place with this status, and its clients try again.
        Error::QueueFull { .. } | Error::RateLimited { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => failure.status,
    };
    let exception = Exception {
        code: status.as_u16(),
        kind: kind(error, status),
        message: failure.detail,
        error: failure.code,
        request_id: request_id.to_owned(),
    };
    let mut response = (status, Json(exception)).into_response();
    advise(error, response.headers_mut());
    response
}

fn kind(error: &Error, status: StatusCode) -> &'static str {
    match (error, status) {
        (Error::ModelNotFound(_), _) => "ModelNotFoundException",
        (_, StatusCode::NOT_FOUND) => "ResourceNotFoundException",
        (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => "InvalidKeyException",
        (_, StatusCode::METHOD_NOT_ALLOWED) => "MethodNotAllowedException",
        (_, StatusCode::PAYLOAD_TOO_LARGE) => "RequestEntityTooLargeException",
        (_, StatusCode::SERVICE_UNAVAILABLE) => "ServiceUnavailableException",
        (_, status) if status.is_client_error() => "BadRequestException",
        _ => "InternalServerException",
    }
}

/// The failures of every route that computes.
pub(super) struct Exceptions;

impl IntoResponses for Exceptions {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let exceptions = [
            ("400", "`BadRequestException`"),
            ("401", "`InvalidKeyException`, where keys are wanted"),
            ("403", "`InvalidKeyException`"),
            ("404", "`ModelNotFoundException`, `ResourceNotFoundException`"),
            ("413", "`RequestEntityTooLargeException`"),
            ("415", "`BadRequestException`"),
            ("422", "`BadRequestException`"),
            ("500", "`InternalServerException`"),
            (
                "503",
                "`ServiceUnavailableException`, with `Retry-After` where a queue is full",
            ),
            ("504", "`InternalServerException`: a deadline passed"),
        ];
        exceptions
            .map(|(status, kinds)| (status.to_owned(), RefOr::T(exception(kinds))))
            .into()
    }
}

fn exception(kinds: &str) -> Documented {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Exception")))
        .build();
    ResponseBuilder::new()
        .description(kinds)
        .content("application/json", content)
        .build()
}

/// What no route says by itself.
#[derive(utoipa::OpenApi)]
#[openapi(
    components(schemas(Exception)),
    tags((name = "torchserve", description = "What clients of TorchServe speak")),
)]
pub(super) struct Document;
