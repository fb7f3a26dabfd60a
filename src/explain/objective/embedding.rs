//! An embedding: how like a reference the picture is (the cosine of their vectors), or one number of its vector. The
//! reference's vector is found once, and stays what it is for every copy of the picture.

use std::sync::Arc;

use tch::{Kind, Tensor};
use torch_bridge::Value;

use super::scores::{Objective, Resolved, Untouched};
use crate::error::{Error, Result};
use crate::explain::resolved::ResolvedTarget;
use crate::explain::target::{ClassName, Target, refused};
use crate::runtime::Call;
use crate::tasks::ModelSpec;
use crate::tasks::embedding::vectors;

/// What of an embedding is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfEmbedding {
    /// The cosine with the reference's.
    Similarity,
    /// The number of this index.
    Dimension(usize),
}

/// What `target` means, with a reference or without.
///
/// # Errors
/// [`Error::InvalidParameter`] when it means nothing, with what would.
pub fn of_embedding(target: &Target, has_reference: bool) -> Result<OfEmbedding> {
    match (target, has_reference) {
        (Target::Top | Target::Similarity, true) => Ok(OfEmbedding::Similarity),
        (Target::Class(ClassName::Id(index) | ClassName::Exactly(index)), false) => {
            Ok(OfEmbedding::Dimension(*index))
        }
        (Target::Class(ClassName::Id(index) | ClassName::Exactly(index)), true) => Err(refused(format!(
            "{index} is a dimension, whose explanation does not use the reference; leave out one of the two"
        ))),
        (Target::Top | Target::Similarity, false) => Err(refused(
            "an embedding is explained by how like another picture it is: send that one, too, as the file `reference` of a \
             multipart body, as `reference` beside `images` in JSON, or as an input tensor of that name; or give a dimension by its index",
        )),
        _ => Err(refused(
            "an embedding explains its `similarity` to a reference, or a dimension by its index",
        )),
    }
}

struct OfVector {
    spec: Arc<ModelSpec>,
    wanted: Wanted,
}

enum Wanted {
    /// The cosine with this `[D]`, whose length is 1.
    Cosine(Tensor),
    Dimension(i64),
}

impl Objective for OfVector {
    fn scores(&self, _net: &dyn Call, output: &Value) -> Result<Tensor> {
        let found = of_answer(&self.spec, output)?;
        Ok(match &self.wanted {
            Wanted::Cosine(reference) => directions(&found)?.f_mv(reference)?.f_unsqueeze(1)?,
            Wanted::Dimension(index) => found.f_narrow(1, *index, 1)?,
        })
    }
}

/// `[n, D]`
fn of_answer(spec: &ModelSpec, output: &Value) -> Result<Tensor> {
    vectors(&output.shallow_clone().into_tensor()?, spec)
}

/// Each row of `[n, D]` over its length.
fn directions(vectors: &Tensor) -> Result<Tensor> {
    /// That of PyTorch's `cosine_similarity`.
    const EPSILON: f64 = 1e-8;
    let lengths = vectors.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?;
    Ok(vectors.f_div(&lengths.f_clamp_min(EPSILON)?)?)
}

pub(super) fn resolve(untouched: &Untouched<'_>, target: &Target, output: &Value) -> Result<Resolved> {
    let found = of_answer(untouched.spec, output)?;
    let wanted = match of_embedding(target, untouched.reference.is_some())? {
        OfEmbedding::Similarity => Wanted::Cosine(reference(untouched, &found)?),
        OfEmbedding::Dimension(index) => {
            let dimensions = found.size()[1];
            let place = i64::try_from(index).ok().filter(|place| *place < dimensions);
            Wanted::Dimension(place.ok_or_else(|| {
                let last = dimensions - 1;
                refused(format!(
                    "there is no dimension {index}; the model has 0 to {last}"
                ))
            })?)
        }
    };
    let objective = OfVector {
        spec: Arc::clone(untouched.spec),
        wanted,
    };
    let value = f32::try_from(objective.scores(untouched.net, output)?.f_view([])?)?;
    let target = match objective.wanted {
        Wanted::Cosine(_) => ResolvedTarget::Similarity { similarity: value },
        Wanted::Dimension(index) => ResolvedTarget::Dimension {
            dimension: usize::try_from(index).unwrap_or(0),
            value,
        },
    };
    Ok(Resolved {
        objective: Box::new(objective),
        targets: vec![target],
    })
}

/// The direction `[D]` of the reference, which must be another than that of `found`, `[1, D]`, where gradients are taken.
fn reference(untouched: &Untouched<'_>, found: &Tensor) -> Result<Tensor> {
    /// How much of the way around a direction is rounding.
    const ROUNDING: f64 = 1e-5;
    let batch = untouched
        .reference
        .ok_or_else(|| Error::Internal("a similarity without its reference".into()))?;
    let answer = untouched.net.forward(batch.shallow_clone())?;
    let vector = vectors(&answer, untouched.spec)?;
    let length = f64::try_from(vector.f_norm()?)?;
    if !(length.is_finite() && length > 0.0) {
        return Err(Error::InferenceFailed(format!(
            "the model answered a vector of the length {length} to the reference, which has no direction"
        )));
    }
    let direction = directions(&vector)?.f_select(0, 0)?;
    let apart = directions(found)?.f_select(0, 0)?.f_sub(&direction)?.f_norm()?;
    if untouched.by_gradients && f64::try_from(apart)? < ROUNDING {
        return Err(refused(
            "the picture and its reference have the same embedding, and there the cosine has no gradient; send another \
             reference, or take a method that only looks at answers: `occlusion`, `rise`",
        ));
    }
    Ok(direction.f_to_kind(Kind::Float)?)
}
