//! Who may do what: keys with scopes and limits, from a file that is read again when it changes.
//!
//! The file has no key in it, only the SHA-256 of each, so who reads it cannot use one. A key is looked up by its digest, whose
//! comparison tells nothing of the key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::changed;
use super::rate::Rate;
use crate::error::{Error, Result};

/// What a key may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Predictions, and what is told of models.
    Predict,
    /// Explanations.
    Explain,
    /// Loading and unloading.
    Admin,
    /// Metrics.
    Metrics,
    /// What every key is for: to be told what is served.
    #[serde(skip)]
    Listing,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Explain => "explain",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
            Self::Listing => "listing",
        }
    }
}

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

/// A key that is known.
#[derive(Debug)]
struct Key {
    name: String,
    scopes: Vec<Scope>,
    rate: Option<Rate>,
    places: Option<Arc<Semaphore>>,
}

type Known = HashMap<[u8; 32], Arc<Key>>;

/// See the module's text. Without a file, everybody may do everything.
#[derive(Debug)]
pub struct Keys {
    file: Option<PathBuf>,
    known: RwLock<Arc<Known>>,
}

/// A client that was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `None` where everybody may do everything.
    key: Option<Arc<Key>>,
    /// Its place among the requests of its key, until it is answered.
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Caller {
    /// That of a request with these extensions; anybody where nobody looked.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let anybody = || Self {
            key: None,
            _place: None,
        };
        extensions.get().cloned().unwrap_or_else(anybody)
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
    /// Those of `file`; without one, everybody may do everything.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for a file that is wrong.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let known = file.map(read).transpose()?.unwrap_or_default();
        Ok(Self {
            file: file.map(Path::to_owned),
            known: RwLock::new(Arc::new(known)),
        })
    }

    /// Reads the file again when it changes, as long as it is polled. A file that is wrong changes nothing.
    pub async fn follow(&self) {
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
        let anybody = Caller {
            key: None,
            _place: None,
        };
        let (Some(_), Some(scope)) = (&self.file, scope) else {
            return Ok(anybody);
        };
        let known = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        let digest: [u8; 32] = Sha256::digest(presented(headers)?).into();
        let key = known
            .get(&digest)
            .ok_or_else(|| Error::Unauthorized("this key is not known; it may have been replaced".into()))?;
        let caller = Caller {
            key: Some(Arc::clone(key)),
            _place: None,
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
        Ok(Caller {
            _place: place,
            ..caller
        })
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

fn read(file: &Path) -> Result<Known> {
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
        let keys = Keys::read(Some(file.path())).expect("it is right");
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
        let open = Keys::read(None).expect("none");
        assert!(open.admit(&HeaderMap::new(), Some(Scope::Admin)).is_ok());
    }

    #[test]
    fn a_key_has_so_many_requests_at_one_time() {
        let text = format!(
            "[[keys]]\nname = \"a\"\nsha256 = \"{}\"\nscopes = [\"predict\"]\nconcurrency = 1\n",
            hashed("k")
        );
        let file = file(&text);
        let keys = Keys::read(Some(file.path())).expect("it is right");
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
            let wrong = Keys::read(Some(file.path())).expect_err(&text).to_string();
            assert!(wrong.contains(word), "{wrong}");
        }
    }
}
