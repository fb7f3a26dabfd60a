//! A class over some pixels: the sum of its logits there (Seg-Grad-CAM, arXiv 2002.11434, eq. 3). The pixels are cells
//! of the logits' own grid.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::place;
use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::manifest::{Activation, Temperature};
use crate::runtime::Call;
use crate::runtime::staging::finite;
use crate::tasks::segmentation::{Choice, logits, with_background};
use crate::tasks::{ModelSpec, scaled};

struct OfRegions {
    regions: Vec<Region>,
    activation: Activation,
    temperature: Temperature,
    /// Whether a pixel may be of several classes.
    overlap: bool,
    columns: i64,
}

struct Region {
    class_id: usize,
    /// `[h · w]`, 1 where the class is looked at.
    cells: Tensor,
    pixel: Option<[f64; 2]>,
}

impl OfRegions {
    /// For each region a row of `per_class [n, K, h, w]`, weighed with `weight` of its cells.
    fn gather(&self, per_class: &Tensor, weight: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let per_class = per_class.f_flatten(2, 3)?;
        let of_region = |region: &Region| -> Result<Tensor> {
            let values = per_class.f_select(1, region.class_id as i64)?;
            Ok(values.f_mv(&weight(&region.cells)?)?)
        };
        let columns = self.regions.iter().map(of_region).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_stack(&columns, 1)?)
    }
}

impl Objective for OfRegions {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let logits = logits(output.shallow_clone())?;
        // One channel says how much the second of two classes is there, and its negative how much the first.
        let per_class = match logits.size().get(1) {
            Some(1) if !self.overlap => Tensor::f_cat(&[logits.f_neg()?, logits], 1)?,
            _ => logits,
        };
        self.gather(&per_class, |cells| Ok(cells.shallow_clone()))
    }

    /// The mean probability over the cells.
    fn confidences(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let logits = scaled(&logits(output.shallow_clone())?, self.temperature)?;
        let probabilities = probabilities(logits, self.activation, self.overlap)?;
        self.gather(&probabilities, |cells| {
            Ok(cells.f_div(&cells.f_sum(Kind::Float)?)?)
        })
    }

    fn mirrored(&self) -> Result<Option<Box<dyn Objective>>> {
        let mirrored = |region: &Region| -> Result<Region> {
            Ok(Region {
                class_id: region.class_id,
                cells: region
                    .cells
                    .f_view([-1, self.columns])?
                    .f_flip([1])?
                    .f_flatten(0, -1)?,
                pixel: region.pixel,
            })
        };
        Ok(Some(Box::new(Self {
            regions: self.regions.iter().map(mirrored).collect::<Result<_>>()?,
            ..*self
        })))
    }
}

/// The probability of each class at each cell, of `[n, K, h, w]`.
fn probabilities(logits: Tensor, activation: Activation, overlap: bool) -> Result<Tensor> {
    Ok(match (logits.size().get(1), activation) {
        (_, Activation::None) if overlap => logits,
        _ if overlap => logits.f_sigmoid()?,
        (Some(1), Activation::None) => Tensor::f_cat(&[logits.f_neg()?.f_add_scalar(1.0)?, logits], 1)?,
        (Some(1), _) => Tensor::f_cat(&[logits.f_neg()?.f_sigmoid()?, logits.f_sigmoid()?], 1)?,
        (_, Activation::None) => logits,
        (_, Activation::Sigmoid) => logits.f_sigmoid()?,
        (_, Activation::Softmax) => logits.f_softmax(1, Kind::Float)?,
    })
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let spec = untouched.spec;
    let both = with_background(&logits(output.shallow_clone())?, spec)?;
    finite(&both, "logits")?;
    let found = Found::new(&both, spec)?;
    let class = |class: &ClassName| class.find(&spec.labels, found.classes);
    let regions = match target {
        Target::Top => vec![found.mask(untouched, found.largest(untouched)?)?],
        Target::All => {
            let all = found.objects()?;
            let all = if all.is_empty() {
                vec![found.largest(untouched)?]
            } else {
                all
            };
            all.into_iter()
                .map(|class_id| found.mask(untouched, class_id))
                .collect::<Result<_>>()?
        }
        Target::Class(name) | Target::Mask(name) => {
            let class_id = class(name)?.map_or_else(|| found.largest(untouched), Ok)?;
            vec![found.mask(untouched, class_id)?]
        }
        Target::Pixel(name, point) => vec![found.pixel(untouched, class(name)?, *point)?],
        _ => {
            return Err(refused(
                "a segmenter explains a class over its own mask (give its id or its label), `CLASS@pixel=x,y`, or `all`",
            ));
        }
    };
    let resolved = |region: &Region| -> Result<ResolvedTarget> {
        Ok(ResolvedTarget::Region {
            class_id: region.class_id,
            label: spec.labels.name(region.class_id),
            pixel: region.pixel,
            cells: count(&region.cells)?,
        })
    };
    Ok(Resolved {
        targets: regions.iter().map(resolved).collect::<Result<_>>()?,
        objective: Box::new(OfRegions {
            regions,
            activation: spec.manifest.output.activation,
            temperature: spec.manifest.output.temperature,
            overlap: found.overlap,
            columns: found.best.size2()?.1,
        }),
    })
}

/// The classes of each cell of the untouched image.
struct Found {
    /// `[h, w]`: the class with the largest logit.
    best: Tensor,
    /// `[K, h, w]`: whether it is of each.
    each: Tensor,
    classes: usize,
    /// Whether a cell may be of several; else the first is the background.
    overlap: bool,
}

impl Found {
    /// What `logits [1, K, h, w]` say.
    fn new(logits: &Tensor, spec: &ModelSpec) -> Result<Self> {
        let logits = logits.f_select(0, 0)?;
        let classes = usize::try_from(logits.size()[0]).unwrap_or(0);
        let best = logits.f_argmax(0, false)?;
        let (each, overlap) = match Choice::of(spec, classes) {
            Choice::Best => {
                let ids = Tensor::f_arange(classes as i64, (Kind::Int64, logits.device()))?;
                (best.f_unsqueeze(0)?.f_eq_tensor(&ids.f_view([-1, 1, 1])?)?, false)
            }
            Choice::Above(bounds) => {
                let bounds = Tensor::f_from_slice(&bounds)?.f_to_device(logits.device())?;
                (logits.f_gt_tensor(&bounds.f_view([-1, 1, 1])?)?, true)
            }
        };
        Ok(Self {
            best,
            each,
            classes,
            overlap,
        })
    }

    /// Each class with its cells.
    fn areas(&self) -> Result<Vec<(usize, i64)>> {
        let counts = self
            .each
            .f_flatten(1, -1)?
            .f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?;
        let counts = Vec::<i64>::try_from(counts.f_to_device(tch::Device::Cpu)?)?;
        Ok(counts.into_iter().enumerate().collect())
    }

    /// The classes that are there, but for the background.
    fn objects(&self) -> Result<Vec<usize>> {
        let areas = self.areas()?.into_iter().skip(usize::from(!self.overlap));
        Ok(areas
            .filter(|(_, cells)| *cells > 0)
            .map(|(class_id, _)| class_id)
            .collect())
    }

    /// The class with the most cells; the first, which most models call background, only where nothing else is.
    fn largest(&self, untouched: &Untouched<'_>) -> Result<usize> {
        let areas = self.areas()?;
        let objects = self.objects()?.into_iter();
        // Of two as large the first.
        let largest = objects.max_by_key(|class_id| (areas[*class_id].1, std::cmp::Reverse(*class_id)));
        match largest {
            Some(class_id) => Ok(class_id),
            None if self.overlap => Err(Error::NothingDetected(format!(
                "no pixel of this image is of a class, so there is none to explain; give a pixel: {}@pixel=x,y",
                untouched.spec.labels.name(0)
            ))),
            None => Ok(0),
        }
    }

    fn mask(&self, untouched: &Untouched<'_>, class_id: usize) -> Result<Region> {
        let cells = self.each.f_select(0, class_id as i64)?;
        let cells = cells.f_flatten(0, -1)?.f_to_kind(Kind::Float)?;
        if count(&cells)? == 0 {
            let label = untouched.spec.labels.name(class_id);
            let there: Vec<String> = self
                .areas()?
                .into_iter()
                .filter(|(_, cells)| *cells > 0)
                .map(|(class_id, _)| format!("\"{}\"", untouched.spec.labels.name(class_id)))
                .collect();
            return Err(Error::NothingDetected(format!(
                "no pixel of this image is \"{label}\" (it has {}); give a pixel: {label}@pixel=x,y",
                if there.is_empty() {
                    "none of any class".to_owned()
                } else {
                    there.join(", ")
                }
            )));
        }
        Ok(Region {
            class_id,
            cells,
            pixel: None,
        })
    }

    fn pixel(&self, untouched: &Untouched<'_>, class_id: Option<usize>, [x, y]: [f64; 2]) -> Result<Region> {
        let (rows, columns) = self.best.size2()?;
        let (row, column) = place::cell(untouched.placement()?, [x, y], (rows, columns))?;
        let class_id = match class_id {
            Some(class_id) => class_id,
            None => {
                usize::try_from(i64::try_from(self.best.f_select(0, row)?.f_select(0, column)?)?).unwrap_or(0)
            }
        };
        let cells = self
            .best
            .f_zeros_like()?
            .f_to_kind(Kind::Float)?
            .f_flatten(0, -1)?;
        let _one = cells.f_narrow(0, row * columns + column, 1)?.f_fill_(1.0)?;
        Ok(Region {
            class_id,
            cells,
            pixel: Some([x, y]),
        })
    }
}

fn count(cells: &Tensor) -> Result<usize> {
    Ok(f64::try_from(cells.f_sum(Kind::Double)?)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::staging::floats;

    #[test]
    fn probabilities_are_those_of_the_activation() {
        let of = |values: &[f32], activation| {
            let cells = Tensor::from_slice(values).view([1, values.len() as i64, 1, 1]);
            floats(&probabilities(cells, activation, false).expect("maps")).expect("floats")
        };
        let near = |found: Vec<f32>, expected: &[f32]| {
            let apart = found
                .iter()
                .zip(expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(found.len() == expected.len() && apart < 1e-6, "{found:?}");
        };
        near(of(&[0.2, 0.7, 0.1], Activation::None), &[0.2, 0.7, 0.1]);
        near(of(&[0.0, 3f32.ln()], Activation::Sigmoid), &[0.5, 0.75]);
        near(of(&[0.0, 3f32.ln()], Activation::Softmax), &[0.25, 0.75]);
        near(of(&[0.9], Activation::None), &[0.1, 0.9]);
        near(of(&[3f32.ln()], Activation::Sigmoid), &[0.25, 0.75]);
    }
}
