//! JSON that stops at its bounds while it is read: a body of few bytes must not become much more in memory.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::parameters::{MOST_TEXT, Parameters};
use crate::error::{Error, Result, excerpt};

/// What JSON says by names alone: serde also takes a list for the fields of a struct, by their places.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Names<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, names: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(names)).map(Object)
            }
        }

        deserializer.deserialize_map(Names(PhantomData))
    }
}

/// The object that `json` is.
///
/// # Errors
/// What is wrong with it, in serde's words.
pub fn object<'de, T: Deserialize<'de>>(json: &'de [u8]) -> serde_json::Result<T> {
    serde_json::from_slice(json).map(|Object(object)| object)
}

/// At most `MOST` items.
#[derive(Debug)]
pub struct List<T, const MOST: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Items<T, MOST> {
            type Value = List<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while list.len() < MOST {
                    let Some(item) = items.next_element()? else {
                        return Ok(List(list));
                    };
                    list.push(item);
                }
                match items.next_element::<IgnoredAny>()? {
                    None => Ok(List(list)),
                    Some(_) => Err(A::Error::custom(format!("more than {MOST} items"))),
                }
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Commas in `json`, before anything of it is read: about as many as the numbers that it lists, and never much fewer.
#[must_use]
pub fn separators(json: &[u8]) -> u64 {
    json.iter().filter(|byte| **byte == b',').count() as u64
}

/// The parameters of a JSON body, or what is wrong with the first that is.
#[derive(Debug)]
pub struct JsonParameters(pub Result<Parameters>);

impl JsonParameters {
    /// The parameters; none where nothing stands there.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn of(given: Option<Self>) -> Result<Parameters> {
        given.map_or_else(|| Ok(Parameters::default()), |given| given.0)
    }
}

impl<'de> Deserialize<'de> for JsonParameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = JsonParameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<JsonParameters, A::Error> {
                let mut parameters = Parameters::default();
                while let Some(name) = pairs.next_key::<String>()? {
                    let added = match pairs.next_value::<Value>()? {
                        Value::Text(text) => parameters.add(name, text),
                        Value::Nothing => Ok(()),
                        Value::Wrong(why) => Err(Error::parameter(name, why)),
                    };
                    if let Err(error) = added {
                        while pairs.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(JsonParameters(Err(error)));
                    }
                }
                Ok(JsonParameters(Ok(parameters)))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// The parameters that a part `name` of a multipart says in JSON: those of an object, else one of this name.
///
/// # Errors
/// [`Error::InvalidBody`] where it is no JSON; [`Error::InvalidParameter`].
pub fn parameters_of_part(name: String, json: &[u8]) -> Result<Parameters> {
    let wrong = |e: &serde_json::Error| {
        let (name, why) = (excerpt(&name), e.to_string());
        Error::InvalidBody(format!("part `{name}` is no JSON: {}", excerpt(&why)))
    };
    if json.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice::<JsonParameters>(json)
            .map_err(|e| wrong(&e))?
            .0;
    }
    let value: Value = serde_json::from_slice(json).map_err(|e| wrong(&e))?;
    let mut parameters = Parameters::default();
    match value {
        Value::Text(text) => parameters.add(name, text)?,
        Value::Nothing => {}
        Value::Wrong(why) => return Err(Error::parameter(name, why)),
    }
    Ok(parameters)
}

/// A parameter's value.
enum Value {
    /// As text; of a list, its items with commas between them.
    Text(String),
    /// Null: as if it were not there.
    Nothing,
    /// What no parameter can be.
    Wrong(&'static str),
}

const EXPECTED: &str = "expected text, a number, true or false, or a list of them";

/// Reads a value, or an item of one, which is no list.
struct Scalars {
    lists: bool,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars { lists: true })
    }
}

/// An item of a list.
struct Item(Value);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars { lists: false }).map(Item)
    }
}

impl<'de> Visitor<'de> for Scalars {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        // What is longer by one is too long, and no more of it is kept.
        Ok(Value::Text(text.chars().take(MOST_TEXT + 1).collect()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Text(flag.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        // As JSON writes it: 1.0 and not 1.
        Ok(serde_json::to_string(&number).map_or(Value::Wrong(EXPECTED), Value::Text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(if self.lists {
            Value::Nothing
        } else {
            Value::Wrong(EXPECTED)
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let (mut texts, mut length, mut wrong) = (Vec::new(), 0, !self.lists);
        while !wrong && length <= MOST_TEXT {
            match items.next_element()? {
                None => return Ok(Value::Text(texts.join(","))),
                Some(Item(Value::Text(text))) => {
                    length += text.len() + 1;
                    texts.push(text);
                }
                Some(Item(_)) => wrong = true,
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(if wrong {
            Value::Wrong(EXPECTED)
        } else {
            Value::Text(texts.join(","))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        while pairs.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Wrong(EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::MOST_PARAMETERS;
    use super::*;

    fn parameters(json: &str) -> Result<Parameters> {
        serde_json::from_str::<JsonParameters>(json).expect("JSON").0
    }

    #[test]
    fn an_object_is_no_list() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            a: u8,
            #[serde(default)]
            b: u8,
        }
        let read = |json: &'static str| object::<Pair>(json.as_bytes()).map(|pair| (pair.a, pair.b));
        assert_eq!(read(r#"{"a": 1, "b": 2}"#).expect("an object"), (1, 2));
        assert_eq!(read(r#"{"a": 1}"#).expect("an object"), (1, 0));
        for wrong in ["[1, 2]", "[1]", "1", "null", r#"{"a": 1, "c": 2}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let json = r#"{"a": 1, "b": -2, "c": 1.0, "d": true, "e": "x", "f": [1, "y", 2.5], "g": null}"#;
        let read = parameters(json).expect("parameters");
        let pairs: Vec<_> = read.pairs().collect();
        let expected = [
            ("a", "1"),
            ("b", "-2"),
            ("c", "1.0"),
            ("d", "true"),
            ("e", "x"),
            ("f", "1,y,2.5"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn what_no_parameter_can_be_is_refused_with_its_name() {
        for value in ["{}", "[[1]]", "[null]", "[{}]", "[1, {\"a\": [1]}, 2]"] {
            let wrong = parameters(&format!(r#"{{"target": {value}, "more": 1}}"#)).expect_err(value);
            assert!(
                wrong.to_string().contains("parameter `target`: expected"),
                "{wrong}"
            );
        }
        let twice = parameters(r#"{"a": 1, "a": 2}"#).expect_err("twice");
        assert!(twice.to_string().contains("more than once"), "{twice}");
    }

    #[test]
    fn bounds_hold_while_it_is_read() {
        let many: Vec<String> = (0..=MOST_PARAMETERS).map(|n| format!(r#""p{n}": 1"#)).collect();
        assert!(parameters(&format!("{{{}}}", many.join(","))).is_err());
        assert!(parameters(&format!(r#"{{"a": "{}"}}"#, "x".repeat(MOST_TEXT + 1))).is_err());
        assert!(parameters(&format!(r#"{{"a": [{}1]}}"#, "1,".repeat(MOST_TEXT))).is_err());
        assert!(parameters(&format!(r#"{{"{}": 1}}"#, "x".repeat(1000))).is_err());
        let list = |n: usize| serde_json::from_str::<List<u8, 3>>(&format!("[{}]", vec!["1"; n].join(",")));
        assert!(list(3).is_ok_and(|list| list.0 == [1, 1, 1]) && list(4).is_err());
    }
}
