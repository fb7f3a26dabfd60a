//! What one replica's work takes, measured: the part of an answer in JSON that a later `--measured` reads again.

use serde::{Deserialize, Serialize};

use super::samples::{Draw, Samples};

/// Times in milliseconds of the parts of a request, with the shape of the replica that they are of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Read")]
pub(super) struct Measurements {
    /// The model's name.
    pub(super) model: String,
    /// Cores of a replica.
    pub(super) cores: usize,
    /// Batches of the model side by side.
    pub(super) instances: usize,
    /// Cores of each.
    pub(super) threads: usize,
    /// From a picture's bytes to the model's input, on one core.
    pub(super) decode_ms: Samples,
    /// What else a request takes, on one core: its protocol, its answer.
    pub(super) request_ms: Samples,
    /// Batches of each size, the smallest first; of one item in any case.
    pub(super) passes: Vec<Pass>,
    /// Memory of a process that serves the model and nobody explains, and of pictures in a full queue.
    pub(super) memory_mb: f64,
}

/// A batch of some size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pass {
    /// Items.
    pub(super) batch: usize,
    /// Where no other batch is computed at the time.
    pub(super) alone_ms: Samples,
    /// How many times as long where every instance computes, at least 1.
    pub(super) beside: f64,
}

/// [`Measurements`] of a file, nothing of which was looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    model: String,
    cores: usize,
    instances: usize,
    threads: usize,
    decode_ms: Samples,
    request_ms: Samples,
    passes: Vec<Pass>,
    memory_mb: f64,
}

impl TryFrom<Read> for Measurements {
    type Error = String;

    fn try_from(read: Read) -> Result<Self, String> {
        /// More than any machine has, or any model.toml may say.
        const MOST: usize = 4096;
        let counts = [read.cores, read.instances, read.threads];
        if !counts.iter().all(|count| (1..=MOST).contains(count)) || read.threads > read.cores {
            return Err(format!(
                "expected cores, instances and threads from 1 to {MOST}, no more threads than cores"
            ));
        }
        let sizes = || read.passes.iter().map(|pass| pass.batch);
        if !sizes().is_sorted_by(|a, b| a < b) || sizes().next() != Some(1) || read.passes.len() > MOST {
            return Err("expected passes by their batch, of 1 first, each size once".into());
        }
        let takes_time = |pass: &Pass| pass.alone_ms.mean() > 0.0 && (1.0..=1e3).contains(&pass.beside);
        if !read.passes.iter().all(takes_time) {
            return Err("expected passes that take time, beside others 1 to 1000 times as long".into());
        }
        if !(0.0..=1e9).contains(&read.memory_mb) || read.model.len() > MOST {
            return Err("expected a name and megabytes".into());
        }
        Ok(Self {
            model: read.model,
            cores: read.cores,
            instances: read.instances,
            threads: read.threads,
            decode_ms: read.decode_ms,
            request_ms: read.request_ms,
            passes: read.passes,
            memory_mb: read.memory_mb,
        })
    }
}

/// How long one batch takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Milliseconds where it is alone.
    pub(super) alone_ms: f64,
    /// How many times as long where every instance computes.
    pub(super) beside: f64,
}

impl Measurements {
    /// Batches side by side at most: each wants its cores first.
    pub(super) fn side_by_side(&self) -> usize {
        self.instances.min(self.cores / self.threads).max(1)
    }

    /// Items of the largest batch that was measured.
    pub(super) fn largest(&self) -> usize {
        self.passes.last().map_or(1, |pass| pass.batch)
    }

    /// What a batch of `size` takes in one draw; between two sizes on the line from one to the other.
    pub(super) fn pass(&self, size: usize, draw: Draw) -> Cost {
        self.between(size, |samples| samples.at(draw))
    }

    /// What a batch of `size` takes on average.
    pub(super) fn mean_pass(&self, size: usize) -> Cost {
        self.between(size, Samples::mean)
    }

    fn between(&self, size: usize, of: impl Fn(&Samples) -> f64) -> Cost {
        let cost = |pass: &Pass| Cost {
            alone_ms: of(&pass.alone_ms),
            beside: pass.beside,
        };
        let above = self.passes.partition_point(|pass| pass.batch < size);
        let (Some(low), Some(high)) = (
            self.passes.get(above.saturating_sub(1)),
            self.passes.get(above.min(self.passes.len() - 1)),
        ) else {
            return cost(&self.passes[0]);
        };
        let (low_cost, high_cost) = (cost(low), cost(high));
        if high.batch == low.batch {
            return high_cost;
        }
        let weight = (size - low.batch) as f64 / (high.batch - low.batch) as f64;
        let mix = |a: f64, b: f64| a + weight * (b - a);
        Cost {
            alone_ms: mix(low_cost.alone_ms, high_cost.alone_ms),
            beside: mix(low_cost.beside, high_cost.beside),
        }
    }

    /// Requests a second that a replica answers at most, if every batch has `size` items.
    pub(super) fn capacity(&self, size: usize) -> f64 {
        let (size_f, cost) = (size as f64, self.mean_pass(size));
        let side = self.side_by_side();
        let beside = if side > 1 { cost.beside } else { 1.0 };
        let pass_ms = cost.alone_ms * beside / size_f;
        // Nothing shares its cores with a pass: they wait for it, or it for them.
        let on_cores_ms = self.decode_ms.mean() + self.request_ms.mean() + pass_ms * self.threads as f64;
        let by_cores = self.cores as f64 * 1e3 / on_cores_ms;
        let by_instances = side as f64 * 1e3 / pass_ms;
        by_cores.min(by_instances)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One instance of one core, whose batches take `ms` each, and nothing else takes time.
    pub(in crate::cli::plan) fn constant(
        cores: usize,
        instances: usize,
        passes: &[(usize, f64)],
    ) -> Measurements {
        Measurements {
            model: "m".into(),
            cores,
            instances,
            threads: 1,
            decode_ms: Samples::constant(0.0),
            request_ms: Samples::constant(0.0),
            passes: passes
                .iter()
                .map(|&(batch, ms)| Pass {
                    batch,
                    alone_ms: Samples::constant(ms),
                    beside: 1.0,
                })
                .collect(),
            memory_mb: 100.0,
        }
    }

    #[test]
    fn sizes_between_two_lie_on_the_line_and_beyond_are_the_last() {
        let measured = constant(1, 1, &[(1, 10.0), (4, 22.0), (8, 40.0)]);
        let pass = |size| measured.mean_pass(size).alone_ms;
        for (size, ms) in [(1, 10.0), (2, 14.0), (3, 18.0), (4, 22.0), (6, 31.0), (8, 40.0)] {
            assert!((pass(size) - ms).abs() < 1e-9, "{size}: {} for {ms}", pass(size));
        }
        assert!((measured.capacity(8) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn a_capacity_counts_all_that_takes_cores() {
        let mut measured = constant(2, 1, &[(1, 10.0)]);
        assert!((measured.capacity(1) - 100.0).abs() < 1e-9, "one instance");
        measured.decode_ms = Samples::constant(8.0);
        measured.request_ms = Samples::constant(2.0);
        assert!((measured.capacity(1) - 100.0).abs() < 1e-9, "both cores");
        measured.decode_ms = Samples::constant(18.0);
        assert!((measured.capacity(1) - 2.0 / 0.030).abs() < 1e-9, "the cores");
    }

    #[test]
    fn what_is_written_is_read_and_what_is_wrong_refused() {
        let measured = constant(2, 2, &[(1, 10.0), (8, 40.0)]);
        let text = serde_json::to_string(&measured).expect("it is JSON");
        assert_eq!(
            serde_json::from_str::<Measurements>(&text).expect("it was written"),
            measured
        );
        for (right, wrong) in [
            ("\"cores\":2", "\"cores\":0"),
            ("\"threads\":1", "\"threads\":3"),
            ("\"batch\":1", "\"batch\":9"),
            ("\"batch\":1,", "\"batch\":2,"),
            ("\"beside\":1.0", "\"beside\":0.5"),
            ("\"memory_mb\":100.0", "\"memory_mb\":-1"),
            ("\"model\":\"m\"", "\"other\":\"m\""),
        ] {
            assert!(text.contains(right), "{right}: {text}");
            let changed = text.replace(right, wrong);
            assert!(serde_json::from_str::<Measurements>(&changed).is_err(), "{wrong}");
        }
    }
}
