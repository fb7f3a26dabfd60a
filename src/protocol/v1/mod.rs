//! Lucarne's own protocol: `/v1/models/…`, and the routes for operators.

mod accept;
mod answer;
mod bounded;
mod explain;
mod models;
mod npy;
mod openapi;
mod operations;
mod parameters;
mod predict;
mod problem;
mod query;
mod request;
mod text;
mod timing;
mod vae;
mod visualize;
mod wire;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

pub use accept::Form;
pub use answer::Answer;
pub use explain::explained;
pub use parameters::Parameters;
pub use predict::predicted;

use crate::transport::{App, serve_with};

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
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
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
}

/// The OpenAPI document of [`router`].
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    api().into_openapi()
}

/// The document, and the page that shows it. The page runs what comes from here and nothing else, and stands in no frame.
fn docs(document: utoipa::openapi::OpenApi) -> Router<App> {
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                          frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(X_FRAME_OPTIONS, "DENY"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
}

/// The whole protocol.
pub fn router(app: App) -> Router {
    let (routes, document) = api().split_for_parts();
    let routes = routes.merge(docs(document)).with_state(app.clone());
    serve_with(routes, app, problem::body)
}
