//! The metrics of other servers, by their names, from the same counts: dashboards of Triton and of TorchServe go on.
//! <https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md>,
//! <https://github.com/pytorch/serve/blob/master/docs/metrics.md>

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::statistics::{All, Key, Statistics};

/// Answers by the first digit of their status, as TorchServe counts them.
#[derive(Debug, Default)]
pub(super) struct Answers([AtomicU64; 3]);

impl Answers {
    /// One was answered with this status.
    pub(super) fn count(&self, status: u16) {
        let of = match status {
            200..=299 => 0,
            400..=499 => 1,
            500..=599 => 2,
            _ => return,
        };
        self.0[of].fetch_add(1, Ordering::Relaxed);
    }
}

/// A collector that writes our counts under the names of Triton and of TorchServe.
#[derive(Debug)]
pub(super) struct Others {
    all: Arc<All>,
    answers: Arc<Answers>,
    host: String,
}

/// A metric of a model: its name, what it is, and its value.
type OfModel = (&'static str, &'static str, fn(&Statistics) -> f64);

/// Microseconds, which both servers have.
fn us(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

const OF_TRITON: [OfModel; 9] = [
    ("nv_inference_request_success", "Requests answered", |found| {
        found.computed.count as f64
    }),
    ("nv_inference_request_failure", "Requests not answered", |found| {
        found.failed as f64
    }),
    ("nv_inference_count", "Items computed", |found| found.items as f64),
    ("nv_inference_exec_count", "Batches computed", |found| {
        found.batches.values().map(|sum| sum.count).sum::<u64>() as f64
    }),
    (
        "nv_inference_request_duration_us",
        "Requests in all, microseconds",
        |found| us(found.decoded.took + found.queued.took + found.computed.took),
    ),
    (
        "nv_inference_queue_duration_us",
        "Requests in queues, microseconds",
        |found| us(found.queued.took),
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Decoding and fitting, microseconds",
        |found| us(found.decoded.took),
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Requests in batches, microseconds",
        |found| us(found.computed.took),
    ),
    // Contained in the one before.
    (
        "nv_inference_compute_output_duration_us",
        "Nothing by itself, microseconds",
        |_| 0.0,
    ),
];

const OF_TORCHSERVE: [OfModel; 3] = [
    ("ts_inference_requests_total", "Requests answered", |found| {
        found.computed.count as f64
    }),
    (
        "ts_inference_latency_microseconds",
        "Requests in all, microseconds",
        |found| us(found.decoded.took + found.queued.took + found.computed.took),
    ),
    (
        "ts_queue_latency_microseconds",
        "Requests in queues, microseconds",
        |found| us(found.queued.took),
    ),
];

impl Others {
    pub(super) fn new(all: Arc<All>, answers: Arc<Answers>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            all,
            answers,
            host: host.trim().to_owned(),
        }
    }

    fn of_models(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        metrics: &[OfModel],
        models: &BTreeMap<Key, Statistics>,
        labels: impl Fn(&str, &str) -> Vec<(&'static str, String)>,
    ) -> fmt::Result {
        for (name, help, value) in metrics {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((model, version), found) in models {
                let labels = labels(model, version);
                ConstGauge::new(value(found)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Collector for Others {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let models = self.all.now();
        let of_triton =
            |model: &str, version: &str| vec![("model", model.to_owned()), ("version", version.to_owned())];
        self.of_models(&mut encoder, &OF_TRITON, &models, of_triton)?;
        let of_torchserve = |model: &str, version: &str| {
            vec![
                ("model_name", model.to_owned()),
                ("model_version", version.to_owned()),
                ("hostname", self.host.clone()),
            ]
        };
        self.of_models(&mut encoder, &OF_TORCHSERVE, &models, of_torchserve)?;
        let names = ["Requests2XX", "Requests4XX", "Requests5XX"];
        for (name, count) in names.into_iter().zip(&self.answers.0) {
            let mut metric =
                encoder.encode_descriptor(name, "Answers of such a status", None, MetricType::Gauge)?;
            let labels = [("Level", "Host".to_owned()), ("Hostname", self.host.clone())];
            let count = ConstGauge::new(count.load(Ordering::Relaxed) as f64);
            count.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
