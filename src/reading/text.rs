//! Names and texts as serde sees them: each text is whatever its field asks for, and a name that is no field is an error of
//! its own.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Why parameters could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// There is no such parameter.
    Unknown {
        /// Its name.
        name: String,
        /// Which there are.
        message: String,
    },
    /// A text is not of the kind that its parameter asks for.
    Unfit(Kind),
    /// A text is not what its parameter asks for, for a reason of its own.
    Wrong(String),
}

/// What a parameter's text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number, in so many bits that this is the most.
    Whole(u64),
    /// Any number.
    Number,
    /// `true` or `false`
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
}

impl Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { message, .. } => f.write_str(message),
            Self::Unfit(kind) => write!(f, "expected {kind:?}"),
            Self::Wrong(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: Display>(reason: T) -> Self {
        Self::Wrong(reason.to_string())
    }
}

/// Parameters by name, from which serde reads a struct.
pub(super) struct Pairs<'a>(pub(super) &'a [(String, String)]);

impl<'de> Deserializer<'de> for Pairs<'de> {
    type Error = ReadError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if let Some((name, _)) = self.0.iter().find(|(name, _)| !fields.contains(&name.as_str())) {
            let expected = match fields {
                [only] => format!("`{only}`"),
                _ => format!("one of `{}`", fields.join("`, `")),
            };
            return Err(ReadError::Unknown {
                name: name.clone(),
                message: format!("unknown field `{name}`, expected {expected}"),
            });
        }
        let pairs = self.0.iter().map(|(name, text)| (name.as_str(), Text(text)));
        visitor.visit_map(MapDeserializer::new(pairs))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let pairs = self.0.iter().map(|(name, text)| (name.as_str(), Text(text)));
        visitor.visit_map(MapDeserializer::new(pairs))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The text of one parameter.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn parsed<T: FromStr>(&self, kind: Kind) -> Result<T, ReadError> {
        self.0.trim().parse().map_err(|_| ReadError::Unfit(kind))
    }
}

impl<'de> IntoDeserializer<'de, ReadError> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_bool(self.parsed(Kind::Flag)?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_i64(self.parsed(Kind::Whole(i64::MAX.unsigned_abs()))?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_u32(self.parsed(Kind::Whole(u32::MAX.into()))?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_u64(self.parsed(Kind::Whole(u64::MAX))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_f32(self.parsed(Kind::Number)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_f64(self.parsed(Kind::Number)?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let word = self.0.trim();
        if !words.contains(&word) {
            return Err(ReadError::Unfit(Kind::Words(words)));
        }
        let text: StrDeserializer<'de, ReadError> = word.into_deserializer();
        visitor.visit_enum(text)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
