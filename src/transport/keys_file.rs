//! The file of keys.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Semaphore;

use super::changed;
use super::key::{Key, Scope};
use super::rate::Rate;
use crate::error::{Error, Result};

/// Keys by their digests.
pub(super) type Known = HashMap<[u8; 32], Arc<Key>>;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Entry>,
}

/// A key in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// For the log.
    name: String,
    /// Of the key, in 64 hexadecimal digits.
    sha256: String,
    scopes: Vec<Scope>,
    /// Requests a second, on average; twice as many at once.
    #[serde(default)]
    requests_per_s: Option<f64>,
    /// Requests at one time.
    #[serde(default)]
    concurrency: Option<usize>,
}

/// The keys of `file`.
///
/// # Errors
/// [`Error::InvalidSettings`]
pub(super) fn read(file: &Path) -> Result<Known> {
    let wrong = |why: String| Error::InvalidSettings(format!("keys_file {}: {why}", file.display()));
    let text = changed::read(file).map_err(|e| wrong(e.to_string()))?;
    let parsed: File = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
    if parsed.keys.is_empty() {
        return Err(wrong("it has no [[keys]], so nobody could do anything".into()));
    }
    let mut known = Known::new();
    for entry in parsed.keys {
        let name = &entry.name;
        let digest = digest(&entry.sha256).ok_or_else(|| {
            wrong(format!(
                "sha256 of `{name}`: expected 64 hexadecimal digits, those of `printf %s KEY | sha256sum`"
            ))
        })?;
        if entry
            .requests_per_s
            .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
        {
            return Err(wrong(format!(
                "requests_per_s of `{name}`: expected a number above 0"
            )));
        }
        if entry.concurrency == Some(0) {
            return Err(wrong(format!("concurrency of `{name}`: expected at least 1")));
        }
        let key = Key {
            rate: entry.requests_per_s.map(Rate::new),
            places: entry
                .concurrency
                .map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))),
            scopes: entry.scopes,
            name: entry.name,
        };
        if let Some(other) = known.insert(digest, Arc::new(key)) {
            return Err(wrong(format!("`{}` is there twice", other.name)));
        }
    }
    Ok(known)
}

/// 32 bytes of so many hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}
