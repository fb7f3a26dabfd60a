//! What a detector finds.

use serde::Serialize;
use utoipa::ToSchema;

use super::rle::Rle;
use crate::tasks::detection;

/// The objects of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Detection {
    /// Best first.
    objects: Vec<DetectedObject>,
}

/// One object.
#[derive(Debug, Serialize, ToSchema)]
struct DetectedObject {
    /// The index of the class.
    class_id: usize,
    /// Its label; the index as text where the model has no labels.
    #[schema(example = "person")]
    label: String,
    /// How sure the model is.
    score: f32,
    /// Where it is.
    #[serde(rename = "box")]
    bounds: Bounds,
    /// Its keypoints in the model's order, of a model that finds them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keypoints: Vec<Keypoint>,
    /// The box as it stands, of a model whose boxes stand askew.
    #[serde(skip_serializing_if = "Option::is_none")]
    oriented_box: Option<OrientedBox>,
    /// Its pixels in the original picture, of a model that finds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<ObjectMask>,
}

/// A keypoint in pixels of the original picture, clipped to it.
#[derive(Debug, Serialize, ToSchema)]
struct Keypoint {
    /// Its name, where model.toml has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "nose")]
    name: Option<String>,
    /// From the left edge.
    x: f32,
    /// From the upper edge.
    y: f32,
    /// How sure the model is of it, where it says: YOLO's visibility from 0 to 1, torchvision's logit.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
}

/// A rectangle that may stand askew, in pixels of the original picture; not clipped.
#[derive(Debug, Serialize, ToSchema)]
struct OrientedBox {
    /// Centre, from the left edge of the picture.
    cx: f32,
    /// Centre, from its upper edge.
    cy: f32,
    /// Along the angle.
    width: f32,
    /// Across.
    height: f32,
    /// In radians, clockwise from the x axis to the width.
    angle: f32,
    /// `[x, y]` of each corner, one after the other around it.
    corners: [[f32; 2]; 4],
}

/// The pixels of an object; `pycocotools.mask.decode` reads it as it is.
#[derive(Debug, Serialize, ToSchema)]
struct ObjectMask {
    /// How many there are.
    pixels: usize,
    /// Which.
    #[serde(flatten)]
    rle: Rle,
}

/// A box in pixels of the original picture, clipped to it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Bounds {
    /// Left edge.
    x_min: f32,
    /// Upper edge.
    y_min: f32,
    /// Right edge.
    x_max: f32,
    /// Lower edge.
    y_max: f32,
}

impl From<detection::Bounds> for Bounds {
    fn from(bounds: detection::Bounds) -> Self {
        Self {
            x_min: bounds.x_min,
            y_min: bounds.y_min,
            x_max: bounds.x_max,
            y_max: bounds.y_max,
        }
    }
}

impl From<detection::Keypoint> for Keypoint {
    fn from(keypoint: detection::Keypoint) -> Self {
        Self {
            name: keypoint.name,
            x: keypoint.x,
            y: keypoint.y,
            score: keypoint.score,
        }
    }
}

impl From<detection::Oriented> for OrientedBox {
    fn from(oriented: detection::Oriented) -> Self {
        Self {
            cx: oriented.cx,
            cy: oriented.cy,
            width: oriented.width,
            height: oriented.height,
            angle: oriented.angle,
            corners: oriented.corners,
        }
    }
}

impl From<detection::ObjectMask> for ObjectMask {
    fn from(mask: detection::ObjectMask) -> Self {
        Self {
            pixels: mask.pixels,
            rle: mask.rle.into(),
        }
    }
}

impl From<detection::Prediction> for Detection {
    fn from(found: detection::Prediction) -> Self {
        let object = |object: detection::Object| DetectedObject {
            class_id: object.class_id,
            label: object.label,
            score: object.score,
            bounds: object.bounds.into(),
            keypoints: object.keypoints.into_iter().map(Keypoint::from).collect(),
            oriented_box: object.oriented.map(OrientedBox::from),
            mask: object.mask.map(ObjectMask::from),
        };
        Self {
            objects: found.objects.into_iter().map(object).collect(),
        }
    }
}
