//! The routes of every protocol, and the one document that lists them.

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, header};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::protocol::{grpc, oip, page, torchserve, v1};
use crate::transport::{App, ErrorBody, Paths, Scope, as_page, serve_with};

fn api() -> OpenApiRouter<App> {
    v1::api().merge(oip::api()).merge(torchserve::api())
}

/// The OpenAPI document of all routes.
#[must_use]
pub fn document() -> OpenApi {
    api().into_openapi()
}

/// Where the document lies.
const DOCUMENT: &str = "/openapi.json";

/// What a browser may do with the document's page, which has styles of its own in its text.
const MANUAL_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                             frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Every protocol.
pub(super) fn router(app: App) -> Router {
    let (routes, document) = api().split_for_parts();
    // Made once: a client that reads none of many answers holds one copy of it.
    let text = Bytes::from(document.to_json().unwrap_or_default());
    let document = async move || ([(header::CONTENT_TYPE, "application/json")], text.clone());
    let manual =
        Router::from(SwaggerUi::new("/docs").config(Config::from(DOCUMENT))).route(DOCUMENT, get(document));
    let routes = routes
        .merge(grpc::routes(&[oip::SERVICE]))
        .merge(as_page(manual, MANUAL_POLICY))
        .merge(as_page(page::routes(), page::POLICY))
        .with_state(app.clone());
    let paths = Paths {
        error_body,
        routed: v1::routed,
        documented: v1::documented,
        scope,
    };
    serve_with(routes, app, paths)
}

/// The protocol in whose words an error on this path is told.
fn error_body(path: &str) -> ErrorBody {
    match path {
        path if oip::is_of(path) => oip::body,
        path if torchserve::is_of(path) => torchserve::body,
        _ => v1::body,
    }
}

/// What a key must be for, to be answered by this method of the route of this pattern.
fn scope(method: &Method, route: &str) -> Option<Scope> {
    let route = v1::documented(route);
    let is_open = [
        "/",
        "/healthz",
        "/readyz",
        "/ping",
        DOCUMENT,
        "/v2/health/live",
        "/v2/health/ready",
    ]
    .contains(&route.as_str())
        || route.ends_with("/ServerLive")
        || route.ends_with("/ServerReady")
        || ["/docs", "/page/", "/grpc.health.", "/grpc.reflection."]
            .iter()
            .any(|open| route.starts_with(open));
    let changes = matches!(*method, Method::PUT | Method::DELETE) && route.starts_with("/v1/");
    let is_of_repository = route.starts_with("/v2/repository/models/") || route.contains("/RepositoryModel");
    let last = route.rsplit(['/', ':']).next().unwrap_or_default();
    let explains = ["explain", "visualize", "layers", "explainers"].contains(&last)
        || route.starts_with("/explanations/")
        || route.ends_with("/explain/compare");
    let is_told = [
        "ServerMetadata",
        "ModelReady",
        "ModelMetadata",
        "ModelConfig",
        "ModelStatistics",
        "RepositoryIndex",
    ];
    let lists = matches!(*method, Method::GET | Method::HEAD)
        || route == "/v2/repository/index"
        || is_told.contains(&last);
    match route.as_str() {
        _ if is_open => None,
        "/metrics" => Some(Scope::Metrics),
        _ if changes || is_of_repository => Some(Scope::Admin),
        _ if explains => Some(Scope::Explain),
        _ if lists => Some(Scope::Listing),
        _ => Some(Scope::Predict),
    }
}
