//! Answers: messages, and a status behind them.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::stream::{self, Stream, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;

use super::status::{CONTENT, Code, of_error, trailers};
use crate::error::{Error, Result};

/// What stands before a message that is not compressed.
fn prefix(message: &Bytes) -> Result<Bytes> {
    let length = u32::try_from(message.len());
    let length = length.map_err(|_| Error::AnswerTooLarge("a message of more than 4 GiB".into()))?;
    let mut prefix = vec![0];
    prefix.extend(length.to_be_bytes());
    Ok(prefix.into())
}

fn response(frames: impl Stream<Item = Frame<Bytes>> + Send + 'static) -> Response {
    let mut response = Response::new(Body::new(StreamBody::new(frames.map(Ok::<_, Infallible>))));
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response
}

/// An answer of one message.
///
/// # Errors
/// [`Error::AnswerTooLarge`] for one whose length has no room.
pub fn unary(message: Bytes) -> Result<Response> {
    let frames = [
        Frame::data(prefix(&message)?),
        Frame::data(message),
        Frame::trailers(trailers(Code::Ok, "")),
    ];
    Ok(response(stream::iter(frames)))
}

/// An answer of several messages, which ends with the first error. `told` hears of the error, as the client does.
pub fn stream(
    messages: impl Stream<Item = Result<Bytes>> + Send + 'static,
    told: impl Fn(&Error) + Send + 'static,
) -> Response {
    let framed = messages.map(|message| {
        let message = message?;
        Ok([prefix(&message)?, message])
    });
    let frames = stream::unfold(
        Some((Box::pin(framed), told)),
        async |state| -> Option<(Vec<_>, _)> {
            let (mut framed, told) = state?;
            match framed.next().await {
                Some(Ok(frames)) => Some((frames.map(Frame::data).into(), Some((framed, told)))),
                Some(Err(error)) => {
                    told(&error);
                    Some((vec![Frame::trailers(of_error(&error))], None))
                }
                None => Some((vec![Frame::trailers(trailers(Code::Ok, ""))], None)),
            }
        },
    );
    response(frames.flat_map(stream::iter))
}
