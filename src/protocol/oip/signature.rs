//! Which tensors a model takes and answers: their names, datatypes and shapes, by its task. −1 is any size, and as the first it
//! is the picture or the row.

use super::datatype::Datatype;
use crate::catalog::Model;
use crate::manifest::{DetectionFormat, Input, TaskKind, TensorSpec};
use crate::tasks::ModelSpec;

/// The input of every model of pictures.
pub(super) const IMAGE: &str = "image";

/// The picture that embeddings are compared with, in explanations.
pub(super) const REFERENCE: &str = "reference";

/// Any size.
const ANY: i64 = -1;

/// What is known of a tensor before there is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signature {
    pub(super) name: String,
    pub(super) datatype: Datatype,
    pub(super) shape: Vec<i64>,
}

impl Signature {
    fn new(name: &str, datatype: Datatype, shape: impl Into<Vec<i64>>) -> Self {
        Self {
            name: name.to_owned(),
            datatype,
            shape: shape.into(),
        }
    }
}

impl From<&TensorSpec> for Signature {
    fn from(spec: &TensorSpec) -> Self {
        Self::new(&spec.name, spec.dtype.into(), spec.shape.clone())
    }
}

/// What the model takes. A model of pictures also takes [`IMAGE`] as files, `BYTES [-1]`.
pub(super) fn inputs(model: &Model) -> Vec<Signature> {
    match &model.spec.manifest.input {
        Input::Tensors(tensors) => tensors.inputs.iter().map(|input| (&input.spec).into()).collect(),
        Input::Image(input) => {
            let (height, width) = input.fit.size;
            let channels = input.fit.color.channels() as i64;
            let shape = [ANY, channels, height.into(), width.into()];
            vec![Signature::new(IMAGE, Datatype::Fp32, shape)]
        }
    }
}

/// What the model answers to a prediction.
pub(super) fn outputs(model: &Model) -> Vec<Signature> {
    use Datatype::{Bool, Bytes, Fp32, Uint8};
    let spec = &model.spec;
    let floats = |name: &str, shape: Vec<i64>| Signature::new(name, Fp32, shape);
    match spec.manifest.task {
        TaskKind::Tensor => match &spec.manifest.input {
            Input::Tensors(tensors) => tensors.outputs.iter().map(Signature::from).collect(),
            Input::Image(_) => Vec::new(),
        },
        TaskKind::Classification => vec![floats("scores", vec![ANY, classes(spec)])],
        TaskKind::Segmentation => vec![match spec.overlapping() {
            None => Signature::new("mask", Uint8, [ANY, ANY, ANY]),
            Some(classes) => Signature::new("masks", Bool, [ANY, classes as i64, ANY, ANY]),
        }],
        TaskKind::Detection => objects(spec),
        TaskKind::Captioning => vec![
            Signature::new("captions", Bytes, [ANY]),
            floats("log_probs", vec![ANY]),
        ],
        TaskKind::Vae => vae(model),
        TaskKind::Embedding => vec![floats("embedding", batched(spec.row()))],
        TaskKind::Regression => vec![floats("values", batched(spec.row()))],
        TaskKind::ImageToImage => {
            let channels = spec.picture_shape().map_or(ANY, |[channels, ..]| channels);
            vec![floats("image", vec![ANY, channels, ANY, ANY])]
        }
    }
}

fn batched(row: Option<&[i64]>) -> Vec<i64> {
    [ANY].iter().chain(row.unwrap_or(&[ANY])).copied().collect()
}

/// How many classes a classifier has.
fn classes(spec: &ModelSpec) -> i64 {
    match (spec.labels.len(), spec.row()) {
        (0, Some([classes])) => *classes,
        (0, _) => ANY,
        (labels, _) => labels as i64,
    }
}

fn objects(spec: &ModelSpec) -> Vec<Signature> {
    use Datatype::{Bytes, Fp32, Int64};
    let mut all = vec![
        Signature::new("num_detections", Int64, [ANY]),
        Signature::new("boxes", Fp32, [ANY, ANY, 4]),
        Signature::new("scores", Fp32, [ANY, ANY]),
        Signature::new("class_ids", Int64, [ANY, ANY]),
        Signature::new("labels", Bytes, [ANY, ANY]),
    ];
    let keys = spec.manifest.output.detection.as_ref();
    if let Some(keypoints) = keys.and_then(|keys| keys.keypoints.as_ref()) {
        let shape = [ANY, ANY, keypoints.count as i64, 3];
        all.push(Signature::new("keypoints", Fp32, shape));
    }
    if keys.is_some_and(|keys| keys.format == DetectionFormat::YoloObb) {
        all.push(Signature::new("corners", Fp32, [ANY, ANY, 4, 2]));
    }
    if spec.has_masks() {
        all.push(Signature::new("masks", Bytes, [ANY, ANY]));
    }
    all
}

fn vae(model: &Model) -> Vec<Signature> {
    use Datatype::{Fp32, Uint8};
    let spec = &model.spec;
    let latent: Vec<i64> = spec.latent_sizes().iter().map(|&size| size as i64).collect();
    let picture = match &spec.manifest.input {
        Input::Image(input) => {
            let (height, width) = input.fit.size;
            vec![
                ANY,
                height.into(),
                width.into(),
                input.fit.color.channels() as i64,
            ]
        }
        Input::Tensors(_) => vec![ANY; 4],
    };
    vec![
        Signature::new("reconstruction", Uint8, picture),
        Signature::new("mu", Fp32, batched(Some(&latent))),
        Signature::new("logvar", Fp32, batched(Some(&latent))),
        Signature::new("mse", Fp32, [ANY]),
        Signature::new("kl", Fp32, [ANY]),
    ]
}

/// Their names, for messages.
pub(super) fn names(signatures: &[Signature]) -> String {
    let names: Vec<&str> = signatures.iter().map(|one| one.name.as_str()).collect();
    names.join(", ")
}
