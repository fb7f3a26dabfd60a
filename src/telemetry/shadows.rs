//! How far shadows are from what serves.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What became of an input that a shadow was to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shadowed {
    /// Both answers were compared.
    Compared {
        /// The share of decisions that were the same, 0 to 1, where any were made.
        agreement: Option<f64>,
        /// The largest difference of a number.
        difference: f64,
    },
    /// There was no spare turn for it.
    Skipped,
    /// The shadow did not answer.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    model: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    model: String,
    version: String,
    outcome: &'static str,
}

/// Counts and differences of answers of shadows. A model has the series of its last shadow.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    inputs: Family<OutcomeLabels, Counter>,
    agreement: Family<Labels, Counter<f64, AtomicU64>>,
    difference: Family<Labels, Gauge<f64, AtomicU64>>,
    last: Mutex<BTreeMap<String, String>>,
}

const OUTCOMES: [&str; 3] = ["compared", "skipped", "failed"];

impl Shadows {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "shadow_inputs",
            "Inputs that a shadow was to answer, by what became of them",
            self.inputs.clone(),
        );
        registry.register(
            "shadow_agreement",
            "Of inputs that were compared, the shares of decisions that were the same, summed up",
            self.agreement.clone(),
        );
        registry.register(
            "shadow_largest_difference",
            "The largest difference of a number of both answers",
            self.difference.clone(),
        );
    }

    pub(super) fn count(&self, (model, version): (&str, &str), what: Shadowed) {
        self.only(model, version);
        let labels = Labels {
            model: model.to_owned(),
            version: version.to_owned(),
        };
        let outcome = match what {
            Shadowed::Compared {
                agreement,
                difference,
            } => {
                if let Some(agreement) = agreement {
                    self.agreement.get_or_create(&labels).inc_by(agreement);
                }
                let largest = self.difference.get_or_create(&labels);
                largest.set(largest.get().max(difference));
                OUTCOMES[0]
            }
            Shadowed::Skipped => OUTCOMES[1],
            Shadowed::Failed => OUTCOMES[2],
        };
        self.inputs
            .get_or_create(&of_outcome(model, version, outcome))
            .inc();
    }

    /// Forgets the series of another version of the model.
    fn only(&self, model: &str, version: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.get(model).is_some_and(|last| last == version) {
            return;
        }
        let Some(old) = last.insert(model.to_owned(), version.to_owned()) else {
            return;
        };
        let labels = Labels {
            model: model.to_owned(),
            version: old,
        };
        self.agreement.remove(&labels);
        self.difference.remove(&labels);
        for outcome in OUTCOMES {
            self.inputs.remove(&of_outcome(model, &labels.version, outcome));
        }
    }
}

fn of_outcome(model: &str, version: &str, outcome: &'static str) -> OutcomeLabels {
    OutcomeLabels {
        model: model.to_owned(),
        version: version.to_owned(),
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode_registry;

    use super::*;

    #[test]
    fn a_model_has_the_series_of_its_last_shadow() {
        let (shadows, mut registry) = (Shadows::default(), Registry::default());
        shadows.register(&mut registry);
        let text = || {
            let mut text = String::new();
            encode_registry(&mut text, &registry).map(|()| text)
        };
        let apart = |agreement: f64, difference| Shadowed::Compared {
            agreement: Some(agreement),
            difference,
        };
        shadows.count(("m", "2"), apart(1.0, 0.25));
        shadows.count(("m", "2"), apart(0.5, 0.125));
        shadows.count(("m", "2"), Shadowed::Skipped);
        let found = text().expect("writable");
        for line in [
            r#"shadow_inputs_total{model="m",version="2",outcome="compared"} 2"#,
            r#"shadow_inputs_total{model="m",version="2",outcome="skipped"} 1"#,
            r#"shadow_agreement_total{model="m",version="2"} 1.5"#,
            r#"shadow_largest_difference{model="m",version="2"} 0.25"#,
        ] {
            assert!(found.contains(line), "{line} in {found}");
        }
        shadows.count(("m", "3"), Shadowed::Failed);
        let found = text().expect("writable");
        assert!(!found.contains(r#"version="2""#), "{found}");
        assert!(found.contains(r#"version="3",outcome="failed"} 1"#), "{found}");
    }
}
