//! Lucarne's own protocol: `/v1/models/…`, and the routes for operators.

mod accept;
mod answer;
mod arrays;
mod compare;
mod compare_methods;
mod explain;
mod instances;
mod kserve;
mod models;
mod npy;
mod openapi;
mod operations;
mod predict;
mod problem;
mod request;
mod rows;
mod tensors;
mod timing;
mod vae;
mod versions;
mod visualize;
mod wire;
mod words;
mod written;

use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use accept::Form;
pub use answer::Answer;
pub use explain::explained;
pub use kserve::{documented, routed};
pub use predict::predicted;
pub use problem::body;

use crate::transport::App;

/// The routes, with their documents.
pub fn api() -> OpenApiRouter<App> {
    let mut api = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(models::list))
        .routes(routes!(models::one, versions::load, versions::unload))
        .routes(routes!(versions::load_version, versions::unload_version))
        .routes(routes!(versions::predict_version))
        .routes(routes!(versions::explain_version))
        .routes(routes!(predict::predict))
        .routes(routes!(explain::explain))
        .routes(routes!(compare_methods::compare_methods))
        .routes(routes!(versions::compare_methods_of_version))
        .routes(routes!(explain::layers))
        .routes(routes!(explain::explainers))
        .routes(routes!(visualize::visualize))
        .routes(routes!(vae::encode))
        .routes(routes!(vae::decode))
        .routes(routes!(vae::sample))
        .routes(routes!(vae::interpolate))
        .routes(routes!(compare::compare))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .merge(kserve::routes().into());
    api.get_openapi_mut().merge(kserve::Document::openapi());
    openapi::untag(api.get_openapi_mut());
    api
}
