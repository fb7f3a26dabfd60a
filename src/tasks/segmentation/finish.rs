//! From the logits of a model's input to the class of each pixel of the original: resized as `grid_sample` resizes
//! (bilinear, half-pixel centres, repeated edges), then the best.

use super::{ClassArea, ClassMask, Mask, Prediction, Segmented, UNSEEN};
use crate::engine::Context;
use crate::error::Result;
use crate::image::PoolThread;
use crate::tasks::Labels;
use crate::tasks::rle::{ValueMask, encode_all};
use crate::tasks::tap::{Tap, lines};

/// Rows between two looks at whether the answer is still wanted.
const BAND: usize = 64;

impl Segmented {
    /// The classes of the original picture, and where they are.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and
    /// [`Error::DeadlineExceeded`](crate::error::Error::DeadlineExceeded) when nobody wants them any more.
    pub fn finish(&self, _: &PoolThread, labels: &Labels, context: &Context) -> Result<Prediction> {
        let class_ids = self.class_ids(context)?;
        let (width, height) = self.placement.original();
        let size = [height as usize, width as usize];
        let total = class_ids.len() as f64;
        let found = encode_all(&class_ids, size[0], size[1], context)?;
        let found: Vec<_> = found.into_iter().filter(|mask| mask.value != UNSEEN).collect();
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
        Ok(Prediction {
            classes,
            mask: Mask {
                size,
                rle: rle.collect(),
            },
            class_ids,
        })
    }

    /// The best class of each pixel of the original.
    fn class_ids(&self, context: &Context) -> Result<Vec<u8>> {
        let (columns, rows) = lines(&self.placement, self.size);
        let mut class_ids = vec![UNSEEN; columns.len() * rows.len()];
        let mut best = vec![f32::NEG_INFINITY; columns.len()];
        for (y, (row, ids)) in rows
            .iter()
            .zip(class_ids.chunks_exact_mut(columns.len()))
            .enumerate()
        {
            if y % BAND == 0 {
                context.check()?;
            }
            if let Some(row) = row {
                self.best_of_row(*row, &columns, &mut best, ids);
            }
        }
        Ok(class_ids)
    }

    fn best_of_row(&self, row: Tap, columns: &[Option<Tap>], best: &mut [f32], ids: &mut [u8]) {
        let (height, width) = self.size;
        let mut blended = vec![0.0; width];
        for (class, logits) in self.logits.chunks_exact(height * width).enumerate() {
            let near = &logits[row.near * width..][..width];
            let far = &logits[row.far * width..][..width];
            for ((value, near), far) in blended.iter_mut().zip(near).zip(far) {
                *value = row.between(*near, *far);
            }
            let is_first = class == 0;
            for ((column, best), id) in columns.iter().zip(&mut *best).zip(&mut *ids) {
                let Some(column) = column else { continue };
                let value = column.between(blended[column.near], blended[column.far]);
                if is_first || value > *best {
                    (*best, *id) = (value, class as u8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Color, Decoding, Fit, Interpolation, Picture, Placement, Pool, ResizeMode, fit};

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
            placement,
        }
    }

    #[test]
    fn logits_are_resized_to_the_original_before_the_choice() {
        let stretched = placement(8, 2, (2, 4), ResizeMode::Stretch);
        let ids = halves(stretched).class_ids(&Context::default()).expect("classes");
        assert_eq!(ids, [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]].concat());
    }

    #[test]
    fn what_a_crop_cut_away_is_unseen() {
        let cropped = halves(placement(8, 4, (4, 4), ResizeMode::ShorterSide));
        let ids = cropped.class_ids(&Context::default()).expect("classes");
        assert_eq!(ids[..8], [UNSEEN, UNSEEN, 0, 0, 1, 1, UNSEEN, UNSEEN]);
        let pool = Pool::new(1).expect("a thread");
        let areas = pool.block(|thread| cropped.finish(thread, &Labels::default(), &Context::default()));
        let areas = areas.expect("it is wanted").classes;
        let areas: Vec<_> = areas.iter().map(|c| (c.class_id, c.pixels)).collect();
        assert_eq!(areas, [(0, 8), (1, 8)]);
    }

    #[test]
    fn nothing_is_finished_for_a_client_that_left() {
        let context = Context::default();
        context.cancellation.cancel();
        let segmented = halves(placement(8, 2, (2, 4), ResizeMode::Stretch));
        assert!(segmented.class_ids(&context).is_err());
    }
}
