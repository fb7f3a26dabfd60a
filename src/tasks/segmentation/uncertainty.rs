//! How sure a segmenter is of the classes of a picture.

/// The mean entropy of the pixels of the model's own output that lie on the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskUncertainty {
    /// Of the probabilities of the classes of a pixel, in nats.
    pub mean_entropy_nats: f64,
    /// The same as a part of ln K, 0 to 1.
    pub relative_entropy: f64,
}
