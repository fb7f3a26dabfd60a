//! Predictions in the shapes of TorchServe's own handlers.
//! <https://github.com/pytorch/serve/tree/master/ts/torch_handler>

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::tasks::{captioning, classification, detection, embedding, regression, segmentation};
use crate::transport::holding;

/// An answer as bytes.
pub(super) fn json(answer: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(answer).map_err(|e| Error::Internal(e.to_string()))
}

/// The response of such bytes, with what is `held` for them until they have left.
pub(super) fn response(json: Vec<u8>, held: impl Send + 'static) -> Response {
    ([(CONTENT_TYPE, "application/json")], holding(json, held)).into_response()
}

/// A prediction that has such a shape.
pub(super) trait Handled: Send + Sized + 'static {
    /// The answer to one picture.
    fn handled(self) -> Value;
}

/// `image_classifier`: the best labels with their scores.
impl Handled for classification::Prediction {
    fn handled(self) -> Value {
        let classes = self.classes.into_iter();
        let classes: Map<String, Value> = classes.map(|class| (class.label, json!(class.score))).collect();
        classes.into()
    }
}

/// `object_detector`: of each object its label with the box, `[x_min, y_min, x_max, y_max]`, and the score.
impl Handled for detection::Prediction {
    fn handled(self) -> Value {
        let objects = self.objects.into_iter().map(|object| {
            let bounds = object.bounds;
            let corners = [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max];
            json!({object.label: corners, "score": object.score})
        });
        objects.collect()
    }
}

/// `image_segmenter`: `[height, width, 2]`, of each cell of the model's output its class and the probability of that.
impl Handled for segmentation::Sure {
    fn handled(self) -> Value {
        let cell = |&(class, probability): &(usize, f32)| json!([class, probability]);
        let row = |row: &[(usize, f32)]| row.iter().map(cell).collect::<Value>();
        self.cells.chunks(self.width).map(row).collect()
    }
}

/// The caption.
impl Handled for captioning::Prediction {
    fn handled(self) -> Value {
        let best = self.captions.into_iter().next();
        best.map_or(Value::Null, |caption| Value::String(caption.text))
    }
}

/// The numbers of the vector.
impl Handled for embedding::Embedding {
    fn handled(self) -> Value {
        json!(self.vector)
    }
}

/// Each quantity by its name.
impl Handled for regression::Prediction {
    fn handled(self) -> Value {
        let values = self.values.into_iter();
        let values: Map<String, Value> = values
            .map(|quantity| (quantity.name, json!(quantity.value)))
            .collect();
        values.into()
    }
}

/// The answer to a request: of one picture its own, of several a list.
pub(super) fn of_all(mut answers: Vec<Value>) -> Value {
    match answers.len() {
        1 => answers.remove(0),
        _ => answers.into(),
    }
}
