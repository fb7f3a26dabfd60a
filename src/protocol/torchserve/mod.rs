//! TorchServe's protocol: `/ping`, `/predictions/{model}`, `/explanations/{model}`, `/models`, with the answers of its own
//! handlers. <https://github.com/pytorch/serve/blob/master/docs/inference_api.md>

mod answer;
mod explanations;
mod models;
mod ping;
mod predictions;
mod problem;
mod request;

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::body;

use crate::transport::App;

/// The routes, with their documents.
pub fn api() -> OpenApiRouter<App> {
    let mut api = OpenApiRouter::with_openapi(problem::Document::openapi())
        .routes(routes!(ping::ping))
        .routes(routes!(predictions::predict))
        .routes(routes!(predictions::predict_version))
        .routes(routes!(explanations::explain))
        .routes(routes!(explanations::explain_version))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(models::version));
    name_apart(api.get_openapi_mut());
    api
}

/// Names the operations apart from those of other protocols, and of the two methods that a path answers alike.
fn name_apart(document: &mut OpenApi) {
    for path in document.paths.paths.values_mut() {
        let operations = [
            ("get", &mut path.get),
            ("post", &mut path.post),
            ("put", &mut path.put),
        ];
        for (method, operation) in operations {
            if let Some(id) = operation
                .as_mut()
                .and_then(|operation| operation.operation_id.as_mut())
            {
                *id = format!("torchserve_{method}_{id}");
            }
        }
    }
}

/// Whether an error on `path` is told in the words of this protocol.
#[must_use]
pub fn is_of(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    ["ping", "predictions", "explanations", "models"].contains(&first)
}
