//! The stages of a request, as spans of its trace. A span lasts until its last handle is dropped.
//!
//! All of them have this module as their target ([`TARGET`]): the log tells of none of them, and the collector of traces takes
//! these alone. Without a collector, each is nothing. Numbers are signed: others are told as texts.

use tracing::field::Empty;
use tracing::{Span, info_span};

/// Of every span that is made here.
pub const TARGET: &str = module_path!();

/// A request, from its head to the head of its answer, by the names of OpenTelemetry's conventions for HTTP servers. `name` is
/// of few values: its method and the pattern of its route.
#[must_use]
pub fn request(name: &str, (method, route, path): (&str, &str, &str), request_id: &str) -> Span {
    info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = path,
        "error.type" = Empty,
        lucarne.request_id = request_id,
        lucarne.model = Empty,
        lucarne.version = Empty,
    )
}

/// The current request is answered by this version of a model.
pub fn is_of_model(name: &str, version: &str) {
    Span::current()
        .record("lucarne.model", name)
        .record("lucarne.version", version);
}

/// The current request failed with an error of this code.
pub fn failed_with(code: &str) {
    Span::current().record("error.type", code);
}

/// `request` was answered with this status.
pub fn answered(request: &Span, status: u16) {
    request.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        request.record("otel.status_code", "ERROR");
    }
}

/// Reading the body of a request.
#[must_use]
pub fn intake() -> Span {
    info_span!("intake")
}

/// Decoding and fitting the pictures of a request.
#[must_use]
pub fn decode(pictures: usize) -> Span {
    info_span!("decode", lucarne.pictures = pictures as i64)
}

/// The wait of one input of the current request in the queue of this name.
#[must_use]
pub fn queue(name: &str) -> Span {
    info_span!("queue", lucarne.queue = name)
}

/// Inputs of several requests that are computed together: a trace of its own, which is linked with each of theirs.
#[must_use]
pub fn batch<'a>(queue: &str, requests: impl ExactSizeIterator<Item = &'a Span>) -> Span {
    let batch =
        info_span!(parent: None, "batch", lucarne.queue = queue, lucarne.batch_size = requests.len() as i64);
    if !batch.is_disabled() {
        for request in requests {
            batch.follows_from(request);
        }
    }
    batch
}

/// The computation of one input of `request` in `batch`, with which it is linked.
#[must_use]
pub fn compute(request: &Span, batch: &Span) -> Span {
    let compute = info_span!(parent: request, "compute");
    compute.follows_from(batch);
    compute
}

/// Writing an answer: drawing, compressing, JSON.
#[must_use]
pub fn encode() -> Span {
    info_span!("encode")
}
