//! What may go into a module, as far as its first layers and its weights tell.

use std::collections::HashMap;

use torch_bridge::Module;

use crate::error::Result;

/// Sides of square pictures that networks are trained on, the usual first.
const SQUARES: [u32; 26] = [
    224, 640, 256, 416, 384, 320, 512, 299, 448, 518, 336, 288, 240, 260, 300, 380, 227, 192, 160, 128, 112,
    96, 64, 48, 32, 28,
];

/// Sides of pictures that are not square.
const SIDES: [u32; 14] = [32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640];

/// Tokens before those that stand for cells, at most: classes, distillation, registers.
const MOST_PREFIX: i64 = 8;

/// How far a picture is from square at most.
const MOST_ASPECT: i64 = 3;

/// A layer whose weight tells what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taker {
    /// Channels of a picture.
    Picture { channels: i64 },
    /// Channels of a sequence `[B, C, L]`.
    Sequence { channels: i64 },
    /// Channels of a volume `[B, C, D, H, W]`.
    Volume { channels: i64 },
    /// Values of a vector, the last dimension.
    Vector { values: i64 },
    /// Values of each step `[B, T, C]`.
    Steps { values: i64 },
    /// Tokens below a number.
    Tokens { most: i64 },
}

/// What is known of a module before it has run.
#[derive(Debug)]
pub(super) struct Entrance {
    /// The layers that have weights, in the order of execution.
    pub takers: Vec<Taker>,
    /// Outputs and bias of the last layer with a weight.
    pub last: Option<Head>,
    /// How many values fully connected layers answer.
    pub heads: Vec<i64>,
    /// The classes of its layers.
    pub kinds: Vec<String>,
    /// How many positions have an embedding, by the weights.
    tokens: Vec<i64>,
    patch: Option<Patch>,
}

/// The first convolution.
#[derive(Debug, Clone, Copy)]
struct Patch {
    outputs: i64,
    height: i64,
    width: i64,
}

/// The last layer that has a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// How many values it answers.
    pub outputs: i64,
    /// Whether it is fully connected, or a convolution, rather than a norm.
    pub mixes: bool,
    /// Whether it adds a bias.
    pub has_bias: bool,
}

impl Entrance {
    /// What the layers of `method` and the weights tell.
    pub(super) fn of(module: &Module, method: &str) -> Result<Self> {
        let weights = module.weights()?;
        // Recurrent layers are one step of the program, and so none of its layers.
        let recurrent = weights
            .iter()
            .filter(|(name, _)| name.ends_with(".weight_ih_l0") || name == "weight_ih_l0");
        let recurrent = recurrent.filter_map(|(_, shape)| match shape[..] {
            [_, values] => Some(Taker::Steps { values }),
            _ => None,
        });
        let recurrent: Vec<Taker> = recurrent.collect();
        let shapes: HashMap<String, Vec<i64>> = weights.into_iter().collect();
        let layers = module.layers(method)?;
        let weight = |path: &str| shapes.get(&format!("{path}.weight"));
        let mut found = Self {
            takers: Vec::new(),
            last: None,
            heads: Vec::new(),
            kinds: layers.iter().map(|layer| layer.kind.clone()).collect(),
            tokens: Vec::new(),
            patch: None,
        };
        for layer in &layers {
            let Some(shape) = weight(&layer.path) else {
                continue;
            };
            let has_bias = shapes.contains_key(&format!("{}.bias", layer.path));
            found.last = shape.first().map(|&outputs| Head {
                outputs,
                mixes: shape.len() > 1,
                has_bias,
            });
            found.read(shape, &layer.kind);
        }
        found.takers.extend(recurrent);
        if let Some(patch) = found.patch {
            let positions = shapes
                .iter()
                .filter_map(|(name, shape)| positions(name, shape, patch));
            found.tokens = positions.collect();
            found.tokens.sort_unstable();
            found.tokens.dedup();
        }
        Ok(found)
    }

    /// A network of pictures with fully connected layers of so many outputs, of which the last is its last layer.
    #[cfg(test)]
    pub(super) fn ending_in(heads: &[i64], has_bias: bool) -> Self {
        Self {
            takers: vec![Taker::Picture { channels: 3 }],
            last: heads.last().map(|&outputs| Head {
                outputs,
                mixes: true,
                has_bias,
            }),
            heads: heads.to_vec(),
            kinds: Vec::new(),
            tokens: Vec::new(),
            patch: None,
        }
    }

    fn read(&mut self, shape: &[i64], kind: &str) {
        match *shape {
            [most, _] if kind.contains("Embedding") => self.takers.push(Taker::Tokens { most }),
            [outputs, values] => {
                self.heads.push(outputs);
                self.takers.push(Taker::Vector { values });
            }
            [_, channels, _] => self.takers.push(Taker::Sequence { channels }),
            [outputs, channels, height, width] => {
                self.patch.get_or_insert(Patch {
                    outputs,
                    height,
                    width,
                });
                self.takers.push(Taker::Picture { channels });
            }
            [_, channels, _, _, _] => self.takers.push(Taker::Volume { channels }),
            _ => {}
        }
    }

    /// Channels of pictures that it may take, the likeliest first; none where its first layer takes something else.
    pub(super) fn channels(&self) -> Vec<u32> {
        let first = self.takers.first();
        let said = match first {
            Some(Taker::Picture { channels }) => Some(*channels),
            Some(
                Taker::Sequence { .. } | Taker::Volume { .. } | Taker::Steps { .. } | Taker::Tokens { .. },
            ) => {
                return Vec::new();
            }
            // A network of fully connected layers alone takes pictures too, once they are flat.
            Some(Taker::Vector { .. }) | None => None,
        };
        match said {
            Some(1) => vec![1, 3],
            Some(3) | None => vec![3, 1],
            Some(_) => Vec::new(),
        }
    }

    /// Sizes (height, width) of pictures that it may take, the likeliest first: what fits the weights is more than a guess.
    pub(super) fn sizes(&self, channels: u32) -> Vec<(u32, u32)> {
        let squares = SQUARES.iter().map(|&side| (side, side));
        let of_weights = self.flat_sizes(channels).into_iter().chain(self.token_sizes());
        let multiples = (1..=32).map(|count| (32 * count, 32 * count));
        distinct(of_weights.chain(squares).chain(multiples).chain(oblongs()))
    }

    /// Squares whose pixels are what the first fully connected layer takes.
    fn flat_sizes(&self, channels: u32) -> Vec<(u32, u32)> {
        let Some(Taker::Vector { values }) = self.takers.first() else {
            return Vec::new();
        };
        let pixels = *values / i64::from(channels);
        let side = (pixels as f64).sqrt().round() as i64;
        let is_square = side > 1 && side * side * i64::from(channels) == *values;
        let side = u32::try_from(side).ok().filter(|_| is_square);
        side.map(|side| (side, side)).into_iter().collect()
    }

    /// Sizes whose patches are as many as there are embeddings of positions.
    fn token_sizes(&self) -> Vec<(u32, u32)> {
        let Some(patch) = self.patch.filter(|patch| patch.height > 3 && patch.width > 3) else {
            return Vec::new();
        };
        let mut sizes = Vec::new();
        for cells in self
            .tokens
            .iter()
            .flat_map(|&all| (0..=MOST_PREFIX).map(move |prefix| all - prefix))
        {
            let rows = (1..=cells.max(0)).filter(|rows| cells % rows == 0);
            let near = |rows: &i64| rows.max(&(cells / rows)) <= &(rows.min(&(cells / rows)) * MOST_ASPECT);
            let size = |rows: i64| {
                let side = |count: i64, pixels: i64| u32::try_from(count * pixels).ok();
                Some((side(rows, patch.height)?, side(cells / rows, patch.width)?))
            };
            sizes.extend(rows.filter(near).filter_map(size));
        }
        sizes.retain(|&(height, width)| (16..=1024).contains(&height) && (16..=1024).contains(&width));
        // Pictures that are wider than high are more usual than the others.
        sizes.sort_by_key(|&(height, width)| (height.abs_diff(width), height > width));
        sizes
    }
}

/// The same without what came before.
pub(super) fn distinct<T: PartialEq>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// Sizes that are not square, those first that are near to it, and wider than high before higher than wide.
fn oblongs() -> Vec<(u32, u32)> {
    let of_height = |height: u32| SIDES.into_iter().map(move |width| (height, width));
    let mut oblongs: Vec<(u32, u32)> = SIDES.into_iter().flat_map(of_height).collect();
    oblongs.retain(|(height, width)| height != width);
    let aspect = |height: u32, width: u32| height.max(width) * 1000 / height.min(width);
    oblongs.sort_by_key(|&(height, width)| (aspect(height, width), height > width, height));
    oblongs
}

/// How many positions this weight may have an embedding for, in a network that begins with `patch`.
fn positions(name: &str, shape: &[i64], patch: Patch) -> Option<i64> {
    /// Fewer are no picture, more no network of patches.
    const PLAUSIBLE: std::ops::RangeInclusive<i64> = 5..=5000;
    let (count, values) = match *shape {
        [1, count, values] => (count, values),
        [count, values] if name.contains("pos") => (count, values),
        _ => return None,
    };
    (PLAUSIBLE.contains(&count) && values == patch.outputs).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_patches(side: i64, tokens: i64) -> Entrance {
        Entrance {
            tokens: vec![tokens],
            patch: Some(Patch {
                outputs: 192,
                height: side,
                width: side,
            }),
            ..Entrance::ending_in(&[], true)
        }
    }

    #[test]
    fn embeddings_of_positions_tell_the_size() {
        let first = |side, tokens| of_patches(side, tokens).sizes(3)[0];
        // 14·14 cells and a class, 37·37 and a class with four registers, 16·16 alone.
        assert_eq!(first(16, 197), (224, 224));
        assert_eq!(first(14, 1374), (518, 518));
        assert_eq!(first(16, 256), (256, 256));
        // Wider than high before higher than wide.
        let sizes = of_patches(16, 24).sizes(3);
        let place = |size| sizes.iter().position(|found| *found == size);
        assert!(place((64, 96)) < place((96, 64)) && place((64, 96)) < place((28, 28)));
        // A kernel of 3 is no patch.
        assert_eq!(of_patches(3, 197).sizes(3)[0], (224, 224));
    }

    #[test]
    fn fully_connected_layers_tell_the_pixels() {
        let flat = |values| Entrance {
            takers: vec![Taker::Vector { values }],
            patch: None,
            ..of_patches(1, 1)
        };
        assert_eq!(flat(784).sizes(1)[0], (28, 28));
        assert_eq!(flat(3072).sizes(3)[0], (32, 32));
        assert_eq!(
            (flat(784).channels(), of_patches(16, 9).channels()),
            (vec![3, 1], vec![3, 1])
        );
    }

    #[test]
    fn a_weight_is_an_embedding_of_positions_by_its_shape_or_its_name() {
        let patch = of_patches(16, 1).patch.expect("a patch");
        assert_eq!(positions("pos_embed", &[1, 197, 192], patch), Some(197));
        assert_eq!(
            positions("embeddings.position_embedding.weight", &[49, 192], patch),
            Some(49)
        );
        assert_eq!(positions("blocks.0.attn.proj.weight", &[192, 192], patch), None);
        assert_eq!(positions("pos_embed", &[1, 197, 768], patch), None);
    }
}
