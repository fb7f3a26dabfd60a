//! A class over some pixels: the sum of its logits there (Seg-Grad-CAM, arXiv 2002.11434, eq. 3). The pixels are cells
//! of the logits' own grid.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::Result;
use crate::explain::target::{ClassName, ResolvedTarget, Target, refused};
use crate::manifest::Activation;
use crate::runtime::Call;
use crate::tasks::segmentation::{logits, with_background};

struct OfRegions {
    regions: Vec<Region>,
    activation: Activation,
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
            Some(1) => Tensor::f_cat(&[logits.f_neg()?, logits], 1)?,
            _ => logits,
        };
        self.gather(&per_class, |cells| Ok(cells.shallow_clone()))
    }

    /// The mean probability over the cells.
    fn confidences(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let logits = logits(output.shallow_clone())?;
        let probabilities = match (logits.size().get(1), self.activation) {
            (Some(1), Activation::None) => Tensor::f_cat(&[logits.f_neg()?.f_add_scalar(1.0)?, logits], 1)?,
            (Some(1), _) => Tensor::f_cat(&[logits.f_neg()?.f_sigmoid()?, logits.f_sigmoid()?], 1)?,
            _ => logits.f_softmax(1, Kind::Float)?,
        };
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

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let activation = untouched.spec.manifest.output.activation;
    let both = with_background(&logits(output.shallow_clone())?, activation)?;
    let found = Found {
        best: both.f_argmax(1, false)?.f_select(0, 0)?,
        classes: usize::try_from(both.size()[1]).unwrap_or(0),
    };
    let class = |class: &ClassName| class.find(&untouched.spec.labels, found.classes);
    let regions = match target {
        Target::Top => vec![found.mask(untouched, found.largest()?)?],
        Target::All => {
            let all = found.areas()?.into_iter().skip(1).filter(|(_, cells)| *cells > 0);
            let all: Vec<usize> = all.map(|(class_id, _)| class_id).collect();
            let all = if all.is_empty() { vec![0] } else { all };
            all.into_iter()
                .map(|class_id| found.mask(untouched, class_id))
                .collect::<Result<_>>()?
        }
        Target::Class(name) | Target::Mask(name) => {
            let class_id = class(name)?.map_or_else(|| found.largest(), Ok)?;
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
            label: untouched.spec.labels.name(region.class_id),
            pixel: region.pixel,
            cells: count(&region.cells)?,
        })
    };
    Ok(Resolved {
        targets: regions.iter().map(resolved).collect::<Result<_>>()?,
        objective: Box::new(OfRegions {
            regions,
            activation,
            columns: found.best.size2()?.1,
        }),
    })
}

/// The best class of each cell of the untouched image.
struct Found {
    /// `[h, w]`
    best: Tensor,
    classes: usize,
}

impl Found {
    /// Each class with its cells.
    fn areas(&self) -> Result<Vec<(usize, i64)>> {
        let counts = self
            .best
            .f_flatten(0, -1)?
            .f_bincount(None::<&Tensor>, self.classes as i64)?;
        let counts = Vec::<i64>::try_from(counts.f_to_device(tch::Device::Cpu)?)?;
        Ok(counts.into_iter().enumerate().collect())
    }

    /// The class with the most cells; the first, which most models call background, only where nothing else is.
    fn largest(&self) -> Result<usize> {
        let areas = self.areas()?;
        let others = areas.iter().skip(1).filter(|(_, cells)| *cells > 0);
        // Of two as large the first.
        let largest = others.max_by_key(|(class_id, cells)| (*cells, std::cmp::Reverse(*class_id)));
        Ok(largest.map_or(0, |(class_id, _)| *class_id))
    }

    fn mask(&self, untouched: &Untouched<'_>, class_id: usize) -> Result<Region> {
        let cells = self
            .best
            .f_eq(class_id as i64)?
            .f_flatten(0, -1)?
            .f_to_kind(Kind::Float)?;
        if count(&cells)? == 0 {
            let label = untouched.spec.labels.name(class_id);
            let there: Vec<String> = self
                .areas()?
                .into_iter()
                .filter(|(_, cells)| *cells > 0)
                .map(|(class_id, _)| format!("\"{}\"", untouched.spec.labels.name(class_id)))
                .collect();
            return Err(refused(format!(
                "no pixel of this image is \"{label}\" (it has {}); give a pixel: {label}@pixel=x,y",
                there.join(", ")
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
        let placement = untouched.placement()?;
        let (input_width, input_height) = placement.input_size();
        // The centre of the pixel that was named.
        let (at_x, at_y) = placement.to_input(x.floor() + 0.5, y.floor() + 0.5);
        let cell = |at: f64, input: u32, cells: i64| {
            let cell = (at / f64::from(input) * cells as f64).floor();
            (0.0..cells as f64).contains(&cell).then_some(cell as i64)
        };
        let (width, height) = placement.original();
        let inside = x >= 0.0 && y >= 0.0 && x < width.into() && y < height.into();
        let place = cell(at_y, input_height, rows).zip(cell(at_x, input_width, columns));
        let Some((row, column)) = place.filter(|_| inside) else {
            let seen = placement.visible();
            return Err(refused(format!(
                "the model does not see pixel {x},{y}; it sees {:.0},{:.0} to {:.0},{:.0}",
                seen.x_min, seen.y_min, seen.x_max, seen.y_max
            )));
        };
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
