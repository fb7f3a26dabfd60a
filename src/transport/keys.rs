//! What clients may do: keys with scopes and limits, from a file that is read again when it changes.
//!
//! The file has no key in it, only the SHA-256 of each, so a reader of it cannot use one. A key is looked up by its digest, whose
//! comparison tells nothing of the key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::changed;
use super::key::{Key, Scope};
use super::keys_file::{Known, read};
use super::tokens::{Bearer, Issuer, Tokens};
use crate::error::{Error, Result};

/// The keys and tokens by which clients are known. Without a file and without tokens, everybody may do everything.
#[derive(Debug)]
pub struct Keys {
    file: Option<PathBuf>,
    known: RwLock<Arc<Known>>,
    tokens: Option<Tokens>,
}

/// A client that was let in; by default anybody, where everybody may do everything.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// `None` where everybody may do everything.
    key: Option<Arc<Key>>,
    /// Its place among the requests of its key, until it is answered.
    place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Caller {
    /// That of a request with these extensions; anybody where nobody looked.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Whether it has a place that others wait for.
    pub(super) fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// The name of its key, for the log.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.name.as_str())
    }

    /// Whether it may do this.
    ///
    /// # Errors
    /// [`Error::Forbidden`]
    pub fn may(&self, scope: Scope) -> Result<()> {
        match &self.key {
            Some(key) if scope != Scope::Listing && !key.scopes.contains(&scope) => {
                let scope = scope.name();
                Err(Error::Forbidden(format!(
                    "this key has not the scope `{scope}`; ask whoever runs the server for one that has"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Keys {
    /// Those of `file`, and tokens of `issuer`; without both, everybody may do everything.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for a file that is wrong.
    pub(super) fn read(file: Option<&Path>, issuer: Option<Issuer>) -> Result<Self> {
        let known = file.map(read).transpose()?.unwrap_or_default();
        Ok(Self {
            tokens: issuer.map(Tokens::new).transpose()?,
            file: file.map(Path::to_owned),
            known: RwLock::new(Arc::new(known)),
        })
    }

    /// Reads what it stands on again when that changes, as long as it is polled. What is wrong changes nothing.
    pub async fn follow(&self) {
        match &self.tokens {
            None => self.follow_file().await,
            Some(tokens) => drop(tokio::join!(self.follow_file(), tokens.follow())),
        }
    }

    async fn follow_file(&self) {
        let files: Vec<PathBuf> = self.file.clone().into_iter().collect();
        changed::follow(&files, || match files.first().map(|file| read(file)) {
            None => {}
            Some(Ok(known)) => {
                tracing::info!(target: "audit", act = "keys", keys = known.len(), "the keys were read again");
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
            }
            Some(Err(error)) => tracing::error!(%error, "the keys stay as they were"),
        })
        .await;
    }

    /// The client of a request with these headers, which asks for `scope`; `None` is for everybody.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] without a key that is known; [`Error::Forbidden`] for one that may not;
    /// [`Error::RateLimited`] for one whose limit is reached.
    pub fn admit(&self, headers: &HeaderMap, scope: Option<Scope>) -> Result<Caller> {
        let is_open = self.file.is_none() && self.tokens.is_none();
        let Some(scope) = scope.filter(|_| !is_open) else {
            return Ok(Caller::default());
        };
        let key = &self.known(presented(headers)?)?;
        let caller = Caller {
            key: Some(Arc::clone(key)),
            place: None,
        };
        caller.may(scope)?;
        let full = |what: &str, retry_after| Error::RateLimited {
            limit: format!("the key `{}` has no more {what}", key.name),
            retry_after,
        };
        if let Some(rate) = &key.rate {
            rate.take(Instant::now())
                .map_err(|after| full("requests a second", after))?;
        }
        let place = match &key.places {
            None => None,
            Some(places) => {
                let place = Arc::clone(places).try_acquire_owned();
                let place = place.map_err(|_| full("requests at one time", Duration::from_secs(1)))?;
                Some(Arc::new(place))
            }
        };
        Ok(Caller { place, ..caller })
    }
}

impl Keys {
    /// The key that `presented` is, or what a token says of its bearer.
    fn known(&self, presented: &[u8]) -> Result<Arc<Key>> {
        let known = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        let digest: [u8; 32] = Sha256::digest(presented).into();
        if let Some(key) = known.get(&digest) {
            return Ok(Arc::clone(key));
        }
        match &self.tokens {
            Some(tokens) if Tokens::is_one(presented) => {
                let Bearer { name, scopes } = tokens.verify(presented)?;
                Ok(Arc::new(Key {
                    name,
                    scopes,
                    rate: None,
                    places: None,
                }))
            }
            _ => Err(Error::Unauthorized(
                "this key is not known; it may have been replaced".into(),
            )),
        }
    }
}

/// The key in these headers: `Authorization: Bearer`, or `X-API-Key`.
fn presented(headers: &HeaderMap) -> Result<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let bearer = bearer.and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then_some(key.trim_ascii())
    });
    let own = headers.get("x-api-key").map(HeaderValue::as_bytes);
    bearer.or(own).filter(|key| !key.is_empty()).ok_or_else(|| {
        Error::Unauthorized("a key is wanted here: send Authorization: Bearer KEY, or X-API-Key: KEY".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, text).expect("written");
        file
    }

    fn hashed(key: &str) -> String {
        Sha256::digest(key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn of(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a value"));
        headers
    }

    #[test]
    fn a_key_lets_in_by_its_scopes() {
        let text = format!(
            "[[keys]]\nname = \"a\"\nsha256 = \"{}\"\nscopes = [\"predict\"]\n",
            hashed("secret")
        );
        let file = file(&text);
        let keys = Keys::read(Some(file.path()), None).expect("it is right");
        let admit = |headers: &HeaderMap, scope| {
            keys.admit(headers, scope)
                .map(|caller| caller.name().map(str::to_owned))
        };
        let bearer = of("authorization", "Bearer secret");
        assert_eq!(admit(&bearer, Some(Scope::Predict)), Ok(Some("a".into())));
        assert_eq!(
            admit(&of("authorization", "bearer  secret"), Some(Scope::Predict)),
            Ok(Some("a".into()))
        );
        assert_eq!(
            admit(&of("x-api-key", "secret"), Some(Scope::Predict)),
            Ok(Some("a".into()))
        );
        assert!(matches!(
            admit(&bearer, Some(Scope::Admin)),
            Err(Error::Forbidden(_))
        ));
        for wrong in [
            HeaderMap::new(),
            of("authorization", "Bearer secreT"),
            of("authorization", "Basic secret"),
            of("x-api-key", ""),
        ] {
            assert!(
                matches!(admit(&wrong, Some(Scope::Predict)), Err(Error::Unauthorized(_))),
                "{wrong:?}"
            );
        }
        assert_eq!(admit(&HeaderMap::new(), None), Ok(None));
        let open = Keys::read(None, None).expect("none");
        assert!(open.admit(&HeaderMap::new(), Some(Scope::Admin)).is_ok());
    }

    #[test]
    fn a_key_has_so_many_requests_at_one_time() {
        let text = format!(
            "[[keys]]\nname = \"a\"\nsha256 = \"{}\"\nscopes = [\"predict\"]\nconcurrency = 1\n",
            hashed("k")
        );
        let file = file(&text);
        let keys = Keys::read(Some(file.path()), None).expect("it is right");
        let headers = of("x-api-key", "k");
        let first = keys.admit(&headers, Some(Scope::Predict)).expect("a place");
        assert!(matches!(
            keys.admit(&headers, Some(Scope::Predict)),
            Err(Error::RateLimited { .. })
        ));
        drop(first);
        assert!(keys.admit(&headers, Some(Scope::Predict)).is_ok());
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        let line = "[[keys]]\nname = \"a\"\nscopes = [\"predict\"]\n";
        let good = format!("{line}sha256 = \"{}\"\n", hashed("k"));
        for (text, word) in [
            (String::new(), "no [[keys]]"),
            (format!("{line}sha256 = \"k\"\n"), "64 hexadecimal"),
            (format!("{good}concurrency = 0\n"), "concurrency of `a`"),
            (format!("{good}requests_per_s = 0.0\n"), "requests_per_s of `a`"),
            (format!("{good}{good}"), "twice"),
            (good.replace("predict", "everything"), "everything"),
        ] {
            let file = file(&text);
            let wrong = Keys::read(Some(file.path()), None).expect_err(&text).to_string();
            assert!(wrong.contains(word), "{wrong}");
        }
    }
}
