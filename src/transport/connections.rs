//! The connections of a server: how many there may be, how slow their clients may be, and how they end.
//!
//! A connection without a request gives way to a new one where there are too many: one of the address that has the most
//! connections, and of those the one that has been without for the longest. Where each has a request, one gives way whose client
//! sends no body or reads no answer. So clients that connect and say nothing, or half of something, keep nobody out, and a flood
//! from few addresses costs others none of theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::Notify;

use super::activity::{Activity, Patience};
use super::open::{Listed, Listener, Open, Shared, Stage};
use super::pace::Pace;
use super::served::One;
use super::sockets::{Socket, Stream};
use super::tls::Tls;
use crate::config::Settings;

/// How long the server waits where it cannot accept at all.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// The open connections, and the bounds on them. Clones are of the same server.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

impl Connections {
    /// As many and as patient as the settings say; what comes in where everybody does speaks `tls`, where there is one.
    #[must_use]
    pub fn new(settings: &Settings, tls: Option<Arc<Tls>>) -> Self {
        let patience = Patience {
            head: Duration::from_secs(settings.header_timeout_s),
            idle: Duration::from_secs(settings.idle_timeout_s),
            answer: Pace::of(settings),
        };
        Self(Arc::new(Shared::new(
            settings.max_connections.min(descriptors()),
            patience,
            tls,
        )))
    }

    /// What is spoken before HTTP is, where everybody comes in.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.0.tls(Listener::Public)
    }

    /// Serves `router` to clients that connect here, until the future is dropped.
    pub async fn accept(&self, (socket, listener): (&impl Socket, Listener), router: Router) {
        loop {
            let (stream, peer) = loop {
                match socket.next().await {
                    Ok(accepted) => break accepted,
                    // The client has gone, or descriptors are used up elsewhere: neither is for ever.
                    Err(error) => {
                        tracing::debug!(%error, "a connection was not accepted");
                        tokio::time::sleep(NO_DESCRIPTORS).await;
                    }
                }
            };
            if !self.0.make_room() {
                tracing::debug!(%peer, most = self.0.most, "a connection was refused: max_connections");
                refuse(&stream);
                continue;
            }
            self.attend(stream, (peer, listener), router.clone());
        }
    }

    /// Serves one connection on a task of its own.
    fn attend(&self, stream: Stream, (peer, listener): (SocketAddr, Listener), router: Router) {
        let shared = Arc::clone(&self.0);
        let id = shared.next_id();
        let activity = Activity::new(Arc::clone(&shared.requests));
        let evicted = Arc::new(Notify::new());
        let open = Open {
            peer: peer.ip(),
            activity: Arc::clone(&activity),
            evicted: Arc::clone(&evicted),
        };
        shared.open().insert(id, open.clone());
        let listed = Listed {
            shared: Arc::clone(&shared),
            id,
        };
        let one = One {
            shared,
            id,
            peer,
            listener,
            open,
            _listed: listed,
        };
        tokio::spawn(one.live(stream, router));
    }

    /// Lets every connection end with what it has asked for, and ends those that have not by then. Answers how many
    /// requests that cut off.
    pub async fn drain(&self, within: Duration) -> usize {
        self.0.stage.send_replace(Stage::Draining);
        let all_ended = async {
            loop {
                let ended = self.0.ended.notified();
                if self.0.open().is_empty() {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(within, all_ended).await.is_ok() {
            return 0;
        }
        let cut_off = self
            .0
            .open()
            .values()
            .filter(|one| one.activity.without_request_since().is_none())
            .count();
        self.0.stage.send_replace(Stage::Over);
        cut_off
    }
}

/// Says why, if the socket takes it at once.
fn refuse(stream: &Stream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    drop(stream.try_write(ANSWER));
}

/// How many connections the limit of open files leaves room for.
fn descriptors() -> usize {
    /// Models, logs, libtorch's own, a file or two that are being read.
    const OTHERS: u64 = 128;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let left = limit.unwrap_or(u64::MAX).saturating_sub(OTHERS).max(16);
    usize::try_from(left).unwrap_or(usize::MAX)
}
