//! The one place where a body is read: with a clock, counted against the limit of one body and against what all bodies
//! under way may take together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Settings;
use crate::error::{Error, Result};

/// The bounds of bodies.
#[derive(Debug)]
pub(super) struct Intake {
    /// How long one may take to arrive.
    patience: Duration,
    /// Bytes of one, and the same in MiB for messages.
    most: usize,
    most_mb: u64,
    /// Bytes that all bodies under way may take.
    room: Arc<Semaphore>,
}

/// A body that was read, and its request without it.
#[derive(Debug)]
pub struct Received {
    /// What the client said that it is.
    pub content_type: String,
    /// Its query string.
    pub query: Option<String>,
    /// The body; may be empty.
    pub bytes: Bytes,
    place: Arc<Place>,
}

/// The room that a body takes among all bodies under way, until it is dropped.
#[derive(Debug, Default)]
struct Place(Option<OwnedSemaphorePermit>);

/// Bytes that were made of a body, and take its room as long as they live.
struct Owned {
    bytes: Vec<u8>,
    _place: Arc<Place>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Received {
    /// `bytes`, which were made of the body, taking its room.
    #[must_use]
    pub fn own(&self, bytes: Vec<u8>) -> Bytes {
        owned(bytes, &self.place)
    }
}

fn owned(bytes: Vec<u8>, place: &Arc<Place>) -> Bytes {
    Bytes::from_owner(Owned {
        bytes,
        _place: Arc::clone(place),
    })
}

impl Intake {
    pub(super) fn new(settings: &Settings) -> Self {
        let room = usize::try_from(settings.max_inflight_mb << 20).unwrap_or(usize::MAX);
        Self {
            patience: Duration::from_secs(settings.body_timeout_s),
            most: settings.max_body_bytes(),
            most_mb: settings.max_body_mb,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Reads the body of `request`.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::InvalidBody`] when it breaks off, [`Error::DeadlineExceeded`] when it does not
    /// arrive in time, [`Error::QueueFull`] when all bodies under way leave no room.
    pub(super) async fn receive(&self, request: Request) -> Result<Received> {
        let (parts, body) = request.into_parts();
        let seconds = self.patience.as_secs();
        let late = |_| {
            Err(Error::DeadlineExceeded(format!(
                "the body took longer than {seconds} s"
            )))
        };
        let read = tokio::time::timeout(self.patience, self.read(&parts.headers, body));
        let (bytes, place) = read.await.unwrap_or_else(late)?;
        let place = Arc::new(place);
        Ok(Received {
            content_type: content_type(&parts.headers).to_owned(),
            query: parts.uri.query().map(str::to_owned),
            bytes: owned(bytes, &place),
            place,
        })
    }

    async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<(Vec<u8>, Place)> {
        let too_large = || {
            let mb = self.most_mb;
            Error::BodyTooLarge(format!("the body is larger than {mb} MiB (max_body_mb)"))
        };
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.most) {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
        let mut place = Place::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Error::InvalidBody(format!("the body broke off: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.most {
                return Err(too_large());
            }
            place.grow(&self.room, data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, place))
    }
}

impl Place {
    fn grow(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Result<()> {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(room)
            .try_acquire_many_owned(count)
            .map_err(|_| Error::QueueFull {
                queue: "request bodies (max_inflight_mb)".into(),
                retry_after: Duration::from_secs(1),
            })?;
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            empty => *empty = Some(more),
        }
        Ok(())
    }
}

/// What a request with these headers says that its body is.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The bytes of one file; their content decides what it is.
    Raw,
    /// JSON.
    Json,
    /// Files and text fields.
    Multipart,
}

impl Form {
    /// The form of this content type. A client that names none, or curl's default, means the bytes.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`]
    pub fn of(content_type: &str) -> Result<Self> {
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Self::Raw),
            "application/json" => Ok(Self::Json),
            "multipart/form-data" => Ok(Self::Multipart),
            image if image.starts_with("image/") => Ok(Self::Raw),
            other => Err(Error::UnsupportedMediaType(format!(
                "content type `{other}`; send image/*, application/octet-stream, multipart/form-data or application/json"
            ))),
        }
    }
}
