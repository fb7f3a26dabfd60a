//! Lucarne's own protocol: `/v1/models/…`, and the routes for operators.

mod accept;
mod answer;
mod arrays;
mod b64;
mod bounded;
mod compare;
mod explain;
mod models;
mod multipart;
mod npy;
mod openapi;
mod operations;
mod parameters;
mod predict;
mod problem;
mod query;
mod request;
mod tensors;
mod text;
mod timing;
mod vae;
mod visualize;
mod wire;
mod words;
mod written;

use axum::Router;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

pub use accept::Form;
pub use answer::Answer;
pub use explain::explained;
pub use parameters::Parameters;
pub use predict::predicted;

use crate::transport::{App, as_page, serve_with};

fn api() -> OpenApiRouter<App> {
    let mut api = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(predict::predict))
        .routes(routes!(explain::explain))
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
        .routes(routes!(operations::metrics));
    openapi::untag(api.get_openapi_mut());
    api
}

/// The OpenAPI document of [`router`].
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    api().into_openapi()
}

/// The whole protocol.
pub fn router(app: App) -> Router {
    let (routes, document) = api().split_for_parts();
    let page = SwaggerUi::new("/docs").url("/openapi.json", document);
    let routes = routes.merge(as_page(page.into())).with_state(app.clone());
    serve_with(routes, app, problem::body)
}
