//! An object in the original picture, and the way there from what a model says of its input.

use super::nms::Candidate;
use crate::image::Placement;
use crate::manifest::Keypoints;
use crate::tasks::rle::Rle;
use crate::tasks::spec::ModelSpec;

/// The objects of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Best first.
    pub objects: Vec<Object>,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The index of the class.
    pub class_id: usize,
    /// Its label; the index as text where the model has no labels.
    pub label: String,
    /// How sure the model is.
    pub score: f32,
    /// Where it is.
    pub bounds: Bounds,
    /// Its keypoints, in the model's order; empty where the model has none.
    pub keypoints: Vec<Keypoint>,
    /// The box as it stands, where the model says that.
    pub oriented: Option<Oriented>,
    /// Its pixels, where the model says them.
    pub mask: Option<ObjectMask>,
}

/// A box in pixels of the original picture, clipped to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Left edge.
    pub x_min: f32,
    /// Upper edge.
    pub y_min: f32,
    /// Right edge.
    pub x_max: f32,
    /// Lower edge.
    pub y_max: f32,
}

/// A keypoint in pixels of the original picture, clipped to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Keypoint {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// From the left edge.
    pub x: f32,
    /// From the upper edge.
    pub y: f32,
    /// How sure the model is of it, where it says.
    pub score: Option<f32>,
}

/// A rectangle that may stand askew, in pixels of the original picture; not clipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Oriented {
    /// Centre, from the left edge of the picture.
    pub cx: f32,
    /// Centre, from its upper edge.
    pub cy: f32,
    /// Along the angle.
    pub width: f32,
    /// Across.
    pub height: f32,
    /// In radians, clockwise from the x axis to the width.
    pub angle: f32,
    /// x and y of each corner, one after the other around it.
    pub corners: [[f32; 2]; 4],
}

/// The pixels of an object, in the original picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMask {
    /// How many there are.
    pub pixels: usize,
    /// Which.
    pub rle: Rle,
}

/// What a model says of an object beside its box, in pixels of the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Detail {
    Nothing,
    /// x, y and, where the model says it, the score of each.
    Keypoints(Vec<([f32; 2], Option<f32>)>),
    /// Centre x, centre y, width, height, angle.
    Oriented([f32; 5]),
}

impl Detail {
    /// Whether it can be said of an object: a rectangle has an area.
    fn is_sound(&self) -> bool {
        match self {
            Self::Nothing | Self::Keypoints(_) => true,
            Self::Oriented([_, _, width, height, _]) => *width > 0.0 && *height > 0.0,
        }
    }
}

/// The object in the original picture; nothing where the box lies outside of it or has no area.
pub(super) fn object(
    candidate: &Candidate,
    detail: &Detail,
    placement: &Placement,
    spec: &ModelSpec,
) -> Option<Object> {
    if !detail.is_sound() {
        return None;
    }
    let oriented = match detail {
        Detail::Oriented(rectangle) => Some(oriented(*rectangle, placement)),
        _ => None,
    };
    let bounds = match &oriented {
        Some(oriented) => oriented.bounds(placement),
        None => {
            let [x0, y0, x1, y1] = candidate.corners;
            Bounds::between(inside(placement, [x0, y0]), inside(placement, [x1, y1]))
        }
    };
    let names = spec.manifest.output.detection.as_ref();
    let names = names.and_then(|keys| keys.keypoints.as_ref());
    (bounds.x_max > bounds.x_min && bounds.y_max > bounds.y_min).then(|| Object {
        class_id: candidate.class_id,
        label: spec.labels.name(candidate.class_id),
        score: candidate.score,
        bounds,
        keypoints: match detail {
            Detail::Keypoints(points) => keypoints(points, names, placement),
            _ => Vec::new(),
        },
        oriented,
        mask: None,
    })
}

impl Bounds {
    fn between([x_min, y_min]: [f32; 2], [x_max, y_max]: [f32; 2]) -> Self {
        Self {
            x_min,
            y_min,
            x_max,
            y_max,
        }
    }
}

impl Oriented {
    /// The upright box around it.
    fn bounds(&self, placement: &Placement) -> Bounds {
        let end = |axis: usize, further: fn(f32, f32) -> f32| {
            let along = self.corners.iter().map(|corner| corner[axis]);
            along.reduce(further).unwrap_or_default()
        };
        let corner = |further| clipped(placement, (end(0, further).into(), end(1, further).into()));
        Bounds::between(corner(f32::min), corner(f32::max))
    }
}

/// A point of the input, in the original and clipped to it.
fn inside(placement: &Placement, [x, y]: [f32; 2]) -> [f32; 2] {
    clipped(placement, placement.to_original(x.into(), y.into()))
}

/// A point of the original, clipped to it.
fn clipped(placement: &Placement, (x, y): (f64, f64)) -> [f32; 2] {
    let (width, height) = placement.original();
    [
        x.clamp(0.0, f64::from(width)) as f32,
        y.clamp(0.0, f64::from(height)) as f32,
    ]
}

fn keypoints(
    points: &[([f32; 2], Option<f32>)],
    known: Option<&Keypoints>,
    placement: &Placement,
) -> Vec<Keypoint> {
    let keypoint = |(index, (at, score)): (usize, &([f32; 2], Option<f32>))| {
        let [x, y] = inside(placement, *at);
        Keypoint {
            name: known.and_then(|known| known.names.get(index).cloned()),
            x,
            y,
            score: *score,
        }
    };
    points.iter().enumerate().map(keypoint).collect()
}

/// As Ultralytics' `scale_boxes(xywh=True)` and `xywhr2xyxyxyxy` (ultralytics 8.4, `utils/ops.py`).
fn oriented([cx, cy, width, height, angle]: [f32; 5], placement: &Placement) -> Oriented {
    let (cx, cy) = placement.to_original(cx.into(), cy.into());
    let (x_scale, y_scale) = placement.scale();
    let (width, height) = (f64::from(width) / x_scale, f64::from(height) / y_scale);
    let (sin, cos) = f64::from(angle).sin_cos();
    let (along, across) = (
        [width / 2.0 * cos, width / 2.0 * sin],
        [-height / 2.0 * sin, height / 2.0 * cos],
    );
    let corner = |a: f64, b: f64| {
        [
            (cx + a * along[0] + b * across[0]) as f32,
            (cy + a * along[1] + b * across[1]) as f32,
        ]
    };
    Oriented {
        cx: cx as f32,
        cy: cy as f32,
        width: width as f32,
        height: height as f32,
        angle,
        corners: [corner(1., 1.), corner(1., -1.), corner(-1., -1.), corner(-1., 1.)],
    }
}
