//! Masks of objects, from what a model says of its input to the pixels of the original picture.
//!
//! Of YOLO's prototypes as Ultralytics does it with `retina_masks=True` (ultralytics 8.4, `process_mask_native`): the sum
//! of the prototypes is enlarged as far as the border of the letterbox lies on whole cells, the border is cut away, the
//! rest is resized to the original (bilinear, half-pixel centres), what is above 0 is the object, inside its box. Of
//! torchvision's masks, which the model has pasted itself, what is above a half after the same resizing.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::grid::{Grid, enlarged};
use super::nms::Candidate;
use super::object::{Bounds, Object, ObjectMask, Prediction};
use super::raw::{Found, More, Raw, rows};
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::image::{Placement, PoolThread};
use crate::runtime::staging::{finite, floats};
use crate::tasks::allowance::Allowance;

/// Values of the masks of one image at most, as they come from the model.
const MOST_VALUES: usize = 1 << 26;

/// The objects of one image, with masks that still have to be laid on the original; that is no work for a core that others
/// wait for: see [`Detected::finish`].
#[derive(Debug, Clone, PartialEq)]
pub struct Detected {
    pub(super) objects: Vec<Object>,
    pub(super) masks: Option<Masks>,
    pub(super) placement: Placement,
}

/// What a model says of the pixels of its objects.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Masks {
    Prototypes {
        /// `[M, height, width]`
        shape: [usize; 3],
        prototypes: Vec<f32>,
        /// What each prototype gives, object by object.
        parts: Vec<f32>,
    },
    /// One an object.
    Pasted(Vec<Patch>),
}

/// The part of a mask `[height, width]` over the input that is not zero.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Patch {
    full: (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
    values: Vec<f32>,
}

impl Raw {
    /// The objects that were `found`, with what the model says of their pixels.
    pub(super) fn detected(&self, found: Vec<Found>, placement: Placement) -> Result<Detected> {
        let (kept, objects): (Vec<_>, Vec<_>) = found
            .into_iter()
            .map(|found| (found.candidate, found.object))
            .unzip();
        Ok(Detected {
            masks: masks(&self.more, &kept)?,
            objects,
            placement,
        })
    }
}

fn masks(more: &More, kept: &[Candidate]) -> Result<Option<Masks>> {
    Ok(match more {
        More::Prototypes(parts, prototypes) => {
            let side = |axis: usize| usize::try_from(prototypes.size()[axis]).unwrap_or(0);
            Some(Masks::Prototypes {
                shape: [side(0), side(1), side(2)],
                prototypes: finite(prototypes, "prototypes of masks")?,
                parts: finite(&parts.f_index_select(0, &rows(kept, parts)?)?, "parts of masks")?,
            })
        }
        More::Masks(all) => Some(Masks::Pasted(pasted(all, kept)?)),
        _ => None,
    })
}

fn pasted(all: &Tensor, kept: &[Candidate]) -> Result<Vec<Patch>> {
    let mut left = MOST_VALUES;
    let patch = |candidate: &Candidate| {
        let mask = all.f_get(candidate.row as i64)?.f_to_kind(Kind::Float)?;
        let taken = |axis: i64| -> Result<Range<usize>> {
            let line = floats(&mask.f_amax([axis].as_slice(), false)?)?;
            let first = line.iter().position(|v| *v > 0.0).unwrap_or(0);
            Ok(first..line.iter().rposition(|v| *v > 0.0).map_or(first, |last| last + 1))
        };
        let (rows, columns) = (taken(1)?, taken(0)?);
        let too_many = || Error::AnswerTooLarge("the masks of so many objects are too large together".into());
        left = left
            .checked_sub(rows.len() * columns.len())
            .ok_or_else(too_many)?;
        let part = mask.f_narrow(0, rows.start as i64, rows.len() as i64)?.f_narrow(
            1,
            columns.start as i64,
            columns.len() as i64,
        )?;
        let side = |axis: usize| usize::try_from(mask.size()[axis]).unwrap_or(0);
        Ok(Patch {
            full: (side(0), side(1)),
            values: finite(&part, "masks")?,
            rows,
            columns,
        })
    };
    kept.iter().map(patch).collect()
}

impl Detected {
    /// The objects of a model that says nothing of their pixels.
    #[must_use]
    pub fn without_masks(self) -> Prediction {
        Prediction {
            objects: self.objects,
        }
    }

    /// The objects, each with its pixels in the original.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`] when they take more than is left of `allowance`; [`Error::Cancelled`] and
    /// [`Error::DeadlineExceeded`] when nobody wants them any more.
    pub fn finish(
        mut self,
        _: &PoolThread,
        allowance: &mut Allowance,
        context: &Context,
    ) -> Result<Prediction> {
        if let Some(masks) = self.masks.take() {
            for (index, object) in self.objects.iter_mut().enumerate() {
                context.check()?;
                object.mask = Some(masks.of(index, object.bounds, &self.placement, (allowance, context))?);
            }
            if let Masks::Prototypes { .. } = masks {
                // As Ultralytics: an object without a pixel is none.
                self.objects
                    .retain(|object| object.mask.as_ref().is_some_and(|mask| mask.pixels > 0));
            }
        }
        Ok(Prediction {
            objects: self.objects,
        })
    }
}

impl Masks {
    fn of(
        &self,
        index: usize,
        bounds: Bounds,
        placement: &Placement,
        limits: (&mut Allowance, &Context),
    ) -> Result<ObjectMask> {
        match self {
            Self::Prototypes {
                shape: [count, height, width],
                prototypes,
                parts,
            } => {
                let mut sum = vec![0.0; height * width];
                let parts = parts.chunks_exact(*count).nth(index).unwrap_or_default();
                for (part, prototype) in parts.iter().zip(prototypes.chunks_exact(height * width)) {
                    for (sum, value) in sum.iter_mut().zip(prototype) {
                        *sum += part * value;
                    }
                }
                let pixels = |low: f32, high: f32| low.ceil() as usize..high.ceil() as usize;
                let grid = Grid {
                    values: &sum,
                    full: (*height, *width),
                    rows: 0..*height,
                    columns: 0..*width,
                    enlarged: enlarged(placement, (*height, *width)),
                };
                let window = (
                    pixels(bounds.y_min, bounds.y_max),
                    pixels(bounds.x_min, bounds.x_max),
                );
                grid.laid(0.0, window, placement, limits)
            }
            Self::Pasted(patches) => {
                let patch = &patches[index];
                let grid = Grid {
                    values: &patch.values,
                    full: patch.full,
                    rows: patch.rows.clone(),
                    columns: patch.columns.clone(),
                    enlarged: 1,
                };
                grid.laid(0.5, grid.window(placement), placement, limits)
            }
        }
    }
}
