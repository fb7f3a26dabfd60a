//! The OpenAPI document: made from the routes' own annotations, never by hand.

use std::collections::BTreeMap;

use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, OpenApi};

use super::problem::Problem;

/// What holds for the whole document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lucarne",
        description = "Serves trained PyTorch vision models, and shows where they looked.",
        license(name = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "models", description = "Predictions and explanations"),
        (name = "operations", description = "For operators and orchestrators"),
    ),
)]
pub(super) struct Document;

/// The failures that any operation on a model may answer.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "`empty_body`, `invalid_body`, `invalid_parameter`"),
            ("404", "`model_not_found`, `layer_not_found`"),
            ("406", "`not_acceptable`"),
            ("413", "`body_too_large`, `image_too_large`"),
            ("415", "`unsupported_media_type`"),
            ("422", "`invalid_image`, `unsupported_for_task`"),
            ("429", "`queue_full`, with `Retry-After`"),
            ("500", "`inference_failed`, `internal_error`"),
            ("503", "`not_ready`"),
            ("504", "`deadline_exceeded`"),
        ]
        .into_iter()
        .map(|(status, codes)| (status.to_owned(), RefOr::T(problem(codes))))
        .collect()
    }
}

fn problem(codes: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(codes)
        .content("application/problem+json", content)
        .build()
}
