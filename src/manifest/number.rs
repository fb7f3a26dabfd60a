//! The numbers of versions.

/// The number that a folder's name is, written as numbers are: `+1` and `01` would be `1` again.
pub(super) fn number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

/// The order of versions, the oldest first; a name that is no number is older than any.
#[must_use]
pub fn age(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}
