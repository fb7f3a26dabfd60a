//! Which requests a share of all of them is.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

/// Draws a share of requests: the same for the same key, and without keys as evenly as can be.
#[derive(Debug, Default)]
pub(super) struct Draw(AtomicU64);

impl Draw {
    /// Whether a request is of the `share`, 0 to 1, of all. Requests of one `key` for one `model` always are or never are, here
    /// and on every other server, and stay of a share that grows.
    pub(super) fn takes(&self, share: f64, model: &str, key: Option<&[u8]>) -> bool {
        let point = match key {
            Some(key) => point(model, key),
            None => self.next(),
        };
        point < share
    }

    /// The next of the multiples of the golden ratio modulo 1: as many as a share asks for are in it, but for one or two, after
    /// any number of draws.
    fn next(&self) -> f64 {
        /// 2⁶⁴ divided by the golden ratio.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        fraction(turn.wrapping_mul(STEP))
    }
}

/// Where a key lies from 0 to 1. A cryptographic digest, so that keys that are alike lie apart.
fn point(model: &str, key: &[u8]) -> f64 {
    let digest = Sha256::new()
        .chain_update(model)
        .chain_update([0])
        .chain_update(key)
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    fraction(u64::from_be_bytes(first))
}

/// `number` of 2⁶⁴, below 1.
fn fraction(number: u64) -> f64 {
    /// The bits that a double keeps.
    const BITS: u32 = 53;
    (number >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_without_keys_is_even() {
        for share in [0.001, 0.1, 0.5, 0.999] {
            let draw = Draw::default();
            let taken = (0..10_000).filter(|_| draw.takes(share, "m", None)).count();
            let expected = share * 10_000.0;
            assert!((taken as f64 - expected).abs() <= 5.0, "{taken} of {expected}");
        }
        assert!((0..1000).all(|_| Draw::default().takes(1.0, "m", None)));
    }

    #[test]
    fn a_key_stays_on_its_side_and_keys_are_spread() {
        let draw = Draw::default();
        let keys: Vec<String> = (0..10_000).map(|i| format!("user-{i}")).collect();
        let taken = |share| -> Vec<bool> {
            keys.iter()
                .map(|key| draw.takes(share, "m", Some(key.as_bytes())))
                .collect()
        };
        let (tenth, again, fifth) = (taken(0.1), taken(0.1), taken(0.2));
        assert_eq!(tenth, again);
        assert!(tenth.iter().zip(&fifth).all(|(tenth, fifth)| !tenth || *fifth));
        let count = tenth.iter().filter(|taken| **taken).count();
        assert!((900..=1100).contains(&count), "{count}");
        let other = keys
            .iter()
            .filter(|key| draw.takes(0.1, "other", Some(key.as_bytes())))
            .count();
        assert!((900..=1100).contains(&other), "{other}");
        assert!(
            keys.iter()
                .zip(&tenth)
                .any(|(key, taken)| draw.takes(0.1, "other", Some(key.as_bytes())) != *taken)
        );
    }
}
