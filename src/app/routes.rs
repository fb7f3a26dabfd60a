//! The routes of every protocol, and the one document that lists them.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::protocol::{oip, v1};
use crate::transport::{App, ErrorBody, Paths, as_page, serve_with};

fn api() -> OpenApiRouter<App> {
    v1::api().merge(oip::api())
}

/// The OpenAPI document of all routes.
#[must_use]
pub fn document() -> OpenApi {
    api().into_openapi()
}

/// Every protocol.
pub(super) fn router(app: App) -> Router {
    let (routes, document) = api().split_for_parts();
    let page = SwaggerUi::new("/docs").url("/openapi.json", document);
    let routes = routes.merge(as_page(page.into())).with_state(app.clone());
    let paths = Paths {
        error_body,
        routed: v1::routed,
        documented: v1::documented,
    };
    serve_with(routes, app, paths)
}

/// The protocol in whose words an error on this path is told.
fn error_body(path: &str) -> ErrorBody {
    let of_oip = path.strip_prefix(oip::PREFIX);
    match of_oip.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        true => oip::body,
        false => v1::body,
    }
}
