//! From what a model answered to tensors with stable names. The first size of each is the picture, in the order of the request.

use super::datatype::Datatype;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::tasks::image_to_image::Body;
use crate::tasks::{ModelSpec, captioning, classification, embedding, image_to_image, regression};
use crate::tasks::{segmentation, tensor, vae};

/// An answer that becomes tensors.
pub(super) trait Answered: Send + Sized + 'static {
    /// The tensors of all pictures of a request, which has at least one.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] where they do not fit into one tensor.
    fn tensors(answers: Vec<Self>, spec: &ModelSpec) -> Result<Vec<Tensor>>;
}

/// A size of a tensor.
pub(super) fn size(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The rows as one tensor of floats, where they are of one length.
pub(super) fn rows(name: &str, rows: &[Vec<f32>], inner: &[usize]) -> Tensor {
    let outer = [rows.len()];
    let shape = outer.iter().chain(inner).map(|&length| size(length));
    Tensor::floats(name, shape.collect(), &rows.concat())
}

/// The one size that all pictures have.
///
/// # Errors
/// [`Error::UnsupportedForTask`] where they differ.
pub(super) fn common<T: PartialEq + Copy>(sizes: impl IntoIterator<Item = T>, what: &str) -> Result<T> {
    let mut sizes = sizes.into_iter();
    let first = sizes.next().ok_or_else(|| Error::Internal("no answer".into()))?;
    if sizes.all(|other| other == first) {
        return Ok(first);
    }
    Err(Error::UnsupportedForTask(format!(
        "{what} of pictures of different sizes do not fit into one tensor; send pictures of one size, or one at a time"
    )))
}

/// `scores [B, K]`
impl Answered for classification::Prediction {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let classes = common(answers.iter().map(|answer| answer.classes.len()), "scores")?;
        let scores = answers.iter().map(|answer| {
            let mut scores = vec![0.0; classes];
            for class in &answer.classes {
                scores[class.class_id] = class.score;
            }
            scores
        });
        Ok(vec![rows("scores", &scores.collect::<Vec<_>>(), &[classes])])
    }
}

/// `mask [B, height, width]`, the class of each pixel of the original; where a pixel may be of several,
/// `masks [B, K, height, width]`.
impl Answered for segmentation::Prediction {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let [height, width] = common(answers.iter().map(|answer| answer.mask.size), "masks")?;
        let (height, width) = (size(height), size(width));
        let count = size(answers.len());
        let overlapping = answers.first().and_then(|answer| answer.overlapping);
        let Some(classes) = overlapping else {
            let ids: Vec<u8> = answers.into_iter().flat_map(|answer| answer.class_ids).collect();
            return Ok(vec![Tensor::plain(
                "mask",
                Datatype::Uint8,
                vec![count, height, width],
                ids,
            )]);
        };
        let flags: Vec<u8> = answers
            .iter()
            .flat_map(|answer| answer.each_class(classes))
            .collect();
        let shape = vec![count, size(classes), height, width];
        Ok(vec![Tensor::plain("masks", Datatype::Bool, shape, flags)])
    }
}

/// `captions [B]` and `log_probs [B]`
impl Answered for captioning::Prediction {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let captions: Vec<_> = answers.into_iter().flat_map(|answer| answer.captions).collect();
        let log_probs: Vec<f32> = captions.iter().map(|caption| caption.log_prob as f32).collect();
        let shape = vec![size(captions.len())];
        let texts = captions.into_iter().map(|caption| caption.text);
        Ok(vec![
            Tensor::texts("captions", shape.clone(), texts),
            Tensor::floats("log_probs", shape, &log_probs),
        ])
    }
}

/// `reconstruction [B, H, W, C]`, `mu [B, D…]`, `logvar [B, D…]`, `mse [B]` and `kl [B]`
impl Answered for vae::Reconstruction {
    fn tensors(answers: Vec<Self>, spec: &ModelSpec) -> Result<Vec<Tensor>> {
        let latent: Vec<usize> = spec.latent_sizes();
        let of = |name: &str, value: fn(&Self) -> Vec<f32>, inner: &[usize]| {
            rows(name, &answers.iter().map(value).collect::<Vec<_>>(), inner)
        };
        let mut tensors = vec![
            of("mu", |answer| answer.latent.mu.clone(), &latent),
            of("logvar", |answer| answer.latent.logvar.clone(), &latent),
            of("mse", |answer| vec![answer.error.mse as f32], &[]),
            of("kl", |answer| vec![answer.error.kl as f32], &[]),
        ];
        let frames: Vec<_> = answers.into_iter().map(|answer| answer.reconstruction).collect();
        tensors.insert(0, frames_of("reconstruction", frames)?);
        Ok(tensors)
    }
}

/// Small pictures as `[B, H, W, C]`, a byte a sample.
pub(super) fn frames_of(name: &str, frames: Vec<crate::tasks::Frame>) -> Result<Tensor> {
    let sizes = frames
        .iter()
        .map(|frame| (frame.height, frame.width, frame.channels));
    let (height, width, channels) = common(sizes, "pictures")?;
    let shape = vec![
        size(frames.len()),
        i64::from(height),
        i64::from(width),
        size(channels),
    ];
    let bytes: Vec<u8> = frames.into_iter().flat_map(|frame| frame.data).collect();
    Ok(Tensor::plain(name, Datatype::Uint8, shape, bytes))
}

/// `embedding [B, D]`
impl Answered for embedding::Embedding {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let length = common(answers.iter().map(|answer| answer.vector.len()), "embeddings")?;
        let vectors: Vec<Vec<f32>> = answers.into_iter().map(|answer| answer.vector).collect();
        Ok(vec![rows("embedding", &vectors, &[length])])
    }
}

/// `values [B, K]`
impl Answered for regression::Prediction {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let length = common(answers.iter().map(|answer| answer.values.len()), "values")?;
        let values = answers
            .iter()
            .map(|answer| answer.values.iter().map(|quantity| quantity.value).collect());
        Ok(vec![rows(
            "values",
            &values.collect::<Vec<Vec<f32>>>(),
            &[length],
        )])
    }
}

/// `image [B, C, height, width]`
impl Answered for image_to_image::Prediction {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let sizes = answers
            .iter()
            .map(|answer| (answer.channels, answer.height as usize, answer.width as usize));
        let (channels, height, width) = common(sizes, "pictures")?;
        let values = answers.into_iter().map(|answer| match answer.body {
            Body::Array(values) => Ok(values),
            Body::Png(_) => Err(Error::Internal("a PNG where values were asked for".into())),
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(vec![rows("image", &values, &[channels, height, width])])
    }
}

/// As model.toml names them.
impl Answered for tensor::Prediction {
    fn tensors(answers: Vec<Self>, _: &ModelSpec) -> Result<Vec<Tensor>> {
        let outputs = answers.into_iter().flat_map(|answer| answer.outputs);
        let tensor = |output: tensor::AnsweredTensor| {
            let datatype = Datatype::from(output.data.dtype());
            Tensor::plain(&output.name, datatype, output.shape, output.data.into_bytes())
        };
        Ok(outputs.map(tensor).collect())
    }
}
