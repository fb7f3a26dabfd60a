//! How many replicas does it take? As many as the simulation needs, for both kinds of arrivals.

use super::arrivals::{Bursts, Kind};
use super::measurements::Measurements;
use super::simulation::{Outcome, Scene, simulate};
use crate::engine::batcher::Policy;

/// What is wanted, and how it is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) measured: &'a Measurements,
    pub(super) policy: Policy,
    /// Requests a second, all replicas together.
    pub(super) rate: f64,
    /// What 99 of 100 requests may take, in milliseconds.
    pub(super) p99_ms: f64,
    pub(super) bursts: Bursts,
    /// Requests of a simulation; up to [`MOST_TIMES`] as many where they come in bursts, so that there are [`CYCLES`] of these.
    pub(super) requests: usize,
    pub(super) seed: u64,
}

/// Replicas that are tried at most.
pub(super) const MOST_REPLICAS: usize = 10_000;

const CYCLES: f64 = 200.0;
const MOST_TIMES: usize = 5;

/// Of what a replica answers at most, so little that a request is alone.
const LONE: f64 = 1e-3;

/// One number of replicas.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) replicas: usize,
    /// Requests a second that each gets.
    pub(super) rate: f64,
    pub(super) poisson: Outcome,
    pub(super) bursty: Outcome,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Those that were tried, the fewest replicas first.
    pub(super) rows: Vec<Row>,
    /// How many replicas it takes, or why no number is enough.
    pub(super) replicas: Result<usize, String>,
}

impl Row {
    /// Whether 99 of 100 requests of either kind take no longer than that.
    fn is_within(&self, p99_ms: f64) -> bool {
        [&self.poisson, &self.bursty]
            .into_iter()
            .all(|outcome| outcome.percentile_ms(0.99).is_some_and(|found| found <= p99_ms))
    }
}

impl Search<'_> {
    /// Tries more and more replicas, then those between the last that were too few and the first that were enough.
    pub(super) fn run(self) -> Found {
        if let Some(reason) = self.too_slow() {
            return Found {
                rows: Vec::new(),
                replicas: Err(reason),
            };
        }
        let fewest = (self.rate / self.capacity()).ceil().max(1.0);
        let (mut rows, mut too_few) = (Vec::new(), 0);
        let mut replicas = fewest as usize;
        let enough = loop {
            if replicas > MOST_REPLICAS {
                let replicas = Err(format!(
                    "it takes more than {MOST_REPLICAS} replicas: one answers {:.1} requests a second at most",
                    self.capacity()
                ));
                return Found { rows, replicas };
            }
            let row = self.row(replicas);
            let is_enough = row.is_within(self.p99_ms);
            rows.push(row);
            if is_enough {
                break replicas;
            }
            too_few = replicas;
            replicas += (replicas / 8).max(1);
        };
        let (mut enough, mut too_few) = (enough, too_few.max(fewest as usize - 1));
        while enough - too_few > 1 {
            let between = usize::midpoint(too_few, enough);
            let row = self.row(between);
            if row.is_within(self.p99_ms) {
                enough = between;
            } else {
                too_few = between;
            }
            rows.push(row);
        }
        rows.sort_by_key(|row| row.replicas);
        Found {
            rows,
            replicas: Ok(enough),
        }
    }

    /// Requests a second that a replica answers at most.
    pub(super) fn capacity(&self) -> f64 {
        // A smaller batch may be the faster one, but a full queue makes full ones.
        self.measured.capacity(self.policy.max_batch)
    }

    /// Why even a request that is alone takes too long, if it does.
    fn too_slow(&self) -> Option<String> {
        let requests = 2000;
        let lone = self.simulated(Kind::Poisson, self.capacity() * LONE, requests);
        let p99_ms = lone.percentile_ms(0.99)?;
        (p99_ms > self.p99_ms).then(|| {
            let wait_ms = match self.policy.max_batch {
                1 => 0.0,
                _ => self.policy.max_delay.as_secs_f64() * 1e3,
            };
            format!(
                "a request that is alone takes {p99_ms:.1} ms at p99, so that no number of replicas answers within {} ms; on \
                 average its pass takes {:.1} ms, decoding {:.1} ms, the rest of the request {:.1} ms, and waiting for \
                 company {wait_ms:.1} ms",
                self.p99_ms,
                self.measured.mean_pass(1).alone_ms,
                self.measured.decode_ms.mean(),
                self.measured.request_ms.mean(),
            )
        })
    }

    fn row(&self, replicas: usize) -> Row {
        let rate = self.rate / replicas as f64;
        // A burst comes to all replicas, and each of them needs many to know its 99th of 100.
        let in_cycles = (CYCLES * self.bursts.cycle_s() * rate) as usize;
        let bursty = in_cycles.clamp(self.requests, self.requests * MOST_TIMES);
        Row {
            replicas,
            rate,
            poisson: self.simulated(Kind::Poisson, rate, self.requests),
            bursty: self.simulated(Kind::Bursty(self.bursts), rate, bursty),
        }
    }

    fn simulated(&self, kind: Kind, rate: f64, requests: usize) -> Outcome {
        simulate(Scene {
            measured: self.measured,
            policy: self.policy,
            kind,
            rate,
            requests,
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::measurements::tests::constant;
    use super::*;

    fn search(measured: &Measurements, rate: f64, p99_ms: f64) -> Search<'_> {
        Search {
            measured,
            policy: Policy {
                max_batch: 8,
                max_delay: Duration::ZERO,
                capacity: 256,
            },
            rate,
            p99_ms,
            bursts: Bursts {
                factor: 3.0,
                share: 0.1,
                mean_s: 2.0,
            },
            requests: 5000,
            seed: 1,
        }
    }

    #[test]
    fn the_least_number_that_is_enough_is_found() {
        let measured = constant(2, 2, &[(1, 10.0), (8, 40.0)]);
        let found = search(&measured, 5000.0, 60.0).run();
        let enough = found.replicas.expect("it can be reached");
        assert!(enough > 13, "each answers 400 a second at most: {enough}");
        let within: Vec<(usize, bool)> = found
            .rows
            .iter()
            .map(|row| (row.replicas, row.is_within(60.0)))
            .collect();
        assert!(
            within.contains(&(enough, true)) && within.contains(&(enough - 1, false)),
            "{within:?}"
        );
        assert!(within.is_sorted());
        let less = search(&measured, 5000.0, 120.0)
            .run()
            .replicas
            .expect("it can be reached");
        assert!(less <= enough);
    }

    #[test]
    fn what_no_number_reaches_has_its_reason() {
        let measured = constant(1, 1, &[(1, 300.0), (8, 900.0)]);
        let reason = search(&measured, 10.0, 200.0)
            .run()
            .replicas
            .expect_err("300 is more than 200");
        assert!(
            reason.contains("takes 300.0 ms at p99") && reason.contains("its pass takes 300.0 ms"),
            "{reason}"
        );
        let reason = search(&measured, 1e6, 1000.0)
            .run()
            .replicas
            .expect_err("that is too much");
        assert!(reason.contains("more than 10000 replicas"), "{reason}");
    }

    #[test]
    fn waiting_for_company_is_a_reason_too() {
        let measured = constant(1, 1, &[(1, 1.0), (8, 2.0)]);
        let mut search = search(&measured, 10.0, 20.0);
        search.policy.max_delay = Duration::from_millis(50);
        let reason = search.run().replicas.expect_err("50 is more than 20");
        assert!(reason.contains("waiting for company 50.0 ms"), "{reason}");
    }
}
