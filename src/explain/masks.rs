//! What covers the picture: windows in rows (occlusion), and random masks (RISE).

use std::ops::Range;

use tch::Tensor;
use torch_bridge::Generator;

use super::options::Options;
use super::sides::Sides;
use crate::error::{Error, Result};

/// A window in pixels of the input; `bottom` and `right` lie outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) bottom: usize,
    pub(super) right: usize,
}

/// Random numbers that masks may take at most: 64 MB of them.
const RANDOM_NUMBERS: usize = 16 << 20;

/// Whether the random numbers of the masks that are asked for take no more memory than they may.
///
/// # Errors
/// [`Error::InvalidParameter`]
pub(super) fn fit_in_memory(ask: &Options) -> Result<()> {
    let numbers = ask.cell * ask.cell + 2;
    if ask.n_masks * numbers <= RANDOM_NUMBERS {
        return Ok(());
    }
    let (masks, cell, most) = (ask.n_masks, ask.cell, RANDOM_NUMBERS / numbers);
    let text = format!("found {masks}, expected at most {most} with cell={cell}");
    Err(Error::parameter("n_masks", text))
}

/// The sides of windows, and from one to the next, over an input of `(height, width)`.
fn sides((height, width): (usize, usize), window: Option<Sides>, stride: Option<Sides>) -> (Sides, Sides) {
    let usual = (height.min(width) as f64 / 7.0).round().max(1.0) as usize;
    let window = window.unwrap_or(Sides {
        height: usual,
        width: usual,
    });
    let stride = stride.unwrap_or(Sides {
        height: (window.height / 2).max(1),
        width: (window.width / 2).max(1),
    });
    (window, stride)
}

/// How many windows there are along a side.
fn positions(side: usize, window: usize, stride: usize) -> usize {
    side.saturating_sub(window).div_ceil(stride) + 1
}

/// Rows and columns of the [`windows`].
pub(super) fn grid_of_windows(
    size: (usize, usize),
    window: Option<Sides>,
    stride: Option<Sides>,
) -> (usize, usize) {
    let (window, stride) = sides(size, window, stride);
    let rows = positions(size.0, window.height, stride.height);
    (rows, positions(size.1, window.width, stride.width))
}

/// How many [`windows`] there are.
pub(super) fn count_windows(size: (usize, usize), window: Option<Sides>, stride: Option<Sides>) -> usize {
    let (rows, columns) = grid_of_windows(size, window, stride);
    rows.saturating_mul(columns)
}

/// The windows over an input of `(height, width)`, row by row. Along each side there are `⌈(side − window) / stride⌉ + 1`
/// of them; what reaches over the edge is cut off (captum's `Occlusion`).
pub(super) fn windows(
    (height, width): (usize, usize),
    window: Option<Sides>,
    stride: Option<Sides>,
) -> Vec<Window> {
    let (window, stride) = sides((height, width), window, stride);
    let along = |side: usize, window: usize, stride: usize| {
        (0..positions(side, window, stride)).map(move |n| {
            let from = n.saturating_mul(stride);
            from.min(side - 1)..from.saturating_add(window).min(side)
        })
    };
    let mut windows = Vec::new();
    for rows in along(height, window.height, stride.height) {
        for columns in along(width, window.width, stride.width) {
            windows.push(Window {
                top: rows.start,
                left: columns.start,
                bottom: rows.end,
                right: columns.end,
            });
        }
    }
    windows
}

/// RISE's masks (arXiv 1806.07421, section 3.2): a coarse grid of cells, each kept with probability p, enlarged
/// smoothly to a little more than the input, of which a random part is taken.
///
/// Mask i takes `cell² + 2` uniform numbers, in order, of `torch.Generator().manual_seed(seed)`: a cell is kept where
/// its number is below p, and the last two say where the part begins.
pub(super) struct Rise {
    /// `[n, cell² + 2]`
    random: Tensor,
    cell: i64,
    p: f64,
    height: i64,
    width: i64,
}

impl Rise {
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    pub(super) fn new(ask: &Options, (height, width): (i64, i64)) -> Result<Self> {
        let numbers = ask.cell * ask.cell + 2;
        Ok(Self {
            random: Generator::new(ask.seed)?.uniform(&[ask.n_masks as i64, numbers as i64])?,
            cell: ask.cell as i64,
            p: ask.p,
            height,
            width,
        })
    }

    /// Some of the masks: `[n, 1, H, W]`.
    pub(super) fn some(&self, range: Range<usize>) -> Result<Tensor> {
        let (cell, cells) = (self.cell, self.cell * self.cell);
        let random = self.random.f_narrow(0, range.start as i64, range.len() as i64)?;
        let kept = random
            .f_narrow(1, 0, cells)?
            .f_lt(self.p)?
            .f_to_kind(tch::Kind::Float)?;
        let (cell_height, cell_width) = (cell_side(self.height, cell), cell_side(self.width, cell));
        let size = [(cell + 1) * cell_height, (cell + 1) * cell_width];
        let large = kept
            .f_view([-1, 1, cell, cell])?
            .f_upsample_bilinear2d(size, false, None, None)?;
        let shifts = Vec::<f32>::try_from(random.f_narrow(1, cells, 2)?.f_contiguous()?.f_view([-1])?)?;
        let part = |(index, shift): (usize, &[f32])| -> Result<Tensor> {
            let at = |shift: f32, cell: i64| ((shift * cell as f32) as i64).min(cell - 1);
            Ok(large
                .f_select(0, index as i64)?
                .f_narrow(1, at(shift[0], cell_height), self.height)?
                .f_narrow(2, at(shift[1], cell_width), self.width)?)
        };
        let parts = shifts
            .chunks_exact(2)
            .enumerate()
            .map(part)
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_stack(&parts, 0)?)
    }
}

/// `⌈side / cells⌉`
fn cell_side(side: i64, cells: i64) -> i64 {
    (side + cells - 1) / cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_captums() {
        let sides = |height, width| Some(Sides { height, width });
        let found = windows((5, 4), sides(2, 4), sides(2, 4));
        let rows: Vec<_> = found.iter().map(|w| (w.top, w.bottom, w.left, w.right)).collect();
        assert_eq!(
            rows,
            [(0, 2, 0, 4), (2, 4, 0, 4), (4, 5, 0, 4)],
            "the last one is cut off"
        );
        assert_eq!(
            windows((224, 224), None, None).len(),
            169,
            "13 by 13 of 32 pixels, 16 apart"
        );
        assert_eq!(
            windows((4, 4), sides(9, 9), None).len(),
            1,
            "a window larger than the input covers it"
        );
        let far = sides(usize::MAX, usize::MAX);
        assert_eq!(
            windows((5, 4), sides(2, 2), far).len(),
            4,
            "the last one begins at the edge"
        );
    }

    #[test]
    fn masks_lie_between_zero_and_one_and_keep_about_p() {
        let ask = Options {
            n_masks: 400,
            p: 0.3,
            cell: 4,
            seed: 7,
            ..Options::default()
        };
        let rise = Rise::new(&ask, (30, 41)).expect("few");
        let masks = rise.some(0..400).expect("masks");
        assert_eq!(masks.size(), [400, 1, 30, 41]);
        assert!(masks.min().double_value(&[]) >= 0.0 && masks.max().double_value(&[]) <= 1.0);
        // 6,400 cells: the standard error of their mean is 0.006.
        assert!((masks.mean(tch::Kind::Float).double_value(&[]) - 0.3).abs() < 0.03);
        let again = Rise::new(&ask, (30, 41))
            .expect("few")
            .some(100..101)
            .expect("one");
        assert_eq!(
            again,
            masks.narrow(0, 100, 1),
            "the same seed, in other batches, gives the same masks"
        );
    }

    #[test]
    fn masks_that_take_too_much_memory_are_refused() {
        let ask = Options {
            n_masks: 20_000,
            cell: 64,
            ..Options::default()
        };
        let error = fit_in_memory(&ask).expect_err("too many").to_string();
        assert!(error.contains("n_masks") && error.contains("cell=64"), "{error}");
    }
}
