//! The HTTP surface: routes, bodies, forms of answers, errors on the wire. Handlers extract, call, wrap.

mod accept;
mod body;
mod decode;
mod events;
mod explain;
mod linger;
mod models;
mod npy;
mod openapi;
mod operations;
mod parameters;
mod predict;
mod problem;
mod render;
mod timing;
mod vae;
mod visualize;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;
use uuid::Uuid;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::image::Limits;
use crate::repository::Registry;
use crate::telemetry::Metrics;

/// What every handler may use. Clones share everything.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// See [`App`].
#[derive(Debug)]
pub struct Shared {
    settings: Settings,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    limits: Limits,
    /// Decodes images.
    pool: rayon::ThreadPool,
    /// Bytes that all bodies under way may take.
    inflight: Arc<Semaphore>,
    draining: AtomicBool,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// # Errors
    /// [`Error::InvalidSettings`] when the decoding threads cannot be started.
    pub fn new(settings: Settings, registry: Arc<Registry>, metrics: Arc<Metrics>) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.decode_threads)
            .thread_name(|index| format!("decode/{index}"))
            .build()
            .map_err(|e| Error::InvalidSettings(format!("decode_threads: {e}")))?;
        let limits = Limits {
            max_pixels: settings.max_image_mpx * 1_000_000,
            ..Limits::default()
        };
        let inflight = usize::try_from(settings.max_inflight_mb << 20).unwrap_or(usize::MAX);
        Ok(Self(Arc::new(Shared {
            inflight: Arc::new(Semaphore::new(inflight.min(Semaphore::MAX_PERMITS))),
            settings,
            registry,
            metrics,
            limits,
            pool,
            draining: AtomicBool::new(false),
        })))
    }

    /// From now on `/readyz` fails. Requests under way go on as before.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Waits for `work` until `deadline`.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(deadline) = deadline else {
        return work.await;
    };
    tokio::time::timeout_at(deadline.into(), work)
        .await
        .unwrap_or_else(|_| {
            Err(Error::DeadlineExceeded(
                "the deadline passed before the answer was ready".into(),
            ))
        })
}

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

/// The whole service.
pub fn router(app: App) -> Router {
    let (routes, document) = api().split_for_parts();
    let id = HeaderName::from_static("x-request-id");
    let layers = ServiceBuilder::new()
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
        .layer(cors(&app.settings.cors_origins))
        // Outside of the problems, so that it counts and logs the status that is sent.
        .layer(middleware::from_fn_with_state(app.clone(), observe))
        .layer(middleware::from_fn_with_state(app.clone(), problem::finish))
        // Inside of the problems, so that a panic becomes one.
        .layer(CatchPanicLayer::custom(problem::of_panic))
        // Innermost: what the handler leaves of a body is what lingers.
        .layer(middleware::from_fn(linger::linger));
    routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
        .layer(layers)
}

async fn no_route(request: Request) -> Error {
    let path = request.uri().path();
    Error::RouteNotFound(format!("there is no {path}; /docs lists every route"))
}

async fn no_method(request: Request) -> Error {
    let (method, path) = (request.method(), request.uri().path());
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

fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!(
        "request",
        request_id = id.unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    )
}

/// Counts, times and logs every request once.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The pattern, not the path: a client must not be able to make up new series.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics.answered(known_method(&method), &route, status, took);
    let took_ms = took.as_micros() as f64 / 1e3;
    if route.starts_with("/v1") {
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

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(Any)
        .expose_headers([
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("retry-after"),
        ]);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    layer.allow_origin(AllowOrigin::list(
        origins.iter().filter_map(|origin| origin.parse().ok()),
    ))
}
