//! Answers with tensors: which outputs, as what, in JSON or in binary.

use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use half::{bf16, f16};
use serde::{Serialize, Serializer};

use super::datatype::Datatype;
use super::request::Requested;
use super::signature::Signature;
use super::tensor::{Elements, Tensor};
use crate::catalog::Model;
use crate::error::{Error, Result, excerpt};
use crate::image::Taken;
use crate::manifest::TaskKind;
use crate::tasks::Labels;
use crate::transport::holding;

/// How many bytes of a body are JSON, where binary elements follow.
pub(super) const HEADER_LENGTH: &str = "inference-header-content-length";

/// The tensors of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) model_name: String,
    pub(super) model_version: String,
    pub(super) id: Option<String>,
    /// Each with whether it is sent in binary.
    pub(super) outputs: Vec<(Tensor, bool)>,
}

/// The JSON of an [`Answer`].
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    model_name: &'a str,
    model_version: &'a str,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [i64],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<InBinary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Listed<'a>>,
}

#[derive(Serialize)]
struct InBinary {
    binary_data_size: usize,
}

/// The elements of a tensor as a flat list.
pub(super) struct Listed<'a>(pub(super) &'a Tensor);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = match &self.0.elements {
            Elements::Plain(bytes) => bytes,
            Elements::Texts(texts) => {
                let texts = texts.iter().map(|text| String::from_utf8_lossy(text));
                return serializer.collect_seq(texts);
            }
        };
        match self.0.datatype {
            Datatype::Bool => serializer.collect_seq(bytes.iter().map(|byte| *byte != 0)),
            Datatype::Uint8 | Datatype::Bytes => serializer.collect_seq(bytes),
            Datatype::Int8 => serializer.collect_seq(of(bytes, i8::from_le_bytes)),
            Datatype::Uint16 => serializer.collect_seq(of(bytes, u16::from_le_bytes)),
            Datatype::Int16 => serializer.collect_seq(of(bytes, i16::from_le_bytes)),
            Datatype::Uint32 => serializer.collect_seq(of(bytes, u32::from_le_bytes)),
            Datatype::Int32 => serializer.collect_seq(of(bytes, i32::from_le_bytes)),
            Datatype::Uint64 => serializer.collect_seq(of(bytes, u64::from_le_bytes)),
            Datatype::Int64 => serializer.collect_seq(of(bytes, i64::from_le_bytes)),
            Datatype::Fp16 => serializer.collect_seq(of(bytes, |two| Real(f16::from_le_bytes(two).to_f32()))),
            Datatype::Bf16 => {
                serializer.collect_seq(of(bytes, |two| Real(bf16::from_le_bytes(two).to_f32())))
            }
            Datatype::Fp32 => serializer.collect_seq(of(bytes, |four| Real(f32::from_le_bytes(four)))),
            Datatype::Fp64 => serializer.collect_seq(of(bytes, |eight| Real(f64::from_le_bytes(eight)))),
        }
    }
}

fn of<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    let (all, _) = bytes.as_chunks::<N>();
    all.iter().map(move |bytes| value(*bytes))
}

/// A float, which JSON has not where it is none: NaN is null, which NumPy reads as NaN, and infinities are texts.
struct Real<T>(T);

impl<T: Serialize + Into<f64> + Copy> Serialize for Real<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: f64 = self.0.into();
        match value {
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            // Also NaN, which serde_json writes as null.
            _ => self.0.serialize(serializer),
        }
    }
}

impl Answer {
    /// The answer as JSON, and behind it what of it is binary.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written.
    pub(super) fn written(&self) -> Result<Body> {
        let outputs = self.outputs.iter().map(|(tensor, is_binary)| Output {
            name: &tensor.name,
            datatype: tensor.datatype.name(),
            shape: &tensor.shape,
            parameters: is_binary.then(|| InBinary {
                binary_data_size: tensor.binary_size(),
            }),
            data: (!is_binary).then_some(Listed(tensor)),
        });
        let json = Written {
            id: self.id.as_deref(),
            model_name: &self.model_name,
            model_version: &self.model_version,
            outputs: outputs.collect(),
        };
        let mut bytes = serde_json::to_vec(&json).map_err(|e| Error::Internal(e.to_string()))?;
        let header = bytes.len();
        let mut has_binary = false;
        for (tensor, _) in self.outputs.iter().filter(|(_, is_binary)| *is_binary) {
            has_binary = true;
            bytes.extend_from_slice(&tensor.binary());
        }
        Ok(Body {
            bytes,
            header: has_binary.then_some(header),
        })
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    /// How much of it is JSON, where not all is.
    header: Option<usize>,
}

impl Body {
    /// The response, which takes `held` until its client has it.
    pub(super) fn response(self, held: Vec<Taken>) -> Response {
        let kind = match self.header {
            Some(_) => "application/octet-stream",
            None => "application/json",
        };
        let mut response = ([(CONTENT_TYPE, kind)], holding(self.bytes, held)).into_response();
        if let Some(header) = self.header {
            let name = HeaderName::from_static(HEADER_LENGTH);
            response.headers_mut().insert(name, HeaderValue::from(header));
        }
        response
    }
}

/// Of `tensors` those that are asked for, in the order of the request, each with whether it is sent in binary; all of them
/// where none is named.
///
/// # Errors
/// [`Error::InvalidParameter`] for an output that there is not.
pub(super) fn chosen(
    tensors: Vec<Tensor>,
    (wanted, is_binary): (&[Requested], bool),
    labels: &Labels,
) -> Result<Vec<(Tensor, bool)>> {
    if wanted.is_empty() {
        return Ok(tensors.into_iter().map(|tensor| (tensor, is_binary)).collect());
    }
    let mut left: Vec<Option<Tensor>> = tensors.into_iter().map(Some).collect();
    let mut taken = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let is_it = |tensor: &&mut Option<Tensor>| tensor.as_ref().is_some_and(|t| t.name == wanted.name);
        let found = left.iter_mut().find(is_it).and_then(Option::take);
        let tensor = found.ok_or_else(|| Error::Internal(format!("no output {}", excerpt(&wanted.name))))?;
        let tensor = match wanted.classes {
            Some(count) => best(&tensor, count, labels)?,
            None => tensor,
        };
        taken.push((tensor, wanted.binary.unwrap_or(is_binary)));
    }
    Ok(taken)
}

/// Whether `output` may be rows of scores, of which the best classes can be told.
pub(super) fn has_classes(model: &Model, output: &Signature) -> bool {
    let is_of_numbers = matches!(output.datatype, Datatype::Fp32 | Datatype::Fp16 | Datatype::Bf16);
    let is_of_classes = matches!(
        model.spec.manifest.task,
        TaskKind::Classification | TaskKind::Tensor
    );
    is_of_classes && is_of_numbers && output.shape.len() == 2
}

/// What is said of an output that is no such scores.
pub(super) fn without_classes(output: &str) -> Error {
    let output = excerpt(output);
    Error::parameter(
        "classification",
        format!("the output `{output}` has no scores [B, K] of classes"),
    )
}

/// Bytes that the best classes take as texts, where they are asked for, with what finding them takes.
pub(super) fn size_of_classes(tensors: &[Tensor], wanted: &[Requested], labels: &Labels) -> usize {
    /// A score, an index, and the text's own place.
    const OF_TEXT: usize = 64;
    let of = |wanted: &Requested| {
        let count = wanted.classes?;
        let tensor = tensors.iter().find(|tensor| tensor.name == wanted.name)?;
        let [rows, classes] = tensor.shape[..] else {
            return None;
        };
        let (rows, classes) = (usize::try_from(rows).ok()?, usize::try_from(classes).ok()?);
        let label = labels.names().iter().map(String::len).max().unwrap_or(0);
        let texts = count.min(classes).saturating_mul(OF_TEXT + label);
        Some(
            rows.saturating_mul(texts)
                .saturating_add(classes.saturating_mul(size_of::<usize>())),
        )
    };
    wanted.iter().filter_map(of).fold(0, usize::saturating_add)
}

/// The `count` best of each row of scores `[B, K]` of K classes, as Triton writes them: `score:index:label`, `BYTES [B, count]`.
///
/// # Errors
/// [`Error::InvalidParameter`] for a tensor that has no such rows.
fn best(tensor: &Tensor, count: usize, labels: &Labels) -> Result<Tensor> {
    let row_length = tensor.shape.last().and_then(|&last| usize::try_from(last).ok());
    let scores = tensor.single_rows(row_length.unwrap_or(0));
    let (Some(scores), [rows, classes]) = (scores, &tensor.shape[..]) else {
        return Err(without_classes(&tensor.name));
    };
    let classes = usize::try_from(*classes).unwrap_or(0);
    let count = count.min(classes);
    let mut texts = Vec::new();
    for row in scores {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        texts.extend(order.into_iter().take(count).map(|class| {
            let score = row[class];
            match labels.names().get(class) {
                Some(label) => format!("{score:.6}:{class}:{label}"),
                None => format!("{score:.6}:{class}"),
            }
        }));
    }
    Ok(Tensor::texts(&tensor.name, vec![*rows, count as i64], texts))
}
