//! Image to image: the mean of what is answered at a pixel or in a box of the original, of one channel or of all. The cells
//! are those of the answer's own grid.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::place;
use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::image::Color;
use crate::runtime::Call;
use crate::tasks::detection::Bounds;
use crate::tasks::image_to_image::images;

struct OfPatch {
    channel: Option<i64>,
    /// `[h, w]`: what each cell counts; together 1.
    weights: Tensor,
}

impl Objective for OfPatch {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let images = of_answer(output)?;
        let values = match self.channel {
            Some(channel) => images.f_select(1, channel)?,
            None => images.f_mean_dim([1i64].as_slice(), false, Kind::Float)?,
        };
        let weights = self.weights.f_flatten(0, -1)?;
        Ok(values.f_flatten(1, -1)?.f_mv(&weights)?.f_unsqueeze(1)?)
    }

    fn mirrored(&self) -> Result<Option<Box<dyn Objective>>> {
        Ok(Some(Box::new(Self {
            channel: self.channel,
            weights: self.weights.f_flip([1])?,
        })))
    }
}

/// `[n, C, h, w]`
fn of_answer(output: &Value) -> Result<Tensor> {
    images(&output.shallow_clone().into_tensor()?)
}

const WAYS: &str = "`pixel=x,y` or `box=x0,y0,x1,y1` in pixels of the picture, of one channel as `red@pixel=x,y` or \
                    `0@box=x0,y0,x1,y1`";

/// A target that says nothing of where in the answer.
#[must_use]
pub fn without_place() -> Error {
    refused(format!("say where in the answer: {WAYS}"))
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let answer = of_answer(output)?;
    let (_, channels, height, width) = answer.size4()?;
    let grid = (height, width);
    let (name, (rows, columns)) = match target {
        Target::Pixel(name, point) => {
            let (row, column) = place::cell(untouched.placement()?, *point, grid)?;
            (name, (vec![row], vec![column]))
        }
        Target::Box(corners) => (
            &ClassName::Top,
            place::cells(untouched.placement()?, *corners, grid)?,
        ),
        Target::Patch(name, corners) => (name, place::cells(untouched.placement()?, *corners, grid)?),
        _ => return Err(without_place()),
    };
    let color = untouched.spec.manifest.image_input()?.fit.color;
    let channel = channel(name, channels, color)?;
    let weights = Tensor::f_zeros([height, width], (Kind::Float, tch::Device::Cpu))?;
    let cells = rows.len() * columns.len();
    for &row in &rows {
        let row = weights.f_select(0, row)?;
        // They lie side by side.
        let first = columns.first().copied().unwrap_or(0);
        let _filled = row
            .f_narrow(0, first, columns.len() as i64)?
            .f_fill_(1.0 / cells as f64)?;
    }
    let objective = OfPatch {
        channel,
        weights: weights.f_to_device(answer.device())?,
    };
    let value = f32::try_from(objective.scores(untouched.net, output)?.f_view([])?)?;
    let resolved = ResolvedTarget::Patch {
        pixel: match target {
            Target::Pixel(_, point) => Some(*point),
            _ => None,
        },
        bounds: match target {
            Target::Box(corners) | Target::Patch(_, corners) => Some(bounds(*corners)),
            _ => None,
        },
        channel: channel.and_then(|channel| usize::try_from(channel).ok()),
        cells,
        value,
    };
    Ok(Resolved {
        objective: Box::new(objective),
        targets: vec![resolved],
    })
}

fn bounds([x_min, y_min, x_max, y_max]: [f64; 4]) -> Bounds {
    Bounds {
        x_min: x_min as f32,
        y_min: y_min as f32,
        x_max: x_max as f32,
        y_max: y_max as f32,
    }
}

/// The channel of this name among `channels`; nothing for all of them.
fn channel(name: &ClassName, channels: i64, color: Color) -> Result<Option<i64>> {
    let names: &[&str] = match (channels, color) {
        (3, Color::Bgr) => &["blue", "green", "red"],
        (3, _) => &["red", "green", "blue"],
        _ => &[],
    };
    let found = match name {
        ClassName::Top => return Ok(None),
        ClassName::Id(index) | ClassName::Exactly(index) => i64::try_from(*index).ok(),
        ClassName::Label(label) => {
            let place = names.iter().position(|name| name.eq_ignore_ascii_case(label));
            place.map(|place| place as i64)
        }
    };
    let found = found.filter(|index| *index < channels);
    found.map(Some).ok_or_else(|| {
        let last = channels - 1;
        let named = if names.is_empty() {
            String::new()
        } else {
            format!(", or `{}`", names.join("`, `"))
        };
        refused(format!(
            "there is no channel {name}; the answer has 0 to {last}{named}"
        ))
    })
}
