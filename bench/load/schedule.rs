//! When the requests of an open loop are to be sent.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::Exp1;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Requests a second, at equal distances or by chance.
pub(crate) struct Schedule {
    rate: f64,
    random: Option<StdRng>,
}

impl Schedule {
    /// By chance of this seed, a Poisson process; without one at equal distances.
    pub(crate) fn new(rate: f64, seed: Option<u64>) -> Self {
        Self {
            rate,
            random: seed.map(StdRng::seed_from_u64),
        }
    }

    /// From one request to the next.
    fn pause(&mut self) -> Duration {
        let pauses = self.random.as_mut().map_or(1.0, |random| random.sample(Exp1));
        Duration::from_secs_f64(pauses / self.rate)
    }

    /// Each of up to `requests` requests when it is to be sent, until `end`. A thread of its own keeps the time: timers of the
    /// runtime are late by up to a millisecond.
    pub(crate) fn start(mut self, end: Instant, requests: u64) -> UnboundedReceiver<Instant> {
        let (send, due) = unbounded_channel();
        std::thread::spawn(move || {
            let mut at = Instant::now();
            for _ in 0..requests {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if at >= end || send.send(at).is_err() {
                    return;
                }
                // What is late is made up for: the rate is kept on average.
                at += self.pause();
            }
        });
        due
    }
}
