//! From values to what is answered: on the module's own grid or on the original's, as a PNG or as they are.

use super::{Body, Form, Prediction, Resolution, Translated, View};
use crate::engine::Context;
use crate::error::Result;
use crate::image::{Color, PoolThread, Samples, encode_samples_png};
use crate::manifest::Range;
use crate::tasks::ModelSpec;
use crate::tasks::tap::{Tap, lines};

/// Rows between two looks at whether the answer is still wanted.
const BAND: usize = 64;

/// Which cells a column or a row of the answer lies between; nothing where the model did not see it.
type Line = Vec<Option<Tap>>;

impl Translated {
    /// What is answered, as `view` asks for it.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and
    /// [`Error::DeadlineExceeded`](crate::error::Error::DeadlineExceeded) when nobody wants it any more.
    pub fn finish(
        &self,
        thread: &PoolThread,
        spec: &ModelSpec,
        view: View,
        context: &Context,
    ) -> Result<Prediction> {
        let (columns, rows) = match view.resolution {
            Resolution::Native => (each(self.size.1), each(self.size.0)),
            Resolution::Original => lines(&self.placement, self.size),
        };
        let (least, greatest) = bounds(&self.values);
        let ends = ends(spec, self.channels, (least, greatest))?;
        let side = |line: &Line| u32::try_from(line.len()).unwrap_or(u32::MAX);
        let (width, height) = (side(&columns), side(&rows));
        let body = match view.form {
            Form::Array => Body::Array(self.array(&columns, &rows, context)?),
            Form::Png => {
                let order = order(spec, self.channels)?;
                let sees_all = columns.iter().chain(&rows).all(Option::is_some);
                let painter = Painter {
                    of: self,
                    order,
                    ends: &ends,
                    has_alpha: !sees_all,
                };
                let data = painter.paint(&columns, &rows, context)?;
                let png = encode_samples_png(thread, (width, height), painter.samples(), &data)?;
                Body::Png(png)
            }
        };
        Ok(Prediction {
            width,
            height,
            channels: self.channels,
            ends,
            least,
            greatest,
            body,
        })
    }

    /// `[C, height, width]`; NaN where the model did not see.
    fn array(&self, columns: &Line, rows: &Line, context: &Context) -> Result<Vec<f32>> {
        let mut values = vec![f32::NAN; self.channels * columns.len() * rows.len()];
        for (index, into) in values.chunks_exact_mut(columns.len()).enumerate() {
            if index % BAND == 0 {
                context.check()?;
            }
            if let Some(row) = rows[index % rows.len()] {
                self.row(index / rows.len(), row, columns, into);
            }
        }
        Ok(values)
    }

    /// The values of one row of a channel; what the model did not see is left as it is.
    fn row(&self, channel: usize, row: Tap, columns: &Line, into: &mut [f32]) {
        let (height, width) = self.size;
        let cells = &self.values[channel * height * width..][..height * width];
        let line = |row: usize| &cells[row * width..][..width];
        let (near, far) = (line(row.near), line(row.far));
        for (column, value) in columns.iter().zip(into) {
            if let Some(column) = column {
                let at = |cell: usize| row.between(near[cell], far[cell]);
                *value = column.between(at(column.near), at(column.far));
            }
        }
    }
}

/// Every cell, on its own grid.
fn each(cells: usize) -> Line {
    let tap = |cell| Tap {
        near: cell,
        far: cell,
        weight: 0.0,
    };
    (0..cells).map(|cell| Some(tap(cell))).collect()
}

fn bounds(values: &[f32]) -> (f32, f32) {
    let all = values.iter().copied();
    all.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    })
}

/// The values of black and white of each channel, of an answer with these bounds.
pub(super) fn ends(
    spec: &ModelSpec,
    channels: usize,
    (least, greatest): (f32, f32),
) -> Result<Vec<[f32; 2]>> {
    let range = spec.manifest.output.picture.map(|keys| keys.range);
    Ok(match range {
        Some(Range::Of(ends)) => vec![ends; channels],
        Some(Range::Input) => {
            let input = spec.manifest.image_input()?;
            let of = |(mean, std): (&f64, &f64)| {
                let value = |byte: f64| ((byte * input.scale - mean) / std) as f32;
                [value(0.0), value(255.0)]
            };
            input.mean.iter().zip(&input.std).map(of).take(channels).collect()
        }
        Some(Range::MinMax) | None => vec![[least, greatest]; channels],
    })
}

/// The module's channels in the order of a PNG: colours go out in the order in which they come in.
fn order(spec: &ModelSpec, channels: usize) -> Result<Vec<usize>> {
    let is_bgr = spec.manifest.image_input()?.fit.color == Color::Bgr;
    Ok(if is_bgr && channels == 3 {
        vec![2, 1, 0]
    } else {
        (0..channels).collect()
    })
}

/// Makes samples of values.
struct Painter<'a> {
    of: &'a Translated,
    order: Vec<usize>,
    ends: &'a [[f32; 2]],
    has_alpha: bool,
}

impl Painter<'_> {
    fn samples(&self) -> Samples {
        match (self.order.len(), self.has_alpha) {
            (1, false) => Samples::Gray16,
            (1, true) => Samples::GrayAlpha16,
            (_, false) => Samples::Rgb8,
            (_, true) => Samples::Rgba8,
        }
    }

    /// The data of a PNG, transparent where the model did not see.
    fn paint(&self, columns: &Line, rows: &Line, context: &Context) -> Result<Vec<u8>> {
        let is_deep = self.order.len() == 1;
        let mut data = Vec::with_capacity(columns.len() * rows.len() * 4);
        let mut values = vec![vec![0.0; columns.len()]; self.order.len()];
        for (y, row) in rows.iter().enumerate() {
            if y % BAND == 0 {
                context.check()?;
            }
            if let Some(row) = row {
                for (&channel, values) in self.order.iter().zip(&mut values) {
                    self.of.row(channel, *row, columns, values);
                }
            }
            for (x, column) in columns.iter().enumerate() {
                let is_seen = row.is_some() && column.is_some();
                for (&channel, values) in self.order.iter().zip(&values) {
                    let part = if is_seen {
                        part(values[x], self.ends[channel])
                    } else {
                        0.0
                    };
                    push(&mut data, part, is_deep);
                }
                if self.has_alpha {
                    push(&mut data, f32::from(u8::from(is_seen)), is_deep);
                }
            }
        }
        Ok(data)
    }
}

/// How far from black to white a value lies, 0 to 1.
fn part(value: f32, [black, white]: [f32; 2]) -> f32 {
    if white == black {
        return 0.0;
    }
    ((value - black) / (white - black)).clamp(0.0, 1.0)
}

fn push(data: &mut Vec<u8>, part: f32, is_deep: bool) {
    if is_deep {
        data.extend_from_slice(&((part * 65_535.0).round() as u16).to_ne_bytes());
    } else {
        data.push((part * 255.0).round() as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Fit, Limits, Picture, Pool, decode, fit};
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(input: &str, range: &str) -> ModelSpec {
        let text =
            format!("task = \"image_to_image\"\n[input]\nsize = [4, 4]\n{input}\n[output]\nrange = {range}");
        ModelSpec::new(
            Manifest::parse(&text).expect("a right manifest"),
            Labels::default(),
        )
    }

    fn fit_of(spec: &ModelSpec) -> Fit {
        spec.manifest.image_input().expect("pictures").fit.clone()
    }

    /// A map of 2 × 2 over what the model sees of an 8 × 4 picture.
    fn map(spec: &ModelSpec, values: [f32; 4]) -> Translated {
        let picture = Picture::new(8, 4, vec![0; 8 * 4 * 3]).expect("a picture");
        Translated {
            values: values.to_vec(),
            channels: 1,
            size: (2, 2),
            placement: fit(&picture, &fit_of(spec)).expect("it fits").placement,
        }
    }

    fn finished(of: &Translated, spec: &ModelSpec, resolution: Resolution, form: Form) -> Prediction {
        let view = View { resolution, form };
        let pool = Pool::new(1).expect("a thread");
        pool.block(|thread| of.finish(thread, spec, view, &Context::default()))
            .expect("it is wanted")
    }

    #[test]
    fn values_lie_between_black_and_white() {
        assert_eq!(part(0.25, [-1.0, 1.0]), 0.625);
        assert_eq!((part(3.0, [-1.0, 1.0]), part(-3.0, [-1.0, 1.0])), (1.0, 0.0));
        assert_eq!(part(2.0, [2.0, 2.0]), 0.0, "a map of one value");
        let normalised = spec("mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.25, 1]", "\"input\"");
        let ends = ends(&normalised, 3, (0.0, 0.0)).expect("pictures");
        assert_eq!(ends, [[-1.0, 1.0], [-2.0, 2.0], [-0.5, 0.5]]);
    }

    #[test]
    fn a_map_is_scaled_from_its_least_to_its_greatest_value_with_16_bits() {
        let spec = spec("", "\"minmax\"");
        let found = finished(
            &map(&spec, [2.0, 3.0, 4.0, 6.0]),
            &spec,
            Resolution::Native,
            Form::Png,
        );
        assert_eq!((found.width, found.height, found.bits()), (2, 2, 16));
        assert_eq!(
            (found.least, found.greatest, &found.ends[..]),
            (2.0, 6.0, &[[2.0, 6.0]][..])
        );
        let Body::Png(png) = found.body else {
            panic!("a PNG was asked for")
        };
        let read = image::load_from_memory(&png).expect("a PNG").into_luma16();
        assert_eq!(read.as_raw().as_slice(), [0, 16_384, 32_768, 65_535]);
    }

    #[test]
    fn what_a_crop_cut_away_is_no_number_and_transparent() {
        // Of 8 columns the middle four were seen.
        let spec = spec("resize = \"shorter_side\"", "[0, 1]");
        let map = map(&spec, [1.0; 4]);
        let Body::Array(values) = finished(&map, &spec, Resolution::Original, Form::Array).body else {
            panic!("an array was asked for")
        };
        let seen: Vec<bool> = values[..8].iter().map(|value| *value == 1.0).collect();
        assert_eq!(seen, [false, false, true, true, true, true, false, false]);
        assert!(values[0].is_nan() && values.len() == 32);
        let Body::Png(png) = finished(&map, &spec, Resolution::Original, Form::Png).body else {
            panic!("a PNG was asked for")
        };
        let read = image::load_from_memory(&png).expect("a PNG").into_luma_alpha16();
        let row: Vec<u16> = read.as_raw()[..16].to_vec();
        assert_eq!((row[1], row[4], row[5], row[15]), (0, 65_535, 65_535, 0));
    }

    #[test]
    fn between_cells_a_map_is_bilinear() {
        let spec = spec("resize = \"stretch\"", "[0, 1]");
        let found = finished(
            &map(&spec, [0.0, 1.0, 0.0, 1.0]),
            &spec,
            Resolution::Original,
            Form::Array,
        );
        let Body::Array(values) = found.body else {
            panic!("an array was asked for")
        };
        // Half-pixel centres: cells of 4 pixels, whose centres lie at 2 and 6.
        assert_eq!(values[..8], [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0]);
    }

    #[test]
    fn colours_go_out_in_the_order_in_which_they_come_in() {
        for (color, expected) in [("rgb", [255, 0, 0]), ("bgr", [0, 0, 255])] {
            let spec = spec(&format!("color = \"{color}\""), "[0, 1]");
            let mut picture = map(&spec, [0.0; 4]);
            picture.values = [[1.0; 4], [0.0; 4], [0.0; 4]].concat();
            picture.channels = 3;
            let Body::Png(png) = finished(&picture, &spec, Resolution::Native, Form::Png).body else {
                panic!("a PNG was asked for")
            };
            let read = decode(&png, &Limits::default()).expect("a PNG");
            assert_eq!(read.data()[..3], expected, "{color}");
        }
    }

    #[test]
    fn nothing_is_finished_for_a_client_that_left() {
        let spec = spec("", "[0, 1]");
        let context = Context::default();
        context.cancellation.cancel();
        let view = View {
            resolution: Resolution::Native,
            form: Form::Png,
        };
        let pool = Pool::new(1).expect("a thread");
        let left = pool.block(|thread| map(&spec, [0.0; 4]).finish(thread, &spec, view, &context));
        assert!(left.is_err());
    }
}
