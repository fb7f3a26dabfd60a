//! The slowest that a client may be: so long for nothing, and a second more for each so many bytes.

use std::time::Duration;

use crate::config::Settings;

/// A grace period, and the rate in bytes a second that extends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// How long nothing may come or go.
    pub(super) grace: Duration,
    /// What must come or go in a second, on average.
    pub(super) bytes_a_second: u64,
}

impl Pace {
    /// As the settings say.
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            grace: Duration::from_secs(settings.stall_timeout_s),
            bytes_a_second: settings.min_rate_kb << 10,
        }
    }

    /// Whether a client that moved so many bytes made the server wait too long.
    pub(super) fn is_over(self, bytes: u64, waited: Duration) -> bool {
        waited > self.allows(bytes)
    }

    /// How long so many bytes may take.
    pub(super) fn allows(self, bytes: u64) -> Duration {
        let bought = Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_a_second.max(1));
        self.grace.saturating_add(bought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_buy_time() {
        let pace = Pace {
            grace: Duration::from_secs(10),
            bytes_a_second: 100,
        };
        assert!(!pace.is_over(0, Duration::from_secs(10)));
        assert!(pace.is_over(99, Duration::from_secs(11)));
        assert!(!pace.is_over(100, Duration::from_secs(11)));
        assert!(!pace.is_over(u64::MAX, Duration::from_secs(1 << 30)));
    }
}
