//! From the message of a request to the request.

use std::collections::BTreeMap;

use bytes::Bytes;
use grpc_messages::inference::infer_parameter::ParameterChoice;
use grpc_messages::inference::model_infer_request::InferInputTensor;
use grpc_messages::inference::{InferParameter, ModelInferRequest};

use super::super::request::{InferRequest, of_tensor, requested};
use super::super::target::Target;
use super::super::tensor::{Head, Tensor};
use super::contents::elements;
use crate::error::{Error, Result};
use crate::reading::Parameters;

/// What `message` asks, and of which model.
///
/// # Errors
/// [`Error::InvalidBody`]; [`Error::InvalidParameter`], which names the tensor.
pub(super) fn read(message: ModelInferRequest) -> Result<(Target, InferRequest)> {
    let mut raw = Some(message.raw_input_contents).filter(|raw| !raw.is_empty());
    if let Some(raw) = &raw
        && raw.len() != message.inputs.len()
    {
        let (found, expected) = (raw.len(), message.inputs.len());
        return Err(Error::InvalidBody(format!(
            "found {found} elements in raw_input_contents, expected one for each of the {expected} inputs"
        )));
    }
    let mut raw = raw.iter_mut().flatten();
    let inputs = message.inputs.into_iter();
    let inputs = inputs.map(|input| tensor(input, raw.next().map(std::mem::take)));
    let inputs = inputs.collect::<Result<_>>()?;
    let outputs = message.outputs.into_iter();
    let outputs = outputs.map(|output| requested(output.name, parameters(output.parameters)?));
    let outputs = outputs.collect::<Result<_>>()?;
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    let target = Target {
        name: message.model_name,
        version: said(message.model_version),
    };
    let request = InferRequest::new(said(message.id), inputs, outputs, parameters(message.parameters)?)?;
    Ok((target, request))
}

fn tensor(input: InferInputTensor, raw: Option<Bytes>) -> Result<Tensor> {
    let head = Head::new(input.name, &input.datatype, input.shape)?;
    let mut said = of_tensor(parameters(input.parameters)?)?;
    // A client of both protocols says it in either; here the messages have their lengths.
    said.take("binary_data_size");
    said.none()?;
    match (raw, input.contents) {
        (Some(raw), None) => head.binary(raw),
        (None, contents) => {
            let elements = elements(&head, contents.unwrap_or_default())?;
            Ok(head.holding(elements))
        }
        (Some(_), Some(_)) => {
            Err(head.wrong("has both `contents` and an element of raw_input_contents; send one of them"))
        }
    }
}

fn parameters(given: BTreeMap<String, InferParameter>) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    for (name, value) in given {
        let text = match value.parameter_choice {
            None => continue,
            Some(ParameterChoice::BoolParam(value)) => value.to_string(),
            Some(ParameterChoice::Int64Param(value)) => value.to_string(),
            Some(ParameterChoice::StringParam(value)) => value,
            Some(ParameterChoice::DoubleParam(value)) => value.to_string(),
            Some(ParameterChoice::Uint64Param(value)) => value.to_string(),
        };
        parameters.add(name, text)?;
    }
    Ok(parameters)
}
