//! A request for inference, however it came: REST with JSON, with the binary extension, or both.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bare::quoted;
use super::listed::listed;
use super::tensor::{Head, Tensor};
use crate::error::{Error, Result, counted, excerpt};
use crate::reading::Parameters;
use crate::reading::bounded::{self, JsonParameters, List, Object};

/// Tensors of a request at most.
pub(super) const MOST_TENSORS: usize = 64;

/// Sizes of a shape that are read at most; a tensor has fewer.
pub(super) const MOST_SIZES: usize = 64;

/// Bytes of an id at most.
const MOST_ID: usize = 1024;

/// What says of a tensor what kind of Python object it is to become, and so says nothing here.
const OF_PYTHON: &str = "content_type";

/// What clients say of requests that means nothing here: every model is without a state, as Triton takes it then.
const WITHOUT_MEANING: [&str; 5] = [
    OF_PYTHON,
    "sequence_id",
    "sequence_start",
    "sequence_end",
    // Each answer of a stream is the last of its request, with or without it.
    "triton_enable_empty_final_response",
];

/// What is asked of a model.
#[derive(Debug)]
pub(super) struct InferRequest {
    /// The client's own, which the answer repeats.
    pub(super) id: Option<String>,
    /// The model and its version, where the body says them once more.
    names: [Option<String>; 2],
    pub(super) parameters: Parameters,
    pub(super) inputs: Vec<Tensor>,
    /// Which outputs are answered; without any, all.
    pub(super) outputs: Vec<Requested>,
    /// Whether outputs are answered in binary where they do not say so themselves.
    pub(super) is_binary: bool,
}

/// An output that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Requested {
    pub(super) name: String,
    /// Whether it is answered in binary, where it says so.
    pub(super) binary: Option<bool>,
    /// Answered as so many of its best classes.
    pub(super) classes: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `inputs`")]
struct Body<'a> {
    #[serde(default, borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Option<JsonParameters>,
    #[serde(borrow)]
    inputs: List<Object<Input<'a>>, MOST_TENSORS>,
    #[serde(default)]
    outputs: Option<List<Object<Output>, MOST_TENSORS>>,
    /// Clients of KServe repeat what stands in the path.
    #[serde(default, borrow)]
    model_name: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    model_version: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `name`, `shape`, `datatype` and `data`"
)]
struct Input<'a> {
    name: String,
    shape: List<i64, MOST_SIZES>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<JsonParameters>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `name`")]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Option<JsonParameters>,
}

impl InferRequest {
    /// The request that `body` is, whose first `header` bytes are JSON, and the rest the elements of its binary tensors one
    /// behind the other.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] for what is no such JSON; [`Error::InvalidParameter`], which names the tensor.
    pub(super) fn read(body: &Bytes, header: usize) -> Result<Self> {
        let json = body.get(..header).ok_or_else(|| {
            let found = body.len();
            Error::InvalidBody(format!(
                "Inference-Header-Content-Length is {header}, but the body has {found} bytes"
            ))
        })?;
        let rewritten;
        let read = match parsed(json) {
            Ok(read) => read,
            Err(error) => {
                rewritten = quoted(json).ok_or(error)?;
                parsed(&rewritten)?
            }
        };
        let mut rest = body.slice(header..);
        let inputs = read.inputs.0.into_iter();
        let inputs = inputs
            .map(|Object(input)| input.tensor(&mut rest))
            .collect::<Result<Vec<_>>>()?;
        if !rest.is_empty() {
            let left = counted(rest.len(), "byte");
            return Err(Error::InvalidBody(format!(
                "found {left} behind the tensors that binary_data_size tells of"
            )));
        }
        let outputs = read.outputs.map_or(Vec::new(), |outputs| outputs.0).into_iter();
        let outputs =
            outputs.map(|Object(output)| requested(output.name, JsonParameters::of(output.parameters)?));
        let outputs = outputs.collect::<Result<_>>()?;
        let names = [read.model_name, read.model_version];
        let mut request = Self::new(
            read.id.map(Cow::into_owned),
            inputs,
            outputs,
            JsonParameters::of(read.parameters)?,
        )?;
        request.names = names.map(|name| name.map(Cow::into_owned).filter(|name| !name.is_empty()));
        Ok(request)
    }

    /// A request of these parts.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for what stands twice, and for an id that is too long.
    pub(super) fn new(
        id: Option<String>,
        inputs: Vec<Tensor>,
        outputs: Vec<Requested>,
        parameters: Parameters,
    ) -> Result<Self> {
        let mut request = Self {
            id,
            names: [None, None],
            parameters: Parameters::default(),
            inputs,
            outputs,
            is_binary: false,
        };
        request.say(parameters)?;
        request.check()?;
        Ok(request)
    }

    /// Adds `parameters` to those that are there.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for what stands twice, and for a flag that is none.
    pub(super) fn say(&mut self, mut parameters: Parameters) -> Result<()> {
        if let Some(is_binary) = flag(&mut parameters, "binary_data_output")? {
            self.is_binary = is_binary;
        }
        for without in WITHOUT_MEANING {
            parameters.take(without);
        }
        self.parameters.extend(parameters)
    }

    /// A request that has one input and says nothing else.
    pub(super) fn of(input: Tensor) -> Self {
        Self {
            id: None,
            names: [None, None],
            parameters: Parameters::default(),
            inputs: vec![input],
            outputs: Vec::new(),
            is_binary: false,
        }
    }

    /// Whether the body says another model than the path.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub(super) fn is_for(&self, name: &str, version: &str) -> Result<()> {
        let said = [("model_name", name), ("model_version", version)];
        let mut pairs = self.names.iter().zip(said);
        match pairs.find(|(found, (_, own))| found.as_deref().is_some_and(|found| found != *own)) {
            Some((found, (key, own))) => Err(Error::parameter(
                key,
                format!(
                    "found `{}`, but the path is of `{own}`",
                    excerpt(found.as_deref().unwrap_or_default())
                ),
            )),
            None => Ok(()),
        }
    }

    /// What is wrong whatever the model is.
    fn check(&self) -> Result<()> {
        if self.id.as_ref().is_some_and(|id| id.len() > MOST_ID) {
            return Err(Error::parameter(
                "id",
                format!("expected at most {MOST_ID} bytes"),
            ));
        }
        check_once("inputs", self.inputs.iter().map(|input| input.name.as_str()))?;
        check_once("outputs", self.outputs.iter().map(|output| output.name.as_str()))
    }
}

/// The JSON of a request.
fn parsed(json: &[u8]) -> Result<Body<'_>> {
    bounded::object(json).map_err(|error| {
            let why = error.to_string();
            let of_file = match json.first() {
                Some(b'{' | b'[') | None => "",
                Some(_) => "; a file alone is sent with Content-Type: image/… or Inference-Header-Content-Length: 0",
            };
            Error::InvalidBody(format!(
                "{}; expected {{\"inputs\": [{{\"name\": \"…\", \"shape\": […], \"datatype\": \"FP32\", \"data\": […]}}]}}{of_file}",
                excerpt(&why)
            ))
    })
}

fn check_once<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::parameter(
            excerpt(pair[0]),
            format!("stands more than once among the {what}"),
        )),
        None => Ok(()),
    }
}

impl Input<'_> {
    /// The tensor; binary elements are taken from the front of `rest`.
    fn tensor(self, rest: &mut Bytes) -> Result<Tensor> {
        let head = Head::new(self.name, &self.datatype, self.shape.0)?;
        let mut parameters = of_tensor(JsonParameters::of(self.parameters)?)?;
        let size = whole(&mut parameters, "binary_data_size")?;
        parameters.none()?;
        match (size, self.data) {
            (Some(size), None) if size <= rest.len() => head.binary(rest.split_to(size)),
            (Some(size), None) => {
                let left = rest.len();
                Err(head.wrong(format!(
                    "binary_data_size is {size}, but the body has {left} bytes left"
                )))
            }
            (None, Some(data)) => listed(head, data),
            (Some(_), Some(_)) => Err(head.wrong("has both `data` and `binary_data_size`; send one of them")),
            (None, None) => {
                Err(head.wrong("has no elements: `data` is missing, and so is `binary_data_size`"))
            }
        }
    }
}

/// The output of this name, with its parameters.
///
/// # Errors
/// [`Error::InvalidParameter`]
pub(super) fn requested(name: String, parameters: Parameters) -> Result<Requested> {
    let mut parameters = of_tensor(parameters)?;
    let requested = Requested {
        binary: flag(&mut parameters, "binary_data")?,
        // 0 is Triton's word for none.
        classes: whole(&mut parameters, "classification")?.filter(|count| *count > 0),
        name,
    };
    parameters.none_left("an output has no such parameter; it has `binary_data` and `classification`")?;
    Ok(requested)
}

/// The parameters of a tensor.
///
/// # Errors
/// [`Error::InvalidParameter`], also for shared memory, which no client gets here.
pub(super) fn of_tensor(mut parameters: Parameters) -> Result<Parameters> {
    parameters.take(OF_PYTHON);
    let shared = parameters
        .pairs()
        .find(|(name, _)| name.starts_with("shared_memory"));
    match shared {
        Some((name, _)) => Err(Error::parameter(
            name,
            "shared memory is not supported; send the elements, as JSON or in binary",
        )),
        None => Ok(parameters),
    }
}

/// Takes a parameter that is true or false.
pub(super) fn flag(parameters: &mut Parameters, name: &str) -> Result<Option<bool>> {
    taken(parameters, name, "true or false")
}

/// Takes a parameter that is a whole number.
pub(super) fn whole<T: std::str::FromStr>(parameters: &mut Parameters, name: &str) -> Result<Option<T>> {
    taken(parameters, name, "a whole number, at least 0")
}

fn taken<T: std::str::FromStr>(parameters: &mut Parameters, name: &str, expected: &str) -> Result<Option<T>> {
    let Some(text) = parameters.take(name) else {
        return Ok(None);
    };
    let wrong = || Error::parameter(name, format!("found `{}`, expected {expected}", excerpt(&text)));
    text.parse().map(Some).map_err(|_| wrong())
}
