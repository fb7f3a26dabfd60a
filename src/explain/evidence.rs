//! How far a map can be trusted on this picture: what the score does when the pixels go, and come, in the map's order.
//!
//! Deletion and insertion are those of RISE (arXiv 1806.07421, section 4.3): deletion replaces the pixels that the map names first by
//! the mean (0 in the model's normalised units), insertion puts them back into a blurred picture. The score after i of n steps has
//! `⌊i·P/n⌋` of the P pixels changed; the area under it is by trapezoids over the share of pixels, 0 to 1. A small area of deletion and
//! a large one of insertion say that the score hangs on what the map names; maps of random cells on the same grid say what
//! chance would give.

use super::sensitivity::Sensitivity;

/// Steps of a curve.
pub const STEPS: usize = 32;

/// Random maps that a map is compared with.
pub(super) const RANDOM_MAPS: usize = 2;

/// Random maps that each map of a comparison is compared with: enough to tell how much they differ among themselves.
pub(super) const RANDOM_MAPS_OF_A_COMPARISON: usize = 4;

/// Noisy copies for which the map is made again.
pub(super) const NOISY: usize = 3;

/// What curves differ by without meaning it, as a share of the span of all scores.
pub(super) const MARGIN: f64 = 0.02;

/// Passes for one map beside so many random ones, but for those that make it again.
#[must_use]
pub(super) fn passes_of_evidence(random_maps: usize) -> usize {
    2 * (STEPS + 1) * (1 + random_maps)
}

/// Scores while pixels change, and the area under them.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// After 0 to [`STEPS`] steps.
    pub scores: Vec<f64>,
    /// By trapezoids over the share of pixels.
    pub area: f64,
}

impl Curve {
    /// Of these scores.
    pub(super) fn of(scores: Vec<f64>) -> Self {
        let area = area(&scores, |_| 1.0);
        Self { scores, area }
    }
}

/// The area under `scores`, each of which counts by `weight` of the share of pixels at its step, by trapezoids.
fn area(scores: &[f64], weight: impl Fn(f64) -> f64) -> f64 {
    let steps = scores.len().saturating_sub(1).max(1) as f64;
    let weighted = |step: usize| weight(step as f64 / steps) * scores[step];
    let pairs = (1..scores.len()).map(|step| (weighted(step - 1) + weighted(step)) / 2.0);
    pairs.sum::<f64>() / steps
}

/// Insertion minus deletion where what a map names first counts most: `∫ 3(1 − s)² (insertion(s) − deletion(s)) ds`, s the share of
/// pixels. A map that names another thing first and the cause next loses by it.
fn early(deletion: &Curve, insertion: &Curve) -> f64 {
    let weight = |share: f64| 3.0 * (1.0 - share).powi(2);
    area(&insertion.scores, weight) - area(&deletion.scores, weight)
}

/// What random maps of the same grid give, in the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// The area of deletion.
    pub deletion: f64,
    /// The area of insertion.
    pub insertion: f64,
    /// See [`Evidence::early`].
    pub early: f64,
    /// The sample standard deviation of `early`; 0 of one map.
    pub spread: f64,
    /// How many maps.
    pub maps: usize,
}

impl Chance {
    /// The mean of deletion and insertion, a pair a random map.
    pub(super) fn of(curves: &[(Curve, Curve)]) -> Self {
        let count = curves.len().max(1) as f64;
        let mean = |of: fn(&(Curve, Curve)) -> f64| curves.iter().map(of).sum::<f64>() / count;
        let of_each: Vec<f64> = curves.iter().map(|(gone, come)| early(gone, come)).collect();
        let early = of_each.iter().sum::<f64>() / count;
        let squares = of_each.iter().map(|one| (one - early).powi(2));
        let variance = squares.sum::<f64>() / (count - 1.0).max(1.0);
        Self {
            deletion: mean(|(gone, _)| gone.area),
            insertion: mean(|(_, come)| come.area),
            early,
            spread: variance.sqrt(),
            maps: curves.len(),
        }
    }
}

/// How the map changes under noise that a person does not see (max-sensitivity, arXiv 1901.09392, relative to the map).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stability {
    /// The largest `‖map(x + ε) − map(x)‖ / ‖map(x)‖`.
    pub change: f64,
    /// The largest change of the score meanwhile.
    pub score_change: f64,
    /// Noisy copies, ε uniform within ±0.02 of the input's span.
    pub copies: usize,
}

/// The measures of one map, with those of random maps beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The pixels go.
    pub deletion: Curve,
    /// The pixels come.
    pub insertion: Curve,
    /// What to compare with.
    pub random: Chance,
    /// The share of the map's positive part that lies in the object's box.
    pub inside: Option<f64>,
    /// Of methods of few passes.
    pub stability: Option<Stability>,
    /// Whether the map depends on what the model has learned, where that was asked for and the budget sufficed.
    pub weights: Option<Sensitivity>,
}

impl Evidence {
    /// Whether less of the score is left by deletion than chance leaves, and whether more comes by insertion: by more than a fiftieth
    /// of the span of all scores, which random maps differ by themselves.
    #[must_use]
    pub fn beats_chance(&self) -> (bool, bool) {
        let margin = MARGIN * span(self.scores());
        (
            self.deletion.area + margin < self.random.deletion,
            self.insertion.area > self.random.insertion + margin,
        )
    }

    /// Insertion minus deletion where what the map names first counts most, `∫ 3(1 − s)² (insertion(s) − deletion(s)) ds`, s the
    /// share of pixels.
    #[must_use]
    pub fn early(&self) -> f64 {
        early(&self.deletion, &self.insertion)
    }

    /// [`Evidence::early`] beyond what random maps have of it.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.early() - self.random.early
    }

    /// What the gain of a map must exceed to be said to be better than random: one and a half standard deviations of random maps, and
    /// no less than a fiftieth of the span of all scores.
    #[must_use]
    pub fn noise(&self) -> f64 {
        (SPREADS * self.random.spread).max(MARGIN * span(self.scores()))
    }

    /// All scores of both curves.
    pub(super) fn scores(&self) -> impl Iterator<Item = f64> {
        self.deletion.scores.iter().chain(&self.insertion.scores).copied()
    }
}

/// Standard deviations of random maps that a gain must exceed: of four random maps and one more, about one in seven exceeds them
/// where they are spread normally.
const SPREADS: f64 = 1.5;

/// Between the smallest and the largest of `scores`; 0 of none.
pub(super) fn span(scores: impl Iterator<Item = f64>) -> f64 {
    let (low, high) = scores.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
        (low.min(score), high.max(score))
    });
    (high - low).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(maps: usize) -> Evidence {
        Evidence {
            deletion: Curve::of(vec![0.9, 0.2, 0.1]),
            insertion: Curve::of(vec![0.1, 0.8, 0.9]),
            random: Chance {
                deletion: 0.5,
                insertion: 0.45,
                early: -0.05,
                spread: 0.1,
                maps,
            },
            inside: None,
            stability: None,
            weights: None,
        }
    }

    #[test]
    fn a_gain_is_beyond_random_maps_and_their_spread() {
        // Weights of the three scores: 3, 3/4, 0.
        let expected = (3.0 * -0.8 + 2.0 * 0.75 * 0.6) / 4.0;
        assert!((evidence(4).early() - expected).abs() < 1e-12);
        assert!((evidence(4).gain() - (expected + 0.05)).abs() < 1e-12);
        assert!((evidence(4).deletion.area - 0.35).abs() < 1e-12);
        assert!((evidence(4).noise() - 0.15).abs() < 1e-12);
    }
}
