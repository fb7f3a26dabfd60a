//! When requests come, made up: by chance (a Poisson process), or in bursts (a Markov-modulated Poisson process of two
//! states, Fischer and Meier-Hellstern 1993), whose rate is the same over time.
//!
//! A replica of several gets its share: requests that a balancer gives to one of n by chance come to each as the same process
//! at an n-th of the rate, and a burst comes to all of them at once.

use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::Exp1;

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Each whenever it likes, whatever the others do.
    Poisson,
    /// The same, with a rate that goes up now and then.
    Bursty(Bursts),
}

/// Two states, each of a length that is exponential, too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bursts {
    /// How many times the mean rate comes in a burst, above 1.
    pub(super) factor: f64,
    /// How much of the time is one, 0 to 1 without either; times the factor at most 1.
    pub(super) share: f64,
    /// How long one takes on average, in seconds.
    pub(super) mean_s: f64,
}

impl Bursts {
    /// How many times the mean rate comes outside of bursts.
    pub(super) fn quiet(self) -> f64 {
        ((1.0 - self.share * self.factor) / (1.0 - self.share)).max(0.0)
    }

    /// Seconds from the beginning of a burst to that of the next, on average.
    pub(super) fn cycle_s(self) -> f64 {
        self.mean_s / self.share
    }
}

/// The times of requests, one after the other, without an end.
pub(super) struct Arrivals {
    rate: f64,
    kind: Kind,
    random: StdRng,
    now_s: f64,
    in_burst: bool,
    until_s: f64,
}

impl Arrivals {
    /// `rate` a second on average, above 0.
    pub(super) fn new(kind: Kind, rate: f64, mut random: StdRng) -> Self {
        // As likely in a burst at the beginning as at any time.
        let in_burst = match kind {
            Kind::Poisson => false,
            Kind::Bursty(bursts) => random.random::<f64>() < bursts.share,
        };
        let mut arrivals = Self {
            rate,
            kind,
            random,
            now_s: 0.0,
            in_burst,
            until_s: f64::INFINITY,
        };
        arrivals.until_s = arrivals.length_s();
        arrivals
    }

    fn exponential(&mut self) -> f64 {
        self.random.sample::<f64, _>(Exp1)
    }

    /// How long the state that begins now takes.
    fn length_s(&mut self) -> f64 {
        match self.kind {
            Kind::Poisson => f64::INFINITY,
            Kind::Bursty(bursts) => {
                let mean_s = match self.in_burst {
                    true => bursts.mean_s,
                    false => bursts.cycle_s() - bursts.mean_s,
                };
                mean_s * self.exponential()
            }
        }
    }

    fn rate_now(&self) -> f64 {
        let times = match self.kind {
            Kind::Poisson => 1.0,
            Kind::Bursty(bursts) if self.in_burst => bursts.factor,
            Kind::Bursty(bursts) => bursts.quiet(),
        };
        self.rate * times
    }

    /// When the next request comes, in seconds from the start.
    pub(super) fn next_s(&mut self) -> f64 {
        loop {
            let next_s = self.now_s + self.exponential() / self.rate_now();
            if next_s <= self.until_s {
                self.now_s = next_s;
                return next_s;
            }
            // A request that did not come by the end of a state comes at the rate of the next: a Poisson process forgets.
            self.now_s = self.until_s;
            self.in_burst = !self.in_burst;
            self.until_s += self.length_s();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const BURSTS: Bursts = Bursts {
        factor: 5.0,
        share: 0.1,
        mean_s: 1.0,
    };

    fn times(kind: Kind, count: usize) -> Vec<f64> {
        let mut arrivals = Arrivals::new(kind, 100.0, StdRng::seed_from_u64(1));
        (0..count).map(|_| arrivals.next_s()).collect()
    }

    /// Variance of the counts in seconds, over their mean: 1 of a Poisson process.
    fn dispersion(times: &[f64]) -> f64 {
        let seconds = times.last().copied().unwrap_or_default() as usize;
        let mut counts = vec![0.0; seconds + 1];
        times.iter().for_each(|time| counts[*time as usize] += 1.0);
        counts.pop();
        let mean = counts.iter().sum::<f64>() / seconds as f64;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / seconds as f64;
        variance / mean
    }

    #[test]
    fn both_kinds_come_at_the_same_rate_over_time() {
        for (kind, tolerance) in [(Kind::Poisson, 0.01), (Kind::Bursty(BURSTS), 0.05)] {
            let times = times(kind, 400_000);
            let rate = times.len() as f64 / times[times.len() - 1];
            assert!((rate / 100.0 - 1.0).abs() < tolerance, "{kind:?}: {rate}");
            assert!(times.is_sorted());
        }
    }

    #[test]
    fn only_bursts_are_bursty() {
        let poisson = dispersion(&times(Kind::Poisson, 400_000));
        assert!((poisson - 1.0).abs() < 0.05, "{poisson}");
        let bursty = dispersion(&times(Kind::Bursty(BURSTS), 400_000));
        assert!(bursty > 10.0, "{bursty}");
    }

    #[test]
    fn one_seed_makes_the_same_requests() {
        assert_eq!(times(Kind::Bursty(BURSTS), 100), times(Kind::Bursty(BURSTS), 100));
    }

    #[test]
    fn where_all_comes_in_bursts_nothing_comes_between() {
        let all = Bursts {
            factor: 10.0,
            share: 0.1,
            mean_s: 1.0,
        };
        assert!(all.quiet().abs() < 1e-12);
        assert!(times(Kind::Bursty(all), 1000).iter().all(|time| time.is_finite()));
    }
}
