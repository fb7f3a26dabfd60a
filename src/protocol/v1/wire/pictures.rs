//! Pictures and maps that are made of pictures.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::tasks::image_to_image::{self, Body};

/// What is made of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Translation {
    /// The picture, or the map.
    output: Made,
}

/// A picture or a map as a PNG, and what its samples mean: a sample s of n bits is the value
/// black + s / (2ⁿ − 1) · (white − black) of its channel.
#[derive(Debug, Serialize, ToSchema)]
struct Made {
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
    /// 3 for a picture in colours, 1 for a map or a grey picture.
    channels: usize,
    /// Of a sample: 16 of one channel, 8 of three.
    bits: u8,
    /// The value that is black, of each of the model's channels.
    black: Vec<f32>,
    /// The value that is white.
    white: Vec<f32>,
    /// The least of the model's values.
    min: f32,
    /// The greatest of them.
    max: f32,
    /// The PNG in base64; transparent where the model did not see.
    #[schema(format = "byte")]
    png_b64: String,
}

impl From<image_to_image::Prediction> for Translation {
    fn from(found: image_to_image::Prediction) -> Self {
        let bits = found.bits();
        let png = match found.body {
            Body::Png(png) => png,
            // It is what is made for JSON.
            Body::Array(_) => Vec::new(),
        };
        Self {
            output: Made {
                width: found.width,
                height: found.height,
                channels: found.channels,
                bits,
                black: found.ends.iter().map(|ends| ends[0]).collect(),
                white: found.ends.iter().map(|ends| ends[1]).collect(),
                min: found.least,
                max: found.greatest,
                png_b64: BASE64_STANDARD.encode(png),
            },
        }
    }
}
