//! Which of a model's engines computes an operation.

use super::model::Predict;
use crate::engine::Engine;
use crate::tasks::classification::Classify;
use crate::tasks::detection::Detect;
use crate::tasks::embedding::Embed;
use crate::tasks::image_to_image::Translate;
use crate::tasks::regression::Regress;
use crate::tasks::segmentation::Segment;
use crate::tasks::{Operation, captioning, tensor, vae};

/// An operation that models answer from a queue of their own.
pub trait HasEngine: Operation {
    /// The engine that computes it, of a model that does.
    fn engine(predict: &Predict) -> Option<&Engine<Self::Queue>>;
}

macro_rules! engines {
    ($($operation:ty => $task:ident,)+) => {$(
        impl HasEngine for $operation {
            fn engine(predict: &Predict) -> Option<&Engine<Self::Queue>> {
                match predict {
                    Predict::$task(engine) => Some(engine),
                    _ => None,
                }
            }
        }
    )+};
}

engines! {
    Classify => Classification,
    Segment => Segmentation,
    Detect => Detection,
    captioning::Caption => Captioning,
    vae::Reconstruct => Vae,
    vae::Encode => Vae,
    vae::Decode => Vae,
    Embed => Embedding,
    Regress => Regression,
    Translate => ImageToImage,
    tensor::Compute => Tensor,
}
