//! Maps of several methods beside each other: which of them says most, and whether they say the same.

use std::time::Duration;

use super::evidence::{Evidence, MARGIN, span};
use super::explanation::Explanation;
use super::map::Resolution;
use super::ranks::{correlation, ranks};
use crate::image::Placement;

/// Maps whose ranks correlate by less than this disagree.
pub const AGREEMENT: f64 = 0.3;

/// The map of one method, and how long it took with its evidence.
#[derive(Debug)]
pub struct Made {
    /// The map.
    pub explanation: Explanation,
    /// Its passes, and the waits between them.
    pub took: Duration,
}

/// Where a method stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Which of the maps.
    pub index: usize,
    /// From 1; equal for those that cannot be told apart. None where the map is no better than a random one.
    pub place: Option<usize>,
    /// See [`Evidence::gain`].
    pub gain: Option<f64>,
    /// See [`Evidence::noise`].
    pub noise: Option<f64>,
}

/// The methods ranked by the gain of their maps, and the rank correlations of the maps.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The best first.
    pub ranking: Vec<Place>,
    /// Gains that differ by no more than this share a place.
    pub margin: f64,
    /// Of each two maps; none where one of them is the same everywhere.
    pub correlations: Vec<Vec<Option<f64>>>,
}

impl Comparison {
    /// Of maps of one picture and target.
    #[must_use]
    pub fn of(made: &[Made], placement: &Placement) -> Self {
        let explanations: Vec<&Explanation> = made.iter().map(|made| &made.explanation).collect();
        let of_input = |one: &&Explanation| ranks(&one.map.resized(Resolution::Input, placement).data);
        let ranks: Vec<Vec<f64>> = explanations.iter().map(of_input).collect();
        let row = |a: &Vec<f64>| ranks.iter().map(|b| correlation(a, b)).collect();
        let found: Vec<Option<&Evidence>> = explanations
            .iter()
            .map(|one| one.evidence.as_ref().filter(|_| one.degeneracy.is_none()))
            .collect();
        let margin = MARGIN * span(found.iter().flatten().flat_map(|evidence| evidence.scores()));
        Self {
            ranking: ranking(&found, margin),
            margin,
            correlations: ranks.iter().map(row).collect(),
        }
    }

    /// The pairs of maps that disagree, and their correlation.
    pub fn disagreements(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        let rows = self.correlations.iter().enumerate();
        rows.flat_map(|(a, row)| {
            let of_row = row.iter().enumerate().skip(a + 1);
            of_row.filter_map(move |(b, found)| found.map(|found| (a, b, found)))
        })
        .filter(|(.., found)| *found < AGREEMENT)
    }
}

/// The maps that gain more than a random one would, by their gain; then the others, by theirs; then those without evidence. A map
/// shares the place of the best one that it is no further than `margin` behind.
fn ranking(found: &[Option<&Evidence>], margin: f64) -> Vec<Place> {
    let mut places: Vec<Place> = found
        .iter()
        .enumerate()
        .map(|(index, evidence)| Place {
            index,
            place: None,
            gain: evidence.map(Evidence::gain),
            noise: evidence.map(Evidence::noise),
        })
        .collect();
    let gain = |place: &Place| place.gain.unwrap_or(f64::NEG_INFINITY);
    let is_better = |place: &Place| place.noise.is_some_and(|noise| gain(place) > noise);
    places.sort_by(|a, b| {
        let by_gain = gain(b).total_cmp(&gain(a));
        is_better(b).cmp(&is_better(a)).then(by_gain)
    });
    let mut leader: Option<(usize, f64)> = None;
    for (ahead, place) in places.iter_mut().enumerate() {
        if !is_better(place) {
            break;
        }
        let shared = leader.filter(|(_, best)| gain(place) >= best - margin);
        let (at, best) = shared.unwrap_or((ahead + 1, gain(place)));
        place.place = Some(at);
        leader = Some((at, best));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{Chance, Curve};
    use super::*;

    fn evidence(gain: f64) -> Evidence {
        Evidence {
            deletion: Curve::of(vec![0.0, 0.0]),
            insertion: Curve::of(vec![1.0, 0.0]),
            random: Chance {
                deletion: 0.5,
                insertion: 0.5,
                // Of the curves above it is 3/2.
                early: 1.5 - gain,
                spread: 0.0,
                maps: 4,
            },
            inside: None,
            stability: None,
            weights: None,
        }
    }

    fn places(gains: &[Option<f64>]) -> Vec<(usize, Option<usize>)> {
        let all: Vec<Option<Evidence>> = gains.iter().map(|gain| gain.map(evidence)).collect();
        let all: Vec<Option<&Evidence>> = all.iter().map(Option::as_ref).collect();
        let ranked = ranking(&all, 0.02);
        ranked
            .into_iter()
            .map(|place| (place.index, place.place))
            .collect()
    }

    #[test]
    fn the_largest_gain_is_first_and_what_is_close_shares_its_place() {
        let found = places(&[Some(0.1), Some(0.4), Some(0.39), Some(0.37)]);
        assert_eq!(found, [(1, Some(1)), (2, Some(1)), (3, Some(3)), (0, Some(4))]);
        // Steps of less than the margin do not add up to one place for all.
        let found = places(&[Some(0.40), Some(0.385), Some(0.37)]);
        assert_eq!(found, [(0, Some(1)), (1, Some(1)), (2, Some(3))]);
    }

    #[test]
    fn what_is_no_better_than_random_has_no_place() {
        let found = places(&[None, Some(0.01), Some(-0.2), Some(0.3)]);
        assert_eq!(found, [(3, Some(1)), (1, None), (2, None), (0, None)]);
    }
}
