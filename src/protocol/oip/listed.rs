//! `data` of a tensor in JSON: a flat list, or lists in lists as deep as its shape, read into the elements that its datatype
//! says. Nothing grows beyond what the shape says.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::datatype::Datatype;
use super::scalar::{AnyScalar, Scalar, expected};
use super::tensor::{Elements, Head, Tensor};
use crate::error::{Result, counted, excerpt};

/// The tensor whose elements `data` lists.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::error::Error::InvalidParameter), which names the tensor and the first element that does
/// not fit.
pub(super) fn listed(head: Head, data: &RawValue) -> Result<Tensor> {
    let mut found = Found::new(&head, data.get().len());
    let mut json = serde_json::Deserializer::from_str(data.get());
    let read = Level {
        depth: 0,
        head: &head,
        found: &mut found,
    }
    .deserialize(&mut json);
    read.map_err(|error| {
        let text = error.to_string();
        // Lines and columns are those of this list, and no client knows where it begins.
        let why = text.split(" at line ").next().unwrap_or_default();
        head.wrong(format!("data: {}", excerpt(why)))
    })?;
    let (count, expected) = (found.count, head.count);
    if count != expected {
        let shape = &head.shape;
        return Err(head.wrong(format!(
            "data: found {}, expected {expected} for the shape {shape:?}",
            counted(count, "element")
        )));
    }
    let elements = match head.datatype {
        Datatype::Bytes => Elements::Texts(found.texts),
        _ => Elements::Plain(found.bytes.into()),
    };
    Ok(head.holding(elements))
}

/// What was read up to now.
struct Found {
    count: usize,
    bytes: Vec<u8>,
    texts: Vec<Bytes>,
}

impl Found {
    fn new(head: &Head, written: usize) -> Self {
        // An element is written in at least two characters.
        let likely = head.count.min(written / 2 + 1);
        Self {
            count: 0,
            bytes: Vec::with_capacity(likely * head.datatype.size().unwrap_or(0)),
            texts: Vec::new(),
        }
    }

    fn add(&mut self, head: &Head, scalar: Scalar<'_>) -> Result<(), String> {
        let place = self.count;
        if place == head.count {
            let shape = &head.shape;
            return Err(format!(
                "more than {}, as many as the shape {shape:?} has",
                counted(place, "element")
            ));
        }
        self.count += 1;
        let datatype = head.datatype;
        let unfit = |scalar: &Scalar<'_>| {
            format!(
                "element {place} is {scalar}, expected {} ({datatype})",
                expected(datatype)
            )
        };
        match (datatype, scalar) {
            (Datatype::Bytes, Scalar::Text(text)) => self.texts.push(text.into_owned().into()),
            (_, scalar) => scalar
                .write(datatype, &mut self.bytes)
                .ok_or_else(|| unfit(&scalar))?,
        }
        Ok(())
    }
}

/// A list at this depth, or what stands in one.
struct Level<'a> {
    depth: usize,
    head: &'a Head,
    found: &'a mut Found,
}

/// What was found at a place.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Scalar,
    List,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level<'_> {
    fn scalar<E: serde::de::Error>(self, scalar: Scalar<'_>) -> Result<Kind, E> {
        if self.depth == 0 {
            return Err(E::custom("expected a list"));
        }
        self.found.add(self.head, scalar).map_err(E::custom)?;
        Ok(Kind::Scalar)
    }

    /// Whether a list with so many items of this kind fits the shape.
    fn check(&self, items: usize, kind: Option<Kind>) -> Result<(), String> {
        let shape = &self.head.shape;
        let is_flat = self.depth == 0 && kind != Some(Kind::List);
        let is_last = self.depth + 1 == shape.len();
        if is_flat {
            return Ok(());
        }
        let size = shape.get(self.depth).and_then(|&size| usize::try_from(size).ok());
        if size != Some(items) {
            let depth = self.depth;
            return Err(format!(
                "a list of {items} at depth {depth}, which the shape {shape:?} has not"
            ));
        }
        if kind == Some(Kind::Scalar) && !is_last {
            return Err(format!(
                "lists that are not as deep as the shape {shape:?}, nor flat"
            ));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("elements and lists of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        // A tensor of no sizes is written as a list of one.
        if self.depth >= self.head.shape.len().max(1) {
            let shape = &self.head.shape;
            return Err(A::Error::custom(format!(
                "lists that are deeper than the shape {shape:?}"
            )));
        }
        let (mut count, mut kind) = (0, None);
        loop {
            let item = Level {
                depth: self.depth + 1,
                head: self.head,
                found: &mut *self.found,
            };
            let Some(found) = items.next_element_seed(item)? else {
                break;
            };
            if kind.is_some_and(|kind| kind != found) {
                return Err(A::Error::custom("elements and lists side by side"));
            }
            kind = Some(found);
            count += 1;
        }
        self.check(count, kind).map_err(A::Error::custom)?;
        Ok(Kind::List)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<Kind, A::Error> {
        Err(A::Error::custom(
            "expected elements and lists of them, found an object",
        ))
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Kind, E> {
        AnyScalar.visit_bool(flag).and_then(|scalar| self.scalar(scalar))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Kind, E> {
        AnyScalar.visit_i64(number).and_then(|scalar| self.scalar(scalar))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Kind, E> {
        AnyScalar.visit_u64(number).and_then(|scalar| self.scalar(scalar))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Kind, E> {
        AnyScalar.visit_f64(number).and_then(|scalar| self.scalar(scalar))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Kind, E> {
        self.scalar(Scalar::Text(text.into()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Kind, E> {
        self.scalar(Scalar::Null)
    }
}
