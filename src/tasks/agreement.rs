//! Whether two programs for one model answer the same, by the scores that clients get.

use tch::{Device, Kind, Tensor};
use torch_bridge::Value;

use super::classification::{self, of_each_class};
use super::detection::{ClassScores, parse};
use super::scaled::scaled;
use super::segmentation;
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::manifest::{Activation, TaskKind};
use crate::runtime::Agreement;

/// The pictures that two programs of a model are asked about, and the scores that are compared.
#[derive(Debug)]
pub struct Scores<'a> {
    spec: &'a ModelSpec,
    /// One of noise, and a black one.
    pictures: Tensor,
}

impl<'a> Scores<'a> {
    /// Those of a model of pictures on this device.
    ///
    /// # Errors
    /// As [`ModelSpec::batch`].
    pub fn new(spec: &'a ModelSpec, device: Device) -> Result<Self> {
        let pictures = Tensor::f_cat(&[spec.noise(device)?, spec.blank(1, device)?], 0)?;
        Ok(Self { spec, pictures })
    }
}

impl Agreement for Scores<'_> {
    fn pictures(&self) -> &Tensor {
        &self.pictures
    }

    fn scores(&self, answer: &Value) -> Result<Vec<Tensor>> {
        let answer = answer.shallow_clone();
        let output = &self.spec.manifest.output;
        match self.spec.manifest.task {
            TaskKind::Classification => {
                let logits = of_each_class(answer.into_tensor()?, &self.spec.labels)?;
                Ok(vec![classification::scores(&logits, output)?])
            }
            TaskKind::Segmentation => {
                let logits = scaled(&segmentation::logits(answer)?, output.temperature)?;
                Ok(vec![match (output.activation, logits.size().get(1)) {
                    (Activation::None, _) => logits,
                    (Activation::Sigmoid, _) | (_, Some(1)) => logits.f_sigmoid()?,
                    (Activation::Softmax, _) => logits.f_softmax(1, Kind::Float)?,
                }])
            }
            TaskKind::Detection => self.of_boxes(answer),
            task => Err(Error::Internal(format!("scores of {task}"))),
        }
    }
}

impl Scores<'_> {
    /// The scores of each box, and its corners as parts of the input.
    fn of_boxes(&self, answer: Value) -> Result<Vec<Tensor>> {
        let keys = super::detection::keys(self.spec)?;
        let (height, width) = self.spec.manifest.image_input()?.fit.size;
        let side = f64::from(height.max(width));
        let mut all = Vec::new();
        for raw in parse(answer, self.spec, keys.format)? {
            all.push(raw.boxes.f_to_kind(Kind::Float)?.f_div_scalar(side)?);
            match raw.class_scores(self.spec)? {
                ClassScores::PerClass(scores) => all.push(scores),
                ClassScores::OfLabel(scores, labels) => all.extend([scores, labels]),
            }
        }
        all.into_iter()
            .map(|scores| Ok(scores.f_to_kind(Kind::Float)?))
            .collect()
    }
}
