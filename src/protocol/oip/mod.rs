//! The Open Inference Protocol, version 2, over REST, with Triton's extensions for binary tensors, classes, priorities and
//! configurations: `/v2/…`.
//!
//! Specification: KServe, «Open Inference Protocol»; Triton Inference Server, «Binary Tensor Data Extension»,
//! «Classification Extension», «Schedule Policy Extension», «Model Configuration Extension».

mod answer;
mod bare;
mod datatype;
mod infer;
mod inputs;
mod listed;
mod maps;
mod models;
mod objects;
mod openapi;
mod outputs;
mod predicted;
mod problem;
mod request;
mod scalar;
mod server;
mod signature;
mod statistics;
mod target;
mod tensor;

#[cfg(test)]
mod tests;

use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::body;

use crate::transport::App;

/// Where the routes begin.
pub const PREFIX: &str = "/v2";

/// The routes, with their documents.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(server::metadata))
        .routes(routes!(server::live))
        .routes(routes!(server::ready))
        .routes(routes!(server::model_ready))
        .routes(routes!(server::version_ready))
        .routes(routes!(models::model))
        .routes(routes!(models::version))
        .routes(routes!(models::config))
        .routes(routes!(models::version_config))
        .routes(routes!(statistics::all))
        .routes(routes!(statistics::of_model))
        .routes(routes!(statistics::of_version))
        .routes(routes!(infer::infer))
        .routes(routes!(infer::infer_version))
}
