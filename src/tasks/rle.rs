//! Masks as COCO writes them: run lengths in column order, each the difference to the run two before it, five bits
//! a character (pycocotools, `maskApi.c`: `rleEncode` and `rleToString`).

use std::ops::Range;

use crate::engine::Context;
use crate::error::Result;

/// A mask that `pycocotools.mask.decode` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rle {
    /// `[height, width]`
    pub size: [usize; 2],
    /// Run lengths, zeros first, down the columns; compressed.
    pub counts: String,
}

/// The pixels of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tasks) struct ValueMask {
    pub(in crate::tasks) value: u8,
    pub(in crate::tasks) pixels: usize,
    pub(in crate::tasks) rle: Rle,
}

/// Pixels between two looks at whether the answer is still wanted.
pub(in crate::tasks) const LOOK: usize = 1 << 18;

/// One mask, built down its columns.
#[derive(Debug, Clone)]
pub(in crate::tasks) struct Runs {
    size: [usize; 2],
    runs: Vec<i64>,
    /// Where the last run of ones ended.
    closed: usize,
    pixels: usize,
}

impl Runs {
    /// An empty mask of `[height, width]`.
    pub(in crate::tasks) fn new(size: [usize; 2]) -> Self {
        Self {
            size,
            runs: Vec::new(),
            closed: 0,
            pixels: 0,
        }
    }

    /// Adds the pixels from `start` to before `end`, counted down the columns; behind those that are there.
    pub(in crate::tasks) fn add(&mut self, start: usize, end: usize) {
        debug_assert!(self.closed <= start && start < end);
        let length = (end - start) as i64;
        match self.runs.last_mut() {
            Some(last) if self.closed == start => *last += length,
            _ => self.runs.extend([(start - self.closed) as i64, length]),
        }
        self.closed = end;
        self.pixels += end - start;
    }

    /// How many runs there are.
    pub(in crate::tasks) fn len(&self) -> usize {
        self.runs.len()
    }

    /// How many pixels, and which.
    pub(in crate::tasks) fn finish(mut self) -> (usize, Rle) {
        let total = self.size[0] * self.size[1];
        if self.closed < total {
            self.runs.push((total - self.closed) as i64);
        }
        let counts = compress(&self.runs);
        (
            self.pixels,
            Rle {
                size: self.size,
                counts,
            },
        )
    }
}

impl Rle {
    /// The pixels of the mask, counted down the columns, from a first to before a last.
    pub fn ones(&self) -> impl Iterator<Item = Range<usize>> {
        let mut end = 0;
        let bounds = decompress(&self.counts).into_iter().map(move |run| {
            let start = end;
            end += usize::try_from(run).unwrap_or(0);
            start..end
        });
        bounds.skip(1).step_by(2)
    }
}

/// A mask for each value in a row-major picture `[height, width]`, by value; one walk down the columns for all.
///
/// # Errors
/// Those of [`Context::check`], which is looked at every now and then.
pub(in crate::tasks) fn encode_all(
    values: &[u8],
    height: usize,
    width: usize,
    context: &Context,
) -> Result<Vec<ValueMask>> {
    debug_assert_eq!(values.len(), height * width);
    let mut open: Vec<Option<Runs>> = vec![None; 256];
    let mut columns = (0..width)
        .flat_map(|x| (0..height).map(move |y| values[y * width + x]))
        .enumerate()
        .peekable();
    let mut looked = 0;
    while let Some((start, value)) = columns.next() {
        let mut end = start + 1;
        while columns.next_if(|&(_, next)| next == value).is_some() {
            end += 1;
        }
        if end - looked > LOOK {
            looked = end;
            context.check()?;
        }
        let runs = open[usize::from(value)].get_or_insert_with(|| Runs::new([height, width]));
        runs.add(start, end);
    }
    let finish = |(value, open): (usize, Option<Runs>)| {
        let (pixels, rle) = open?.finish();
        Some(ValueMask {
            value: u8::try_from(value).unwrap_or(u8::MAX),
            pixels,
            rle,
        })
    };
    Ok(open.into_iter().enumerate().filter_map(finish).collect())
}

fn compress(runs: &[i64]) -> String {
    let mut text = String::new();
    for (index, &run) in runs.iter().enumerate() {
        // From the fourth run on, only the difference to the run of the same colour before it is written.
        let mut rest = if index > 2 { run - runs[index - 2] } else { run };
        loop {
            let bits = (rest & 0x1f) as u8;
            rest >>= 5;
            let ends = if bits & 0x10 == 0 { rest == 0 } else { rest == -1 };
            let more = if ends { 0 } else { 0x20 };
            text.push(char::from((bits | more) + 48));
            if ends {
                break;
            }
        }
    }
    text
}

/// Run lengths from their text, as pycocotools' `rleFrString` reads them.
fn decompress(text: &str) -> Vec<i64> {
    let (mut runs, mut run, mut shift) = (Vec::new(), 0i64, 0u32);
    for byte in text.bytes() {
        let bits = i64::from(byte.saturating_sub(48));
        run |= (bits & 0x1f) << shift;
        shift = (shift + 5).min(60);
        if bits & 0x20 == 0 {
            if bits & 0x10 != 0 {
                run |= -1 << shift;
            }
            if runs.len() > 2 {
                run += runs[runs.len() - 2];
            }
            runs.push(run);
            (run, shift) = (0, 0);
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy};

    use super::*;

    #[test]
    fn runs_go_down_the_columns_and_zeros_come_first() {
        let found = encode_all(&[7, 9, 7, 9, 9, 7], 3, 2, &Context::default()).expect("masks");
        assert_eq!(
            found.iter().map(|m| (m.value, m.pixels)).collect::<Vec<_>>(),
            [(7, 3), (9, 3)]
        );
        // Down the columns: 7 7 9 | 9 9 7.
        assert_eq!(found[1].rle.counts, compress(&[2, 3, 1]));
        assert_eq!(
            found[0].rle.counts,
            compress(&[0, 2, 3, 1]),
            "a mask that starts with ones"
        );
    }

    #[test]
    fn masks_are_those_of_pycocotools() {
        // masks.json holds random masks, and what pycocotools 2.0 made of each; see tests/golden/README.md.
        let text = include_str!("../../tests/golden/rle/masks.json");
        let masks: Vec<(usize, usize, String, String)> = serde_json::from_str(text).expect("goldens");
        assert_eq!(masks.len(), 1000);
        for (height, width, bits, counts) in masks {
            let mask: Vec<u8> = bits.bytes().map(|b| b - b'0').collect();
            let found = encode_all(&mask, height, width, &Context::default()).expect("masks");
            match found.iter().find(|m| m.value == 1) {
                Some(one) => assert_eq!(one.rle.counts, counts, "{height}×{width}"),
                None => assert!(!bits.contains('1')),
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn masks_say_of_each_pixel_which_value_it_has(
            (height, width, values) in (1usize..12, 1usize..12).prop_flat_map(|(height, width)| {
                (Just(height), Just(width), proptest::collection::vec(0u8..4, height * width))
            }),
        ) {
            let mut found = vec![None; values.len()];
            for mask in encode_all(&values, height, width, &Context::default()).expect("masks") {
                let count: usize = mask.rle.ones().map(|run| run.len()).sum();
                proptest::prop_assert_eq!(count, mask.pixels);
                for at in mask.rle.ones().flatten() {
                    let pixel = (at % height) * width + at / height;
                    proptest::prop_assert_eq!(found[pixel].replace(mask.value), None, "one value a pixel");
                }
            }
            let found: Option<Vec<u8>> = found.into_iter().collect();
            proptest::prop_assert_eq!(found, Some(values));
        }
    }
}
