//! The Open Inference Protocol, version 2, over REST, with Triton's extensions for binary tensors, classes, priorities and
//! configurations: `/v2/…`.
//!
//! Specification: KServe, «Open Inference Protocol»; Triton Inference Server, «Binary Tensor Data Extension»,
//! «Classification Extension», «Schedule Policy Extension», «Model Configuration Extension».

mod answer;
mod bare;
mod datatype;
mod grpc;
mod index;
mod infer;
mod inferred;
mod inputs;
mod listed;
mod maps;
mod models;
mod objects;
mod openapi;
mod outputs;
mod predicted;
mod problem;
mod repository;
mod request;
mod scalar;
mod server;
mod signature;
mod statistics;
mod target;
mod tensor;

#[cfg(test)]
mod tests;

use axum::routing::any;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::body;

/// The name of the service over gRPC.
pub const SERVICE: &str = grpc::SERVICE;

use crate::transport::App;

/// Whether an error on `path` is told in the words of this protocol.
#[must_use]
pub fn is_of(path: &str) -> bool {
    let rest = path.strip_prefix("/v2");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

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
        .routes(routes!(index::index))
        .routes(routes!(repository::load))
        .routes(routes!(repository::unload))
        .route("/v2/systemsharedmemory/{*rest}", any(server::no_shared_memory))
        .route("/v2/cudasharedmemory/{*rest}", any(server::no_shared_memory))
        .merge(grpc::routes().into())
}
