//! Segmentation: logits `[B, K, h, w]`, torchvision's dict with `out`, or one channel, to a class for each pixel of
//! the original picture. The logits are resized (bilinear, half-pixel centres) and the best class is chosen on the
//! device; only the chosen classes come back.

mod rle;

use tch::{Device, Kind, Tensor};
use torch_bridge::Value;

use super::labels::Labels;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, pictures};
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::image::{ModelInput, Placement};
use crate::manifest::Activation;
use crate::runtime::Call;
pub use rle::Rle;
use rle::encode_all;

/// The class id of a pixel that the model did not see.
pub const UNSEEN: u8 = 255;

/// Logits that are resized at one time at most: 64 MB of them.
const BAND_ELEMENTS: usize = 16 << 20;

/// A picture to a class for each of its pixels.
#[derive(Debug, Clone, Copy)]
pub struct Segment;

/// The classes of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The classes that were found, by id.
    pub classes: Vec<ClassArea>,
    /// Where they are, in the original picture.
    pub mask: Mask,
    /// The class of each pixel, row-major; [`UNSEEN`] where the model did not see.
    pub class_ids: Vec<u8>,
}

/// How much of the picture is of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassArea {
    /// The index of the logit.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    pub label: String,
    /// Pixels of the original picture.
    pub pixels: usize,
    /// Of all its pixels.
    pub fraction: f64,
}

/// A COCO mask for each class that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// `[height, width]` of the original picture.
    pub size: [usize; 2],
    /// In the order of `classes`.
    pub rle: Vec<ClassMask>,
}

/// The pixels of one class; `pycocotools.mask.decode` reads it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMask {
    /// The class.
    pub class_id: usize,
    /// Its pixels.
    pub rle: Rle,
}

impl Operation for Segment {
    type Input = ModelInput;
    type Options = ();
    type Output = Prediction;
    type Queue = TicketOf<Self>;
}

impl Batched for Segment {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Prediction>>> {
        let pictures = pictures::<Self>(net, spec, batch)?;
        let logits = logits(net.call("forward", &[Value::Tensor(pictures)])?)?;
        let logits = with_background(&logits, spec.manifest.output.activation)?;
        let answer = |(index, placement): (usize, &Placement)| {
            let class_ids = class_ids(&logits.f_narrow(0, index as i64, 1)?, placement)?;
            Ok(prediction(class_ids, placement, &spec.labels))
        };
        let placements = batch.iter().map(|asked| &asked.input.input.placement);
        Ok(placements.enumerate().map(answer).collect())
    }
}

/// `forward(x) → logits[B, K, h, w]`, or a dict that has them under `out`, or one channel
pub(super) struct LogitMaps;

impl Contract for LogitMaps {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let input = spec.blank(size, net.device())?;
        let output = net.call("forward", &[Value::Tensor(input)])?;
        let shape = logits(output)?.size();
        let labels = spec.labels.len();
        let breach = match shape[..] {
            [batch, ..] if batch != size as i64 => {
                format!("forward answered {shape:?}, expected {size} rows")
            }
            [_, 1, _, _] if labels == 0 || labels == 2 => return Ok(()),
            [_, 1, _, _] => format!("one channel means two classes, but output.labels has {labels} labels"),
            [_, classes, _, _] if classes >= i64::from(UNSEEN) => {
                let most = UNSEEN - 1;
                format!("forward answered {classes} classes, at most {most} can be told apart")
            }
            [_, classes, _, _] => {
                return Ok(spec.labels.name_each_of(usize::try_from(classes).unwrap_or(0))?);
            }
            _ => format!("forward answered {shape:?}, expected logits [{size}, K, h, w]"),
        };
        Err(breach.into())
    }
}

/// The logits in an answer: a tensor, or what stands under `out` in a dict.
pub(crate) fn logits(mut output: Value) -> Result<Tensor> {
    let found = output.kind();
    match output.take("out").unwrap_or(output) {
        Value::Tensor(logits) => Ok(logits.f_to_kind(Kind::Float)?),
        _ => Err(Error::InferenceFailed(format!(
            "forward answered {found}, expected logits [B, K, h, w], or a dict that has them under \"out\""
        ))),
    }
}

/// One channel is the second of two classes: the first wins where the logit is below 0, the probability below 0.5.
pub(crate) fn with_background(logits: &Tensor, activation: Activation) -> Result<Tensor> {
    if logits.size().get(1) != Some(&1) {
        return Ok(logits.shallow_clone());
    }
    let even = if activation == Activation::None { 0.5 } else { 0.0 };
    Ok(Tensor::f_cat(
        &[logits.f_full_like(even)?, logits.shallow_clone()],
        1,
    )?)
}

/// The best class of each pixel of the original, from logits `[1, K, h, w]` that cover the model's input.
fn class_ids(logits: &Tensor, placement: &Placement) -> Result<Vec<u8>> {
    let ((width, height), (input_width, input_height)) = (placement.original(), placement.input_size());
    let (x_scale, y_scale) = placement.scale();
    let (x_offset, y_offset) = placement.to_input(0.0, 0.0);
    let columns = Line::new(width, input_width, x_scale, x_offset);
    let rows = Line::new(height, input_height, y_scale, y_offset);
    let same = logits.size()[2..] == [i64::from(height), i64::from(width)]
        && columns.is_identity()
        && rows.is_identity();
    let best = if same {
        logits.f_argmax(1, false)?
    } else {
        let classes = usize::try_from(logits.size()[1]).unwrap_or(1);
        let band = (BAND_ELEMENTS / (classes * width as usize)).clamp(1, height as usize);
        let xs = Tensor::from_slice(&columns.positions);
        let bands = rows
            .positions
            .chunks(band)
            .map(|ys| best_of_band(logits, &xs, &Tensor::from_slice(ys)));
        Tensor::f_cat(&bands.collect::<Result<Vec<_>>>()?, 1)?
    };
    let best = best
        .f_to_kind(Kind::Uint8)?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view([-1])?;
    let mut class_ids = Vec::<u8>::try_from(best)?;
    for (y, line) in class_ids.chunks_exact_mut(width as usize).enumerate() {
        for (x, class_id) in line.iter_mut().enumerate() {
            if !(rows.is_seen(y) && columns.is_seen(x)) {
                *class_id = UNSEEN;
            }
        }
    }
    Ok(class_ids)
}

/// The best classes `[1, rows, columns]` at these positions, −1 to 1 over the input.
fn best_of_band(logits: &Tensor, xs: &Tensor, ys: &Tensor) -> Result<Tensor> {
    const BILINEAR: i64 = 0;
    const REPEAT_EDGES: i64 = 1;
    let (rows, columns) = (ys.size1()?, xs.size1()?);
    let xs = xs.f_view([1, columns])?.f_expand([rows, columns], false)?;
    let ys = ys.f_view([rows, 1])?.f_expand([rows, columns], false)?;
    let grid = Tensor::f_stack(&[xs, ys], -1)?
        .f_unsqueeze(0)?
        .f_to_device(logits.device())?;
    let resized = logits.f_grid_sampler(&grid, BILINEAR, REPEAT_EDGES, false)?;
    Ok(resized.f_argmax(1, false)?)
}

/// Where the pixel centres of one axis of the original lie on the input, as `grid_sample` counts: −1 to 1.
struct Line {
    positions: Vec<f32>,
    scale: f64,
    offset: f64,
}

impl Line {
    fn new(original: u32, input: u32, scale: f64, offset: f64) -> Self {
        let position =
            |i: u32| (2.0 * ((f64::from(i) + 0.5) * scale + offset) / f64::from(input) - 1.0) as f32;
        Self {
            positions: (0..original).map(position).collect(),
            scale,
            offset,
        }
    }

    fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.offset == 0.0
    }

    fn is_seen(&self, index: usize) -> bool {
        self.positions[index].abs() <= 1.0
    }
}

fn prediction(class_ids: Vec<u8>, placement: &Placement, labels: &Labels) -> Prediction {
    let (width, height) = placement.original();
    let size = [height as usize, width as usize];
    let total = class_ids.len() as f64;
    let found = encode_all(&class_ids, size[0], size[1]);
    let found: Vec<_> = found.into_iter().filter(|mask| mask.value != UNSEEN).collect();
    let area = |mask: &rle::ValueMask| ClassArea {
        class_id: usize::from(mask.value),
        label: labels.name(usize::from(mask.value)),
        pixels: mask.pixels,
        fraction: mask.pixels as f64 / total,
    };
    Prediction {
        classes: found.iter().map(area).collect(),
        mask: Mask {
            size,
            rle: found
                .into_iter()
                .map(|mask| ClassMask {
                    class_id: usize::from(mask.value),
                    rle: mask.rle,
                })
                .collect(),
        },
        class_ids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Color, Decoding, Fit, Interpolation, Picture, ResizeMode, fit};

    fn placement(width: u32, height: u32, size: (u32, u32), mode: ResizeMode) -> Placement {
        let picture = Picture::new(width, height, vec![0; (width * height * 3) as usize]).expect("a picture");
        let spec = Fit {
            size,
            mode,
            resize_to: None,
            interpolation: Interpolation::Bilinear,
            color: Color::Rgb,
            letterbox_fill: 114,
            decoding: Decoding::Exact,
        };
        fit(&picture, &spec).expect("it fits").placement
    }

    /// Two classes: the second wins in the right half.
    fn halves() -> Tensor {
        Tensor::from_slice(&[1f32, 1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0]).view([1, 2, 1, 4])
    }

    #[test]
    fn logits_are_resized_to_the_original_before_the_choice() {
        let stretched = placement(8, 2, (2, 4), ResizeMode::Stretch);
        let ids = class_ids(&halves(), &stretched).expect("classes");
        assert_eq!(ids, [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]].concat());
    }

    #[test]
    fn what_a_crop_cut_away_is_unseen() {
        let cropped = placement(8, 4, (4, 4), ResizeMode::ShorterSide);
        let ids = class_ids(&halves(), &cropped).expect("classes");
        assert_eq!(ids[..8], [UNSEEN, UNSEEN, 0, 0, 1, 1, UNSEEN, UNSEEN]);
        let areas = prediction(ids, &cropped, &Labels::default());
        assert_eq!(
            areas
                .classes
                .iter()
                .map(|c| (c.class_id, c.pixels))
                .collect::<Vec<_>>(),
            [(0, 8), (1, 8)]
        );
    }

    #[test]
    fn one_channel_is_two_classes() {
        let one = Tensor::from_slice(&[-0.1f32, 0.4, 0.6]).view([1, 1, 1, 3]);
        let best = |activation| {
            let both = with_background(&one, activation).expect("two classes");
            Vec::<i64>::try_from(both.argmax(1, false).flatten(0, -1)).expect("indices")
        };
        assert_eq!(best(Activation::Sigmoid), [0, 1, 1], "a logit above 0");
        assert_eq!(best(Activation::None), [0, 0, 1], "a probability above 0.5");
    }
}
