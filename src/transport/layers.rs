//! What lies around every route: request ids, traces, metrics, cross-origin rules, panics, error bodies.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower::ServiceBuilder;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::Instrument;
use uuid::Uuid;

use super::app::App;
use super::failure::{Counted, report};
use super::key::Scope;
use super::open::Listener;
use super::{grpc, linger};
use crate::engine::panic_text;
use crate::error::Error;
use crate::spans;
use crate::telemetry::continue_trace;

const REQUEST_ID: &str = "x-request-id";

/// Writes a protocol's answer to an error of the request with this id.
pub type ErrorBody = fn(&Error, &str) -> Response;

/// What protocols say of paths.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    /// Writes the errors of a path.
    pub error_body: fn(&str) -> ErrorBody,
    /// The path that the router knows, where it is not the one that a client writes.
    pub routed: fn(&str) -> Option<String>,
    /// Back again, for the pattern of a route.
    pub documented: fn(&str) -> String,
    /// What a key must be for, to be answered by this method of a route; `None` for everybody.
    pub scope: fn(&Method, &str) -> Option<Scope>,
}

#[derive(Clone)]
struct Wrapped {
    app: App,
    paths: Paths,
}

/// `routes` as they are served: what they do not know is an error.
pub fn serve_with(routes: Router, app: App, paths: Paths) -> Router {
    let id = HeaderName::from_static(REQUEST_ID);
    let cors = cors(&app.cors_origins);
    let wrapped = Wrapped { app, paths };
    let layers = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::if_not_present(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        // A client's own id, if it is one that may be logged and answered.
        .map_request(with_known_id)
        // The id comes first: everything below logs or answers it.
        .layer(SetRequestIdLayer::new(id.clone(), TimeOrderedId))
        .layer(PropagateRequestIdLayer::new(id))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(())
                .on_failure(()),
        )
        .layer(cors)
        // Outside of the error bodies, so that it counts and logs the status that is sent.
        .layer(middleware::from_fn_with_state(wrapped.clone(), observe))
        .layer(middleware::from_fn_with_state(wrapped.clone(), finish))
        // Inside of the error bodies, so that a panic becomes one.
        .layer(CatchPanicLayer::custom(of_panic))
        // What the handler leaves of a body is what lingers, and so is what nobody reads of a client that is not let in.
        .layer(middleware::from_fn(linger::linger))
        .layer(middleware::from_fn_with_state(wrapped, admit));
    let served = routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(layers);
    let route = move |request| rerouted(request, paths.routed);
    Router::new().fallback_service(MapRequest::new(served, route))
}

/// `request` with the path that the router knows; [`asked`] still tells the client's.
fn rerouted(mut request: Request, routed: fn(&str) -> Option<String>) -> Request {
    let Some(path) = routed(request.uri().path()) else {
        return request;
    };
    let path = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// The path that the client wrote.
fn asked<B>(request: &axum::http::Request<B>) -> &str {
    let original = request.extensions().get::<OriginalUri>();
    original.map_or(request.uri(), |OriginalUri(uri)| uri).path()
}

/// `routes` as pages, with which browsers may do what `policy` says; they stand in no frame.
pub fn as_page<S: Clone + Send + Sync + 'static>(routes: Router<S>, policy: &'static str) -> Router<S> {
    let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    routes
        .layer(header(CONTENT_SECURITY_POLICY, policy))
        .layer(header(X_FRAME_OPTIONS, "DENY"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
}

/// Takes away an id that is too long or has other characters than ids have.
fn with_known_id<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    const MOST: usize = 128;
    let is_known = |id: &HeaderValue| {
        let bytes = id.as_bytes();
        !bytes.is_empty() && bytes.len() <= MOST && bytes.iter().all(u8::is_ascii_graphic)
    };
    if !request.headers().get(REQUEST_ID).is_some_and(is_known) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

async fn no_route(request: Request) -> Error {
    let path = asked(&request);
    Error::RouteNotFound(format!("there is no {path}; /docs lists every route"))
}

async fn no_method(request: Request) -> Error {
    let (method, path) = (request.method(), asked(&request));
    Error::MethodNotAllowed(format!(
        "{path} does not answer {method}; /docs lists every route"
    ))
}

/// Request ids that sort by time.
#[derive(Clone, Copy)]
struct TimeOrderedId;

impl MakeRequestId for TimeOrderedId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&Uuid::now_v7().to_string())
            .ok()
            .map(RequestId::new)
    }
}

/// The request's id, if it has one.
fn request_id<B>(request: &axum::http::Request<B>) -> &str {
    let id = request.extensions().get::<RequestId>();
    id.and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default()
}

fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    tracing::info_span!(
        "request",
        request_id = request_id(request),
        method = %request.method(),
        path = asked(request),
        key = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    )
}

/// The span of a request in its trace, whose parent its headers may name; nothing where no traces are told, and of routes that
/// everybody is answered: they are asked all the time, and have no stages.
fn traced(request: &Request, route: &str, paths: &Paths) -> tracing::Span {
    let matched = request.extensions().get::<MatchedPath>();
    let scope = matched.and_then(|matched| (paths.scope)(request.method(), matched.as_str()));
    if !matches!(scope, Some(Scope::Predict | Scope::Explain | Scope::Admin)) {
        return tracing::Span::none();
    }
    let method = known_method(request.method());
    let span = spans::request(
        &format!("{method} {route}"),
        (method, route, asked(request)),
        request_id(request),
    );
    if let Some(trace_id) = continue_trace(&span, request.headers()) {
        tracing::Span::current().record("trace_id", trace_id);
    }
    span
}

/// Counts, times and logs every request once.
async fn observe(State(wrapped): State<Wrapped>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The pattern, not the path: a client must not be able to make up new series.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched".to_owned(), |route| {
            (wrapped.paths.documented)(route.as_str())
        });
    let method = request.method().clone();
    let span = traced(&request, &route, &wrapped.paths);
    let response = next.run(request).instrument(span.clone()).await;
    let counted = response.extensions().get::<Counted>();
    let status = counted.map_or(response.status(), |Counted(status)| *status);
    let (status, took) = (status.as_u16(), started.elapsed());
    spans::answered(&span, status);
    let metrics = wrapped.app.service.metrics();
    metrics.answered(known_method(&method), &route, status, took);
    let took_ms = took.as_micros() as f64 / 1e3;
    if ["/v1", "/v2", "/inference."]
        .iter()
        .any(|protocol| route.starts_with(protocol))
    {
        tracing::info!(status, took_ms, "answered");
    } else {
        tracing::debug!(status, took_ms, "answered");
    }
    response
}

/// A client must not be able to make up new series with made-up methods.
fn known_method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS
        | Method::PATCH => method.as_str(),
        _ => "other",
    }
}

/// Lets in requests of clients that may ask this.
async fn admit(State(wrapped): State<Wrapped>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let scope = route.and_then(|route| (wrapped.paths.scope)(request.method(), route.as_str()));
    let listener = request.extensions().get().copied().unwrap_or(Listener::Public);
    let admitted = wrapped.app.hosts().check(&request);
    let admitted = admitted.and_then(|()| wrapped.app.is_answered(scope, listener));
    let admitted = admitted.and_then(|()| wrapped.app.keys().admit(request.headers(), scope));
    match admitted {
        Ok(caller) => {
            if let Some(name) = caller.name() {
                tracing::Span::current().record("key", name);
            }
            request.extensions_mut().insert(caller.clone());
            // The messages of a stream of gRPC are let in one by one.
            let is_kept = caller.has_place() && !grpc::is_grpc(request.headers());
            let mut response = next.run(request).await;
            if is_kept {
                // Until the answer has ended, which of events is long after its head.
                response.extensions_mut().insert(caller);
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

/// Turns the error of a failed request into its body.
async fn finish(State(wrapped): State<Wrapped>, request: Request, next: Next) -> Response {
    let id = request_id(&request).to_owned();
    let error_body = match grpc::is_grpc(request.headers()) {
        true => grpc::body,
        false => (wrapped.paths.error_body)(asked(&request)),
    };
    let mut response = next.run(request).await;
    let told = response.extensions_mut().remove::<Error>();
    let Some(error) = told.or_else(|| bare(&response)) else {
        return response;
    };
    spans::failed_with(error.code());
    report(&error, &id, wrapped.app.service.metrics());
    error_body(&error, &id)
}

/// The error of an answer that says no more than its status: what is refused before a handler sees it.
fn bare(response: &Response) -> Option<Error> {
    let is_text = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/plain");
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| !is_text(kind)) {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Error::RouteNotFound(
            "there is no such page; /docs lists every route".into(),
        )),
        StatusCode::BAD_REQUEST => Some(Error::RouteNotFound(
            "the path cannot be read: a name in it is no UTF-8 text".into(),
        )),
        _ => None,
    }
}

/// For what no handler caught.
#[expect(
    clippy::needless_pass_by_value,
    reason = "CatchPanicLayer hands the panic over by value"
)]
fn of_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    Error::Internal(panic_text(panic.as_ref())).into_response()
}

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        // Not `*`, which does not mean `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            HeaderName::from_static(REQUEST_ID),
            HeaderName::from_static("retry-after"),
            HeaderName::from_static("inference-header-content-length"),
        ]);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    layer.allow_origin(AllowOrigin::list(
        origins.iter().filter_map(|origin| origin.parse().ok()),
    ))
}
