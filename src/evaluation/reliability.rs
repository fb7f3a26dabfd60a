//! Whether a model is right as often as it says: its accuracy beside its confidence, in bins of equal width.
//!
//! The expected calibration error of Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599, eq. 3:
//! `ECE = Σ_m |B_m| / n · |acc(B_m) − conf(B_m)|`, where bin m of M has the pictures whose confidence, the probability of the first
//! class, is in `((m − 1) / M, m / M]`.

/// How many bins there are, as in the paper.
pub const BINS: usize = 15;

/// The pictures whose confidence is within the same bounds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bin {
    /// How many.
    pub count: usize,
    /// How many of them the model was right about.
    pub right: usize,
    confidence: f64,
}

impl Bin {
    /// The mean confidence, 0 to 1; nothing where there is no picture.
    #[must_use]
    pub fn confidence(&self) -> Option<f64> {
        (self.count > 0).then(|| self.confidence / self.count as f64)
    }

    /// The share that the model was right about; nothing where there is no picture.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        (self.count > 0).then(|| self.right as f64 / self.count as f64)
    }

    /// By how much the two differ.
    fn gap(&self) -> f64 {
        let gap = self.accuracy().zip(self.confidence());
        gap.map_or(0.0, |(accuracy, confidence)| (accuracy - confidence).abs())
    }
}

/// Pictures in bins of their confidence, from which the calibration error is computed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reliability {
    bins: [Bin; BINS],
}

impl Reliability {
    /// Of pictures, each with the probability of its first class and whether that is right.
    #[must_use]
    pub fn of(answers: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut all = Self::default();
        for (confidence, is_right) in answers {
            all.add(confidence, is_right);
        }
        all
    }

    /// Takes a picture in.
    pub fn add(&mut self, confidence: f64, is_right: bool) {
        let place = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[place.clamp(1, BINS) - 1];
        bin.count += 1;
        bin.right += usize::from(is_right);
        bin.confidence += confidence;
    }

    /// The bins, of the least confidence first.
    #[must_use]
    pub fn bins(&self) -> &[Bin; BINS] {
        &self.bins
    }

    /// How many pictures there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// The share that the model was right about; 0 where there is none.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: usize = self.bins.iter().map(|bin| bin.right).sum();
        right as f64 / self.count().max(1) as f64
    }

    /// The expected calibration error, 0 to 1; 0 where there is no picture.
    #[must_use]
    pub fn ece(&self) -> f64 {
        let weighed = self.bins.iter().map(|bin| bin.count as f64 * bin.gap());
        weighed.sum::<f64>() / self.count().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_mean_gap_of_the_bins_by_their_pictures() {
        // Two at 0.9 of which one is right, a gap of 0.4; two at 0.5, one right, none; one at 1, wrong, 1.
        let found = Reliability::of([(0.9, true), (0.9, false), (0.5, true), (0.5, false), (1.0, false)]);
        assert!(
            (found.ece() - (2.0 * 0.4 + 2.0 * 0.0 + 1.0) / 5.0).abs() < 1e-12,
            "{found:?}"
        );
        assert_eq!((found.count(), found.accuracy()), (5, 0.4));
        assert_eq!(Reliability::default().ece(), 0.0);
    }

    #[test]
    fn a_bin_has_its_upper_bound_and_not_its_lower() {
        let places = |confidence: f64| {
            let found = Reliability::of([(confidence, true)]);
            found.bins().iter().position(|bin| bin.count == 1)
        };
        assert_eq!(places(1.0), Some(14));
        assert_eq!(places(0.2), Some(2), "3/15 ends the third");
        assert_eq!(places(0.200_001), Some(3));
        assert_eq!(places(0.0), Some(0));
    }

    #[test]
    fn gaps_of_opposite_signs_in_one_bin_meet() {
        let found = Reliability::of([(0.75, true), (0.75, true), (0.75, true), (0.75, false)]);
        assert!(found.ece() < 1e-12);
    }
}
