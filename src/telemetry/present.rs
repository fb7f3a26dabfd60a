//! What is so at the moment of asking: which models answer, how long the oldest pass has taken, how much memory the process has.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What only the service knows of it.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// Each model, and whether it answers.
    pub models: Vec<(String, bool)>,
    /// How long the oldest pass has taken that has not ended.
    pub longest_pass: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// Gauges that are set each time the metrics are asked for.
#[derive(Debug, Default)]
pub(super) struct Present {
    answers: Family<ModelLabels, Gauge>,
    longest_pass: Gauge<f64, AtomicU64>,
    memory: Gauge,
    build: Family<BuildLabels, Gauge>,
}

impl Present {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("model_ready", "Whether a model answers", self.answers.clone());
        registry.register(
            "longest_pass_seconds",
            "How long the oldest pass has taken that has not ended",
            self.longest_pass.clone(),
        );
        registry.register(
            "resident_memory_bytes",
            "Memory of the process",
            self.memory.clone(),
        );
        registry.register("build", "The program's version; always 1", self.build.clone());
        let version = env!("CARGO_PKG_VERSION");
        self.build.get_or_create(&BuildLabels { version }).set(1);
    }

    pub(super) fn set(&self, now: &Now) {
        // A model that is gone has no series.
        self.answers.clear();
        for (model, answers) in &now.models {
            let labels = ModelLabels { model: model.clone() };
            self.answers.get_or_create(&labels).set(i64::from(*answers));
        }
        self.longest_pass.set(now.longest_pass.as_secs_f64());
        self.memory.set(resident().unwrap_or_default());
    }
}

/// Bytes of the process that lie in memory.
fn resident() -> Option<i64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode_registry;

    use super::*;

    #[test]
    fn models_that_are_gone_have_no_series() {
        let (present, mut registry) = (Present::default(), Registry::default());
        present.register(&mut registry);
        let text = |models: &[(&str, bool)]| {
            let models = models
                .iter()
                .map(|(name, answers)| ((*name).to_owned(), *answers));
            present.set(&Now {
                models: models.collect(),
                longest_pass: Duration::from_millis(1500),
            });
            let mut text = String::new();
            encode_registry(&mut text, &registry)
                .map(|()| text)
                .expect("writable")
        };
        let both = text(&[("a", true), ("b", false)]);
        assert!(
            both.contains("model_ready{model=\"a\"} 1") && both.contains("model_ready{model=\"b\"} 0"),
            "{both}"
        );
        assert!(both.contains("longest_pass_seconds 1.5"), "{both}");
        let one = text(&[("b", true)]);
        assert!(
            !one.contains("\"a\"") && one.contains("model_ready{model=\"b\"} 1"),
            "{one}"
        );
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}
