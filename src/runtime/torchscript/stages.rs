//! How many images the layers of a network take at once: few where the activations are large, more where they are small.

use std::ops::Range;

use torch_bridge::Cut;

/// What a layer may read and write, in bytes, for it to take several images at once: more than the caches that a core
/// has to itself, less than that which it shares.
const CACHE: u64 = 10_000_000;

/// Steps in a last stage of its own.
const FEWEST: usize = 8;

/// Stages of a method that can be cut at `cuts`, counted for one image, the last being its end: the part of each, and how
/// many images it takes at once, never fewer than the stage before and at most `largest`.
pub(super) fn plan(cuts: &[Cut], largest: usize) -> Vec<(Range<usize>, usize)> {
    let fitting = |cut: &Cut| match usize::try_from(CACHE / cut.largest.max(1)).unwrap_or(largest) {
        fit if fit >= largest => largest,
        fit => 1 << fit.max(1).ilog2(),
    };
    let mut sizes: Vec<usize> = cuts.iter().map(fitting).collect();
    for index in (1..sizes.len()).rev() {
        sizes[index - 1] = sizes[index - 1].min(sizes[index]);
    }
    let mut stages = Vec::new();
    let (mut from, mut index) = (0, 0);
    while index < cuts.len() {
        let size = sizes[index];
        while sizes.get(index + 1) == Some(&size) {
            index += 1;
        }
        // A little further less may go over, and the activation of a layer is not parted from it.
        while index + 2 < cuts.len() && cuts[index + 1].alive <= cuts[index].alive {
            index += 1;
        }
        if cuts[cuts.len() - 1].position - cuts[index].position < FEWEST {
            index = cuts.len() - 1;
        }
        stages.push((from..cuts[index].position, size));
        from = cuts[index].position;
        index += 1;
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(position: usize, largest: u64, alive: u64) -> Cut {
        Cut {
            position,
            largest,
            alive,
        }
    }

    #[test]
    fn a_stage_takes_as_many_images_as_fit() {
        let wide = cut(5, CACHE, 400);
        let narrow = cut(7, CACHE / 8, 100);
        let middle = [
            cut(9, CACHE / 2, 300),
            cut(12, CACHE / 100, 300),
            cut(14, 10, 200),
        ];
        let end = cut(40, CACHE / 4, 0);
        let all = [&[wide, narrow][..], &middle, &[end]].concat();
        assert_eq!(plan(&all, 4), [(0..7, 1), (7..14, 2), (14..40, 4)]);
        assert_eq!(plan(&all, 2), [(0..7, 1), (7..40, 2)]);
        assert_eq!(plan(&all, 1), [(0..40, 1)]);
        // What is wide at the end is never given more at once before it.
        assert_eq!(plan(&[narrow, cut(20, 10 * CACHE, 0)], 4), [(0..20, 1)]);
        // A last stage of a few steps is none.
        assert_eq!(plan(&[wide, narrow, cut(10, 1, 0)], 4), [(0..10, 1)]);
        assert_eq!(plan(&[cut(20, 0, 0)], 3), [(0..20, 3)]);
    }
}
