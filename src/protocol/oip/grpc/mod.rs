//! The protocol over gRPC: the same requests and answers as over REST, in the messages of `inference.proto`.

mod calls;
mod contents;
mod infer;
mod measure;
mod request;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};

use super::server::NO_SHARED_MEMORY;
use crate::error::Error;
use crate::transport::App;
use crate::transport::grpc::{call, change, work};

/// The name of the service.
pub(super) const SERVICE: &str = "inference.GRPCInferenceService";

/// The routes of the service.
pub(super) fn routes() -> Router<App> {
    let method = |name: &str| format!("/{SERVICE}/{name}");
    Router::new()
        .route(&method("ServerLive"), call(calls::live))
        .route(&method("ServerReady"), call(calls::ready))
        .route(&method("ServerMetadata"), call(calls::metadata))
        .route(&method("ModelReady"), call(calls::model_ready))
        .route(&method("ModelMetadata"), work(calls::model_metadata))
        .route(&method("ModelConfig"), work(calls::model_config))
        .route(&method("ModelStatistics"), call(calls::model_statistics))
        .route(&method("RepositoryIndex"), call(calls::repository_index))
        .route(&method("RepositoryModelLoad"), change(calls::load))
        .route(&method("RepositoryModelUnload"), change(calls::unload))
        .route(&method("ModelInfer"), post(infer::infer))
        .route(&method("ModelStreamInfer"), post(infer::stream))
        .route(&method("{method}"), any(unknown))
}

/// A method that there is not.
async fn unknown(Path(method): Path<String>) -> Response {
    let error = match method.contains("SharedMemory") {
        true => Error::RouteNotFound(NO_SHARED_MEMORY.into()),
        false => Error::RouteNotFound(format!(
            "{SERVICE} has no method {}",
            crate::error::excerpt(&method)
        )),
    };
    error.into_response()
}
