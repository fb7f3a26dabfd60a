//! What can be said of the numbers in an answer.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use crate::error::Result;

/// How far a probability may be from what it should be.
const NEAR: f64 = 1e-3;

/// An output of two rows of noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    /// Of one row, with the batch of one.
    pub shape: Vec<i64>,
    /// The least value of both rows, and the greatest.
    pub range: (f64, f64),
    /// Whether the values along the second axis sum to 1.
    pub sums_to_one: bool,
    /// Whether each row has a length of 1.
    pub is_unit: bool,
    /// Whether it has the pattern of the input, picture for picture.
    pub follows_input: bool,
    /// Whether numbers are whole by their type.
    pub is_whole: bool,
    /// Of `[B, R, N]`, how many rows below the first four, which are a box, hold values from 0 to 1 alone.
    pub score_rows: i64,
}

impl Facts {
    /// Those of an output, `rows` of which are of one picture each, and of `inputs`, where these are pictures.
    pub(super) fn of(rows: [&Tensor; 2], inputs: Option<[&Tensor; 2]>) -> Result<Self> {
        let both = rows.map(|row| row.to_kind(Kind::Double));
        let range = |of: &Tensor| (of.min().double_value(&[]), of.max().double_value(&[]));
        let ranges = if both.iter().all(|row| row.numel() > 0) {
            both.each_ref().map(range)
        } else {
            [(f64::NAN, f64::NAN); 2]
        };
        let holds = |test: &dyn Fn(&Tensor) -> Tensor| {
            let is_near = |row: &Tensor| (test(row) - 1.0).abs().max().double_value(&[]) < NEAR;
            both.iter()
                .all(|row| row.dim() > 1 && row.numel() > 0 && is_near(row))
        };
        let follows =
            |inputs: [&Tensor; 2]| both.iter().zip(inputs).all(|(row, input)| resembles(row, input));
        Ok(Self {
            shape: rows[0].size(),
            range: (ranges[0].0.min(ranges[1].0), ranges[0].1.max(ranges[1].1)),
            sums_to_one: holds(&|row| row.sum_dim_intlist([1i64].as_slice(), false, Kind::Double)),
            is_unit: holds(&|row| {
                row.flatten(1, -1)
                    .square()
                    .sum_dim_intlist([1i64].as_slice(), false, Kind::Double)
            }),
            follows_input: inputs.is_some_and(follows),
            is_whole: !rows[0].is_floating_point(),
            score_rows: both.iter().map(score_rows).min().unwrap_or(0),
        })
    }

    /// Whether all values lie between 0 and 1.
    pub(super) fn are_probabilities(&self) -> bool {
        let is_within = self.range.0 >= 0.0 && self.range.1 <= 1.0;
        // A ReLU answers 0, and a head that was never trained 0 alone; a sigmoid neither.
        !self.is_whole && is_within && (self.sums_to_one || self.range.0 > 0.0)
    }
}

fn score_rows(rows: &Tensor) -> i64 {
    /// Coordinates of an object.
    const BOX: i64 = 4;
    let [_, count, candidates] = rows.size()[..] else {
        return 0;
    };
    if count <= BOX || candidates == 0 {
        return 0;
    }
    let is_score = |row: &i64| {
        let row = rows.select(1, *row);
        row.min().double_value(&[]) >= 0.0 && row.max().double_value(&[]) <= 1.0
    };
    (BOX..count).take_while(is_score).count() as i64
}

/// Whether each channel of `output` has the pattern of that of `input`, `[1, C, H, W]` both.
fn resembles(output: &Tensor, input: &Tensor) -> bool {
    /// A network that was not trained to give the picture back is far below it.
    const LEAST: f64 = 0.9;
    let (size, wanted) = (output.size(), input.size());
    if size.len() != 4 || size[1] != wanted[1] || size[2] < 2 || size[3] < 2 {
        return false;
    }
    let input = input.to_kind(Kind::Double).adaptive_avg_pool2d([8, 8]);
    let output = output.adaptive_avg_pool2d([8, 8]);
    let centred = |of: &Tensor| of - of.mean_dim([2i64, 3].as_slice(), true, Kind::Double);
    let (one, other) = (centred(&output), centred(&input));
    let sum = |of: Tensor| of.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Double);
    let correlation = sum(&one * &other) / (sum(one.square()) * sum(other.square())).sqrt();
    correlation.min().double_value(&[]) > LEAST
}

/// A part of an answer: the entry of a dict, the element of a tuple, or the whole.
#[derive(Debug)]
pub(super) struct Part {
    /// Of a dict's entry.
    pub name: Option<String>,
    /// Where it is a tensor.
    pub facts: Option<Facts>,
    /// Whether there is nothing in its place.
    pub is_none: bool,
}

impl Part {
    /// The parts of two answers that are alike.
    pub(super) fn all_of(rows: [&Value; 2], inputs: Option<[&Tensor; 2]>) -> Result<Vec<Self>> {
        let part = |name: Option<String>, one: &Value, other: &Value| -> Result<Self> {
            let facts = match (one, other) {
                (Value::Tensor(one), Value::Tensor(other)) => Some(Facts::of([one, other], inputs)?),
                _ => None,
            };
            Ok(Self {
                name,
                facts,
                is_none: matches!(one, Value::None),
            })
        };
        match rows {
            [Value::Dict(one), Value::Dict(other)] => {
                let name = |key: &Value| match key {
                    Value::String(name) => Some(name.clone()),
                    _ => None,
                };
                let pairs = one.iter().zip(other);
                pairs
                    .map(|((key, one), (_, other))| part(name(key), one, other))
                    .collect()
            }
            [
                Value::Tuple(one) | Value::List(one),
                Value::Tuple(other) | Value::List(other),
            ] => one
                .iter()
                .zip(other)
                .map(|(one, other)| part(None, one, other))
                .collect(),
            [one, other] => Ok(vec![part(None, one, other)?]),
        }
    }
}
