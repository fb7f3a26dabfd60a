//! The numbers of versions.

/// The number that a folder's name is, written as numbers are: `+1` and `01` would be `1` again.
pub(super) fn number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

/// What versions are ordered by, the oldest first; what is no number is older than any.
#[must_use]
pub fn age(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}
