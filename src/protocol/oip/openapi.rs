//! The schemas of what is read by hand, and the failures of every route.

use std::collections::BTreeMap;

use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::problem::Refusal;

/// JSON followed by the elements of tensors: little-endian, one behind the other; of `BYTES` each behind its length in four
/// bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes bodies")]
pub(super) struct BinaryTensors(Vec<u8>);

/// The JSON of a request.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it only describes the body, which is read by its datatypes"
)]
pub(super) struct InferCall {
    /// The client's own, which the answer repeats.
    id: Option<String>,
    /// `explain`, a method, and with it the parameters of explanations; else those of predictions of the model's task;
    /// `priority`, 1 being the first; `timeout` in microseconds; `binary_data_output`.
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
    inputs: Vec<InferInput>,
    /// Which outputs are answered. Default: all.
    outputs: Option<Vec<InferOutput>>,
}

/// A tensor of a request.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it only describes the body, which is read by its datatypes"
)]
pub(super) struct InferInput {
    #[schema(example = "image")]
    name: String,
    #[schema(example = json!([1]))]
    shape: Vec<i64>,
    #[schema(example = "BYTES")]
    datatype: String,
    /// `binary_data_size`, where the elements stand behind the JSON.
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
    /// Row-major, as one list or as lists in lists; files in base64.
    #[schema(value_type = Option<Vec<serde_json::Value>>, example = json!(["iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR42mM8ESDCwMDAxMDAwMDAAAAO7gEwyEGFIgAAAABJRU5ErkJggg=="]))]
    data: Option<()>,
}

/// An output that is asked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the body")]
pub(super) struct InferOutput {
    #[schema(example = "scores")]
    name: String,
    /// `binary_data`; `classification`, so many of the best classes as `score:index:label`.
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
}

/// The JSON of an answer.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it only describes the answer, which is written by its datatypes"
)]
pub(super) struct Inferred {
    id: Option<String>,
    #[schema(example = "mobilenet_v2")]
    model_name: String,
    #[schema(example = "1")]
    model_version: String,
    outputs: Vec<InferredTensor>,
}

/// A tensor of an answer.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it only describes the answer, which is written by its datatypes"
)]
pub(super) struct InferredTensor {
    #[schema(example = "scores")]
    name: String,
    #[schema(example = "FP32")]
    datatype: String,
    shape: Vec<i64>,
    /// `binary_data_size`, where the elements stand behind the JSON.
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
    /// Row-major.
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    data: Option<()>,
}

/// The failures that a route may answer.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "`empty_body`, `invalid_body`, `invalid_parameter`"),
            ("401", "`unauthorized`, where keys are wanted"),
            ("403", "`forbidden`"),
            ("404", "`model_not_found`, `layer_not_found`"),
            ("413", "`body_too_large`, `image_too_large`"),
            ("415", "`unsupported_media_type`"),
            (
                "422",
                "`answer_too_large`, `invalid_image`, `model_not_loaded`, `nothing_detected`, `unsupported_for_task`",
            ),
            ("429", "`queue_full`, with `Retry-After`"),
            ("500", "`inference_failed`, `internal_error`, `not_finite`"),
            ("503", "`not_ready`"),
            ("504", "`deadline_exceeded`"),
        ]
        .into_iter()
        .map(|(status, codes)| (status.to_owned(), RefOr::T(refusal(codes))))
        .collect()
    }
}

fn refusal(codes: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Refusal")))
        .build();
    ResponseBuilder::new()
        .description(codes)
        .content("application/json", content)
        .build()
}

/// What no route names itself.
#[derive(utoipa::OpenApi)]
#[openapi(
    components(schemas(Refusal)),
    tags((name = "open inference protocol", description = "What clients of Triton and KServe speak")),
)]
pub(super) struct Document;
