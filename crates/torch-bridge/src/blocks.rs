//! Which bytes of a region are free: a pure state machine, without the region itself.
//!
//! Each block is taken where the first gap is large enough. So what the threads of a process compute with stays together
//! at the region's beginning, and a block that was given back, still in the processor's caches, is the next to be taken,
//! whichever thread or model asks. An allocator that picks the gap that fits best spreads the same blocks over all that
//! the largest batch once took.
//!
//! Invariants: gaps do not touch each other, no two blocks overlap, and blocks and gaps together are the region.

use std::collections::{BTreeMap, HashMap};

/// Blocks begin at multiples of this: a line of the processor's cache, and what libtorch and its kernels ask for.
const ALIGNMENT: usize = 64;

/// The blocks and gaps of a region. Blocks are named by where they begin, in bytes from the region's beginning.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Length of each gap, by its beginning.
    gaps: BTreeMap<usize, usize>,
    /// Length of each block, by its beginning.
    blocks: HashMap<usize, usize>,
    /// The end of the last block since [`Self::take_stale`].
    touched: usize,
}

impl Blocks {
    /// Of a region of `length` bytes, all free.
    pub(crate) fn new(length: usize) -> Self {
        Self {
            gaps: BTreeMap::from([(0, length)]),
            blocks: HashMap::new(),
            touched: 0,
        }
    }

    /// Takes a block of at least `bytes`; none where no gap is that large.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<usize> {
        let length = bytes.max(1).checked_next_multiple_of(ALIGNMENT)?;
        let (begin, gap) = self
            .gaps
            .iter()
            .map(|(&begin, &gap)| (begin, gap))
            .find(|&(_, gap)| gap >= length)?;
        self.gaps.remove(&begin);
        if gap > length {
            self.gaps.insert(begin + length, gap - length);
        }
        self.blocks.insert(begin, length);
        self.touched = self.touched.max(begin + length);
        Some(begin)
    }

    /// Gives the block at `begin` back; false if there is none.
    pub(crate) fn give(&mut self, begin: usize) -> bool {
        let Some(mut length) = self.blocks.remove(&begin) else {
            return false;
        };
        if let Some(next) = self.gaps.remove(&(begin + length)) {
            length += next;
        }
        match self.gaps.range_mut(..begin).next_back() {
            Some((&before, gap)) if before + *gap == begin => *gap += length,
            _ => drop(self.gaps.insert(begin, length)),
        }
        true
    }

    /// The gaps in which there were blocks since this was last asked: beginnings and lengths.
    pub(crate) fn take_stale(&mut self) -> Vec<(usize, usize)> {
        let end = self.touched;
        let last = self.blocks.iter().map(|(begin, length)| begin + length).max();
        self.touched = last.unwrap_or(0);
        self.gaps
            .range(..end)
            .map(|(&begin, &gap)| (begin, gap.min(end - begin)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_taken_first() {
        let mut blocks = Blocks::new(1 << 20);
        let [a, b, c] = [100, 1000, 200].map(|bytes| blocks.take(bytes).expect("there is room"));
        assert_eq!([a, b, c], [0, 128, 1152]);
        assert!(blocks.give(b));
        assert_eq!(blocks.take(2000), Some(1408), "the gap is too small");
        assert_eq!(blocks.take(500), Some(b));
        assert_eq!(
            blocks.take(400),
            Some(b + 512),
            "what the block before left of it"
        );
    }

    #[test]
    fn a_block_is_given_back_once_and_a_full_region_says_so() {
        let mut blocks = Blocks::new(1024);
        let all = blocks.take(1024).expect("there is room");
        assert_eq!(blocks.take(1), None);
        assert_eq!(blocks.take(usize::MAX), None);
        assert!(blocks.give(all));
        assert!(!blocks.give(all));
        assert!(!blocks.give(64));
        assert_eq!(blocks.take(1024), Some(0));
    }

    #[test]
    fn neighbours_become_one_gap_in_any_order() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut blocks = Blocks::new(640);
            let begins = [64, 128, 256].map(|bytes| blocks.take(bytes).expect("there is room"));
            for which in order {
                assert!(blocks.give(begins[which]));
            }
            assert_eq!(blocks.gaps, BTreeMap::from([(0, 640)]));
        }
    }

    #[test]
    fn only_gaps_that_were_blocks_are_stale() {
        let mut blocks = Blocks::new(1 << 20);
        assert_eq!(blocks.take_stale(), []);
        let [a, _, c] = [64; 3].map(|bytes| blocks.take(bytes).expect("there is room"));
        assert!(blocks.give(a) && blocks.give(c));
        assert_eq!(blocks.take_stale(), [(0, 64), (128, 64)]);
        assert_eq!(
            blocks.take_stale(),
            [(0, 64)],
            "nobody was behind the last block since"
        );
    }
}
