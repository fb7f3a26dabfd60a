//! A request body that is read to its end even when its handler answered early.
//!
//! A client that still writes while the server has answered and closed gets a reset, and loses the answer.
//! So what a handler leaves of a body is read and thrown away, up to a bound in bytes and time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

/// How much is thrown away for one request.
const MOST_BYTES: usize = 1 << 30;
const MOST_TIME: Duration = Duration::from_secs(10);

struct Lingering {
    /// `None` once it was read to its end.
    rest: Option<Body>,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let Some(body) = self.rest.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.rest
            .as_ref()
            .map_or_else(http_body::SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let left = self.rest.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (left, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(MOST_TIME, throw_away(body)));
        }
    }
}

async fn throw_away(mut body: Body) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > MOST_BYTES {
            return;
        }
    }
}

/// Middleware: makes every request's body one that lingers.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    let lingering = request.map(|body| Body::new(Lingering { rest: Some(body) }));
    next.run(lingering).await
}
