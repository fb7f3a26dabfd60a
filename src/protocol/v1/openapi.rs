//! The OpenAPI document: made from the routes' own annotations, never by hand.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{AllOfBuilder, AnyOf, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, KnownFormat, Ref, RefOr, Required, ResponseBuilder, SchemaFormat};
use utoipa::{IntoParams, IntoResponses, OpenApi, ToSchema};

use super::problem::Problem;
use super::wire::default_json;
use crate::explain::{self, Kind};
use crate::transport::{ROUTING_HEADER, TIMEOUT_HEADER};

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
            (
                "422",
                "`answer_too_large`, `invalid_image`, `nothing_detected`, `unsupported_for_task`",
            ),
            ("429", "`queue_full`, with `Retry-After`"),
            ("500", "`inference_failed`, `internal_error`, `not_finite`"),
            ("503", "`not_ready`"),
            ("504", "`deadline_exceeded`"),
        ]
        .into_iter()
        .map(|(status, codes)| (status.to_owned(), RefOr::T(problem(codes))))
        .collect()
    }
}

/// The failures of changing what is served.
pub(super) struct Denials;

impl IntoResponses for Denials {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = Problems::responses();
        for (status, codes) in [
            ("401", "`unauthorized`"),
            ("403", "`forbidden`"),
            ("422", "`model_not_loaded`"),
        ] {
            all.insert(status.to_owned(), RefOr::T(problem(codes)));
        }
        all
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

/// The bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes bodies")]
pub(super) struct Binary(Vec<u8>);

/// The header that says how long a client waits.
pub(super) struct Deadline;

impl IntoParams for Deadline {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let milliseconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(u32::MAX));
        let header = ParameterBuilder::new()
            .name(TIMEOUT_HEADER)
            .parameter_in(ParameterIn::Header)
            .description(Some("After this long, the answer is 504"))
            .required(Required::False)
            .schema(Some(milliseconds))
            .build();
        vec![header]
    }
}

/// The header whose requests of one value all go to the same version of a model.
pub(super) struct Routing;

impl IntoParams for Routing {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name(ROUTING_HEADER)
            .parameter_in(ParameterIn::Header)
            .description(Some(
                "Where the model has a canary, requests of one value are all answered by the same version",
            ))
            .required(Required::False)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .example(Some("customer-17".into()))
            .build();
        vec![header]
    }
}

/// Schemas of which a value may fit more than one: what an answer is follows from the request, and not from a tag.
const UNTAGGED: [&str; 5] = ["Numbers", "PredictCall", "Prediction", "ResolvedTarget", "Value"];

/// Says `anyOf` where utoipa says `oneOf` of every enum.
pub(super) fn untag(document: &mut utoipa::openapi::OpenApi) {
    let Some(components) = &mut document.components else {
        return;
    };
    for name in UNTAGGED {
        if let Some(RefOr::T(schema)) = components.schemas.get_mut(name)
            && let Schema::OneOf(one) = schema
        {
            let mut any = AnyOf::new();
            any.items = std::mem::take(&mut one.items);
            any.description = one.description.take();
            *schema = Schema::AnyOf(any);
        }
    }
}

/// The parameters of an explanation, as [`crate::explain`] lists them.
pub(super) struct ExplainParameters;

impl IntoParams for ExplainParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        explain::parameters().map(documented).collect()
    }
}

/// Those of a comparison of methods.
pub(super) struct CompareParameters;

impl IntoParams for CompareParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let own = |name: &str,
                   required,
                   description: &str,
                   kind,
                   default: Option<Value>,
                   example: Option<Value>| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .description(Some(description))
                .required(required)
                .schema(Some(ObjectBuilder::new().schema_type(kind).default(default)))
                .example(example)
                .build()
        };
        let methods = own(
            "methods",
            Required::True,
            "The methods, two to eight, with commas between. Each of the other parameters goes to those that use it.",
            Type::String,
            None,
            Some("grad_cam,hires_cam,occlusion".into()),
        );
        let maps = own(
            "maps",
            Required::False,
            "Whether the answer bears the maps.",
            Type::Boolean,
            Some(false.into()),
            None,
        );
        let theirs = explain::parameters_of_several().map(documented);
        [methods, maps].into_iter().chain(theirs).collect()
    }
}

fn documented(parameter: &explain::Parameter) -> Parameter {
    let example = parameter.example.map(Value::from);
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .description(Some(parameter.description))
        .required(Required::False)
        .schema(Some(schema(parameter)))
        .example(example)
        .build()
}

fn schema(parameter: &explain::Parameter) -> RefOr<Schema> {
    let default = default_json(parameter.default());
    match &parameter.kind {
        Kind::Integer {
            least, most, is_wide, ..
        } => {
            let mut object = ObjectBuilder::new().schema_type(Type::Integer).default(default);
            object = object.minimum(Some(*least));
            if *is_wide {
                object = object.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
            }
            if *most < u64::MAX {
                object = object.maximum(Some(*most));
            }
            object.into()
        }
        Kind::Number {
            least, is_open, most, ..
        } => {
            let whole = |bound: f64| bound.is_finite().then_some(bound as i64);
            let (closed, open) = if *is_open {
                (None, whole(*least))
            } else {
                (whole(*least), None)
            };
            let format = if parameter.name == "alpha" {
                KnownFormat::Float
            } else {
                KnownFormat::Double
            };
            ObjectBuilder::new()
                .schema_type(Type::Number)
                .format(Some(SchemaFormat::KnownFormat(format)))
                .default(default)
                .minimum(closed)
                .exclusive_minimum(open)
                .maximum(whole(*most))
                .into()
        }
        Kind::Boolean { .. } => ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .default(default)
            .into(),
        Kind::Text { .. } => ObjectBuilder::new().schema_type(Type::String).into(),
        Kind::Choice { about, words, .. } => {
            let word = ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some(*about))
                .enum_values(Some(words.iter().copied()));
            match default {
                None => word.into(),
                // What utoipa's own derive writes for a word that has a default.
                default => AllOfBuilder::new()
                    .item(word)
                    .item(ObjectBuilder::new().default(default))
                    .into(),
            }
        }
    }
}
