//! Traces of requests, told to a collector by OTLP (<https://opentelemetry.io/docs/specs/otlp/>). They never hold up what they
//! tell of: spans wait in a bounded queue for a thread that sends them, and are dropped where it is full.

use std::time::Duration;

use hyper::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::collector::Collector;
use crate::error::{Error, Result};
use crate::spans;

/// Where a collector takes spans, below the address of its endpoint.
const PATH: &str = "/v1/traces";

/// What becomes of spans, as long as this is alive.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Tells the collector at `endpoint` of one in so many requests.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for what is no address.
    pub(super) fn to(endpoint: &str, one_in: u64) -> Result<Self> {
        /// How long a collector may take for what it is told at a time.
        const PATIENCE: Duration = Duration::from_secs(10);
        let endpoint = endpoint.trim_end_matches('/');
        let address = match endpoint.ends_with(PATH) {
            true => endpoint.to_owned(),
            false => format!("{endpoint}{PATH}"),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(PATIENCE))
            .with_endpoint(address)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|e| Error::InvalidSettings(format!("otlp_endpoint: {e}")))?;
        let provider = SdkTracerProvider::builder()
            .with_sampler(Requests(Sampler::TraceIdRatioBased(1.0 / one_in as f64)))
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(provider))
    }

    /// What hands spans over.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(spans::TARGET, tracing::Level::INFO))
    }

    /// Tells of what waits, within this time.
    pub(super) fn close(&self, patience: Duration) {
        // What did not go through was logged where it failed.
        drop(self.0.shutdown_with_timeout(patience));
    }
}

/// The resource that spans are of: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` name it, else it has the program's name.
fn resource() -> Resource {
    let is_named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    match is_named("OTEL_SERVICE_NAME") || is_named("OTEL_RESOURCE_ATTRIBUTES") {
        true => resource.build(),
        false => resource.with_service_name(env!("CARGO_PKG_NAME")).build(),
    }
}

/// Which traces are told of: those whose client says so; of requests that say nothing, a share; batches with a request that is.
#[derive(Debug, Clone)]
struct Requests(Sampler);

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent.filter(|parent| parent.has_active_span());
        let decision = |is_told| match is_told {
            true => SamplingDecision::RecordAndSample,
            false => SamplingDecision::Drop,
        };
        let decision = match parent.map(|parent| parent.span().span_context().clone()) {
            Some(parent) => decision(parent.is_sampled()),
            None if *kind == SpanKind::Server => {
                return self
                    .0
                    .should_sample(None, trace_id, name, kind, attributes, links);
            }
            None => decision(links.iter().any(|link| link.span_context.is_sampled())),
        };
        SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: parent.map_or_else(TraceState::default, |parent| {
                parent.span().span_context().trace_state().clone()
            }),
        }
    }
}

/// Makes `span` part of the trace that these headers name (<https://www.w3.org/TR/trace-context/>), if they do. The answer is the
/// trace's id, where it is told of.
pub fn continue_trace(span: &Span, headers: &HeaderMap) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if parent.has_active_span() {
        // It fails where no traces are told, and then nothing is lost.
        drop(span.set_parent(parent));
    }
    let context = span.context();
    let of_span = context.span().span_context().clone();
    of_span.is_sampled().then(|| of_span.trace_id().to_string())
}
