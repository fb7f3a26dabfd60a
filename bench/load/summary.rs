//! What was answered within the window that counts.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

/// From the end of the warm-up to the end of the load.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

/// One request's fate; no status where the connection broke.
pub(crate) struct Answer {
    pub(crate) started: Instant,
    pub(crate) finished: Instant,
    pub(crate) status: Option<u16>,
    pub(crate) difference: f64,
}

/// Counts and latencies. Throughput is of successes alone: what was refused or failed is counted by its status.
pub(crate) struct Summary {
    window: Window,
    latencies_ms: BTreeMap<u16, Vec<f64>>,
    broken: u64,
    largest_difference: f64,
    pub(crate) mean_batch: Option<f64>,
}

const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
const TOO_MANY_REQUESTS: u16 = 429;

impl Summary {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            latencies_ms: BTreeMap::new(),
            broken: 0,
            largest_difference: 0.0,
            mean_batch: None,
        }
    }

    /// An answer counts when it arrives within the window. At a steady load as many requests are under way when it
    /// begins as when it ends.
    pub(crate) fn count(&mut self, answer: &Answer) {
        self.largest_difference = self.largest_difference.max(answer.difference);
        if answer.finished < self.window.begin || answer.finished > self.window.end {
            return;
        }
        let Some(status) = answer.status else {
            self.broken += 1;
            return;
        };
        let took = answer.finished - answer.started;
        self.latencies_ms
            .entry(status)
            .or_default()
            .push(took.as_secs_f64() * 1e3);
    }

    /// The last answer has come. Where `--requests` ended the load before its time, the window ends here.
    pub(crate) fn close(&mut self) {
        self.window.end = self.window.end.min(Instant::now()).max(self.window.begin);
    }

    /// One line for programs.
    pub(crate) fn json(&self) -> Value {
        let mut line = json!({
            "requests_per_second": self.per_second(),
            "statuses": self.statuses(),
            "broken": self.broken,
        });
        let accepted = self.sorted(|status| (200..300).contains(&status));
        let refused = self.sorted(|status| status == TOO_MANY_REQUESTS);
        for (name, p) in PERCENTILES {
            line[format!("{name}_ms")] = json!(percentile(&accepted, p));
            line[format!("refused_{name}_ms")] = json!(percentile(&refused, p));
        }
        line
    }

    /// For people.
    pub(crate) fn print(&self) {
        println!(
            "answers by status     {:?}, broken connections {}",
            self.statuses(),
            self.broken
        );
        println!("answers a second      {:.1}", self.per_second());
        print_latencies("latency", &self.sorted(|status| (200..300).contains(&status)));
        print_latencies("of 429s", &self.sorted(|status| status == TOO_MANY_REQUESTS));
        if let Some(mean_batch) = self.mean_batch {
            println!("mean batch            {mean_batch:.2}");
            println!(
                "largest difference    {:.2e} from the lone answer",
                self.largest_difference
            );
        }
    }

    fn statuses(&self) -> BTreeMap<u16, usize> {
        let count = |(status, latencies): (&u16, &Vec<f64>)| (*status, latencies.len());
        self.latencies_ms.iter().map(count).collect()
    }

    /// Successes a second over the whole window: up to its last answer would flatter a server that answers in waves.
    fn per_second(&self) -> f64 {
        let successes = self.sorted(|status| (200..300).contains(&status)).len();
        let took = self.window.end - self.window.begin;
        successes as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn sorted(&self, wanted: impl Fn(u16) -> bool) -> Vec<f64> {
        let mut found: Vec<f64> = self
            .latencies_ms
            .iter()
            .filter(|&(&status, _)| wanted(status))
            .flat_map(|(_, latencies)| latencies.iter().copied())
            .collect();
        found.sort_by(f64::total_cmp);
        found
    }
}

fn percentile(sorted: &[f64], p: f64) -> Option<f64> {
    let place = (sorted.len() as f64 * p) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied()
}

fn print_latencies(what: &str, sorted: &[f64]) {
    for (name, p) in PERCENTILES {
        if let Some(latency) = percentile(sorted, p) {
            println!("{name} {what}           {latency:.1} ms");
        }
    }
}
