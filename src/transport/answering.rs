//! The body of an answer, as it leaves: its request is under way until it has ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};

use super::activity::UnderWay;
use super::keys::Caller;

/// The most that is handed over at a time where a connection has several answers: what its client does not take of one is then
/// seen here, since no socket tells it.
const PIECE: usize = 64 << 10;

/// A body that keeps its request under way until it ends or is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    body: Body,
    /// What of a frame is still to come.
    rest: Bytes,
    /// `None` once the body has ended.
    under_way: Option<UnderWay>,
    /// Who has a place among the requests of its key until then.
    _caller: Option<Caller>,
}

impl Answering {
    /// The body of `response`, and who keeps a place until it has ended.
    pub(super) fn of(mut response: Response, under_way: UnderWay) -> Response {
        let caller = response.extensions_mut().remove();
        response.map(|body| {
            Body::new(Self {
                body,
                rest: Bytes::new(),
                under_way: Some(under_way),
                _caller: caller,
            })
        })
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let is_shared = self.under_way.as_ref().is_some_and(UnderWay::is_shared);
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if is_shared => self.rest = data,
                Some(Ok(Ok(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(under_way) = &self.under_way {
            under_way.taken();
        }
        let frame = ready!(self.next(cx));
        match (&frame, &self.under_way) {
            (Some(Ok(_)), Some(under_way)) => under_way.given(),
            _ => self.under_way = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}
