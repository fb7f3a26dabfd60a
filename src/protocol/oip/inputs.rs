//! From the tensors of a request to what the model's task takes.

use bytes::Bytes;

use super::signature::{self, IMAGE, REFERENCE, Signature};
use super::tensor::{Elements, Tensor};
use crate::catalog::Model;
use crate::error::{Error, Result, excerpt};
use crate::image::{Fit, ModelInput};
use crate::reading::b64;
use crate::service::{Asked, Pictures};
use crate::tasks::tensor::{Given, NamedTensor, Numbers};

/// The pictures of a request to a model of pictures.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the tensor; as [`Pictures::new`].
pub(super) fn pictures(model: &Model, inputs: Vec<Tensor>, most: usize) -> Result<Asked> {
    let fit = &model.spec.manifest.image_input()?.fit;
    let (mut images, mut reference) = (None, None);
    for input in inputs {
        match input.name.as_str() {
            IMAGE => images = Some(of_image(input, fit, most)?),
            REFERENCE => reference = Some(one_file(input)?),
            other => {
                return Err(Error::parameter(
                    excerpt(other),
                    format!("no such input; the model takes pictures, as `{IMAGE}`"),
                ));
            }
        }
    }
    let pictures = images.ok_or_else(|| Error::parameter(IMAGE, "this input is missing"))?;
    Ok(Asked { pictures, reference })
}

/// Files, `BYTES [B]` or `[B, 1]`, or pictures as the model takes them, `[B, C, H, W]`.
fn of_image(input: Tensor, fit: &Fit, most: usize) -> Result<Pictures> {
    if let Elements::Texts(texts) = input.elements {
        match input.shape[..] {
            [_] | [_, 1] => {}
            _ => {
                let shape = &input.shape;
                let text = format!("shape: found {shape:?}, expected [B], B files");
                return Err(Error::parameter(IMAGE, text));
            }
        }
        return Pictures::new(texts.into_iter().map(file).collect(), most);
    }
    let (height, width) = fit.size;
    let channels = fit.color.channels();
    let expected = format!(
        "BYTES [B], files, or FP32 [B, {channels}, {height}, {width}], prepared as the model takes them"
    );
    let sizes = [channels as i64, height.into(), width.into()];
    let shape = &input.shape;
    let length = channels * height as usize * width as usize;
    let rows = match shape.split_first() {
        Some((&count, inner)) if inner == sizes => {
            if usize::try_from(count).is_ok_and(|count| count > most) {
                return Err(Error::InvalidBody(format!(
                    "{count} images in one request, at most {most}"
                )));
            }
            input.single_rows(length)
        }
        _ => None,
    };
    let rows = rows.ok_or_else(|| {
        let datatype = input.datatype;
        Error::parameter(IMAGE, format!("found {datatype} {shape:?}, expected {expected}"))
    })?;
    let prepared = rows
        .into_iter()
        .map(|row| ModelInput::prepared(fit, row).map_err(|why| Error::parameter(IMAGE, why)));
    Pictures::prepared(prepared.collect::<Result<_>>()?, most)
}

/// A file that stands for itself, or in base64: no file is a text in base64.
fn file(bytes: Bytes) -> Bytes {
    let text = std::str::from_utf8(&bytes).ok();
    match text.and_then(|text| b64::decode(text).ok()) {
        Some(decoded) if !decoded.is_empty() => decoded.into(),
        _ => bytes,
    }
}

fn one_file(input: Tensor) -> Result<Bytes> {
    match (input.elements, &input.shape[..]) {
        (Elements::Texts(mut texts), [1] | [1, 1]) if texts.len() == 1 => Ok(file(texts.remove(0))),
        (_, shape) => Err(Error::parameter(
            REFERENCE,
            format!("found {} {shape:?}, expected BYTES [1], one file", input.datatype),
        )),
    }
}

/// The tensors of a request to a model of tensors.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the tensor, for a datatype that is not the model's.
pub(super) fn tensors(model: &Model, inputs: Vec<Tensor>) -> Result<Vec<NamedTensor>> {
    let known = signature::inputs(model);
    inputs.into_iter().map(|input| named(input, &known)).collect()
}

fn named(input: Tensor, known: &[Signature]) -> Result<NamedTensor> {
    let expected = known.iter().find(|known| known.name == input.name);
    let wrong = |why: String| Error::parameter(excerpt(&input.name), why);
    if let Some(expected) = expected
        && expected.datatype != input.datatype
    {
        let found = input.datatype;
        return Err(wrong(format!("found {found}, expected {}", expected.datatype)));
    }
    let (Some(dtype), Elements::Plain(bytes)) = (input.datatype.dtype(), input.elements) else {
        return Err(wrong(format!(
            "no such input; the model has {}",
            signature::names(known)
        )));
    };
    let data = Numbers::of_bytes(bytes, dtype).map_err(wrong)?;
    Ok(NamedTensor {
        name: input.name,
        given: Given::Array {
            shape: input.shape,
            data,
        },
    })
}
