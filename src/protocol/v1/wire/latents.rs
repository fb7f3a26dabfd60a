//! Small pictures and latents.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::names::TaskKind;
use crate::error::Result;
use crate::image::PoolThread;
use crate::protocol::v1::timing::TimingMs;
use crate::service::Decoded;
use crate::tasks::Frame;

/// A small picture, gray or RGB.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct PngFrame {
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
    /// The PNG in base64.
    #[schema(format = "byte")]
    png_b64: String,
}

impl PngFrame {
    pub(in crate::protocol::v1) fn new(thread: &PoolThread, frame: &Frame) -> Result<Self> {
        Ok(Self {
            width: frame.width,
            height: frame.height,
            png_b64: BASE64_STANDARD.encode(frame.png(thread)?),
        })
    }
}

/// Pictures of latents, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Frames {
    #[schema(example = "vae")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    images: Vec<LatentImage>,
    timing_ms: TimingMs,
}

/// A latent and its picture.
#[derive(Debug, Serialize, ToSchema)]
struct LatentImage {
    latent: Vec<f32>,
    #[serde(flatten)]
    frame: PngFrame,
}

impl Frames {
    pub(in crate::protocol::v1) fn new(
        thread: &PoolThread,
        decoded: &Decoded,
        timing_ms: TimingMs,
    ) -> Result<Self> {
        let images = decoded.frames.iter().map(|(latent, frame)| {
            Ok(LatentImage {
                latent: latent.values().to_vec(),
                frame: PngFrame::new(thread, frame)?,
            })
        });
        Ok(Self {
            images: images.collect::<Result<_>>()?,
            model: decoded.model.name.clone(),
            version: decoded.model.version.clone(),
            task: decoded.model.spec.manifest.task.into(),
            timing_ms,
        })
    }
}
