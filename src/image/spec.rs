//! What a model's input is, and how a picture becomes one.

use serde::Deserialize;

use super::placement::Placement;

/// How a picture of any shape becomes an input of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// The shorter side to `resize_to`, then the centre: torchvision's `Resize(n)`, `CenterCrop(size)`.
    ShorterSide,
    /// Both sides to the input's, whatever that does to the proportions: torchvision's `Resize((h, w))`.
    Stretch,
    /// As large as fits, centred, the rest filled: Ultralytics' `LetterBox`.
    Letterbox,
    /// The picture must have the input's size already.
    None,
}

/// How pixels between pixels are found; antialiased as Pillow does, except `Nearest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The pixel that covers the point.
    Nearest,
    /// Triangle filter.
    Bilinear,
    /// Cubic convolution, a = -0.5.
    Bicubic,
}

/// Which channels the model takes, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel, ITU-R 601 luma as Pillow's `convert("L")`, taken before resizing.
    Gray,
}

impl Color {
    /// Number of channels.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

/// How a JPEG's pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Decoding {
    /// Every pixel, as Pillow decodes it.
    #[default]
    Exact,
    /// At 1/2, 1/4 or 1/8 of its size where that is still at least twice what it is resized to: the decoder then
    /// leaves out frequencies that resizing would.
    Scaled,
}

/// How a picture becomes a model's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// (height, width) of the input, in pixels.
    pub size: (u32, u32),
    /// How the shape is met.
    pub mode: ResizeMode,
    /// `ShorterSide` only: length of the shorter side before the crop; the shorter side of `size` when absent.
    pub resize_to: Option<u32>,
    /// How pixels between pixels are found.
    pub interpolation: Interpolation,
    /// Channels of the input.
    pub color: Color,
    /// `Letterbox` only: the value of every channel of the border. Ultralytics fills with [`Fit::LETTERBOX_FILL`].
    pub letterbox_fill: u8,
    /// Whether a JPEG may be decoded smaller than it is.
    pub decoding: Decoding,
}

impl Fit {
    /// The grey that YOLO models are trained with around letterboxed pictures.
    pub const LETTERBOX_FILL: u8 = 114;
}

/// What a model input holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `[height, width, channels]`, row-major, in the channel order of the [`Color`] asked for; not yet normalised.
    Pixels(Vec<u8>),
    /// `[channels, height, width]`, row-major, all finite: as the model takes them, prepared by the client.
    Prepared(Vec<f32>),
}

impl Content {
    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Pixels(pixels) => pixels.len(),
            Self::Prepared(values) => size_of_val(values.as_slice()),
        }
    }
}

/// One model input.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInput {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Samples a pixel: 3 or 1.
    pub channels: usize,
    /// Its samples.
    pub content: Content,
    /// Where the input lies on the original picture.
    pub placement: Placement,
}

impl ModelInput {
    /// An input that somebody else prepared, `[channels, height, width]`: it is its own original.
    ///
    /// # Errors
    /// What was found and what is expected, in words: so many samples, all of them finite.
    pub fn prepared(fit: &Fit, samples: Vec<f32>) -> Result<Self, String> {
        let ((height, width), channels) = (fit.size, fit.color.channels());
        let expected = height as usize * width as usize * channels;
        if samples.len() != expected {
            let found = samples.len();
            return Err(format!("found {found} values, expected {expected}"));
        }
        if let Some(place) = samples.iter().position(|sample| !sample.is_finite()) {
            let found = samples[place];
            return Err(format!("value {place} is {found}, expected finite numbers"));
        }
        Ok(Self {
            height,
            width,
            channels,
            content: Content::Prepared(samples),
            placement: Placement::whole(width, height),
        })
    }

    /// Its pixels; none where it came prepared.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        match &self.content {
            Content::Pixels(pixels) => pixels,
            Content::Prepared(_) => &[],
        }
    }
}
