//! Embeddings: a picture to a vector `[D]`, and how like two of them are.

use tch::{Kind, Tensor};

use super::gist::Gist;
use super::operation::{Batch, Batched, Breach, Contract, Operation, TicketOf, answer};
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::image::ModelInput;
use crate::runtime::Call;
use crate::runtime::staging::{finite, floats};

/// Numbers of a vector at most.
const MOST_DIMENSIONS: i64 = 32_768;

/// A picture to its vector.
#[derive(Debug, Clone, Copy)]
pub struct Embed;

/// The vector of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `[D]`, at least one number, all finite.
    pub vector: Vec<f32>,
    /// Whether its length was made 1.
    pub normalised: bool,
}

/// How like two vectors are, in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The cosine of the angle between them, −1 to 1.
    pub cosine: f64,
    /// Their scalar product.
    pub dot: f64,
    /// The distance of their ends.
    pub euclidean: f64,
}

impl Operation for Embed {
    type Input = ModelInput;
    type Options = ();
    type Output = Embedding;
    type Queue = TicketOf<Self>;

    fn gist(output: &Embedding) -> Option<Gist> {
        Some(Gist::of_dense(&output.vector))
    }
}

impl Batched for Embed {
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Embedding>>> {
        let answer = answer::<Self>(net, spec, batch)?;
        let vectors = vectors(&answer, spec)?;
        let normalised = normalises(spec);
        let one = |index: usize| {
            let vector = finite(&vectors.f_select(0, index as i64)?, "the vector")?;
            if normalised && vector.iter().all(|&v| v == 0.0) {
                return Err(no_direction());
            }
            Ok(Embedding { vector, normalised })
        };
        Ok((0..batch.len()).map(one).collect())
    }
}

impl Embedding {
    /// How like `other` it is.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] when one of them is zero, which is like nothing.
    pub fn compare(&self, other: &Self) -> Result<Comparison> {
        let pairs = || {
            let both = self.vector.iter().zip(&other.vector);
            both.map(|(&a, &b)| (f64::from(a), f64::from(b)))
        };
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        let squares = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a * a, y + b * b));
        let lengths = squares.0.sqrt() * squares.1.sqrt();
        if lengths == 0.0 {
            return Err(no_direction());
        }
        Ok(Comparison {
            cosine: (dot / lengths).clamp(-1.0, 1.0),
            dot,
            euclidean: pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
        })
    }
}

fn no_direction() -> Error {
    Error::InferenceFailed("the model answered a vector of zeros, which has no direction".into())
}

fn normalises(spec: &ModelSpec) -> bool {
    spec.manifest.output.embedding.is_some_and(|keys| keys.normalise)
}

/// The vectors `[B, D]` in an answer, of the length 1 where model.toml says so (`F.normalize`).
///
/// # Errors
/// [`Error::InferenceFailed`] with libtorch's words.
pub(crate) fn vectors(answer: &Tensor, spec: &ModelSpec) -> Result<Tensor> {
    /// PyTorch's.
    const EPSILON: f64 = 1e-12;
    let vectors = answer.f_to_kind(Kind::Float)?.f_flatten(1, -1)?;
    if !normalises(spec) {
        return Ok(vectors);
    }
    let lengths = vectors.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?;
    Ok(vectors.f_div(&lengths.f_clamp_min(EPSILON)?)?)
}

/// `forward(x[B, C, H, W]) → vectors[B, D]`
pub(super) struct Vectors;

impl Contract for Vectors {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let blank = net.forward(spec.blank(size, net.device())?)?;
        shape(&blank.size(), size)?;
        spec.same_row(&blank.size())?;
        if size == 1 {
            let noise = net.forward(spec.noise(net.device())?)?;
            shape(&noise.size(), 1)?;
            values(&floats(&blank)?, &floats(&noise)?)?;
        }
        Ok(())
    }
}

/// Whether this is `[size, D]`, or the same with axes of length 1 behind, as pooled maps have them.
fn shape(shape: &[i64], size: usize) -> Result<(), String> {
    let found = || format!("forward answered {shape:?}, expected vectors [{size}, D]");
    match shape {
        [batch, ..] if *batch != size as i64 => {
            Err(format!("{}: is the batch its first dimension?", found()))
        }
        [_, dimensions, rest @ ..] if rest.iter().all(|&side| side == 1) => {
            if (1..=MOST_DIMENSIONS).contains(dimensions) {
                return Ok(());
            }
            Err(format!("{}, D from 1 to {MOST_DIMENSIONS}", found()))
        }
        [_, _, _] => Err(format!(
            "{}; tokens have to be pooled, or the first of them chosen, in the module",
            found()
        )),
        [_, _, _, _] => Err(format!(
            "{}; a map has to be pooled in the module, x.mean((2, 3)); if it is an answer of its own, that is \
             task = \"segmentation\"",
            found()
        )),
        _ => Err(found()),
    }
}

/// Whether these may be the vectors of a black picture and of one of noise.
fn values(blank: &[f32], noise: &[f32]) -> Result<(), String> {
    if noise.iter().any(|v| !v.is_finite()) {
        return Err("of a picture of noise: forward answered NaN or infinity".into());
    }
    if blank == noise {
        return Err(
            "forward answered the same vector for a black picture and for one of noise: it does not hang on the picture"
                .into(),
        );
    }
    if [blank, noise].into_iter().all(are_probabilities) {
        return Err(format!(
            "forward answered {} numbers from 0 to 1 whose sum is 1, which are probabilities of classes: \
             task = \"classification\", output.activation = \"none\"; an embedding is what comes before them",
            noise.len()
        ));
    }
    Ok(())
}

/// Whether these are what a softmax gives.
pub(super) fn are_probabilities(values: &[f32]) -> bool {
    let sum: f64 = values.iter().copied().map(f64::from).sum();
    values.len() > 1 && values.iter().all(|v| (0.0..=1.0).contains(v)) && (sum - 1.0).abs() < 1e-3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(output: &str) -> ModelSpec {
        let text = format!("task = \"embedding\"\n[input]\nsize = [2, 2]\n[output]\n{output}");
        ModelSpec::new(
            Manifest::parse(&text).expect("a right manifest"),
            Labels::default(),
        )
    }

    fn embedding(vector: &[f32]) -> Embedding {
        Embedding {
            vector: vector.to_vec(),
            normalised: false,
        }
    }

    #[test]
    fn comparisons_are_those_of_geometry() {
        let found = embedding(&[3.0, 0.0]).compare(&embedding(&[4.0, 4.0]));
        let found = found.expect("two directions");
        assert!((found.cosine - 0.5f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert_eq!((found.dot, found.euclidean), (12.0, 17f64.sqrt()));
        let opposite = embedding(&[1.0, 2.0]).compare(&embedding(&[-2.0, -4.0]));
        assert!(opposite.is_ok_and(|found| (found.cosine + 1.0).abs() < 1e-12));
        assert!(embedding(&[0.0; 2]).compare(&embedding(&[1.0, 1.0])).is_err());
        // Squares that an f32 cannot hold.
        let large = embedding(&[1e30, 1e30]).compare(&embedding(&[1e30, 1e30]));
        assert!(large.is_ok_and(|found| (found.cosine - 1.0).abs() < 1e-12));
    }

    #[test]
    fn vectors_have_the_length_1_where_that_is_said() {
        let answer = Tensor::from_slice(&[3f32, 4.0, 0.0, 0.0]).view([2, 2, 1, 1]);
        let of = |output: &str| {
            let vectors = vectors(&answer, &spec(output)).expect("vectors");
            assert_eq!(vectors.size(), [2, 2]);
            Vec::<f32>::try_from(vectors.flatten(0, -1)).expect("floats")
        };
        assert_eq!(of(""), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(of("normalise = true"), [0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn what_is_no_embedding_is_refused_with_what_it_looks_like() {
        for right in [&[2, 5][..], &[2, 5, 1, 1], &[2, 1]] {
            assert_eq!(shape(right, 2), Ok(()));
        }
        for (wrong, word) in [
            (&[1, 5][..], "first dimension"),
            (&[2, 5, 7, 7], "pooled"),
            (&[2, 197, 768], "tokens"),
            (&[2], "vectors [2, D]"),
            (&[2, 40_000], "32768"),
        ] {
            assert!(
                shape(wrong, 2).is_err_and(|text| text.contains(word)),
                "{wrong:?}"
            );
        }
        let values = |blank: &[f32], noise: &[f32]| values(blank, noise).expect_err("refused");
        assert_eq!(super::values(&[0.0, 2.0], &[1.0, -2.0]), Ok(()));
        assert!(values(&[1.0, 2.0], &[1.0, 2.0]).contains("same vector"));
        assert!(values(&[1.0, 2.0], &[f32::NAN, 2.0]).contains("NaN"));
        assert!(values(&[0.25, 0.75], &[0.5, 0.5]).contains("classification"));
    }
}
