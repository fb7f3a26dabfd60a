//! `instances` of KServe's first protocol: pictures in base64, or rows of tensors.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::config::MOST_IMAGES;
use crate::error::{Error, Result, excerpt};
use crate::manifest::Tensors;
use crate::reading::bounded::{self, JsonParameters, List};
use crate::reading::{Parameters, b64};
use crate::service::Pictures;
use crate::tasks::tensor::{Given, NamedTensor, Number};
use crate::transport::Received;

/// Rows of a request at most.
const MOST_ROWS: usize = 1 << 16;

/// Lists in lists at most.
const MOST_DEPTH: usize = 16;

/// The body of a call; for the OpenAPI document.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it only describes the body, which is read by the model's task"
)]
pub(super) struct InstancesCall {
    /// At least one.
    #[schema(
        value_type = Vec<serde_json::Value>,
        example = json!([{"b64": "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR42mM8ESDCwMDAxMDAwMDAAAAO7gEwyEGFIgAAAABJRU5ErkJggg=="}])
    )]
    instances: Vec<()>,
    /// As in the query string of `/predict` and `/explain`.
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
}

/// What is asked, as the model's task takes it.
pub(super) struct Called<T> {
    pub(super) given: T,
    pub(super) parameters: Parameters,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `instances`")]
struct Call<'a, const MOST: usize> {
    #[serde(borrow)]
    instances: List<&'a RawValue, MOST>,
    #[serde(default)]
    parameters: Option<JsonParameters>,
    /// Clients of TensorFlow Serving say it; there is one.
    #[serde(default, rename = "signature_name")]
    _signature: Option<IgnoredAny>,
}

fn call<const MOST: usize>(json: &[u8]) -> Result<Call<'_, MOST>> {
    bounded::object(json).map_err(|error| {
        let why = error.to_string();
        Error::InvalidBody(format!("{}; expected {{\"instances\": […]}}", excerpt(&why)))
    })
}

/// The pictures of a call.
///
/// # Errors
/// [`Error::InvalidBody`], which says which instance is none; [`Error::InvalidParameter`]; as [`Pictures::new`].
pub(super) fn pictures(received: &Received, most: usize) -> Result<Called<Pictures>> {
    let call = call::<MOST_IMAGES>(&received.bytes)?;
    let file = |(index, instance): (usize, &&RawValue)| {
        let wrong = |why: &str| Error::InvalidBody(format!("instances[{index}]: {}", excerpt(why)));
        let File(text) = serde_json::from_str(instance.get()).map_err(|e| wrong(&e.to_string()))?;
        let bytes = b64::decode(&text).map_err(|why| wrong(&why))?;
        received.own(bytes)
    };
    let files = call.instances.0.iter().enumerate().map(file);
    Ok(Called {
        given: Pictures::new(files.collect::<Result<_>>()?, most)?,
        parameters: JsonParameters::of(call.parameters)?,
    })
}

/// A file in base64: the text alone, or under one name, and there perhaps once more under one.
struct File<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for File<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OneText;

        impl<'de> Visitor<'de> for OneText {
            type Value = File<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file in base64, as {\"b64\": \"…\"} or as the text alone")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> std::result::Result<File<'de>, E> {
                Ok(File(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<File<'de>, E> {
                Ok(File(Cow::Owned(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut names: A) -> std::result::Result<File<'de>, A::Error> {
                let none = || de::Error::invalid_length(0, &self);
                names.next_key::<IgnoredAny>()?.ok_or_else(none)?;
                let file = names.next_value()?;
                match names.next_key::<IgnoredAny>()? {
                    None => Ok(file),
                    Some(_) => Err(de::Error::custom("expected one file, found several members")),
                }
            }
        }

        deserializer.deserialize_any(OneText)
    }
}

/// The rows of a call, as the inputs of `model`.
///
/// # Errors
/// [`Error::InvalidBody`], which says which instance does not fit; [`Error::InvalidParameter`].
pub(super) fn tensors(received: &Received, model: &Tensors) -> Result<Called<Vec<NamedTensor>>> {
    let call = call::<MOST_ROWS>(&received.bytes)?;
    let names: Vec<&str> = model
        .inputs
        .iter()
        .map(|input| input.spec.name.as_str())
        .collect();
    if call.instances.0.is_empty() {
        return Err(Error::EmptyBody("the body holds no instance".into()));
    }
    let mut stacks: Vec<Stack> = names.iter().map(|_| Stack::default()).collect();
    for (index, instance) in call.instances.0.iter().enumerate() {
        let wrong = |why: String| Error::InvalidBody(format!("instances[{index}]: {why}"));
        add(instance.get(), &names, &mut stacks).map_err(wrong)?;
    }
    let rows = call.instances.0.len() as i64;
    let named = names.iter().zip(stacks).map(|(name, stack)| NamedTensor {
        name: (*name).to_owned(),
        given: Given::Listed {
            shape: [rows]
                .into_iter()
                .chain(stack.shape.unwrap_or_default())
                .collect(),
            data: stack.data,
        },
    });
    Ok(Called {
        given: named.collect(),
        parameters: JsonParameters::of(call.parameters)?,
    })
}

/// Rows below each other.
#[derive(Default)]
struct Stack {
    /// Of each row.
    shape: Option<Vec<i64>>,
    data: Vec<Number>,
}

/// Adds a row of each input that `names` names.
fn add(row: &str, names: &[&str], stacks: &mut [Stack]) -> Result<(), String> {
    let of = |json: &str, stack: &mut Stack| -> Result<(), String> {
        let mut shape = Vec::new();
        let mut reader = serde_json::Deserializer::from_str(json);
        let nested = Nested {
            depth: 0,
            shape: &mut shape,
            data: &mut stack.data,
        };
        de::DeserializeSeed::deserialize(nested, &mut reader)
            .map_err(|e| excerpt(&e.to_string()).into_owned())?;
        match stack.shape.get_or_insert_with(|| shape.clone()) == &shape {
            true => Ok(()),
            false => Err("a row of another shape than the first".into()),
        }
    };
    if !row.trim_start().starts_with('{') {
        return match stacks {
            [one] => of(row, one),
            _ => Err(format!(
                "the model has several inputs, so each instance is an object with {}",
                names.join(", ")
            )),
        };
    }
    let members: std::collections::BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(row).map_err(|e| excerpt(&e.to_string()).into_owned())?;
    if let Some(other) = members.keys().find(|name| !names.contains(&name.as_ref())) {
        return Err(format!(
            "no such input: `{}`; the model has {}",
            excerpt(other),
            names.join(", ")
        ));
    }
    for (name, stack) in names.iter().zip(stacks) {
        let given = members
            .get(*name)
            .ok_or_else(|| format!("the input `{name}` is missing"))?;
        of(given.get(), stack)?;
    }
    Ok(())
}

/// Numbers, and lists of them that are alike.
struct Nested<'a> {
    depth: usize,
    /// The lengths of lists down to here, as the first of each depth had it.
    shape: &'a mut Vec<i64>,
    data: &'a mut Vec<Number>,
}

impl<'de> de::DeserializeSeed<'de> for Nested<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<usize, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Nested<'_> {
    fn number<E: de::Error>(self, number: Number) -> std::result::Result<usize, E> {
        self.data.push(number);
        Ok(self.depth)
    }
}

/// Answers how deep the numbers lie.
impl<'de> Visitor<'de> for Nested<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers and lists of them")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> std::result::Result<usize, E> {
        self.number(Number::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> std::result::Result<usize, E> {
        self.number(Number::Whole(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> std::result::Result<usize, E> {
        self.number(i64::try_from(number).map_or(Number::Real(number as f64), Number::Whole))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> std::result::Result<usize, E> {
        self.number(Number::Real(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<usize, A::Error> {
        if self.depth == MOST_DEPTH {
            return Err(de::Error::custom(format!(
                "more than {MOST_DEPTH} lists in lists"
            )));
        }
        let is_first = self.shape.len() == self.depth;
        if is_first {
            self.shape.push(0);
        }
        let (mut count, mut depth) = (0i64, None);
        loop {
            let item = Nested {
                depth: self.depth + 1,
                shape: &mut *self.shape,
                data: &mut *self.data,
            };
            let Some(found) = items.next_element_seed(item)? else {
                break;
            };
            if depth.is_some_and(|depth| depth != found) {
                return Err(de::Error::custom("lists that are not alike"));
            }
            depth = Some(found);
            count += 1;
        }
        if is_first {
            self.shape[self.depth] = count;
        } else if self.shape[self.depth] != count {
            return Err(de::Error::custom("lists that are not alike"));
        }
        Ok(depth.unwrap_or(self.depth + 1))
    }
}
