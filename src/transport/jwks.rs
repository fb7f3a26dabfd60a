//! The public keys of an identity provider (a JWKS, RFC 7517): a file, or what is at an address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use serde::Deserialize;

use super::changed;
use crate::error::{Error, Result, excerpt};
use crate::outbound;

/// Where keys come from.
pub(super) enum Source {
    File(PathBuf),
    Address(String),
    InTheClear,
}

impl Source {
    /// What `said` is.
    pub(super) fn of(said: &str) -> Self {
        match said.split_once("://") {
            Some(("https", _)) => Self::Address(said.to_owned()),
            Some(_) => Self::InTheClear,
            None => Self::File(PathBuf::from(said)),
        }
    }
}

/// The keys of `file`.
///
/// # Errors
/// [`Error::InvalidSettings`]
pub(super) fn read(file: &Path) -> Result<JwkSet> {
    let wrong = |why: String| Error::InvalidSettings(format!("jwks {}: {why}", file.display()));
    let text = changed::read(file).map_err(|e| wrong(e.to_string()))?;
    parsed(&text).map_err(wrong)
}

pub(super) fn parsed(text: &str) -> Result<JwkSet, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_str(text).map_err(|e| format!("it is no JWKS: {e}"))?;
    // Keys that sign nothing, or that nobody should trust, may stand among them.
    let keys: Vec<Jwk> = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value(key).ok())
        .filter(can_verify)
        .collect();
    if keys.is_empty() {
        return Err("it has no key that can be used".into());
    }
    Ok(JwkSet { keys })
}

/// The keys at `address`.
///
/// # Errors
/// [`Error::InvalidSettings`]
pub(super) async fn fetch(address: &str) -> Result<JwkSet> {
    const LONGEST: Duration = Duration::from_secs(10);
    const MOST: u64 = 1 << 20;
    let shown = excerpt(address).to_string();
    let wrong = |why: String| Error::InvalidSettings(format!("jwks {shown}: {why}"));
    let address = address.to_owned();
    let fetching = tokio::task::spawn_blocking(move || {
        let agent = outbound::requests(LONGEST).https_only(true).build().new_agent();
        let mut answer = agent.get(&address).call()?;
        answer.body_mut().with_config().limit(MOST).read_to_string()
    });
    let text = fetching.await.map_err(|e| wrong(e.to_string()))?;
    let text = text.map_err(|e| wrong(e.to_string()))?;
    parsed(&text).map_err(wrong)
}

/// Whether signatures can be verified with it: it is whole, made for that, and of RSA long enough (RFC 7518, 3.3).
fn can_verify(key: &Jwk) -> bool {
    /// 2048 bits in base64.
    const SHORTEST_RSA: usize = 341;
    let is_long = match &key.algorithm {
        AlgorithmParameters::RSA(parameters) => parameters.n.len() >= SHORTEST_RSA,
        _ => true,
    };
    let is_of_encryption = key.common.public_key_use == Some(PublicKeyUse::Encryption);
    is_long && !is_of_encryption && DecodingKey::from_jwk(key).is_ok()
}
