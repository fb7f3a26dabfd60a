//! A model.toml with other values, and all else as it was.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, TomlError, Value, value};

use crate::error::{Error, Result};

/// Writes `file` as `edit` makes it of what stands there.
///
/// # Errors
/// [`Error::InvalidSettings`] where it cannot be read or written, or is no TOML.
pub(super) fn rewrite(file: &Path, edit: impl FnOnce(&str) -> Result<String, TomlError>) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Error::InvalidSettings(format!("{}: {e}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
    let edited = edit(&text).map_err(|e| wrong(&e))?;
    std::fs::write(file, edited).map_err(|e| wrong(&e))
}

/// Sets `section.key`, keeping what the line already looks like.
pub(super) fn set(document: &mut DocumentMut, section: &str, key: &str, new: Value) {
    let section = document
        .entry(section)
        .or_insert_with(|| Item::Table(Table::new()));
    match section.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = new;
            *old.decor_mut() = decor;
        }
        None => section[key] = value(new),
    }
}
