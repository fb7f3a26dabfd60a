//! Requests and answers of the tensor task: JSON, NPY arrays, raw bytes.

use axum::extract::Request;

use super::accept::Form;
use super::answer::Answer;
use super::npy::{self, MAGIC, npy_of, npz};
use super::request;
use super::wire::TensorCall;
use crate::error::{Error, Result, excerpt};
use crate::image::{Length, Taken};
use crate::manifest::Tensors;
use crate::reading::multipart::{self, Part};
use crate::reading::{Parameters, bounded, query};
use crate::service::{Predicted, Service};
use crate::tasks::tensor::{Given, NamedTensor, Prediction};
use crate::transport::{App, Received, content_type};

/// What an empty body should have been.
const EXPECTED: &str =
    "JSON with `inputs`, an application/x-npy array, or multipart/form-data with a part for each input";

/// What a body that is no such JSON should have been.
const JSON: &str = "; expected {\"inputs\": [{\"name\": \"…\", \"shape\": […], \"data\": […]}]}";

/// The tensors of a request, with its parameters.
pub(super) struct Called {
    pub(super) tensors: Vec<NamedTensor>,
    pub(super) parameters: Parameters,
    /// The memory that numbers of JSON take.
    pub(super) held: Option<Taken>,
}

/// Reads the named tensors of a request to `model`.
///
/// # Errors
/// Those of [`App::read_some`]; [`Error::EmptyBody`], [`Error::InvalidBody`], [`Error::UnsupportedMediaType`],
/// [`Error::InvalidParameter`]; [`Error::AnswerTooLarge`] where there is never so much memory.
pub(super) async fn read(app: &App, request: Request, model: &Tensors) -> Result<Called> {
    let mut parameters = Parameters::from_query(request.uri().query())?;
    let said = content_type(request.headers()).to_ascii_lowercase();
    let essence = said.split(';').next().unwrap_or_default().trim();
    let tensors = if essence == "multipart/form-data" {
        let received = app.read_some(request, EXPECTED).await?;
        let parts = multipart::read(&received, &mut parameters).await?;
        parts.into_iter().map(of_part).collect::<Result<_>>()?
    } else if essence.ends_with("npy") {
        vec![alone(&app.read_some(request, EXPECTED).await?, model)?]
    } else {
        let received = request::json_body(app, request, EXPECTED)
            .await
            .map_err(in_our_forms)?;
        if !received.bytes.starts_with(MAGIC) {
            return from_json(app, received, parameters).await;
        }
        vec![alone(&received, model)?]
    };
    Ok(Called {
        tensors,
        parameters,
        held: None,
    })
}

/// Names the forms of tensors where a body is of none.
fn in_our_forms(error: Error) -> Error {
    match error {
        Error::UnsupportedMediaType(text) => {
            Error::UnsupportedMediaType(format!("{text}, application/x-npy or multipart/form-data"))
        }
        other => other,
    }
}

/// The array that is the whole body, for a model of one input.
fn alone(received: &Received, model: &Tensors) -> Result<NamedTensor> {
    let [input] = &model.inputs[..] else {
        let names: Vec<&str> = model
            .inputs
            .iter()
            .map(|input| input.spec.name.as_str())
            .collect();
        return Err(Error::InvalidBody(format!(
            "one array, and the model has the inputs {}; send multipart/form-data with a part for each",
            names.join(", ")
        )));
    };
    let (shape, data) = npy::array(&received.bytes)?;
    Ok(NamedTensor {
        name: input.spec.name.clone(),
        given: Given::Array { shape, data },
    })
}

/// An input that is a part of a multipart body: an array, which its first bytes tell, or its bytes alone.
fn of_part(part: Part) -> Result<NamedTensor> {
    let name = excerpt(&part.name).into_owned();
    let is_said = part.content_type.to_ascii_lowercase().ends_with("npy");
    let given = if is_said || part.bytes.starts_with(MAGIC) {
        let (shape, data) = npy::array(&part.bytes).map_err(|error| match error {
            Error::InvalidBody(text) => Error::InvalidBody(format!("part `{name}`: {text}")),
            other => other,
        })?;
        Given::Array { shape, data }
    } else if matches!(part.content_type.as_str(), "" | "application/octet-stream") {
        Given::Raw(part.bytes)
    } else {
        let found = excerpt(&part.content_type);
        return Err(Error::UnsupportedMediaType(format!(
            "part `{name}`: content type `{found}`; send application/x-npy, or application/octet-stream for the bytes alone"
        )));
    };
    Ok(NamedTensor { name, given })
}

async fn from_json(app: &App, received: Received, mut parameters: Parameters) -> Result<Called> {
    /// What is written in two characters is a number of 16 bytes, in a list that grows.
    const BYTES_A_NUMBER: u64 = 32;
    let numbers = bounded::separators(&received.bytes);
    let held = app.service.hold_numbers(numbers, BYTES_A_NUMBER).await?;
    let call: TensorCall = request::parsed(app, received, JSON).await?;
    let (tensors, more) = call.into_parts();
    parameters.extend(more?)?;
    Ok(Called {
        tensors,
        parameters,
        held: Some(held),
    })
}

/// The name of the one output that is answered, if it is not all of them.
///
/// # Errors
/// [`Error::InvalidParameter`] where there is no such output; [`Error::NotAcceptable`] where `form` holds one output, and
/// there are several.
pub(super) fn wanted(parameters: &Parameters, form: Form, model: &Tensors) -> Result<Option<String>> {
    let wanted = query::tensor(parameters)?;
    let names: Vec<&str> = model.outputs.iter().map(|spec| spec.name.as_str()).collect();
    match &wanted {
        Some(name) if !names.contains(&name.as_str()) => Err(Error::parameter(
            "output",
            format!("found `{}`, expected one of {}", excerpt(name), names.join(", ")),
        )),
        None if form == Form::Npy && names.len() > 1 => Err(Error::NotAcceptable(format!(
            "application/x-npy holds one output, and the model has {}; say output=NAME, or ask for application/zip or JSON",
            names.join(", ")
        ))),
        _ => Ok(wanted),
    }
}

/// The same with the output of this name alone, if there is one, and with memory for the answer that is made of it.
///
/// # Errors
/// Those of [`Service::hold`].
pub(super) async fn chosen(
    service: &Service,
    mut done: Predicted<Prediction>,
    (wanted, form): (Option<String>, Form),
) -> Result<Predicted<Prediction>> {
    /// Digits of a number in JSON, with room for a text that grows.
    const BYTES_A_NUMBER: u64 = 32;
    let mut bytes = 0;
    for output in done.outputs.iter_mut().flat_map(|prediction| {
        let is_wanted = |name: &String| wanted.as_ref().is_none_or(|wanted| wanted == name);
        prediction.outputs.retain(|output| is_wanted(&output.name));
        prediction.outputs.iter()
    }) {
        bytes += match form {
            Form::Json => output.data.count() as u64 * BYTES_A_NUMBER,
            _ => 2 * output.data.bytes().len() as u64,
        };
    }
    done.held = Some(service.hold(bytes, 0).await?);
    Ok(done)
}

/// The answer as an array, or as an archive of arrays.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written.
pub(super) async fn arrays(service: &Service, mut done: Predicted<Prediction>, form: Form) -> Result<Answer> {
    let held = done.held.take();
    let length = Length::of_bytes(held.as_ref().map_or(0, Taken::bytes));
    let written = service.write(length, move |_| {
        let outputs = done.outputs.iter().flat_map(|prediction| &prediction.outputs);
        if form == Form::Npy {
            let output = outputs.into_iter().next();
            let output = output.ok_or_else(|| Error::Internal("no output".into()))?;
            return npy_of(&output.shape, &output.data).map(Answer::npy);
        }
        let named = outputs.map(|output| (output.name.as_str(), output.shape.as_slice(), &output.data));
        npz(named).map(Answer::npz)
    });
    Ok(written.await?.holding(held))
}
