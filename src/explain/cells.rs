//! Where the cells of a layer's output are: the axes of a map, the grid of tokens.
//!
//! A shape alone does not tell: `[1, 7, 7, 768]` is a map with its channels last, `[1, 12, 197, 197]` is attention between
//! 197 tokens, `[1, 25, 192]` may be a class token and 6 × 4 cells. What tells is the rest of the model: the grids of its
//! convolutions, the lengths of its sequences, and the aspect of its picture.

use std::collections::BTreeSet;

use tch::Tensor;

use super::sides::Sides;
use crate::error::Result;
use crate::manifest::Layout;

/// How many tokens there are beside those that are cells: a class token, one for distillation, four, eight or sixteen registers
/// and these. Other numbers are chance: the levels of a pyramid put together, queries behind the cells.
const BEFORE: [i64; 9] = [0, 1, 2, 3, 4, 5, 8, 9, 16];

/// By how much one grid of a model may be coarser or finer than another.
const STEPS: [i64; 7] = [1, 2, 3, 4, 8, 16, 32];

/// Where the cells of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// `[B, C, h, w]`
    ChannelsFirst,
    /// `[B, h, w, C]`
    ChannelsLast,
    /// `[B, N, D]`
    Tokens {
        /// Tokens that are no cells and come first.
        before: i64,
        /// Rows of cells.
        rows: i64,
        /// Columns of cells.
        columns: i64,
    },
}

/// What somebody says about a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// The axes of an output of four.
    pub layout: Option<Layout>,
    /// The rows and columns of tokens.
    pub grid: Option<Sides>,
}

impl Hints {
    /// These, and where they say nothing `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            layout: self.layout.or(others.layout),
            grid: self.grid.or(others.grid),
        }
    }
}

/// What a model's layers say about each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Geometry {
    /// Height and width of the picture.
    picture: [i64; 2],
    /// The grids of layers whose axes are certain.
    grids: BTreeSet<[i64; 2]>,
    /// The lengths of sequences `[1, N, D]`.
    sequences: BTreeSet<i64>,
    /// Whether some layer has its channels last.
    has_channels_last: bool,
    /// Whether tokens that are no cells come behind those that are.
    has_cells_first: bool,
}

impl Geometry {
    /// That of a model for pictures of this height and width, whose layers are of these classes and gave these shapes.
    pub(super) fn new<'a>(
        picture: [i64; 2],
        layers: impl Iterator<Item = (&'a str, &'a [i64])> + Clone,
    ) -> Self {
        let mut found = Self {
            picture,
            ..Self::default()
        };
        for (kind, shape) in layers.clone() {
            match *shape {
                [1, _, rows, columns] if is_certain(kind) && rows * columns > 1 => {
                    found.grids.insert([rows, columns]);
                }
                [1, tokens, _] => {
                    found.sequences.insert(tokens);
                }
                _ => {}
            }
        }
        found.has_channels_last = layers.into_iter().any(|(kind, shape)| {
            let maps = found.maps(kind, shape);
            maps == [false, true]
        });
        found
    }

    /// The same of a model whose tokens that are no cells come behind those that are.
    pub(super) fn with_cells_first(self) -> Self {
        Self {
            has_cells_first: true,
            ..self
        }
    }

    /// How many of so many tokens that are no cells come before those that are.
    fn before(&self, others: i64) -> i64 {
        if self.has_cells_first { 0 } else { others }
    }

    /// Where the cells of an output of one image are, of this shape and of a layer of this class; nothing where it has
    /// none, or where they cannot be told.
    pub(super) fn cells(&self, kind: &str, shape: &[i64], hints: Hints) -> Option<Cells> {
        match *shape {
            [1, first, second, third] => {
                let layout = hints.layout.or_else(|| match self.maps(kind, shape) {
                    [true, false] => Some(Layout::Nchw),
                    [false, true] => Some(Layout::Nhwc),
                    [true, true] if !self.has_channels_last => Some(Layout::Nchw),
                    _ => None,
                })?;
                let (cells, count) = match layout {
                    Layout::Nchw => (Cells::ChannelsFirst, second * third),
                    Layout::Nhwc => (Cells::ChannelsLast, first * second),
                };
                (count > 1).then_some(cells)
            }
            [1, tokens, _] => match hints.grid {
                Some(Sides { height, width }) => {
                    let (rows, columns) = (i64::try_from(height).ok()?, i64::try_from(width).ok()?);
                    let before = tokens - rows.checked_mul(columns)?;
                    (before >= 0).then_some(Cells::Tokens {
                        before: self.before(before),
                        rows,
                        columns,
                    })
                }
                None => self.tokens(tokens),
            },
            _ => None,
        }
    }

    /// Whether an output of four axes could be told apart, were it not for its shape.
    pub(super) fn is_ambiguous(&self, kind: &str, shape: &[i64]) -> bool {
        self.maps(kind, shape) == [true, true] && self.has_channels_last
    }

    /// Whether an output could be a map with its channels first, or last.
    fn maps(&self, kind: &str, shape: &[i64]) -> [bool; 2] {
        let [1, first, second, third] = *shape else {
            return [false, false];
        };
        if is_certain(kind) {
            return [second * third > 1, false];
        }
        // A square as wide as a sequence is long: attention.
        let attends = second == third && self.sequences.contains(&second);
        [
            !attends && self.is_grid([second, third]),
            self.is_grid([first, second]),
        ]
    }

    fn is_grid(&self, grid: [i64; 2]) -> bool {
        let [rows, columns] = grid;
        if rows * columns <= 1 || rows < 1 {
            return false;
        }
        if self.grids.is_empty() {
            let [height, width] = self.picture;
            let off = (rows * width - columns * height).abs();
            return off < height.max(width) && rows <= height && columns <= width;
        }
        let mut known = self.grids.iter().chain([&self.picture]);
        known.any(|known| STEPS.iter().any(|&step| is_scaled(*known, grid, step)))
    }

    /// The grid that so many tokens lie in: a known one, or one of the picture's aspect.
    fn tokens(&self, tokens: i64) -> Option<Cells> {
        for before in BEFORE.into_iter().filter(|before| *before < tokens) {
            let count = tokens - before;
            let as_cells = |[rows, columns]: [i64; 2]| Cells::Tokens {
                before: self.before(before),
                rows,
                columns,
            };
            if let Some(known) = self.grids.iter().find(|[rows, columns]| rows * columns == count) {
                return Some(as_cells(*known));
            }
            if before > 1 {
                // Any number is some grid's if enough of it is left out.
                continue;
            }
            let mut fitting = (1..=count)
                .filter(|rows| count % rows == 0)
                .map(|rows| [rows, count / rows])
                .filter(|grid| count > 1 && self.is_grid(*grid) && self.has_aspect(*grid));
            if let (Some(only), None) = (fitting.next(), fitting.next()) {
                return Some(as_cells(only));
            }
        }
        None
    }

    fn has_aspect(&self, [rows, columns]: [i64; 2]) -> bool {
        let [height, width] = self.picture;
        (rows * width - columns * height).abs() < height.max(width)
    }
}

/// Whether a layer of this class always answers `[B, C, h, w]`.
fn is_certain(kind: &str) -> bool {
    kind.contains("2d") || kind.contains("2D")
}

/// Whether `grid` is `known`, so many times coarser or finer.
fn is_scaled(known: [i64; 2], grid: [i64; 2], step: i64) -> bool {
    let coarser =
        |known: i64, side: i64| side >= 1 && (side == known / step || side == (known + step - 1) / step);
    let is_coarser = coarser(known[0], grid[0]) && coarser(known[1], grid[1]);
    is_coarser || (grid[0] == known[0] * step && grid[1] == known[1] * step)
}

/// An output with these cells, as `[B, C, h, w]`.
pub(super) fn as_channels(output: &Tensor, cells: Cells) -> Result<Tensor> {
    Ok(match cells {
        Cells::ChannelsFirst => output.shallow_clone(),
        Cells::ChannelsLast => output.f_permute([0, 3, 1, 2])?,
        Cells::Tokens {
            before,
            rows,
            columns,
        } => {
            let (batch, _, channels) = output.size3()?;
            let tokens = output.f_narrow(1, before, rows * columns)?.f_transpose(1, 2)?;
            tokens.f_reshape([batch, channels, rows, columns])?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Hints = Hints {
        layout: None,
        grid: None,
    };

    fn tokens(before: i64, rows: i64, columns: i64) -> Option<Cells> {
        Some(Cells::Tokens {
            before,
            rows,
            columns,
        })
    }

    fn geometry(picture: [i64; 2], layers: &[(&str, &[i64])]) -> Geometry {
        Geometry::new(picture, layers.iter().copied())
    }

    #[test]
    fn a_vision_transformer_has_tokens_and_its_attention_is_no_map() {
        let vit = geometry(
            [224, 224],
            &[("Conv2d", &[1, 192, 14, 14]), ("Block", &[1, 197, 192])],
        );
        let cells = |kind, shape: &[i64]| vit.cells(kind, shape, NONE);
        assert_eq!(cells("Block", &[1, 197, 192]), tokens(1, 14, 14));
        assert_eq!(cells("Block", &[1, 196, 192]), tokens(0, 14, 14));
        assert_eq!(cells("Block", &[1, 201, 192]), tokens(5, 14, 14));
        assert_eq!(cells("Dropout", &[1, 3, 197, 197]), None);
        assert_eq!(cells("LayerNorm", &[1, 3, 197, 64]), None);
        assert_eq!(cells("Dropout", &[1, 4, 48, 48]), None);
        assert_eq!(cells("Conv2d", &[1, 192, 14, 14]), Some(Cells::ChannelsFirst));
        assert_eq!(cells("Linear", &[1, 1000]), None);
        assert_eq!(cells("Attention", &[64, 49, 96]), None);
    }

    #[test]
    fn tokens_lie_in_the_aspect_of_their_picture() {
        let portrait = geometry([96, 64], &[("Conv2d", &[1, 32, 6, 4])]);
        assert_eq!(portrait.cells("Block", &[1, 25, 32], NONE), tokens(1, 6, 4));
        // A square would fit, too.
        let linear = geometry([96, 64], &[("Linear", &[1, 25, 32])]);
        assert_eq!(linear.cells("Block", &[1, 25, 32], NONE), tokens(1, 6, 4));
        let square = geometry([64, 64], &[("Linear", &[1, 17, 32])]);
        assert_eq!(square.cells("Block", &[1, 17, 32], NONE), tokens(1, 4, 4));
        let given = Hints {
            grid: Some(Sides { height: 3, width: 4 }),
            ..NONE
        };
        assert_eq!(square.cells("Block", &[1, 12, 8], given), tokens(0, 3, 4));
        assert_eq!(square.cells("Block", &[1, 11, 8], given), None);
    }

    #[test]
    fn channels_that_come_last_are_found() {
        let swin = geometry(
            [224, 224],
            &[
                ("Conv2d", &[1, 96, 56, 56]),
                ("Stage", &[1, 56, 56, 96]),
                ("Stage", &[1, 7, 7, 768]),
            ],
        );
        let cells = |shape: &[i64], hints| swin.cells("LayerNorm", shape, hints);
        assert_eq!(cells(&[1, 7, 7, 768], NONE), Some(Cells::ChannelsLast));
        assert_eq!(cells(&[1, 28, 28, 192], NONE), Some(Cells::ChannelsLast));
        assert_eq!(cells(&[1, 768, 7, 7], NONE), Some(Cells::ChannelsFirst));
        // 28 × 28 × 28 may be either, in a model that has both.
        assert_eq!(cells(&[1, 28, 28, 28], NONE), None);
        assert!(swin.is_ambiguous("LayerNorm", &[1, 28, 28, 28]));
        let said = Hints {
            layout: Some(Layout::Nhwc),
            ..NONE
        };
        assert_eq!(cells(&[1, 28, 28, 28], said), Some(Cells::ChannelsLast));
        let cnn = geometry([224, 224], &[("Conv2d", &[1, 56, 56, 56])]);
        assert_eq!(
            cnn.cells("ReLU", &[1, 56, 56, 56], NONE),
            Some(Cells::ChannelsFirst)
        );
        assert_eq!(cnn.cells("ReLU", &[1, 56, 27, 28], NONE), None);
        assert_eq!(
            cnn.cells("Block", &[1, 9, 112, 112], NONE),
            Some(Cells::ChannelsFirst)
        );
        assert_eq!(cnn.cells("Conv2d", &[1, 9, 1, 1], NONE), None);
    }

    #[test]
    fn any_cells_become_channels_first() {
        // A class token (−1, −1), then four cells of two channels.
        let sequence = Tensor::from_slice(&[-1f32, -1., 1., 10., 2., 20., 3., 30., 4., 40.]).view([1, 5, 2]);
        let expected = Tensor::from_slice(&[1f32, 2., 3., 4., 10., 20., 30., 40.]).view([1, 2, 2, 2]);
        let cells = tokens(1, 2, 2).expect("a grid");
        assert_eq!(as_channels(&sequence, cells), Ok(expected.shallow_clone()));
        let last = expected.permute([0, 2, 3, 1]);
        assert_eq!(as_channels(&last, Cells::ChannelsLast), Ok(expected));
    }
}
