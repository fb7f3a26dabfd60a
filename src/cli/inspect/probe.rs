//! What a module answers to noise: which inputs it runs with, and what comes out.

use std::cell::RefCell;
use std::time::Instant;

use tch::{Device, Kind, Tensor};
use torch_bridge::{Generator, Module, Value};

use super::entrance::{Entrance, Taker, distinct};
use crate::error::{Result, excerpt};
use crate::manifest::Dtype;
use crate::runtime::Bounds;
use crate::tasks::tensor;

/// How many pairs of inputs are tried of a module that takes several tensors.
const MOST_COMBINATIONS: usize = 256;

/// A module, and until when it may be tried.
pub(super) struct Prober<'a> {
    /// What is tried.
    pub module: &'a Module,
    /// What it may be called with, where its file says so.
    pub bounds: Option<&'a Bounds>,
    /// The size of pictures, where somebody says it.
    pub size: Option<(u32, u32)>,
    /// No pass starts after it.
    pub end: Instant,
    /// What the first pass that failed was told.
    pub complaint: RefCell<Option<String>>,
}

/// What runs.
#[derive(Debug)]
pub(super) struct Run {
    /// What went in.
    pub input: Fed,
    /// Of one row of noise.
    pub output: Value,
    /// Of another.
    pub other: Value,
    /// Whether two rows in one batch have the answers that each has alone.
    pub batches: bool,
}

/// What goes into a module.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fed {
    /// `[B, C, H, W]`
    Pictures {
        channels: u32,
        size: (u32, u32),
        /// Whether it runs with other sizes too.
        other_sizes: bool,
    },
    /// A list of `[C, H, W]`
    List { channels: u32, size: (u32, u32) },
    /// Tensors: the type and the shape of each, with a batch of one.
    Tensors(Vec<(Dtype, Vec<i64>)>),
}

impl Prober<'_> {
    /// Runs `method` with pictures of the first size that fits and whose answer suits it, else of the first that fits; of
    /// the size that is said alone.
    pub(super) fn pictures(
        &self,
        method: &str,
        entrance: &Entrance,
        suits: &dyn Fn(&Value, (u32, u32)) -> bool,
    ) -> Result<Option<Run>> {
        let mut first = None;
        for channels in entrance.channels() {
            let sizes = self
                .size
                .map_or_else(|| entrance.sizes(channels), |size| vec![size]);
            for size in sizes {
                let Some(run) = self.of_size(method, channels, size)? else {
                    if self.is_late() {
                        return Ok(first);
                    }
                    continue;
                };
                if suits(&run.output, size) {
                    return Ok(Some(run));
                }
                // Sizes that tracing has made constants may fit a size that is not the model's; then a map has the right one.
                if let Some(own) = size_of_map(&run.output).filter(|own| *own != size)
                    && let Some(run) = self.of_size(method, channels, own)?
                    && size_of_map(&run.output) == Some(own)
                {
                    return Ok(Some(run));
                }
                first = first.or(Some(run));
            }
        }
        Ok(first)
    }

    /// Runs `method` with pictures of one size, alone and together, and once with another size.
    fn of_size(&self, method: &str, channels: u32, size: (u32, u32)) -> Result<Option<Run>> {
        let (one, other) = (picture(channels, size, 1)?, picture(channels, size, 2)?);
        let Some(output) = self.pass(method, &one) else {
            return Ok(None);
        };
        let Some(beside) = self.pass(method, &other) else {
            return Ok(None);
        };
        let pair = self.pass(method, &Tensor::f_cat(&[one, other], 0)?);
        if pair.as_ref().is_some_and(|pair| folds_pixels(&output, pair)) {
            return Ok(None);
        }
        let larger = picture(channels, (size.0 + 64, size.1 + 128), 1)?;
        Ok(Some(Run {
            batches: pair.is_some_and(|pair| are_rows(&pair, [&output, &beside])),
            input: Fed::Pictures {
                channels,
                size,
                other_sizes: self.pass(method, &larger).is_some(),
            },
            output,
            other: beside,
        }))
    }

    /// Runs `forward` of a list of pictures.
    pub(super) fn list(&self, entrance: &Entrance, size: Option<(u32, u32)>) -> Result<Option<Run>> {
        let Some(&channels) = entrance.channels().first() else {
            return Ok(None);
        };
        let size = size.unwrap_or((640, 640));
        let answer = |seed| -> Result<Option<Value>> {
            let picture = Value::Tensor(picture(channels, size, seed)?.f_squeeze_dim(0)?);
            Ok(self.call("forward", &[Value::List(vec![picture])]))
        };
        let (Some(output), Some(other)) = (answer(1)?, answer(2)?) else {
            return Ok(None);
        };
        Ok(Some(Run {
            output,
            other,
            batches: true,
            input: Fed::List { channels, size },
        }))
    }

    /// Runs `forward` of `count` tensors with what the first layers take.
    pub(super) fn tensors(&self, entrance: &Entrance, count: usize) -> Result<Option<Run>> {
        if let Some(inputs) = self.bounds.and_then(|bounds| bounds.inputs("forward")) {
            return self.of_tensors(inputs);
        }
        let offers = offers(entrance);
        let all = u32::try_from(count)
            .ok()
            .and_then(|count| offers.len().checked_pow(count));
        for choice in 0..all.unwrap_or(0).min(MOST_COMBINATIONS) {
            if self.is_late() {
                break;
            }
            let mut rest = choice;
            let specs = (0..count).map(|_| {
                let offer = offers[rest % offers.len()].clone();
                rest /= offers.len();
                offer
            });
            if let Some(run) = self.of_tensors(specs.collect())? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    fn of_tensors(&self, specs: Vec<(Dtype, Vec<i64>)>) -> Result<Option<Run>> {
        let answer = |rows: i64, seed: u32| -> Result<Option<Value>> {
            let filled = |(dtype, shape): &(Dtype, Vec<i64>)| {
                let mut shape = shape.clone();
                if let Some(first) = shape.first_mut() {
                    *first = rows;
                }
                Ok(Value::Tensor(filled(*dtype, &shape, seed)?))
            };
            let inputs = specs.iter().map(filled).collect::<Result<Vec<_>>>()?;
            Ok(self.call("forward", &inputs))
        };
        let Some(output) = answer(1, 1)? else {
            return Ok(None);
        };
        let (Some(other), pair) = (answer(1, 2)?, answer(2, 1)?) else {
            return Ok(None);
        };
        let has_two = |pair: Value| {
            pair.tensors()
                .iter()
                .all(|tensor| tensor.size().first() == Some(&2))
        };
        Ok(Some(Run {
            batches: pair.is_some_and(has_two),
            output,
            other,
            input: Fed::Tensors(specs),
        }))
    }

    fn pass(&self, method: &str, input: &Tensor) -> Option<Value> {
        self.call(method, &[Value::Tensor(input.shallow_clone())])
    }

    /// What `method` answers, if it runs and there is time.
    pub(super) fn call(&self, method: &str, inputs: &[Value]) -> Option<Value> {
        if self.is_late() {
            return None;
        }
        let checked = self.bounds.map_or(Ok(()), |bounds| bounds.check(method, inputs));
        let answer = checked.and_then(|()| Ok(tch::no_grad(|| self.module.call(method, inputs))?));
        answer
            .inspect_err(|error| {
                self.complaint
                    .borrow_mut()
                    .get_or_insert_with(|| last_line(&error.to_string()));
            })
            .ok()
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.end
    }
}

/// What goes into the first layers: vectors, sequences, volumes, tokens.
fn offers(entrance: &Entrance) -> Vec<(Dtype, Vec<i64>)> {
    /// Layers whose input may be the model's.
    const FIRST: usize = 12;
    /// Lengths and sides that are tried.
    const LENGTHS: [i64; 4] = [16, 32, 64, 128];
    let mut offers: Vec<(Dtype, Vec<i64>)> = Vec::new();
    for taker in entrance.takers.iter().take(FIRST) {
        let floats = |shape: &[i64]| (Dtype::F32, shape.to_vec());
        match *taker {
            Taker::Vector { values } => offers.extend([floats(&[1, values]), floats(&[1, 16, values])]),
            Taker::Steps { values } => offers.push(floats(&[1, 16, values])),
            Taker::Sequence { channels } => {
                offers.extend(LENGTHS.map(|length| floats(&[1, channels, length])));
            }
            Taker::Volume { channels } => {
                offers.extend(LENGTHS.map(|side| floats(&[1, channels, side, side, side])));
            }
            Taker::Picture { channels } => {
                offers.extend([224, 64, 32].map(|side| floats(&[1, channels, side, side])));
            }
            Taker::Tokens { .. } => offers.push((Dtype::I64, vec![1, 16])),
        }
    }
    if offers.is_empty() {
        offers.push((Dtype::F32, vec![1, 16]));
    }
    distinct(offers)
}

/// Noise of the standard normal distribution, and small whole numbers.
fn filled(dtype: Dtype, shape: &[i64], seed: u32) -> Result<Tensor> {
    match dtype {
        Dtype::Bool | Dtype::U8 | Dtype::I32 | Dtype::I64 => Ok(Tensor::f_full(
            shape,
            i64::from(seed),
            (tensor::kind(dtype), Device::Cpu),
        )?),
        Dtype::F16 | Dtype::F32 | Dtype::F64 => noise(shape, seed),
    }
}

/// A picture `[1, C, H, W]` from 0 to 1: a gradient with noise.
pub(super) fn picture(channels: u32, (height, width): (u32, u32), seed: u32) -> Result<Tensor> {
    let shape = [1, i64::from(channels), i64::from(height), i64::from(width)];
    let options = (Kind::Float, Device::Cpu);
    let smooth = if seed == 1 {
        Tensor::f_linspace(0.1, 0.9, shape[2], options)?.f_view([1, 1, -1, 1])?
    } else {
        Tensor::f_linspace(0.9, 0.1, shape[3], options)?.f_view([1, 1, 1, -1])?
    };
    let noise = noise(&shape, seed)?.f_mul_scalar(0.1)?;
    Ok(noise.f_add(&smooth)?.f_clamp(0.0, 1.0)?)
}

/// Whether a picture has several rows in the answer `one`, and two have twice as many: `x.view(-1, 400)` makes pictures of what
/// another size has too much.
fn folds_pixels(one: &Value, two: &Value) -> bool {
    let rows = |answer: &Value| match answer {
        Value::Tensor(tensor) => tensor.size().first().copied(),
        _ => None,
    };
    matches!((rows(one), rows(two)), (Some(of_one), Some(of_two)) if of_one > 1 && of_two == 2 * of_one)
}

/// The last line of what libtorch says, which is the reason; those before it are where.
fn last_line(text: &str) -> String {
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    excerpt(last.unwrap_or_default()).into_owned()
}

/// Standard normal numbers, always the same for a seed.
fn noise(shape: &[i64], seed: u32) -> Result<Tensor> {
    Ok(Generator::new(seed)?.normal(shape)?)
}

/// Whether every tensor of `pair` is those of both of `rows` below each other.
fn are_rows(pair: &Value, rows: [&Value; 2]) -> bool {
    /// Of the largest value: sums in another order.
    const TOLERANCE: f64 = 1e-2;
    let (pair, first, second) = (pair.tensors(), rows[0].tensors(), rows[1].tensors());
    let is_both = |((both, first), second): ((&Tensor, &Tensor), &Tensor)| {
        let Ok(expected) = Tensor::f_cat(&[first, second], 0) else {
            return false;
        };
        if both.size() != expected.size() {
            return false;
        }
        let (both, expected) = (both.to_kind(Kind::Double), expected.to_kind(Kind::Double));
        if both.numel() == 0 {
            return true;
        }
        let largest = expected.abs().max().double_value(&[]).max(1e-6);
        let difference = (both - expected).abs().mean(Kind::Double).double_value(&[]);
        // What is not a number is the same in both, or told by the contract.
        difference.is_nan() || difference <= largest * TOLERANCE
    };
    pair.len() == first.len()
        && pair.len() == second.len()
        && pair
            .iter()
            .zip(first)
            .zip(second)
            .all(|((both, first), second)| is_both(((both, first), second)))
}

/// Height and width of an answer that is one map `[B, h, w]` of floats, in the proportions of a picture.
fn size_of_map(output: &Value) -> Option<(u32, u32)> {
    const SIDES: std::ops::RangeInclusive<u32> = 32..=1024;
    let Value::Tensor(map) = output else { return None };
    let [_, height, width] = map.size()[..] else {
        return None;
    };
    let side = |side: i64| u32::try_from(side).ok().filter(|side| SIDES.contains(side));
    let (height, width) = (side(height)?, side(width)?);
    let is_picture = map.is_floating_point() && height.max(width) <= 3 * height.min(width);
    is_picture.then_some((height, width))
}

/// Whether maps of the answer have the aspect of the input.
pub(super) fn keeps_aspect(output: &Value, (height, width): (u32, u32)) -> bool {
    if size_of_map(output).is_some_and(|own| own != (height, width)) {
        return false;
    }
    output.tensors().iter().all(|tensor| match tensor.size()[..] {
        [_, _, rows, columns] if rows > 4 && columns > 4 => {
            // Rows are as high as columns are wide, but for what padding adds.
            let (down, across) = (f64::from(height) / rows as f64, f64::from(width) / columns as f64);
            let is_whole = |ratio: f64| {
                let ratio = if ratio < 1.0 { 1.0 / ratio } else { ratio };
                (ratio - ratio.round()).abs() < 0.1 * ratio
            };
            (down / across - 1.0).abs() < 0.1 && is_whole(down)
        }
        _ => true,
    })
}
