//! The names, units and buckets of the metrics.

mod collector;
mod log;
mod others;
mod present;
mod shadows;
mod statistics;
mod streams;
mod traces;

use std::sync::{Arc, OnceLock, atomic::Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use log::{Log, start_logging};
pub use present::Now;
pub use shadows::Shadowed;
pub use statistics::{Statistics, Sum};
pub use streams::never_wait;
pub use traces::continue_trace;

use crate::engine::observer::Observer;
use crate::error::{Error, Result};
use others::{Answers, Others};
use present::Present;
use shadows::Shadows;
use statistics::{All, Counts};

/// The queue of a model's predictions.
const PREDICT: &str = "predict";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    model: String,
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// Half a millisecond to half a minute.
fn seconds() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

fn sizes() -> Histogram {
    Histogram::new([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0])
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

fn family<L: Clone + std::hash::Hash + Eq>(make: fn() -> Histogram) -> Durations<L> {
    Family::new_with_constructor(make)
}

/// Every metric of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    duration: Durations<RouteLabels>,
    decode: Histogram,
    depth: Family<QueueLabels, Gauge>,
    batch_size: Durations<QueueLabels>,
    queue: Durations<QueueLabels>,
    compute: Durations<QueueLabels>,
    computed: Family<QueueLabels, Counter>,
    rejected: Family<QueueLabels, Counter>,
    expired: Family<QueueLabels, Counter>,
    cancelled: Family<QueueLabels, Counter>,
    dropped_lines: Counter,
    /// Of each model's predictions.
    statistics: Arc<All>,
    answers: Arc<Answers>,
    shadows: Shadows,
    present: Present,
    /// What goes by the names of other servers.
    others: Registry,
    log: OnceLock<DroppedLines>,
}

/// Asks the log how many lines it dropped so far.
type DroppedLines = Box<dyn Fn() -> u64 + Send + Sync>;

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Fresh metrics, all zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("lucarne"),
            requests: Family::default(),
            failures: Family::default(),
            duration: family(seconds),
            decode: seconds(),
            depth: Family::default(),
            batch_size: family(sizes),
            queue: family(seconds),
            compute: family(seconds),
            computed: Family::default(),
            rejected: Family::default(),
            expired: Family::default(),
            cancelled: Family::default(),
            dropped_lines: Counter::default(),
            statistics: Arc::default(),
            answers: Arc::default(),
            shadows: Shadows::default(),
            present: Present::default(),
            others: Registry::default(),
            log: OnceLock::new(),
        };
        metrics.register();
        let others = Others::new(Arc::clone(&metrics.statistics), Arc::clone(&metrics.answers));
        metrics.others.register_collector(Box::new(others));
        metrics
    }

    fn register(&mut self) {
        self.register_requests();
        let r = &mut self.registry;
        r.register("queue_depth", "Images that wait now", self.depth.clone());
        r.register("batch_size", "Images in a batch", self.batch_size.clone());
        r.register(
            "queue_duration_seconds",
            "One image's wait before its batch",
            self.queue.clone(),
        );
        r.register(
            "compute_duration_seconds",
            "One batch's computation",
            self.compute.clone(),
        );
        r.register(
            "images_computed",
            "Images that were computed",
            self.computed.clone(),
        );
        r.register(
            "images_rejected",
            "Images refused because the queue was full",
            self.rejected.clone(),
        );
        r.register(
            "images_expired",
            "Images whose deadline passed in the queue; not computed",
            self.expired.clone(),
        );
        r.register(
            "images_cancelled",
            "Images whose client left in the queue; not computed",
            self.cancelled.clone(),
        );
        self.shadows.register(r);
        self.present.register(r);
    }

    /// What is counted of requests and of the log.
    fn register_requests(&mut self) {
        let r = &mut self.registry;
        r.register(
            "requests",
            "Requests answered, by route, method and status",
            self.requests.clone(),
        );
        r.register(
            "failures",
            "Requests that failed, by error code",
            self.failures.clone(),
        );
        r.register(
            "request_duration_seconds",
            "From the head of a request to its answer",
            self.duration.clone(),
        );
        r.register(
            "decode_duration_seconds",
            "Decoding and resizing one image",
            self.decode.clone(),
        );
        r.register(
            "log_lines_dropped",
            "Lines that the log dropped because nobody took them",
            self.dropped_lines.clone(),
        );
    }

    /// The OpenMetrics text of all metrics.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] never in practice: writing to a string does not fail.
    pub fn text(&self, now: &Now) -> Result<String> {
        self.present.set(now);
        if let Some(dropped) = self.log.get() {
            self.dropped_lines.inner().fetch_max(dropped(), Ordering::Relaxed);
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &self.others))
            .and_then(|()| encode_eof(&mut text))
            .map_err(|e| Error::InferenceFailed(e.to_string()))?;
        Ok(text)
    }

    /// From now on the lines are counted that the log of this process drops.
    pub fn count_dropped_lines(&self, dropped: impl Fn() -> u64 + Send + Sync + 'static) {
        // A process has one log.
        drop(self.log.set(Box::new(dropped)));
    }

    /// One request was answered.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels {
            route: route.to_owned(),
            method: method.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
        self.answers.count(status);
        let route = RouteLabels {
            route: route.to_owned(),
        };
        self.duration.get_or_create(&route).observe(took.as_secs_f64());
    }

    /// One request failed with `code`.
    pub fn failed(&self, code: &'static str) {
        self.failures.get_or_create(&FailureLabels { code }).inc();
    }

    /// One image was decoded and resized.
    pub fn decoded(&self, took: Duration) {
        self.decode.observe(took.as_secs_f64());
    }

    /// The observer of one queue of a version of a model. The model's series exist, at zero, from now on; those of the version
    /// as long as the observer.
    #[must_use]
    pub fn observer(&self, model: &str, version: &str, queue: &'static str) -> Arc<dyn Observer> {
        let labels = QueueLabels {
            model: model.to_owned(),
            queue,
        };
        Arc::new(QueueObserver {
            depth: self.depth.get_or_create_owned(&labels),
            batch_size: self.batch_size.get_or_create_owned(&labels),
            queue: self.queue.get_or_create_owned(&labels),
            compute: self.compute.get_or_create_owned(&labels),
            computed: self.computed.get_or_create_owned(&labels),
            rejected: self.rejected.get_or_create_owned(&labels),
            expired: self.expired.get_or_create_owned(&labels),
            cancelled: self.cancelled.get_or_create_owned(&labels),
            counts: (queue == PREDICT).then(|| self.statistics.of(model, version)),
        })
    }

    /// What a version of the model `name` has computed since it was loaded; nothing where it is not.
    #[must_use]
    pub fn statistics(&self, name: &str, version: &str) -> Option<Statistics> {
        self.statistics.known(name, version).map(|counts| counts.now())
    }

    /// A request to this version of the model `name` was answered, which took so long to decode, to wait and to compute.
    pub fn predicted(
        &self,
        (name, version): (&str, &str),
        decode: Duration,
        queue: Duration,
        compute: Duration,
    ) {
        if let Some(counts) = self.statistics.known(name, version) {
            counts.answered(decode, queue, compute);
        }
    }

    /// This version of the model `name` was a shadow.
    pub fn shadowed(&self, version: (&str, &str), what: Shadowed) {
        self.shadows.count(version, what);
    }

    /// A request to this version of the model `name` was not answered.
    pub fn not_predicted(&self, name: &str, version: &str) {
        if let Some(counts) = self.statistics.known(name, version) {
            counts.failed();
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The metrics of one queue, looked up once.
struct QueueObserver {
    depth: Gauge,
    batch_size: Histogram,
    queue: Histogram,
    compute: Histogram,
    computed: Counter,
    rejected: Counter,
    expired: Counter,
    cancelled: Counter,
    counts: Option<Arc<Counts>>,
}

impl Observer for QueueObserver {
    fn depth(&self, waiting: usize) {
        self.depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn batch(&self, size: usize, compute: Duration) {
        self.batch_size.observe(size as f64);
        self.compute.observe(compute.as_secs_f64());
        self.computed.inc_by(size as u64);
        if let Some(counts) = &self.counts {
            counts.batch(size, compute);
        }
    }

    fn queued(&self, queue: Duration) {
        self.queue.observe(queue.as_secs_f64());
    }

    fn rejected(&self, places: usize) {
        self.rejected.inc_by(places as u64);
    }

    fn expired(&self) {
        self.expired.inc();
    }

    fn cancelled(&self) {
        self.cancelled.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_every_series_with_its_unit() {
        let metrics = Metrics::new();
        let observer = metrics.observer("m", "2", "predict");
        let ms = Duration::from_millis;
        observer.batch(3, ms(7));
        observer.depth(2);
        metrics.failed("queue_full");
        metrics.predicted(("m", "2"), ms(1), ms(2), ms(3));
        metrics.answered("POST", "/v1/models/{name}/predict", 200, ms(9));
        let text = metrics.text(&Now::default()).expect("text");
        for line in [
            "lucarne_images_computed_total{model=\"m\",queue=\"predict\"} 3",
            "lucarne_images_expired_total{model=\"m\",queue=\"predict\"} 0",
            "lucarne_queue_depth{model=\"m\",queue=\"predict\"} 2",
            "lucarne_batch_size_sum{model=\"m\",queue=\"predict\"} 3",
            "lucarne_compute_duration_seconds_bucket{le=\"0.01\",model=\"m\",queue=\"predict\"} 1",
            "lucarne_failures_total{code=\"queue_full\"} 1",
            "lucarne_requests_total{route=\"/v1/models/{name}/predict\",method=\"POST\",status=\"200\"} 1",
            "nv_inference_request_success{model=\"m\",version=\"2\"} 1",
            "nv_inference_count{model=\"m\",version=\"2\"} 3",
            "nv_inference_queue_duration_us{model=\"m\",version=\"2\"} 2000",
            "ts_inference_requests_total{model_name=\"m\",model_version=\"2\",hostname=",
            "Requests2XX{Level=\"Host\",Hostname=",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    }
}
