//! Two answers: the file is broken, and the file is of a kind that is not read.

use crate::error::Error;

pub(super) fn invalid(what: impl std::fmt::Display) -> Error {
    Error::InvalidImage(format!("the TIFF cannot be decoded: {what}"))
}

/// `what` a TIFF is or has, as in «of 12 bits a sample».
pub(super) fn unread(what: impl std::fmt::Display) -> Error {
    Error::UnsupportedMediaType(format!(
        "a TIFF {what} is not read; convert it to PNG, or to a TIFF of 8 bits a sample"
    ))
}
