//! From the logits of a model's input to the class or classes of each pixel of the original: resized as `grid_sample` resizes
//! (bilinear, half-pixel centres, repeated edges), then the best, or all that are above their thresholds.

use super::{Choice, ClassArea, ClassMask, Mask, Prediction, Segmented, UNSEEN};
use crate::engine::Context;
use crate::error::Result;
use crate::image::PoolThread;
use crate::tasks::rle::{ValueMask, encode_all};
use crate::tasks::tap::{Tap, lines};
use crate::tasks::{Allowance, Labels};

/// Rows between two looks at whether the answer is still wanted.
const BAND: usize = 64;

/// Which cells of the logits each column and each row of the original lies between.
struct Taps {
    columns: Vec<Option<Tap>>,
    rows: Vec<Option<Tap>>,
}

impl Segmented {
    /// The classes of the original picture, and where they are.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`](crate::error::Error::AnswerTooLarge) when masks that overlap take more than is left of
    /// `allowance`; [`Error::Cancelled`](crate::error::Error::Cancelled) and [`Error::DeadlineExceeded`](crate::error::Error::DeadlineExceeded) when nobody wants them any more.
    pub fn finish(
        &self,
        _: &PoolThread,
        labels: &Labels,
        allowance: &mut Allowance,
        context: &Context,
    ) -> Result<Prediction> {
        let (width, height) = self.placement.original();
        let size = [height as usize, width as usize];
        let (found, class_ids, overlapping) = match &self.choice {
            Choice::Best => {
                let class_ids = self.class_ids(context)?;
                let found = encode_all(&class_ids, size[0], size[1], context)?;
                let found = found.into_iter().filter(|mask| mask.value != UNSEEN).collect();
                (found, class_ids, None)
            }
            Choice::Above(bounds) => (
                self.masks(bounds, size, allowance, context)?,
                Vec::new(),
                Some(bounds.len()),
            ),
        };
        Ok(prediction(found, labels, size, (class_ids, overlapping)))
    }

    fn taps(&self) -> Taps {
        let (columns, rows) = lines(&self.placement, self.size);
        Taps { columns, rows }
    }

    /// The best class of each pixel of the original.
    fn class_ids(&self, context: &Context) -> Result<Vec<u8>> {
        let Taps { columns, rows } = self.taps();
        let mut class_ids = vec![UNSEEN; columns.len() * rows.len()];
        let mut best = vec![f32::NEG_INFINITY; columns.len()];
        let mut blended = vec![0.0; self.size.1];
        let lines = class_ids.chunks_exact_mut(columns.len());
        for (y, (row, ids)) in rows.iter().zip(lines).enumerate() {
            if y % BAND == 0 {
                context.check()?;
            }
            let Some(row) = row else { continue };
            for (class, logits) in self.each_class().enumerate() {
                self.blend(logits, *row, &mut blended);
                for ((column, best), id) in columns.iter().zip(&mut best).zip(&mut *ids) {
                    let Some(column) = column else { continue };
                    let value = column.between(blended[column.near], blended[column.far]);
                    if class == 0 || value > *best {
                        (*best, *id) = (value, class as u8);
                    }
                }
            }
        }
        Ok(class_ids)
    }

    /// A mask of each class whose logit is above its own of `bounds` somewhere, one after the other.
    fn masks(
        &self,
        bounds: &[f32],
        [height, width]: [usize; 2],
        allowance: &mut Allowance,
        context: &Context,
    ) -> Result<Vec<ValueMask>> {
        let Taps { columns, rows } = self.taps();
        let (mut is_there, mut blended) = (vec![0; height * width], vec![0.0; self.size.1]);
        let mut masks = Vec::new();
        for (class, (logits, bound)) in self.each_class().zip(bounds).enumerate() {
            allowance.take(height * width, 0)?;
            is_there.fill(0);
            for (y, (row, line)) in rows.iter().zip(is_there.chunks_exact_mut(width)).enumerate() {
                if y % BAND == 0 {
                    context.check()?;
                }
                let Some(row) = row else { continue };
                self.blend(logits, *row, &mut blended);
                for (column, is_there) in columns.iter().zip(line) {
                    let Some(column) = column else { continue };
                    *is_there = u8::from(column.between(blended[column.near], blended[column.far]) > *bound);
                }
            }
            let of_both = encode_all(&is_there, height, width, context)?;
            if let Some(mask) = of_both.into_iter().find(|mask| mask.value == 1) {
                allowance.take(0, mask.rle.counts.len() as u64)?;
                masks.push(ValueMask {
                    value: class as u8,
                    ..mask
                });
            }
        }
        Ok(masks)
    }

    /// The logits of each class, `[height, width]`.
    fn each_class(&self) -> impl Iterator<Item = &[f32]> {
        self.logits.chunks_exact(self.size.0 * self.size.1)
    }

    /// The row of `logits` that a row of the original lies on.
    fn blend(&self, logits: &[f32], row: Tap, blended: &mut [f32]) {
        let width = self.size.1;
        let (near, far) = (
            &logits[row.near * width..][..width],
            &logits[row.far * width..][..width],
        );
        for ((value, near), far) in blended.iter_mut().zip(near).zip(far) {
            *value = row.between(*near, *far);
        }
    }
}

fn prediction(
    found: Vec<ValueMask>,
    labels: &Labels,
    size: [usize; 2],
    (class_ids, overlapping): (Vec<u8>, Option<usize>),
) -> Prediction {
    let total = (size[0] * size[1]) as f64;
    let area = |mask: &ValueMask| ClassArea {
        class_id: usize::from(mask.value),
        label: labels.name(usize::from(mask.value)),
        pixels: mask.pixels,
        fraction: mask.pixels as f64 / total,
    };
    let classes = found.iter().map(area).collect();
    let rle = found.into_iter().map(|mask| ClassMask {
        class_id: usize::from(mask.value),
        rle: mask.rle,
    });
    Prediction {
        classes,
        mask: Mask {
            size,
            rle: rle.collect(),
        },
        class_ids,
        overlapping,
        uncertainty: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Color, Decoding, Fit, Interpolation, Picture, Placement, Pool, ResizeMode, fit};
    use crate::manifest::Activation;

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
    fn halves(placement: Placement) -> Segmented {
        Segmented {
            logits: vec![1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0],
            size: (1, 4),
            choice: Choice::Best,
            placement,
            temperature: 1.0,
            one_channel: false,
            activation: Activation::Softmax,
        }
    }

    #[test]
    fn logits_are_resized_to_the_original_before_the_choice() {
        let stretched = placement(8, 2, (2, 4), ResizeMode::Stretch);
        let ids = halves(stretched).class_ids(&Context::default()).expect("classes");
        assert_eq!(ids, [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]].concat());
    }

    #[test]
    fn a_probability_is_that_of_the_best_class_of_a_cell() {
        let of = |choice| Segmented {
            // Two classes of two cells.
            logits: vec![0.0, 2.0, 3f32.ln(), 0.0],
            size: (1, 2),
            temperature: 1.0,
            one_channel: false,
            activation: Activation::Softmax,
            choice,
            placement: placement(2, 1, (1, 2), ResizeMode::Stretch),
        };
        let sure = of(Choice::Best).sure().expect("one class a cell");
        let classes: Vec<usize> = sure.cells.iter().map(|cell| cell.0).collect();
        assert_eq!((sure.width, classes), (2, vec![1, 0]));
        assert!((sure.cells[0].1 - 0.75).abs() < 1e-6);
        assert!((sure.cells[1].1 - 2f32.exp() / (2f32.exp() + 1.0)).abs() < 1e-6);
        assert!(of(Choice::Above(vec![0.5; 2])).sure().is_err());
    }

    #[test]
    fn a_probability_of_one_channel_is_its_own() {
        let of = |activation, bound: f32, value: f32| {
            let segmented = Segmented {
                logits: vec![bound, value],
                size: (1, 1),
                temperature: 1.0,
                one_channel: true,
                activation,
                choice: Choice::Best,
                placement: placement(1, 1, (1, 1), ResizeMode::Stretch),
            };
            segmented.sure().expect("one class a cell").cells[0]
        };
        let near = |found: (usize, f32), class, probability: f32| {
            assert!(
                found.0 == class && (found.1 - probability).abs() < 1e-6,
                "{found:?}"
            );
        };
        near(of(Activation::None, 0.5, 0.99), 1, 0.99);
        near(of(Activation::None, 0.5, 0.3), 0, 0.7);
        // A threshold of 0.7.
        let bound = (0.7f32 / 0.3).ln();
        near(
            of(Activation::Sigmoid, bound, 2.0),
            1,
            1.0 / (1.0 + (-2f32).exp()),
        );
        near(
            of(Activation::Sigmoid, bound, 0.5),
            0,
            1.0 - 1.0 / (1.0 + (-0.5f32).exp()),
        );
    }

    #[test]
    fn what_a_crop_cut_away_is_unseen() {
        let cropped = halves(placement(8, 4, (4, 4), ResizeMode::ShorterSide));
        let ids = cropped.class_ids(&Context::default()).expect("classes");
        assert_eq!(ids[..8], [UNSEEN, UNSEEN, 0, 0, 1, 1, UNSEEN, UNSEEN]);
        let pool = Pool::new(1).expect("a thread");
        let mut allowance = Allowance::of_bytes(100, "");
        let areas = pool
            .block(|thread| cropped.finish(thread, &Labels::default(), &mut allowance, &Context::default()));
        let areas = areas.expect("it is wanted").classes;
        let areas: Vec<_> = areas.iter().map(|c| (c.class_id, c.pixels)).collect();
        assert_eq!(areas, [(0, 8), (1, 8)]);
    }

    #[test]
    fn a_pixel_is_of_each_class_that_is_above_its_own_bound() {
        let finish = |bounds: [f32; 2], bytes: u64| {
            let segmented = Segmented {
                choice: Choice::Above(bounds.into()),
                ..halves(placement(8, 2, (2, 4), ResizeMode::Stretch))
            };
            let pool = Pool::new(1).expect("a thread");
            let mut allowance = Allowance::of_bytes(bytes, "");
            pool.block(|thread| {
                segmented.finish(thread, &Labels::default(), &mut allowance, &Context::default())
            })
        };
        let columns = |bounds| -> Vec<(usize, usize, usize)> {
            let found = finish(bounds, 100).expect("it is wanted");
            assert_eq!((found.overlapping, found.class_ids.len()), (Some(2), 0));
            // Each column has two pixels, one below the other.
            let of_class = |mask: &ClassMask| {
                let runs: Vec<_> = mask.rle.ones().collect();
                runs.into_iter()
                    .map(|run| (mask.class_id, run.start / 2, run.end / 2))
                    .collect::<Vec<_>>()
            };
            found.mask.rle.iter().flat_map(of_class).collect()
        };
        // Along a row the first class has 1, 1, 1, 0.5, −0.5, −1, −1, −1, and the second its negative.
        assert_eq!(columns([0.0, 0.0]), [(0, 0, 4), (1, 4, 8)]);
        assert_eq!(
            columns([-0.6, -0.6]),
            [(0, 0, 5), (1, 3, 8)],
            "both in the middle"
        );
        assert_eq!(
            columns([0.6, 2.0]),
            [(0, 0, 3)],
            "a class without a pixel is left out"
        );
        assert!(matches!(
            finish([0.0, 0.0], 1),
            Err(crate::error::Error::AnswerTooLarge(_))
        ));
    }

    #[test]
    fn nothing_is_finished_for_a_client_that_left() {
        let context = Context::default();
        context.cancellation.cancel();
        let segmented = halves(placement(8, 2, (2, 4), ResizeMode::Stretch));
        assert!(segmented.class_ids(&context).is_err());
    }
}
