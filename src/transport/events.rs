//! Answers as server-sent events: what becomes known while the work goes on, then the whole answer, or `error`. A client
//! that leaves takes its work out of the queue.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::context;
use crate::error::{Error, Result};

/// An event: its name, and its data as JSON.
#[derive(Debug)]
pub struct Streamed {
    /// Its name.
    pub name: &'static str,
    /// Its data.
    pub json: String,
}

struct Streaming<P, E> {
    known: mpsc::Receiver<context::Event>,
    part: P,
    failed: E,
    work: Option<AbortOnDrop>,
}

struct AbortOnDrop(JoinHandle<Result<Streamed>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Streams what is `known` while `work` goes on, each event as `part` writes it; then what `work` answers, or what
/// `failed` makes of its error.
pub fn stream(
    known: mpsc::Receiver<context::Event>,
    part: impl Fn(context::Event) -> Streamed + Send + 'static,
    failed: impl Fn(&Error) -> Streamed + Send + 'static,
    work: impl Future<Output = Result<Streamed>> + Send + 'static,
) -> Response {
    let streaming = Streaming {
        known,
        part,
        failed,
        work: Some(AbortOnDrop(tokio::spawn(work))),
    };
    Sse::new(events(streaming))
        .keep_alive(KeepAlive::default())
        .into_response()
}

fn events<P, E>(streaming: Streaming<P, E>) -> impl Stream<Item = Result<Event, Infallible>>
where
    P: Fn(context::Event) -> Streamed,
    E: Fn(&Error) -> Streamed,
{
    stream::unfold(streaming, async move |mut streaming| {
        if let Some(known) = streaming.known.recv().await {
            return Some((Ok(event((streaming.part)(known))), streaming));
        }
        // The channel closed: the work is done, or it failed.
        let mut work = streaming.work.take()?;
        let done = (&mut work.0)
            .await
            .unwrap_or_else(|e| Err(Error::Internal(e.to_string())));
        let last = done.unwrap_or_else(|error| (streaming.failed)(&error));
        Some((Ok(event(last)), streaming))
    })
}

fn event(streamed: Streamed) -> Event {
    Event::default().event(streamed.name).data(streamed.json)
}
