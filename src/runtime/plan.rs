//! How a model shares the cores: instances × threads, and how large its batches are. Which plan is the fastest depends
//! on model and machine, so that it is measured.

use std::time::{Duration, Instant};

use super::process::configure_thread;
use crate::error::{Error, Result};

/// One way to share the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Batches side by side.
    pub instances: usize,
    /// Cores of each.
    pub threads: usize,
    /// Items of each.
    pub batch: usize,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            instances,
            threads,
            batch,
        } = self;
        let s = if *threads == 1 { "" } else { "s" };
        write!(f, "{instances} × {threads} thread{s}, batch {batch}")
    }
}

/// A plan and what it reached.
#[derive(Debug, Clone, Copy)]
pub struct Rated {
    /// The plan.
    pub plan: Plan,
    /// Items a second.
    pub rate: f64,
}

/// What a plan's instances computed.
#[derive(Debug, Default)]
pub struct Passes {
    /// Items a second, of all instances.
    pub rate: f64,
    /// How long batches took, the first [`Passes::MOST`] of each instance.
    pub times: Vec<Duration>,
}

impl Passes {
    /// Batches of an instance whose time is kept.
    pub const MOST: usize = 1 << 16;
}

/// A smaller batch that is this near to the best is taken: its answers come earlier.
const NEAR: f64 = 0.99;

impl Plan {
    /// Every plan on `cores` cores that leaves none idle, for each size in `batches`.
    #[must_use]
    pub fn all(cores: usize, batches: &[usize]) -> Vec<Self> {
        let mut splits: Vec<usize> = (0..).map(|power| 1 << power).take_while(|n| *n < cores).collect();
        splits.push(cores.max(1));
        let plan = |instances: usize, batch: usize| Self {
            instances,
            threads: (cores / instances).max(1),
            batch,
        };
        splits
            .into_iter()
            .flat_map(|instances| batches.iter().map(move |batch| plan(instances, *batch)))
            .collect()
    }

    /// Items a second over `time`, after a first batch. `make_worker` is called on each instance's own thread; what it
    /// answers computes one batch a call.
    ///
    /// # Errors
    /// The first of any instance.
    pub fn rate<W: FnMut() -> Result<()>>(
        self,
        time: Duration,
        make_worker: impl Fn(Self) -> W + Sync,
    ) -> Result<f64> {
        Ok(self.passes(time, make_worker)?.rate)
    }

    /// [`Plan::rate`], and how long each batch took, of all instances one after the other.
    ///
    /// # Errors
    /// The first of any instance.
    pub fn passes<W: FnMut() -> Result<()>>(
        self,
        time: Duration,
        make_worker: impl Fn(Self) -> W + Sync,
    ) -> Result<Passes> {
        let instance = || -> Result<Passes> {
            configure_thread(self.threads);
            let mut worker = make_worker(self);
            worker()?;
            let (started, mut batches, mut times) = (Instant::now(), 0, Vec::new());
            let mut begun = started;
            while batches == 0 || begun - started < time {
                worker()?;
                let ended = Instant::now();
                if times.len() < Passes::MOST {
                    times.push(ended - begun);
                }
                (begun, batches) = (ended, batches + 1);
            }
            let rate = (batches * self.batch) as f64 / (begun - started).as_secs_f64();
            Ok(Passes { rate, times })
        };
        std::thread::scope(|scope| {
            let instances: Vec<_> = (0..self.instances).map(|_| scope.spawn(instance)).collect();
            let mut all = Passes::default();
            for instance in instances {
                let panicked = |_| Err(Error::Internal("an instance panicked".into()));
                let passes: Passes = instance.join().unwrap_or_else(panicked)?;
                all.rate += passes.rate;
                all.times.extend(passes.times);
            }
            Ok(all)
        })
    }
}

/// The best of `plans` by successive halving (Jamieson and Talwalkar 2016): all are measured for a moment, the better
/// half for twice as long, until one is left; `budget` is shared among the rounds. The rate that a plan reached counts by the
/// time that it was measured. Answers every plan, best first.
///
/// # Errors
/// The first of `measure`.
pub fn halve(
    plans: &[Plan],
    budget: Duration,
    mut measure: impl FnMut(Plan, Duration) -> Result<f64>,
) -> Result<Vec<Rated>> {
    let mut alive: Vec<(Rated, f64)> = plans
        .iter()
        .map(|&plan| (Rated { plan, rate: 0.0 }, 0.0))
        .collect();
    let rounds = plans.len().max(2).ilog2() + u32::from(!plans.len().is_power_of_two());
    let mut fallen = Vec::new();
    while alive.len() > 1 {
        let time = budget / rounds / u32::try_from(alive.len()).unwrap_or(u32::MAX);
        for (rated, seconds) in &mut alive {
            let (found, new) = (measure(rated.plan, time)?, time.as_secs_f64());
            rated.rate = (rated.rate * *seconds + found * new) / (*seconds + new);
            *seconds += new;
        }
        alive.sort_by(|(a, _), (b, _)| b.rate.total_cmp(&a.rate));
        let worse = alive.split_off(alive.len().div_ceil(2));
        fallen.splice(0..0, worse);
    }
    alive.extend(fallen);
    Ok(alive.into_iter().map(|(rated, _)| rated).collect())
}

/// Of plans that are as good as the best of `rated` but for a hundredth, the one with the smallest batch.
#[must_use]
pub fn choose(rated: &[Rated]) -> Option<Rated> {
    let best = rated.first()?.rate;
    let near = rated.iter().filter(|r| r.rate >= best * NEAR);
    near.min_by_key(|r| r.plan.batch).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(instances: usize, threads: usize, batch: usize) -> Plan {
        Plan {
            instances,
            threads,
            batch,
        }
    }

    #[test]
    fn plans_leave_no_core_idle() {
        assert_eq!(Plan::all(1, &[1]), [plan(1, 1, 1)]);
        assert_eq!(Plan::all(2, &[4]), [plan(1, 2, 4), plan(2, 1, 4)]);
        assert_eq!(
            Plan::all(6, &[8]),
            [plan(1, 6, 8), plan(2, 3, 8), plan(4, 1, 8), plan(6, 1, 8)]
        );
    }

    #[test]
    fn halving_finds_the_best_within_its_budget_though_measurements_are_noisy() {
        let plans = Plan::all(8, &[1, 2, 4, 8, 16]);
        let truth = |p: Plan| 100.0 + 10.0 * p.instances as f64 + p.batch as f64;
        let (mut spent, mut permit) = (Duration::ZERO, 0u32);
        let budget = Duration::from_secs(60);
        let found = halve(&plans, budget, |p, time| {
            spent += time;
            permit += 1;
            // Noise of up to 5 %, less where it is measured for longer.
            let noise = (f64::from(permit * 37 % 11) / 10.0 - 0.5) * 0.1 / (1.0 + time.as_secs_f64());
            Ok(truth(p) * (1.0 + noise))
        });
        let found = found.expect("nothing fails");
        assert_eq!(found.len(), plans.len());
        assert_eq!(found[0].plan, plan(8, 1, 16));
        assert!(spent <= budget, "{spent:?}");
    }

    #[test]
    fn of_equals_the_smaller_batch_is_taken() {
        let rated = [(16, 100.0), (8, 99.5), (4, 90.0)].map(|(batch, rate)| Rated {
            plan: plan(1, 1, batch),
            rate,
        });
        assert_eq!(choose(&rated).map(|r| r.plan.batch), Some(8));
        assert!(choose(&[]).is_none());
    }

    #[test]
    fn a_rate_counts_every_instance_and_failures_are_told() {
        let wait = |_: Plan| {
            || {
                std::thread::sleep(Duration::from_millis(5));
                Ok(())
            }
        };
        let two = plan(2, 1, 10)
            .rate(Duration::from_millis(50), wait)
            .expect("it waits");
        // Two instances of at most 200 batches a second.
        assert!(two > 0.0 && two <= 4000.0, "{two}");
        let passes = plan(2, 1, 10).passes(Duration::from_millis(50), wait);
        let times = passes.expect("it waits").times;
        assert!((2..=20).contains(&times.len()), "{times:?}");
        assert!(
            times.iter().all(|time| *time >= Duration::from_millis(5)),
            "{times:?}"
        );
        let fails = |_: Plan| || Err(Error::Internal("no".into()));
        assert!(plan(1, 1, 1).rate(Duration::ZERO, fails).is_err());
    }
}
