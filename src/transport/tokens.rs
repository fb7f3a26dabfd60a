//! Bearer tokens of an identity provider: JWTs (RFC 7519), verified by its public keys (a JWKS, RFC 7517).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::changed;
use super::jwks::{Source, fetch, read};
use super::key::Scope;
use crate::config::Settings;
use crate::error::{Error, Result, excerpt};

/// Clocks of two machines differ by as much.
const LEEWAY_S: u64 = 30;

/// Bytes of a token at most.
const MOST_BYTES: usize = 16 << 10;

/// The algorithms that tokens may be signed with: the server that verifies must not be able to sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Whose tokens are taken.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    /// A file of the provider's public keys, or where they are, by HTTPS.
    pub(super) jwks: String,
    /// `iss` of its tokens.
    pub(super) issuer: String,
    /// `aud` of those that are for this server.
    pub(super) audience: String,
}

/// The verifier of one issuer's tokens, with the public keys that it has at present.
#[derive(Debug)]
pub(super) struct Tokens {
    issuer: Issuer,
    keys: RwLock<Arc<JwkSet>>,
}

/// What a token says of its bearer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    /// `sub`
    pub(super) name: String,
    /// What it is for, of what this server knows.
    pub(super) scopes: Vec<Scope>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    /// OAuth 2.0 (RFC 8693): names with spaces between.
    #[serde(default)]
    scope: Names,
    /// As Microsoft and Okta write it.
    #[serde(default)]
    scp: Names,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    Text(String),
    List(Vec<String>),
    /// Which names nothing.
    Other(serde::de::IgnoredAny),
}

impl Default for Names {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Names {
    fn each(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Text(text) => Box::new(text.split_ascii_whitespace()),
            Self::List(names) => Box::new(names.iter().map(String::as_str)),
            Self::Other(_) => Box::new(std::iter::empty()),
        }
    }
}

impl Tokens {
    /// The keys of `issuer` as they are; those behind an address come with [`Tokens::follow`].
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for a file that is wrong, or an address without TLS.
    pub(super) fn new(issuer: Issuer) -> Result<Self> {
        let keys = match Source::of(&issuer.jwks) {
            Source::File(file) => read(&file)?,
            Source::Address(_) => JwkSet { keys: Vec::new() },
            Source::InTheClear => {
                let address = excerpt(&issuer.jwks);
                return Err(Error::InvalidSettings(format!(
                    "jwks: found {address}, expected a file or an address that begins with https://"
                )));
            }
        };
        Ok(Self {
            keys: RwLock::new(Arc::new(keys)),
            issuer,
        })
    }

    /// Whether `presented` may be a token rather than a key.
    pub(super) fn is_one(presented: &[u8]) -> bool {
        let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        presented.iter().filter(|byte| **byte == b'.').count() == 2 && presented.iter().all(is_of_it)
    }

    /// The bearer of `token`, and what it is for.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], which says what is wrong and nothing of the token.
    pub(super) fn verify(&self, token: &[u8]) -> Result<Bearer> {
        let token = std::str::from_utf8(token)
            .ok()
            .filter(|token| token.len() <= MOST_BYTES);
        let token = token.ok_or_else(|| refused("it is too long"))?;
        let header = jsonwebtoken::decode_header(token).map_err(|e| refused(said(e.kind())))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(refused("its algorithm is none with a public key"));
        }
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let key = chosen(&keys, header.kid.as_deref())?;
        if key
            .common
            .key_algorithm
            .is_some_and(|own| own != KeyAlgorithm::from(header.alg))
        {
            return Err(refused("it is signed by another algorithm than its key is for"));
        }
        let decoding = DecodingKey::from_jwk(key).map_err(|_| refused("its key cannot be used"))?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &decoding, &self.validation(header.alg));
        let claims = decoded.map_err(|e| refused(said(e.kind())))?.claims;
        let names = claims.scope.each().chain(claims.scp.each());
        Ok(Bearer {
            name: excerpt(&claims.sub).to_string(),
            scopes: names.filter_map(known).collect(),
        })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation
    }

    /// Reads the keys again when they change, as long as it is polled. Keys that are wrong change nothing.
    pub(super) async fn follow(&self) {
        match Source::of(&self.issuer.jwks) {
            Source::InTheClear => {}
            Source::File(file) => {
                changed::follow(std::slice::from_ref(&file), || self.take(read(&file))).await;
            }
            Source::Address(address) => loop {
                /// Providers tell new keys days before they sign with them.
                const AGAIN: Duration = Duration::from_secs(300);
                const AFTER_FAILURE: Duration = Duration::from_secs(10);
                let fetched = fetch(&address).await;
                let pause = if fetched.is_ok() { AGAIN } else { AFTER_FAILURE };
                self.take(fetched);
                tokio::time::sleep(pause).await;
            },
        }
    }

    fn take(&self, keys: Result<JwkSet>) {
        match keys {
            Ok(keys) => {
                tracing::debug!(keys = keys.keys.len(), "the keys of tokens were read");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => tracing::error!(%error, "the keys of tokens stay as they were"),
        }
    }
}

impl Issuer {
    /// The issuer that the settings name.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        Some(Self {
            jwks: settings.jwks.clone()?,
            issuer: settings.jwt_issuer.clone()?,
            audience: settings.jwt_audience.clone()?,
        })
    }
}

fn refused(why: &str) -> Error {
    Error::Unauthorized(format!("this token is not taken: {why}"))
}

/// What is wrong with a token, in words that have nothing of it.
fn said(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "its signature is not that of the provider's key",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            "its algorithm is not that of its key"
        }
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of exp, aud and iss",
        _ => "it is no token that can be read",
    }
}

/// The key that a token names, or the only one.
fn chosen<'a>(keys: &'a JwkSet, name: Option<&str>) -> Result<&'a Jwk> {
    let found = match (name, &keys.keys[..]) {
        (Some(name), _) => keys.find(name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        refused("its key is none of the provider's; a key that was replaced, or not fetched yet")
    })
}

/// A scope by its name, alone or behind `lucarne:`.
fn known(name: &str) -> Option<Scope> {
    match name.strip_prefix("lucarne:").unwrap_or(name) {
        "predict" => Some(Scope::Predict),
        "explain" => Some(Scope::Explain),
        "admin" => Some(Scope::Admin),
        "metrics" => Some(Scope::Metrics),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
