//! Requests a second, as a bucket that is filled so fast, and holds those of two seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket; it holds at least one request.
#[derive(Debug)]
pub(super) struct Rate {
    a_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Rate {
    /// Full at first.
    pub(super) fn new(a_second: f64) -> Self {
        Self {
            a_second,
            state: Mutex::new((Self::most(a_second), Instant::now())),
        }
    }

    fn most(a_second: f64) -> f64 {
        (2.0 * a_second).max(1.0)
    }

    /// Takes a request out of the bucket, or says when there will be one.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let came = now.saturating_duration_since(state.1).as_secs_f64() * self.a_second;
        *state = ((state.0 + came).min(Self::most(self.a_second)), now);
        if state.0 >= 1.0 {
            state.0 -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - state.0) / self.a_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_is_empty_says_when_it_is_not() {
        let rate = Rate::new(2.0);
        let now = Instant::now();
        assert!((0..4).all(|_| rate.take(now).is_ok()));
        let after = rate.take(now).expect_err("four at once");
        assert!(
            after <= Duration::from_millis(500) && after > Duration::from_millis(400),
            "{after:?}"
        );
        assert!(rate.take(now + Duration::from_millis(501)).is_ok());
    }
}
