//! One connection, from its first byte to its end: HTTP/1.1 or HTTP/2, as its client begins.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use super::activity::{Overdue, Presence};
use super::answering::Answering;
use super::open::{Ending, Listed, Listener, Open, Shared, Stage};
use super::sockets::Stream;
use super::watched::Watched;

/// How often a connection is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How long a connection of HTTP/1.1 without a request is kept when the server ends: a request may be on its way, and is then
/// answered as the last.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How much of a head is read.
const HEAD_BYTES: usize = 64 << 10;

/// A connection that is served.
pub(super) struct One {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    pub(super) listener: Listener,
    pub(super) open: Open,
    pub(super) _listed: Listed,
}

impl One {
    /// Serves it to its end: its client's, or when it must end.
    pub(super) async fn live(self, stream: Stream, router: Router) {
        let stream = match stream {
            Stream::Tcp(stream) => stream,
            // It does not leave the machine.
            Stream::Unix(stream) => return self.speak(stream, router).await,
        };
        let Some(tls) = self.shared.tls(self.listener) else {
            return self.speak(stream, router).await;
        };
        // A handshake is a head: it has the same time, and gives way as an idle connection does.
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.shared.patience.head, tls.accept(stream)) => shaken,
            () = self.open.evicted.notified() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.speak(stream, router).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "a handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "a handshake took too long"),
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
        let activity = &self.open.activity;
        let service = service_fn(|request| self.answer(request, router.clone()));
        let io = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
        let builder = builder();
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let mut stage = self.shared.stage.subscribe();
        let mut look = tokio::time::interval(LOOK);
        let mut said_goodbye = false;
        let mut last_call = None;
        loop {
            tokio::select! {
                // What has arrived is read before anything else is decided.
                biased;
                // The client's end, a fault, or nothing more to say: all the same to the server.
                _ = connection.as_mut() => return,
                () = self.open.evicted.notified() => {
                    let waits = activity.kept_waiting(Instant::now()).is_some();
                    if activity.without_request_since().is_some() || waits {
                        return;
                    }
                    // Its request came just then: it is answered, and is the last.
                    self.shared.open().insert(self.id, self.open.clone());
                    connection.as_mut().graceful_shutdown();
                }
                _ = stage.changed() => match *stage.borrow_and_update() {
                    Stage::Serving => {}
                    Stage::Draining if activity.is_shared() => connection.as_mut().graceful_shutdown(),
                    // Its answers say that they are the last.
                    Stage::Draining => last_call = Some(Instant::now() + LAST_CALL),
                    Stage::Over => return,
                },
                _ = look.tick() => match activity.overdue(&self.shared.patience, Instant::now()) {
                    // A request may be on its way, which its client then knows to send again.
                    Some(Overdue::Idle) if activity.is_shared() && !said_goodbye => {
                        said_goodbye = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Some(overdue) => {
                        tracing::debug!(peer = %self.peer, ?overdue, "a connection was closed: its client is too slow");
                        return;
                    }
                    None if last_call.is_some_and(|end| Instant::now() < end) => {}
                    None if *stage.borrow() == Stage::Draining && !activity.is_busy() => return,
                    None => {}
                },
            }
        }
    }

    /// Answers one request.
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
        router: Router,
    ) -> impl Future<Output = Result<hyper::Response<Body>, Infallible>> + use<> {
        let activity = &self.open.activity;
        let has_room = !activity.is_shared() || self.shared.has_room_for_request();
        let is_pipelined = !activity.has_been_silent() && !activity.is_shared();
        let under_way = activity.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(self.listener);
        request.extensions_mut().insert(Presence(Arc::clone(activity)));
        request
            .extensions_mut()
            .insert(Ending(self.shared.stage.subscribe()));
        let (activity, shared) = (Arc::clone(activity), Arc::clone(&self.shared));
        async move {
            if is_pipelined {
                // The requests of one connection would be answered one after the other, with no turn for others.
                tokio::task::yield_now().await;
            }
            let mut response = match has_room {
                true => router.oneshot(request).await?,
                false => too_many(),
            };
            if !activity.is_shared() && *shared.stage.borrow() == Stage::Draining {
                let close = hyper::header::HeaderValue::from_static("close");
                response.headers_mut().insert(hyper::header::CONNECTION, close);
            }
            Ok(Answering::of(response, under_way))
        }
    }
}

/// How connections are spoken on.
fn builder() -> auto::Builder<TokioExecutor> {
    /// Requests of one connection at one time.
    const STREAMS: u32 = 100;
    /// What a client may send of one request before it is read, and of all of a connection.
    const WINDOW: u32 = 128 << 10;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32 / 4)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_send_buf_size(WINDOW as usize);
    builder
}

/// The answer to a request for which there is no room.
fn too_many() -> hyper::Response<Body> {
    let mut response = hyper::Response::new(Body::empty());
    *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(
        hyper::header::RETRY_AFTER,
        hyper::header::HeaderValue::from_static("1"),
    );
    response
}
