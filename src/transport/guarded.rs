//! Bodies and bytes that hold something until they have ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// `bytes`, which hold `guard` until nobody has them any more: where they are sent, until they are written.
pub fn holding<G: Send + 'static>(bytes: Vec<u8>, guard: G) -> Bytes {
    struct Owned<G> {
        bytes: Vec<u8>,
        _guard: G,
    }

    impl<G> AsRef<[u8]> for Owned<G> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    Bytes::from_owner(Owned { bytes, _guard: guard })
}

/// A body that holds something until it has ended.
#[derive(Debug)]
pub(super) struct Guarded<G> {
    body: Body,
    guard: Option<G>,
}

impl<G> Guarded<G> {
    pub(super) fn new(body: Body, guard: G) -> Self {
        Self {
            body,
            guard: Some(guard),
        }
    }
}

impl<G: Unpin> HttpBody for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.guard = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
