//! Detected objects as tensors: pictures have different numbers of them, so the rows of a picture with fewer end in blanks.

use super::outputs::{Answered, size};
use super::tensor::Tensor;
use crate::error::Result;
use crate::manifest::DetectionFormat;
use crate::tasks::ModelSpec;
use crate::tasks::detection::{Object, Prediction};

/// The class of a blank, which is no object.
const NO_CLASS: i64 = -1;

/// `num_detections [B]`, and of N, the most objects of a picture: `boxes [B, N, 4]` (`x_min, y_min, x_max, y_max` in pixels of
/// the original), `scores [B, N]`, `class_ids [B, N]`, `labels [B, N]`; where the model has them `keypoints [B, N, P, 3]`
/// (`x, y, score`), `corners [B, N, 4, 2]` of rotated boxes, and `masks [B, N]`, COCO's run lengths as JSON.
impl Answered for Prediction {
    fn tensors(answers: Vec<Self>, spec: &ModelSpec) -> Result<Vec<Tensor>> {
        let padded = Padded::new(&answers);
        let counts: Vec<i64> = answers.iter().map(|answer| size(answer.objects.len())).collect();
        let mut tensors = vec![
            Tensor::integers("num_detections", vec![size(counts.len())], &counts),
            padded.floats("boxes", &[4], |object| {
                let bounds = object.bounds;
                vec![bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max]
            }),
            padded.floats("scores", &[], |object| vec![object.score]),
            padded.class_ids(),
            padded.texts("labels", |object| object.label.clone()),
        ];
        let keys = spec.manifest.output.detection.as_ref();
        let keypoints = keys.and_then(|keys| keys.keypoints.as_ref());
        if let Some(keypoints) = keypoints {
            let count = keypoints.count;
            tensors.push(padded.floats("keypoints", &[count, 3], |object| {
                let all = object.keypoints.iter();
                let flat = all.flat_map(|point| [point.x, point.y, point.score.unwrap_or(1.0)]);
                flat.take(3 * count).collect()
            }));
        }
        if keys.is_some_and(|keys| keys.format == DetectionFormat::YoloObb) {
            tensors.push(padded.floats("corners", &[4, 2], |object| {
                let corners = object.oriented.as_ref().map(|oriented| oriented.corners);
                corners.unwrap_or_default().concat()
            }));
        }
        if spec.has_masks() {
            tensors.push(padded.texts("masks", |object| {
                let mask = object.mask.as_ref();
                mask.map_or(String::new(), |mask| {
                    let (size, counts) = (mask.rle.size, &mask.rle.counts);
                    serde_json::json!({"size": size, "counts": counts}).to_string()
                })
            }));
        }
        Ok(tensors)
    }
}

/// The objects of each picture, with blanks up to the most that one has.
struct Padded<'a> {
    pictures: &'a [Prediction],
    most: usize,
}

impl<'a> Padded<'a> {
    fn new(pictures: &'a [Prediction]) -> Self {
        let most = pictures.iter().map(|picture| picture.objects.len()).max();
        Self {
            pictures,
            most: most.unwrap_or(0),
        }
    }

    fn shape(&self, inner: &[usize]) -> Vec<i64> {
        let outer = [self.pictures.len(), self.most];
        outer.iter().chain(inner).map(|&length| size(length)).collect()
    }

    /// Each object, and `None` for a blank.
    fn objects(&self) -> impl Iterator<Item = Option<&Object>> {
        let of_picture = |picture: &'a Prediction| (0..self.most).map(|index| picture.objects.get(index));
        self.pictures.iter().flat_map(of_picture)
    }

    fn floats(&self, name: &str, inner: &[usize], values: impl Fn(&Object) -> Vec<f32>) -> Tensor {
        let length: usize = inner.iter().product();
        let mut all = Vec::with_capacity(self.pictures.len() * self.most * length);
        for object in self.objects() {
            let end = all.len() + length;
            all.extend(object.map_or(Vec::new(), &values));
            all.resize(end, 0.0);
        }
        Tensor::floats(name, self.shape(inner), &all)
    }

    fn class_ids(&self) -> Tensor {
        let ids = self
            .objects()
            .map(|object| object.map_or(NO_CLASS, |object| size(object.class_id)));
        Tensor::integers("class_ids", self.shape(&[]), &ids.collect::<Vec<_>>())
    }

    fn texts(&self, name: &str, text: impl Fn(&Object) -> String) -> Tensor {
        let texts = self.objects().map(|object| object.map_or(String::new(), &text));
        Tensor::texts(name, self.shape(&[]), texts)
    }
}
