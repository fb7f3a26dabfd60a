//! The connections of a server: how many there may be, how slow their clients may be, and how they end.
//!
//! A connection without a request gives way to a new one where there are too many: one of the address that has the most
//! connections, and of those the one that has been without for the longest. So clients that connect and say nothing keep
//! nobody out, and a flood from few addresses costs others none of theirs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tower::ServiceExt;

use super::activity::{Activity, Patience, Watched};
use super::guarded::Guarded;
use super::pace::Pace;
use crate::config::Settings;

/// How often a connection is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How long the server waits where it cannot accept at all.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// How many connections wait for [`Connections::accept`]. One for which there is no room is tried again by its client's
/// kernel only after a second. The kernel's own limit is `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How much of a head is read.
const HEAD_BYTES: usize = 64 << 10;

/// See the module's text. Clones are of the same server.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    patience: Patience,
    open: Mutex<HashMap<u64, Open>>,
    /// Tells whoever drains that a connection ended.
    ended: Notify,
    stage: watch::Sender<Stage>,
}

/// One connection, as others see it.
#[derive(Debug, Clone)]
struct Open {
    peer: IpAddr,
    activity: Arc<Activity>,
    evicted: Arc<Notify>,
}

/// The life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Each connection ends with what it has asked for.
    Draining,
    /// Each ends now.
    Over,
}

/// Takes a connection off the list, however its task ends.
struct Listed {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.open().remove(&self.id);
        self.shared.ended.notify_waiters();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more connection; one that nothing is asked of gives way.
    fn make_room(&self) -> bool {
        let mut open = self.open();
        if open.len() < self.most {
            return true;
        }
        let Some(least_wanted) = least_wanted(&open) else {
            return false;
        };
        // From now on it does not count; its task ends in a moment.
        if let Some(one) = open.remove(&least_wanted) {
            one.evicted.notify_one();
        }
        true
    }
}

/// The connection that gives way first, if one has no request.
fn least_wanted(open: &HashMap<u64, Open>) -> Option<u64> {
    let mut of_peer = HashMap::<IpAddr, usize>::new();
    for one in open.values() {
        *of_peer.entry(one.peer).or_default() += 1;
    }
    let without_request = open.iter().filter_map(|(id, one)| {
        let since = one.activity.without_request_since()?;
        Some((Reverse(of_peer.get(&one.peer).copied()), since, *id))
    });
    without_request.min().map(|(_, _, id)| id)
}

impl Connections {
    /// As many and as patient as the settings say.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self(Arc::new(Shared {
            most: settings.max_connections.min(descriptors()),
            patience: Patience {
                head: Duration::from_secs(settings.header_timeout_s),
                idle: Duration::from_secs(settings.idle_timeout_s),
                answer: Pace::of(settings),
            },
            open: Mutex::default(),
            ended: Notify::new(),
            stage: watch::Sender::new(Stage::Serving),
        }))
    }

    /// Serves `router` to whoever connects, until the future is dropped.
    pub async fn accept(&self, listener: &TcpListener, router: Router) {
        for id in 0.. {
            let (stream, peer) = loop {
                match listener.accept().await {
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
            self.attend(id, stream, peer, router.clone());
        }
    }

    /// Serves one connection on a task of its own.
    fn attend(&self, id: u64, stream: TcpStream, peer: SocketAddr, router: Router) {
        let shared = Arc::clone(&self.0);
        let (activity, evicted) = (Activity::new(), Arc::new(Notify::new()));
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
        drop(stream.set_nodelay(true));
        let service = {
            let activity = Arc::clone(&activity);
            service_fn(move |request: hyper::Request<Incoming>| {
                let under_way = activity.begin();
                let router = router.clone();
                async move {
                    let mut request = request.map(Body::new);
                    request.extensions_mut().insert(ConnectInfo(peer));
                    let answered = router.oneshot(request).await;
                    answered.map(|response| response.map(|body| Guarded::new(body, under_way)))
                }
            })
        };
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
        let connection = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .serve_connection(io, service);
        tokio::spawn(async move {
            let _listed = listed;
            let mut stage = shared.stage.subscribe();
            let mut look = tokio::time::interval(LOOK);
            let mut connection = std::pin::pin!(connection);
            loop {
                tokio::select! {
                    // What has arrived is read before anything else is decided.
                    biased;
                    // The client's end, a fault, or nothing more to say: all the same to the server.
                    _ = connection.as_mut() => return,
                    () = evicted.notified() => {
                        if activity.without_request_since().is_some() {
                            return;
                        }
                        // Its request came just then: it is answered, and is the last.
                        shared.open().insert(id, open.clone());
                        connection.as_mut().graceful_shutdown();
                    }
                    _ = stage.changed() => match *stage.borrow_and_update() {
                        Stage::Serving => {}
                        Stage::Draining => connection.as_mut().graceful_shutdown(),
                        Stage::Over => return,
                    },
                    _ = look.tick() => {
                        if let Some(overdue) = activity.overdue(&shared.patience, Instant::now()) {
                            tracing::debug!(%peer, ?overdue, "a connection was closed: its client is too slow");
                            return;
                        }
                        let draining = *stage.borrow() == Stage::Draining;
                        if draining && !activity.is_busy() {
                            return;
                        }
                    }
                }
            }
        });
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

/// Listens on this address.
///
/// # Errors
/// Those of the system: the address is in use, is not of this machine, or needs more rights.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart need not wait for the last one's connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Says why, if the socket takes it at once.
fn refuse(stream: &TcpStream) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_of_connections_waits_for_a_busy_server() {
        const BURST: usize = 300;
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let most = most.ok().and_then(|most| most.trim().parse::<usize>().ok());
        assert!(
            most.is_some_and(|most| most >= BURST),
            "net.core.somaxconn is {most:?}; this test needs {BURST}"
        );
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("an address");
        let address = listener.local_addr().expect("bound");
        let opened = (0..BURST)
            .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)))
            .collect::<io::Result<Vec<_>>>();
        assert_eq!(opened.expect("nobody accepts yet").len(), BURST);
    }

    #[test]
    fn who_gives_way_has_no_request_and_the_most_connections() {
        let [flood, proxy, other] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let mut open = HashMap::new();
        for (id, peer) in [other, proxy, proxy, flood, flood, flood].into_iter().enumerate() {
            let (activity, evicted) = (Activity::new(), Arc::new(Notify::new()));
            open.insert(
                id as u64,
                Open {
                    peer,
                    activity,
                    evicted,
                },
            );
        }
        let _request = open[&3].activity.begin();
        let mut order = Vec::new();
        while let Some(id) = least_wanted(&open) {
            order.push(id);
            open.remove(&id);
        }
        // One of the flood's has a request: it stays, and counts.
        assert_eq!(order, [4, 1, 5, 0, 2]);
    }
}
