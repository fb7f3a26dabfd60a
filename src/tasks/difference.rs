//! How far two answers of one network are apart, in what its task makes of them.

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::spec::ModelSpec;
use crate::error::Result;
use crate::manifest::{Activation, TaskKind};

/// The greatest difference of probabilities, of classes or of pixels; of embeddings that of vectors, as a part of their
/// length. Nothing for tasks that make neither of what `forward` answers.
///
/// # Errors
/// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
pub fn difference(spec: &ModelSpec, one: &Value, other: &Value) -> Result<Option<f64>> {
    let (Value::Tensor(one), Value::Tensor(other)) = (one, other) else {
        return Ok(None);
    };
    let output = &spec.manifest.output;
    Ok(match spec.manifest.task {
        TaskKind::Classification | TaskKind::Segmentation => {
            let [one, other] = [one, other].map(|logits| probabilities(logits, output.activation));
            Some(largest(&one?.f_sub(&other?)?)?)
        }
        TaskKind::Embedding => {
            let length = one.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?;
            let apart = one.f_sub(other)?.f_to_kind(Kind::Double)?.f_norm()?;
            Some(apart.f_double_value(&[])? / length.max(f64::MIN_POSITIVE))
        }
        _ => None,
    })
}

/// Over the second axis; one logit is that of the second of two classes.
fn probabilities(logits: &Tensor, activation: Activation) -> Result<Tensor> {
    let logits = logits.f_to_kind(Kind::Float)?;
    Ok(match activation {
        Activation::Softmax if logits.size().get(1) != Some(&1) => logits.f_softmax(1, Kind::Float)?,
        Activation::Softmax | Activation::Sigmoid => logits.f_sigmoid()?,
        Activation::None => logits,
    })
}

fn largest(difference: &Tensor) -> Result<f64> {
    Ok(difference.f_abs()?.f_max()?.f_double_value(&[])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn of(task: &str, activation: &str, one: &[[f32; 2]], other: &[[f32; 2]]) -> Option<f64> {
        let output = if activation.is_empty() {
            String::new()
        } else {
            format!("[output]\nactivation = \"{activation}\"")
        };
        let manifest = Manifest::parse(&format!("task = \"{task}\"\n[input]\nsize = [8, 8]\n{output}"));
        let spec = ModelSpec::new(manifest.expect("right"), Labels::default());
        let [one, other] = [one, other].map(|rows| Value::Tensor(Tensor::from_slice2(rows)));
        difference(&spec, &one, &other).expect("tensors")
    }

    #[test]
    fn classes_differ_in_probabilities_and_vectors_in_direction_and_length() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.expect("the task has probabilities");
            assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
        };
        // softmax([0, 0]) = ½, softmax([0, ln 3]) = ¼, ¾.
        let three = 3f32.ln();
        near(
            of("classification", "softmax", &[[0.0, 0.0]], &[[0.0, three]]),
            0.25,
        );
        near(
            of("classification", "sigmoid", &[[0.0, 0.0]], &[[0.0, three]]),
            0.25,
        );
        near(of("classification", "none", &[[0.5, 0.5]], &[[0.5, 0.4]]), 0.1);
        near(
            of("segmentation", "softmax", &[[0.0, 0.0]], &[[0.0, three]]),
            0.25,
        );
        near(of("embedding", "", &[[3.0, 4.0]], &[[3.0, 4.5]]), 0.1);
        assert_eq!(of("vae", "", &[[0.0, 0.0]], &[[0.0, 1.0]]), None);
    }
}
