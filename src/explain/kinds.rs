//! A parameter of each kind, as the list of all writes them down.

use std::str::FromStr;

use super::options::Options;
use super::parameter::{Kind, Parameter};

/// A parameter that is a whole number from 1 to `most`.
pub(super) const fn count(
    name: &'static str,
    description: &'static str,
    most: u64,
    default: u64,
    set: fn(&mut Options, u64),
) -> Parameter {
    Parameter {
        name,
        description,
        example: None,
        kind: Kind::Integer {
            least: 1,
            most,
            default: Some(default),
            is_wide: false,
            set,
        },
    }
}

/// A parameter that is a number within bounds.
pub(super) const fn number(
    name: &'static str,
    description: &'static str,
    (least, most): (f64, f64),
    default: Option<f64>,
    set: fn(&mut Options, f64),
) -> Parameter {
    Parameter {
        name,
        description,
        example: None,
        kind: Kind::Number {
            least,
            is_open: false,
            most,
            default,
            set,
        },
    }
}

pub(super) const fn flag(
    name: &'static str,
    description: &'static str,
    set: fn(&mut Options, bool),
) -> Parameter {
    Parameter {
        name,
        description,
        example: None,
        kind: Kind::Boolean { set },
    }
}

pub(super) const fn choice(
    name: &'static str,
    description: &'static str,
    (about, words, has_default): (&'static str, &'static [&'static str], bool),
    set: fn(&mut Options, usize),
) -> Parameter {
    Parameter {
        name,
        description,
        example: None,
        kind: Kind::Choice {
            about,
            words,
            has_default,
            set,
        },
    }
}

pub(super) const fn text(
    name: &'static str,
    description: &'static str,
    example: Option<&'static str>,
    set: fn(&mut Options, &str) -> Result<(), String>,
) -> Parameter {
    Parameter {
        name,
        description,
        example,
        kind: Kind::Text { set },
    }
}

/// Sets `place` to what `text` says.
pub(super) fn parsed<T: FromStr>(place: &mut T, text: &str) -> Result<(), T::Err> {
    *place = text.parse()?;
    Ok(())
}

/// [`parsed`] where nothing is a value, too.
pub(super) fn given<T: FromStr>(place: &mut Option<T>, text: &str) -> Result<(), T::Err> {
    *place = Some(text.parse()?);
    Ok(())
}
