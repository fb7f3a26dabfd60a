//! A parameter of an explanation: its type, bounds and default, and how its text becomes an option. The parser, the listing
//! of `/explainers` and the OpenAPI document are all made of these.

use std::fmt::Display;

use super::options::Options;
use crate::error::{Error, Result};

/// The definition of one parameter, which every method that uses it shares.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in requests.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Its type.
    pub kind: Kind,
    /// A value, where one says more than the description.
    pub example: Option<&'static str>,
}

/// The type of a parameter, its default where it has one, and where its value goes.
#[derive(Debug)]
pub enum Kind {
    /// A whole number.
    Integer {
        /// The least that is accepted.
        least: u64,
        /// The most that is accepted.
        most: u64,
        /// What holds when it is not given.
        default: Option<u64>,
        /// Whether it counts something that has 64 bits everywhere, such as a seed.
        is_wide: bool,
        /// Sets it.
        set: fn(&mut Options, u64),
    },
    /// Any number that is finite as a 32-bit float, which is what models compute with.
    Number {
        /// The least that is accepted.
        least: f64,
        /// Whether the least itself is too little.
        is_open: bool,
        /// The most that is accepted.
        most: f64,
        /// What holds when it is not given.
        default: Option<f64>,
        /// Sets it.
        set: fn(&mut Options, f64),
    },
    /// `true` or `false`; false when it is not given.
    Boolean {
        /// Sets it.
        set: fn(&mut Options, bool),
    },
    /// One of some words.
    Choice {
        /// What the words are about.
        about: &'static str,
        /// The words, the default first where it has one.
        words: &'static [&'static str],
        /// Whether the first word is the default.
        has_default: bool,
        /// Sets it to the word of this index.
        set: fn(&mut Options, usize),
    },
    /// Text with a grammar of its own.
    Text {
        /// Reads it; what is wrong with it otherwise.
        set: fn(&mut Options, &str) -> std::result::Result<(), String>,
    },
}

/// What a parameter is when it is not given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultValue {
    /// As its description says.
    Described,
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// A flag.
    Boolean(bool),
    /// A word.
    Word(&'static str),
}

impl Parameter {
    /// `integer`, `number`, `boolean` or `string`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Integer { .. } => "integer",
            Kind::Number { .. } => "number",
            Kind::Boolean { .. } => "boolean",
            Kind::Choice { .. } | Kind::Text { .. } => "string",
        }
    }

    /// What holds when it is not given.
    #[must_use]
    pub fn default(&self) -> DefaultValue {
        match self.kind {
            Kind::Integer { default, .. } => default.map_or(DefaultValue::Described, DefaultValue::Integer),
            Kind::Number { default, .. } => default.map_or(DefaultValue::Described, DefaultValue::Number),
            Kind::Boolean { .. } => DefaultValue::Boolean(false),
            Kind::Choice {
                words,
                has_default: true,
                ..
            } => DefaultValue::Word(words[0]),
            Kind::Choice { .. } | Kind::Text { .. } => DefaultValue::Described,
        }
    }

    /// Sets the option to the default.
    pub(super) fn reset(&self, options: &mut Options) {
        match (&self.kind, self.default()) {
            (Kind::Integer { set, .. }, DefaultValue::Integer(value)) => set(options, value),
            (Kind::Number { set, .. }, DefaultValue::Number(value)) => set(options, value),
            _ => {}
        }
    }

    /// Sets the option to what `text` says.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] with what was found and what is expected.
    pub(super) fn read(&self, options: &mut Options, text: &str) -> Result<()> {
        let wrong = |expected: &dyn Display| {
            Error::parameter(
                self.name,
                format!("found `{}`, expected {expected}", shortened(text)),
            )
        };
        match &self.kind {
            Kind::Integer { least, most, set, .. } => {
                let value = text.trim().parse().ok();
                let value = value.filter(|value| (*least..=*most).contains(value));
                set(
                    options,
                    value.ok_or_else(|| wrong(&format!("a whole number, {least} to {most}")))?,
                );
            }
            Kind::Number {
                least,
                is_open,
                most,
                set,
                ..
            } => {
                let fits = |value: &f64| *value >= *least && *value <= *most && !(*is_open && value == least);
                let value: Option<f64> = text.trim().parse().ok();
                set(options, value.filter(fits).ok_or_else(|| wrong(&self.bounds()))?);
            }
            Kind::Boolean { set } => match text.trim() {
                "true" => set(options, true),
                "false" => set(options, false),
                _ => return Err(wrong(&"true or false")),
            },
            Kind::Choice { words, set, .. } => {
                let index = words.iter().position(|word| *word == text.trim());
                let expected = || wrong(&format!("one of `{}`", words.join("`, `")));
                set(options, index.ok_or_else(expected)?);
            }
            Kind::Text { set } => set(options, text).map_err(|reason| {
                Error::parameter(self.name, format!("found `{}`: {reason}", shortened(text)))
            })?,
        }
        Ok(())
    }

    /// The bounds of a number, in words.
    fn bounds(&self) -> String {
        match self.kind {
            Kind::Number {
                least, most, is_open, ..
            } if is_open => format!("a number, more than {least}, at most {most}"),
            Kind::Number { least, most, .. } => format!("a number from {least} to {most}"),
            _ => String::new(),
        }
    }
}

/// The beginning of a text that a client sent, for messages.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
