//! The one place where a body is read: with a clock, counted against the limit of one body, against its client's share and
//! against what all bodies under way may take together. Memory grows with what arrives, not with what is announced.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, header};
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::Instrument;

use super::activity::Presence;
use super::encoding;
use super::guarded::holding;
use super::pace::Pace;
use super::room::{Place, Room};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::spans;

/// How much of a body is read at a time.
const PIECE: usize = 64 << 10;

/// The bounds of bodies.
#[derive(Debug)]
pub(super) struct Intake {
    /// How long one may take to arrive.
    patience: Duration,
    /// How slow its client may be.
    pace: Pace,
    /// Bytes of one, and the same in MiB for messages.
    most: usize,
    most_mb: u64,
    /// Bytes that all bodies under way may take.
    room: Arc<Room>,
}

/// A body that was read, and its request without it.
#[derive(Debug, Clone)]
pub struct Received {
    /// What the client said that it is.
    pub content_type: String,
    /// Its query string.
    pub query: Option<String>,
    /// The body; may be empty.
    pub bytes: Bytes,
    place: Arc<Place>,
}

impl Received {
    /// `bytes`, which were made of the body, taking room as well.
    ///
    /// # Errors
    /// [`Error::QueueFull`] where there is none.
    pub fn own(&self, bytes: Vec<u8>) -> Result<Bytes> {
        self.place.grow_now(bytes.len())?;
        Ok(holding(bytes, Arc::clone(&self.place)))
    }
}

impl Intake {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            patience: Duration::from_secs(settings.body_timeout_s),
            pace: Pace::of(settings),
            most: settings.max_body_bytes(),
            most_mb: settings.max_body_mb,
            room: Room::new(usize::try_from(settings.max_inflight_mb << 20).unwrap_or(usize::MAX)),
        }
    }

    /// Reads the body of `request`.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::InvalidBody`] when it breaks off, [`Error::UnsupportedMediaType`] for an
    /// encoding that is not read, [`Error::DeadlineExceeded`] when it does not arrive in time or at too slow a pace,
    /// [`Error::QueueFull`] when the bodies under way leave no room.
    pub(super) async fn receive(&self, request: Request) -> Result<Received> {
        let (parts, body) = request.into_parts();
        let announced = parts.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        self.allows(announced.unwrap_or(0))?;
        let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>();
        let peer = peer.map(|ConnectInfo(address)| address.ip());
        let presence = parts.extensions.get::<Presence>();
        let _receives = presence.map(|Presence(activity)| activity.receive());
        let body = encoding::decoded(&parts.headers, body)?;
        let placed = self
            .placed(body, &parts.headers, peer)
            .instrument(spans::intake());
        let (bytes, place) = placed.await?;
        Ok(Received {
            content_type: content_type(&parts.headers).to_owned(),
            query: parts.uri.query().map(str::to_owned),
            bytes,
            place,
        })
    }

    /// Whether one body, or one message, may be of so many bytes.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`]
    pub(super) fn allows(&self, bytes: usize) -> Result<()> {
        match bytes > self.most {
            true => Err(self.too_large()),
            false => Ok(()),
        }
    }

    /// All of `part`, which is of a request with these headers, as a body is read.
    ///
    /// # Errors
    /// As [`Intake::receive`].
    pub(super) async fn measured(
        &self,
        part: impl AsyncRead + Unpin,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Bytes> {
        Ok(self.placed(part, headers, peer).await?.0)
    }

    /// What `message` was before it was compressed, as these headers say.
    ///
    /// # Errors
    /// As [`Intake::receive`].
    pub(super) async fn expanded(
        &self,
        message: Bytes,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Bytes> {
        let body = encoding::decoded(headers, Body::from(message))?;
        self.measured(body, headers, peer).await
    }

    async fn placed(
        &self,
        body: impl AsyncRead + Unpin,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(Bytes, Arc<Place>)> {
        let place = self.room.place(peer);
        let seconds = self.patience.as_secs();
        let late = |_| {
            Err(Error::DeadlineExceeded(format!(
                "the body took longer than {seconds} s (body_timeout_s)"
            )))
        };
        let read = tokio::time::timeout(self.patience, self.read(body, headers, &place));
        let bytes = read.await.unwrap_or_else(late)?;
        place.arrived();
        let place = Arc::new(place);
        Ok((holding(bytes, Arc::clone(&place)), place))
    }

    async fn read(
        &self,
        mut body: impl AsyncRead + Unpin,
        headers: &HeaderMap,
        place: &Place,
    ) -> Result<Vec<u8>> {
        let (mut bytes, started) = (Vec::new(), Instant::now());
        let mut piece = vec![0; PIECE];
        loop {
            let left = self
                .pace
                .allows(bytes.len() as u64)
                .saturating_sub(started.elapsed());
            let read = tokio::select! {
                read = body.read(&mut piece) => read.map_err(|e| encoding::broken(headers, &e))?,
                () = place.evicted() => return Err(Error::DeadlineExceeded(
                    "the body hardly came on while others waited for its room; send it again".into(),
                )),
                () = tokio::time::sleep(left) => return Err(self.too_slow()),
            };
            if read == 0 {
                return Ok(bytes);
            }
            if bytes.len() + read > self.most {
                return Err(self.too_large());
            }
            place.grow(read).await?;
            bytes.extend_from_slice(&piece[..read]);
            // A body that is expanded here must not keep the thread from others.
            tokio::task::consume_budget().await;
        }
    }

    fn too_large(&self) -> Error {
        let mb = self.most_mb;
        Error::BodyTooLarge(format!("the body is larger than {mb} MiB (max_body_mb)"))
    }

    fn too_slow(&self) -> Error {
        let (seconds, kb) = (self.pace.grace.as_secs(), self.pace.bytes_a_second >> 10);
        Error::DeadlineExceeded(format!(
            "the body came too slowly: it may stand still for {seconds} s (stall_timeout_s), beyond that it has to come \
             at {kb} KiB a second (min_rate_kb)"
        ))
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
                "content type `{}`; send image/*, application/octet-stream, multipart/form-data or application/json",
                crate::error::excerpt(other)
            ))),
        }
    }
}
