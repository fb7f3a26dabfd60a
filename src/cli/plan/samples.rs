//! How long something takes, as a distribution: what a simulation draws from, and what a file of measurements keeps.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

/// Equally likely durations in milliseconds, from the shortest to the longest: [`Samples::KEPT`] of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub(super) struct Samples(Vec<f64>);

/// Which of the durations is drawn, whatever the distribution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw(usize);

impl Draw {
    pub(super) fn of(random: &mut impl Rng) -> Self {
        Self(random.random_range(0..Samples::KEPT))
    }
}

impl Samples {
    /// Durations that are kept: means of as many equal parts of what was measured, so that the mean stays.
    pub(super) const KEPT: usize = 100;

    /// A duration in milliseconds that no measurement exceeds: a day.
    const MOST_MS: f64 = 86_400_000.0;

    /// Nothing at all takes no time.
    pub(super) fn of(measured: &[Duration]) -> Self {
        let mut sorted: Vec<f64> = measured.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        Self::of_sorted(&sorted)
    }

    /// What always takes as long.
    pub(super) fn constant(ms: f64) -> Self {
        Self(vec![ms; Self::KEPT])
    }

    fn of_sorted(sorted: &[f64]) -> Self {
        if sorted.is_empty() {
            return Self::constant(0.0);
        }
        let part = |index: usize| {
            let from = index * sorted.len() / Self::KEPT;
            let to = ((index + 1) * sorted.len() / Self::KEPT).max(from + 1);
            let part = &sorted[from..to];
            round(part.iter().sum::<f64>() / part.len() as f64)
        };
        Self((0..Self::KEPT).map(part).collect())
    }

    /// The duration of this draw, in milliseconds.
    pub(super) fn at(&self, draw: Draw) -> f64 {
        self.0[draw.0]
    }

    /// In milliseconds.
    pub(super) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / Self::KEPT as f64
    }
}

/// To a hundredth of a microsecond: a file of measurements is read by people, too.
fn round(ms: f64) -> f64 {
    (ms * 1e5).round() / 1e5
}

impl TryFrom<Vec<f64>> for Samples {
    type Error = String;

    fn try_from(read: Vec<f64>) -> Result<Self, String> {
        let are_durations = read.iter().all(|ms| (0.0..=Self::MOST_MS).contains(ms));
        if read.len() != Self::KEPT || !are_durations || !read.is_sorted() {
            let (kept, most) = (Self::KEPT, Self::MOST_MS);
            return Err(format!(
                "expected {kept} durations in milliseconds, from 0 to {most}, the shortest first"
            ));
        }
        Ok(Self(read))
    }
}

impl From<Samples> for Vec<f64> {
    fn from(samples: Samples) -> Self {
        samples.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_what_was_measured_stays() {
        for count in [1, 3, 99, 100, 101, 1000, 1234] {
            let measured: Vec<Duration> = (1..=count).map(|n| Duration::from_millis(n * n)).collect();
            let mean = measured.iter().sum::<Duration>().as_secs_f64() * 1e3 / count as f64;
            let found = Samples::of(&measured).mean();
            // Where the parts are not of one size, each still counts alike.
            let tolerance = if count % 100 == 0 || count == 1 {
                1e-4
            } else {
                0.03
            };
            assert!(
                (found / mean - 1.0).abs() <= tolerance,
                "{count}: {found} for {mean}"
            );
        }
        assert_eq!(Samples::of(&[]).mean(), 0.0);
    }

    #[test]
    fn only_durations_are_read() {
        let read = |list: Vec<f64>| Samples::try_from(list);
        assert!(read(vec![1.0; 100]).is_ok());
        for wrong in [
            vec![1.0; 99],
            vec![-1.0; 100],
            vec![f64::NAN; 100],
            vec![f64::INFINITY; 100],
            (0..100).rev().map(f64::from).collect(),
        ] {
            assert!(read(wrong).is_err());
        }
    }
}
