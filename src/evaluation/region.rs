//! What an object covers of a picture: a box, or pixels as COCO counts them, down the columns.

use std::ops::Range;

use crate::tasks::Rle;

/// A shape whose overlap with another of its kind can be measured.
pub trait Region {
    /// How much it covers.
    fn area(&self) -> f64;

    /// How much of it the other covers, too.
    fn shared(&self, other: &Self) -> f64;

    /// The overlap with `truth`: intersection over union; of a crowd, the share of `self` that lies in it.
    fn overlap(&self, truth: &Self, is_crowd: bool) -> f64 {
        let both = self.shared(truth);
        let whole = match is_crowd {
            true => self.area(),
            false => self.area() + truth.area() - both,
        };
        if whole > 0.0 { both / whole } else { 0.0 }
    }
}

/// A box: left, upper, right and lower edge in pixels.
pub type Edges = [f64; 4];

impl Region for Edges {
    fn area(&self) -> f64 {
        (self[2] - self[0]).max(0.0) * (self[3] - self[1]).max(0.0)
    }

    fn shared(&self, other: &Self) -> f64 {
        let side =
            |low: usize, high: usize| (self[high].min(other[high]) - self[low].max(other[low])).max(0.0);
        side(0, 2) * side(1, 3)
    }
}

/// Pixels, in runs down the columns, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pixels(Vec<Range<usize>>);

impl Pixels {
    /// Those of a mask.
    #[must_use]
    pub fn of(mask: &Rle) -> Self {
        Self(mask.ones().filter(|run| !run.is_empty()).collect())
    }

    /// Those of runs of zeros and ones in turn, in a picture of `[height, width]`; none where they are not as long as it.
    #[must_use]
    pub fn of_runs(runs: &[u64], size: [usize; 2]) -> Option<Self> {
        let (mut ones, mut end) = (Vec::new(), 0usize);
        for (index, &run) in runs.iter().enumerate() {
            let start = end;
            end = end.checked_add(usize::try_from(run).ok()?)?;
            if index % 2 == 1 && end > start {
                ones.push(start..end);
            }
        }
        (Some(end) == size[0].checked_mul(size[1])).then_some(Self(ones))
    }

    /// Those between an even and an odd number of these places, each counted down the columns.
    pub(super) fn between(mut places: Vec<usize>) -> Self {
        places.sort_unstable();
        let mut ones: Vec<Range<usize>> = Vec::with_capacity(places.len() / 2);
        for pair in places.chunks_exact(2).filter(|pair| pair[0] < pair[1]) {
            match ones.last_mut() {
                Some(last) if last.end == pair[0] => last.end = pair[1],
                _ => ones.push(pair[0]..pair[1]),
            }
        }
        Self(ones)
    }

    /// Those that are of any.
    #[must_use]
    pub fn any(all: impl IntoIterator<Item = Self>) -> Self {
        let mut runs: Vec<Range<usize>> = all.into_iter().flat_map(|pixels| pixels.0).collect();
        runs.sort_unstable_by_key(|run| run.start);
        let mut ones: Vec<Range<usize>> = Vec::with_capacity(runs.len());
        for run in runs {
            match ones.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => ones.push(run),
            }
        }
        Self(ones)
    }

    /// Where the last one ends.
    #[must_use]
    pub fn end(&self) -> usize {
        self.0.last().map_or(0, |run| run.end)
    }
}

impl Region for Pixels {
    fn area(&self) -> f64 {
        self.0.iter().map(Range::len).sum::<usize>() as f64
    }

    fn shared(&self, other: &Self) -> f64 {
        let (mut own, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut shared = 0;
        while let (Some(a), Some(b)) = (own.peek(), others.peek()) {
            shared += a.end.min(b.end).saturating_sub(a.start.max(b.start));
            if a.end < b.end {
                own.next();
            } else {
                others.next();
            }
        }
        shared as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(runs: &[u64]) -> Pixels {
        Pixels::of_runs(runs, [4, 5]).expect("twenty")
    }

    #[test]
    fn pixels_overlap_where_both_have_them() {
        let (one, other) = (pixels(&[2, 6, 12]), pixels(&[0, 3, 2, 2, 13]));
        assert_eq!((one.area(), other.area()), (6.0, 5.0));
        // 2, 5 and 6.
        assert_eq!((one.shared(&other), other.shared(&one)), (3.0, 3.0));
        assert_eq!(one.overlap(&other, false), 3.0 / 8.0);
        assert_eq!(one.overlap(&other, true), 0.5);
        assert_eq!(Pixels::default().overlap(&Pixels::default(), false), 0.0);
        assert_eq!(Pixels::any([one, other]), pixels(&[0, 8, 12]));
    }

    #[test]
    fn runs_are_as_long_as_their_picture() {
        for runs in [&[19][..], &[20, 1], &[u64::MAX, 21]] {
            assert_eq!(Pixels::of_runs(runs, [4, 5]), None);
        }
        assert_eq!(pixels(&[20]), Pixels::default());
    }
}
