//! The messages of a request, one after the other.

use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, HeaderValue, Version};
use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;
use tracing::Instrument;

use super::super::activity::Presence;
use super::super::app::App;
use super::super::encoding::ENCODINGS;
use super::super::open::Ending;
use super::is_grpc;
use crate::error::{Error, Result, excerpt};
use crate::spans;

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// A reader of the messages of one body, each within the bounds of the app.
pub struct Messages {
    app: App,
    body: Box<dyn AsyncRead + Send + Unpin>,
    /// As `Content-Encoding` would say it.
    encoding: HeaderMap,
    peer: Option<IpAddr>,
    presence: Option<Presence>,
    /// When a stream has no next message.
    ending: Option<Ending>,
}

impl Messages {
    /// The messages of `request`.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`] for what is no gRPC.
    pub fn of(app: App, request: Request) -> Result<Self> {
        let (parts, body) = request.into_parts();
        if !is_grpc(&parts.headers) {
            return Err(Error::UnsupportedMediaType(
                "this path is of gRPC; send Content-Type: application/grpc, or see /docs for what is not"
                    .into(),
            ));
        }
        if parts.version < Version::HTTP_2 {
            return Err(Error::UnsupportedMediaType("gRPC wants HTTP/2".into()));
        }
        let encoding = encoding(&parts.headers)?;
        let stream = body.into_data_stream().map_err(std::io::Error::other);
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            app,
            body: Box::new(StreamReader::new(stream)),
            encoding,
            peer: peer.map(|ConnectInfo(address)| address.ip()),
            presence: parts.extensions.get::<Presence>().cloned(),
            ending: parts.extensions.get::<Ending>().cloned(),
        })
    }

    /// The only message of a request.
    ///
    /// # Errors
    /// As [`Messages::next`]; [`Error::EmptyBody`] where there is none.
    pub async fn only(mut self) -> Result<Bytes> {
        // It is answered also by a server that ends.
        self.ending = None;
        let none = || Error::EmptyBody("the request has no message".into());
        self.next().await?.ok_or_else(none)
    }

    /// The next message, once it is there; none at the end. Until it begins, the request rests.
    ///
    /// # Errors
    /// As [`App::read`], for messages instead of bodies; [`Error::NotReady`] where none has come when the server ends.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut first = [0; 1];
        {
            let _rests = self.rest();
            let read = self.body.read(&mut first);
            let read = match &mut self.ending {
                None => read.await,
                Some(ending) => tokio::select! {
                    biased;
                    read = read => read,
                    // A message that was not answered is to be sent again, to another server.
                    () = ending.comes() => return Err(Error::NotReady("the server is shutting down".into())),
                },
            };
            if read.map_err(|e| broken(&e))? == 0 {
                return Ok(None);
            }
        }
        let presence = self.presence.as_ref();
        let _receives = presence.map(|Presence(activity)| activity.receive());
        self.rest_of(first[0]).instrument(spans::intake()).await.map(Some)
    }

    /// The message whose prefix begins with `first`.
    async fn rest_of(&mut self, first: u8) -> Result<Bytes> {
        let intake = self.app.intake();
        let length = {
            let rest = (&mut self.body).take(PREFIX as u64 - 1);
            // It takes no room while the message comes: a request that waits for room holds what it has of one body alone.
            let rest = intake.measured(rest, &HeaderMap::new(), self.peer).await?;
            let length = rest.as_ref().try_into().map(u32::from_be_bytes);
            length.map_err(|_| cut())? as usize
        };
        intake.allows(length)?;
        let message = (&mut self.body).take(length as u64);
        let message = intake.measured(message, &HeaderMap::new(), self.peer).await?;
        if message.len() < length {
            return Err(cut());
        }
        match first {
            0 => Ok(message),
            1 if self.encoding.is_empty() => Err(Error::InvalidBody(
                "a message is compressed, but grpc-encoding does not say how".into(),
            )),
            1 => intake.expanded(message, &self.encoding, self.peer).await,
            other => Err(Error::InvalidBody(format!(
                "a message begins with {other}, expected 0, or 1 where it is compressed"
            ))),
        }
    }
}

impl Messages {
    /// Until this is dropped, a request of a stream is under way, whether or not the next message is waited for.
    pub fn works(&self) -> impl Sized + Send + use<> {
        self.presence.as_ref().map(|Presence(activity)| activity.begin())
    }

    /// Until this is dropped, nothing is under way for the client.
    pub fn rest(&self) -> impl Sized + Send + use<> {
        self.presence.as_ref().map(|Presence(activity)| activity.rest())
    }
}

/// What `grpc-encoding` says, as `Content-Encoding` would.
fn encoding(headers: &HeaderMap) -> Result<HeaderMap> {
    let mut encoding = HeaderMap::new();
    let named = headers
        .get("grpc-encoding")
        .filter(|named| named.as_bytes() != b"identity");
    match named.map(HeaderValue::as_bytes) {
        None => {}
        Some(name @ (b"gzip" | b"deflate" | b"zstd")) => {
            encoding.insert(
                CONTENT_ENCODING,
                HeaderValue::from_bytes(name).map_err(|e| Error::Internal(e.to_string()))?,
            );
        }
        Some(other) => {
            // gRPC has it that the method is then not implemented.
            let other = String::from_utf8_lossy(other);
            return Err(Error::RouteNotFound(format!(
                "grpc-encoding: {}; send messages as they are, or with one of {ENCODINGS}",
                excerpt(&other)
            )));
        }
    }
    Ok(encoding)
}

fn broken(error: &std::io::Error) -> Error {
    Error::InvalidBody(format!("the request broke off: {error}"))
}

fn cut() -> Error {
    Error::InvalidBody("a message is cut off".into())
}
